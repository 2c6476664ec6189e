"""Which framework a model is of, and the model itself."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import from_lightgbm
import from_onnx
import from_own
import from_sklearn
import from_torch
import from_xgboost
from refusal import Refusal, class_name, require, unreadable

FRAMEWORKS: tuple[ModuleType, ...] = (
    from_onnx,
    from_torch,
    from_lightgbm,
    from_xgboost,
    from_sklearn,
)


def load(spec: dict[str, Any]) -> tuple[ModuleType, Any]:
    """The framework's file and the model; Refusal unreadable, missing_package or unsupported.

    A project's own exporter comes first, then what the file's name or its first bytes say, then
    what unpickling gives.
    """
    if spec.get("exporter"):
        return from_own, from_own.load(spec, load_original)
    return load_original(spec)


def load_original(spec: dict[str, Any]) -> tuple[ModuleType, Any]:
    """The framework's file and the model, without regard to the project's own exporter."""
    path = spec["model"]
    if not os.path.isfile(path):
        remedy = "Run the stage that makes it again."
        raise Refusal("unreadable", f"The model {path} is not there.", remedy)
    for source in FRAMEWORKS:
        if hasattr(source, "reads") and source.reads(spec):
            return source, source.load(spec)
    model = unpickle(path)
    for source in FRAMEWORKS:
        if source.recognises(model):
            return source, model
    lack = "is of no framework known here" if hasattr(model, "predict") else "has no predict"
    raise Refusal(
        "unsupported",
        f"{class_name(model)} {lack}.",
        "Save the fitted scikit-learn, LightGBM, XGBoost or PyTorch model itself, "
        "or name a function in `exporter` that converts it.",
    )


def unpickle(path: str) -> Any:
    """A pickled model; Refusal unreadable or missing_package."""
    joblib = require("joblib")
    try:
        return joblib.load(path)
    except Exception as error:  # whatever unpickling the user's objects raises
        raise unreadable(path, error) from error
