"""Export one trained model to ONNX, in the interpreter that trained it.

Run as `PYTHON export.py SPEC.json`. The spec names the model's file (`model`), the held-out rows
(`sample`, and `target` where they are a table), the `project` folder, the folder `out`, and, where
the project has them, its own `exporter` and `factory`; with the `precision` "double" the
graph takes float64, where its framework's can (the report's `takes_float64`). Written into `out`:
model.onnx, answers.npz (what the original answers on the rows), probes/*.npz (on rows made to find
faults) and, last, report.json. Exit status 0 where the report says ok, else 1. Standard output
stays empty.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import traceback
from typing import Any

import framework
import loading
import rows
import writing
from refusal import Refusal, is_out_of_memory, one_line

VERSIONED = (
    *("scikit-learn", "skl2onnx", "lightgbm", "xgboost", "xgboost-cpu", "torch", "onnxscript"),
    *("onnx", "numpy", "pandas"),
)


def main() -> int:
    """Export what the spec names and report how that went."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec: dict[str, Any] = json.load(file)
    os.makedirs(spec["out"], exist_ok=True)
    make_room_for_project(spec["project"])
    try:
        with contextlib.redirect_stdout(sys.stderr):
            report = export(spec)
    except Exception as error:
        traceback.print_exc()
        report = refused(error)
    write_report(spec["out"], report)
    return 0 if report["ok"] else 1


def make_room_for_project(project: str) -> None:
    """Let pickles find the user's modules, also those that are named like one of ours."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path = [place for place in sys.path if os.path.abspath(place) != own] + [project]
    os.chdir(project)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and os.path.dirname(os.path.abspath(file)) == own:
            del sys.modules[name]


def export(spec: dict[str, Any]) -> dict[str, Any]:
    """Write what `out` gets, and return the report; Refusal says why not."""
    source, model = loading.load(spec)
    columns = source.columns(model) if hasattr(source, "columns") else None
    held_out = rows.read_rows(spec.get("sample"), spec.get("target"), columns)
    takes_float64 = getattr(source, "TAKES_FLOAT64", False)
    held_out = held_out._replace(double=takes_float64 and spec.get("precision") == "double")
    source.check(model, held_out)
    converted = source.convert(model, held_out)
    writing.write_answers(spec["out"], source, model, converted, held_out)
    writing.write_model(spec["out"], converted.model)
    groups = writing.write_probes(spec["out"], source, model, converted, held_out)
    return {
        "ok": True,
        "framework": source.__name__.partition("_")[2],
        "versions": versions(),
        "opset": framework.opset(converted.model),
        "signature": framework.signature(converted),
        "groups": groups,
        "takes_float64": takes_float64,
    }


def versions() -> dict[str, str]:
    """What took part in the export, by version: the packages that were imported."""
    found = {"python": platform.python_version()}
    modules = {"scikit-learn": "sklearn", "xgboost-cpu": "xgboost"}
    for package in VERSIONED:
        if modules.get(package, package) in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[package] = importlib.metadata.version(package)
    return found


def refused(error: Exception) -> dict[str, Any]:
    """The report of an export that did not happen."""
    if is_out_of_memory(error):
        problem = "The export needs more memory than it may have."
        remedy = "Hold out fewer rows, or export a smaller model."
        return refused(Refusal("memory", problem, remedy))
    if not isinstance(error, Refusal):
        problem = f"The export failed: {type(error).__name__}: {one_line(error)}."
        return refused(Refusal("failed", problem, "The log of the export shows where."))
    return {"ok": False, "kind": error.kind, "problem": error.problem, "remedy": error.remedy}


def write_report(folder: str, report: dict[str, Any]) -> None:
    """Write report.json in one step: who finds it finds all of it, and model.onnx before it."""
    path = os.path.join(folder, "report.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main())
