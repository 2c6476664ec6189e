"""A project whose models are exported by the export scripts, in one process or in one each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import mlbench.release

EXPORT = Path(mlbench.release.__file__).parent / "exporters" / "export.py"

# Tests run beside each other: threads that wait for a core by spinning would take it from them.
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# Many exports in one process of the scripts: importing a framework costs more than an export.
_MANY = """
    import contextlib, json, os, sys, traceback
    sys.path.insert(0, {scripts!r})
    import export
    export.make_room_for_project({project!r})
    for spec in json.load(open(sys.argv[1])):
        os.makedirs(spec["out"])
        hidden = dict.fromkeys(spec.pop("without"))
        kept = {{name: sys.modules[name] for name in hidden if name in sys.modules}}
        sys.modules.update(hidden)
        try:
            report = export.export(spec)
        except Exception as error:
            traceback.print_exc()
            report = export.refused(error)
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(kept)
        export.write_report(spec["out"], report)
"""


@dataclass(frozen=True)
class Exported:
    """One finished export: where its files lie."""

    out: Path

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return report

    @property
    def signature(self) -> dict[str, Any]:
        """The signature of a model that was exported; what was refused fails here."""
        assert self.report["ok"], self.report
        signature: dict[str, Any] = self.report["signature"]
        return signature

    @property
    def answers(self) -> dict[str, NDArray[Any]]:
        with np.load(self.out / "answers.npz", allow_pickle=False) as archive:
            return dict(archive)

    @property
    def model(self) -> bytes:
        return (self.out / "model.onnx").read_bytes()

    def refusal(self, kind: str) -> str:
        """The sentences of an export that was refused with this kind."""
        report = self.report
        assert (report["ok"], report.get("kind")) == (False, kind), report
        assert not (self.out / "model.onnx").exists()
        return f"{report['problem']} {report['remedy']}"

    def served(self, rows: slice = slice(None)) -> list[NDArray[Any]]:
        """What onnxruntime answers to some of the held-out rows, one array an output."""
        assert self.report["ok"], self.report
        feed = {
            name.removeprefix("in:"): array[rows]
            for name, array in self.answers.items()
            if name.startswith("in:")
        }
        return list(onnxruntime.InferenceSession(self.model).run(None, feed))

    def largest_error(self, rows: slice = slice(None)) -> float:
        """How far all outputs, side by side, lie from the original's scores."""
        served = [each.reshape(len(each), -1).astype(float) for each in self.served(rows)]
        return float(np.abs(np.hstack(served) - self.answers["scores"][rows]).max())


@dataclass(frozen=True)
class Exports:
    """A project folder, and the exports of what lies in it."""

    root: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    def write(self, name: str, text: str) -> Path:
        """Write a module of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def rows(self, name: str, **arrays: Any) -> str:
        """Write held-out rows."""
        self.project.mkdir(exist_ok=True)
        np.savez(self.project / name, **arrays)
        return name

    def spec(self, name: str, model: str, sample: str, **settings: Any) -> dict[str, Any]:
        """The spec of one export, which goes into a folder of this name."""
        return {
            "model": str(self.project / model),
            "sample": str(self.project / sample),
            "target": None,
            "project": str(self.project),
            "out": str(self.root / "out" / name),
            "without": [],
            **settings,
        }

    def run(self, script: str, *arguments: str, **environment: str) -> None:
        """Run a script of the project, which has to end well."""
        done = subprocess.run(
            [sys.executable, script, *arguments],
            cwd=self.project,
            env={**os.environ, **_ALONE, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def export_all(self, specs: list[dict[str, Any]], before: str = "") -> Mapping[str, Exported]:
        """Export them one after the other, in one process that first runs `before`."""
        many = textwrap.dedent(_MANY).format(scripts=str(EXPORT.parent), project=str(self.project))
        self.write("many.py", "")
        (self.project / "many.py").write_text(textwrap.dedent(before) + many)
        (self.root / "specs.json").write_text(json.dumps(specs))
        self.run("many.py", str(self.root / "specs.json"))
        return {Path(spec["out"]).name: Exported(Path(spec["out"])) for spec in specs}

    def export(self, spec: dict[str, Any], **environment: str) -> Exported:
        """Export as the engine does: in a process of its own."""
        path = self.root / "spec.json"
        path.write_text(json.dumps(spec))
        done = subprocess.run(
            [sys.executable, str(EXPORT), str(path)],
            cwd="/",
            env={**os.environ, **_ALONE, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == ""
        exported = Exported(Path(spec["out"]))
        assert done.returncode == (0 if exported.report["ok"] else 1), done.stderr
        return exported
