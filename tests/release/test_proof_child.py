"""The process that proves: what it must not run into, and what is told where it does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mlbench.domain.errors import ExportError
from mlbench.release import proof as proof_module
from tests.release.exported_folder import (
    ExportedFolder,
)


@pytest.fixture
def exported(tmp_path: Path) -> ExportedFolder:
    return ExportedFolder(tmp_path / "out")


def test_a_model_that_cannot_be_loaded_is_one_sentence(exported: ExportedFolder) -> None:
    (exported.folder / "model.onnx").write_bytes(b"no protobuf")
    with pytest.raises(ExportError, match=r"^onnxruntime [\d.]+ can't load .*; upgrade") as refused:
        exported.in_child()
    assert "\n" not in str(refused.value)


def test_a_model_with_tensors_outside_its_file_is_refused(exported: ExportedFolder) -> None:
    model = onnx.load(exported.folder / "model.onnx")
    onnx.save(
        model,
        exported.folder / "model.onnx",
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
    )
    assert (exported.folder / "weights").exists()
    with pytest.raises(ExportError, match="outside its file; export it as one file"):
        exported.in_child()


def test_pickles_are_not_read(exported: ExportedFolder) -> None:
    unpickled: dict[str, Any] = {"in:input": np.array([{}], dtype=object)}
    np.savez(exported.folder / "answers.npz", **unpickled)
    with pytest.raises(ExportError, match="allow_pickle=False"):
        exported.in_child()


def test_a_folder_without_a_proof_says_how_the_child_ended(
    exported: ExportedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_module, "_PROGRAM", "mlbench.release.no_such_program")
    with pytest.raises(ExportError, match="ended with exit status 1; its output is in") as refused:
        exported.in_child()
    assert str(exported.folder / "log") in str(refused.value)
    assert "no_such_program" in (exported.folder / "log").read_text()


def test_a_child_that_hangs_is_ended(exported: ExportedFolder) -> None:
    """Reading a pipe that nobody writes to is as endless as any graph."""
    (exported.folder / "model.onnx").unlink()
    os.mkfifo(exported.folder / "model.onnx")
    with pytest.raises(ExportError, match=r"^the proof .* took longer than 1 s; its output is in"):
        exported.in_child(timeout=1.0)


@pytest.mark.parametrize("module", ["numpy", "onnxruntime", "mlbench", "json"])
def test_modules_of_the_users_do_not_get_in(
    exported: ExportedFolder, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for folder in (exported.folder, exported.folder / "probes"):
        (folder / f"{module}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.setenv("PYTHONPATH", str(exported.folder / "probes"))
    assert exported.in_child().parity.passed
