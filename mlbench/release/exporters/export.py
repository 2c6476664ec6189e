"""Export one trained model to ONNX, in the interpreter that trained it.

Run as `PYTHON export.py SPEC.json`. The spec names the pickled model, the held-out rows (`sample`,
and `target` where they are a table), the `project` folder and the folder `out`. Written there:
model.onnx, answers.npz (what the original answers on the rows) and, last, report.json.
Exit status 0 where the report says ok, else 1. Standard output stays empty.
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

import answers
import from_sklearn
import refusal
from refusal import Refusal, class_name, missing_package, one_line, require

VERSIONED = ("scikit-learn", "skl2onnx", "onnx", "numpy")


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
    sys.path = [place for place in sys.path if place != os.path.dirname(__file__)] + [project]
    os.chdir(project)
    for module in (answers, from_sklearn, refusal):
        del sys.modules[module.__name__]


def export(spec: dict[str, Any]) -> dict[str, Any]:
    """Write model.onnx and answers.npz, and return the report; Refusal says why not."""
    rows = answers.read_rows(spec.get("sample"), spec.get("target"))
    model = load_model(spec["model"])
    check_exportable(model)
    check_width(model, rows, spec["sample"])
    onnx_model = from_sklearn.convert(model, rows.X.shape[1])
    given = original_answers(model, rows)

    with open(os.path.join(spec["out"], "model.onnx"), "wb") as file:
        file.write(onnx_model.SerializeToString(deterministic=True))
    require("numpy").savez(os.path.join(spec["out"], "answers.npz"), **given)
    classes = [str(label) for label in given["classes"]]
    return {
        "ok": True,
        "framework": "sklearn",
        "versions": versions(),
        "opset": from_sklearn.opset(onnx_model),
        "signature": from_sklearn.signature(onnx_model, classes),
    }


def load_model(path: str) -> Any:
    """Unpickle a model; Refusal unreadable or missing_package."""
    joblib = require("joblib")
    try:
        return joblib.load(path)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in refusal.REQUIREMENTS:
            raise missing_package(error, wanted="sklearn") from error
        remedy = f"Keep it in the project, or install it for {sys.executable}."
        problem = f"The model {path} needs the module {error.name}, which can't be found."
        raise Refusal("unreadable", problem, remedy) from error
    except Exception as error:
        remedy = "Run the stage that makes it again."
        if "__main__" in str(error):
            remedy = "Move that class from the script into a module that the script imports."
        problem = f"The model {path} can't be unpickled: {one_line(error)}."
        raise Refusal("unreadable", problem, remedy) from error


def check_exportable(model: Any) -> None:
    """Refuse what no exporter here knows, by its class."""
    if not from_sklearn.is_sklearn(model):
        lack = "is no scikit-learn estimator" if hasattr(model, "predict") else "has no predict"
        raise from_sklearn.unsupported(model, lack, "Save the scikit-learn pipeline itself.")
    from_sklearn.check_supported(model)


def check_width(model: Any, rows: answers.Rows, path: str) -> None:
    """Refuse rows that have more or fewer columns than the model was trained on."""
    expected, found = getattr(model, "n_features_in_", None), rows.X.shape[1]
    if expected is not None and found != expected:
        raise answers.bad_sample(
            path,
            f"has {found} columns, but the model was trained on {expected}",
            "Hold out rows of the table that the model is trained on.",
        )


def original_answers(model: Any, rows: answers.Rows) -> dict[str, Any]:
    """The original's answers; where it raises on its own rows, the sample is to blame."""
    try:
        classifier = from_sklearn.is_classifier(model)
        return answers.original_answers(model, rows, is_classifier=classifier)
    except Exception as error:
        problem = f"{class_name(model)} fails on the sample: {one_line(error)}."
        remedy = "Hold out rows as they come to predict in training."
        raise Refusal("bad_sample", problem, remedy) from error


def versions() -> dict[str, str]:
    """What took part in the export, by version."""
    found = {"python": platform.python_version()}
    for package in VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def refused(error: Exception) -> dict[str, Any]:
    """The report of an export that did not happen."""
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
