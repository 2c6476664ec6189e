"""What is loaded is what was promoted, and nothing else is."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from blake3 import blake3

from mlbench.domain.errors import ServingError
from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.models import load

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox


def test_a_loaded_model_computes(sandbox: Sandbox) -> None:
    model = load(sandbox.model(5))
    outputs = model.infer({"x": np.ones((2, 3), np.float32)})
    assert outputs["y"].tolist() == [[5.0] * 3] * 2
    assert outputs["version"].tolist() == [5]


def test_a_file_with_another_digest_is_refused(sandbox: Sandbox) -> None:
    model = sandbox.model(5)
    Path(model.path).write_bytes(Path(sandbox.model(6).path).read_bytes())
    with pytest.raises(ServingError, match=r"multiplier version 5: .* not what was promoted"):
        load(model)


def test_a_missing_file_is_named(sandbox: Sandbox) -> None:
    model = sandbox.model(5)
    Path(model.path).unlink()
    with pytest.raises(ServingError, match=f"{model.path} can't be read"):
        load(model)


@pytest.mark.parametrize("location", ["w.bin", "../w.bin", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"])
def test_tensors_outside_the_file_are_refused(
    sandbox: Sandbox, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sandbox.model(5)
    path = Path(model.path)
    graph = onnx.load(path)
    factor = graph.graph.initializer[0]
    del factor.float_data[:]
    factor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = factor.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(graph.SerializeToString())
    for folder in (path.parent, path.parent.parent):
        (folder / "w.bin").write_bytes(np.ones(1, np.float32).tobytes())
    monkeypatch.chdir(path.parent)
    with pytest.raises(ServingError, match="keeps tensors outside its file"):
        load(replace(model, digest=blake3(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: replace(signature, inputs=()),
        lambda signature: replace(signature, outputs=()),
        lambda signature: replace(signature, inputs=(TensorSpec("x", "FP64", (-1, 3)),)),
        lambda signature: replace(signature, inputs=(TensorSpec("z", "FP32", (-1, 3)),)),
        lambda signature: replace(signature, outputs=(TensorSpec("p", "FP32", (-1, 3)),)),
        lambda signature: replace(signature, outputs=(TensorSpec("y", "BYTES", (-1, 3)),)),
    ],
)
def test_a_file_that_breaks_its_signature_is_refused(
    sandbox: Sandbox, change: Callable[[Signature], Signature]
) -> None:
    model = sandbox.model(5)
    with pytest.raises(ServingError, match="not its signature's"):
        load(replace(model, signature=change(model.signature)))


def test_a_shape_that_it_cannot_run_is_refused(sandbox: Sandbox) -> None:
    model = sandbox.model(5)
    signature = replace(model.signature, inputs=(TensorSpec("x", "FP32", (-1, 4)),))
    with pytest.raises(ServingError, match=r"can't be loaded: .*invalid dimensions"):
        load(replace(model, signature=signature))


class Trap:
    """Says so in a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_loaded(sandbox: Sandbox, tmp_path: Path) -> None:
    model = sandbox.model(5)
    data = pickle.dumps(Trap(tmp_path / "sprung"))
    Path(model.path).write_bytes(data)
    with pytest.raises(ServingError, match="can't be loaded"):
        load(replace(model, digest=blake3(data).hexdigest()))
    assert not (tmp_path / "sprung").exists()
