"""What of scikit-learn has no exact counterpart in ONNX, told before anything is converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sklearn_trees
from prepared import components
from refusal import Refusal, class_name, require

_METRICS = ("minkowski", "euclidean", "manhattan", "cityblock", "l1", "l2")
_TEXT = (
    lambda _: True,
    "splits text into words by Python's own rules, which ONNX doesn't have",
    "Make the numbers from the text in a stage before training.",
)
_LACKING: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "CountVectorizer": _TEXT,
    "TfidfVectorizer": _TEXT,
    "HashingVectorizer": _TEXT,
    "KNNImputer": (
        lambda _: True,
        "makes a graph that onnxruntime can't run",
        "Use a SimpleImputer instead.",
    ),
    "GaussianProcessClassifier": (
        lambda _: True,
        "needs a solver of linear equations, which ONNX doesn't have",
        "Use an SVC with a kernel, calibrated by CalibratedClassifierCV.",
    ),
    "SimpleImputer": (
        lambda part: bool(part.add_indicator),
        "adds columns that say what was missing, which skl2onnx leaves out",
        "Add a MissingIndicator beside it in a FeatureUnion, or set add_indicator=False.",
    ),
    "OrdinalEncoder": (
        lambda part: any(_misses_text(known) for known in getattr(part, "categories_", ())),
        "was trained on texts of which some are missing, and has no code for these when served",
        "Put a SimpleImputer(strategy='most_frequent') before it.",
    ),
}
"""By class: whether a step is one that can't be exported, what it does, and what would work."""


def check_parts(model: Any) -> None:
    """Refusal unsupported unless this is a fitted regressor, or classifier with probabilities."""
    if not is_fitted(model):
        raise unsupported(model, "is not fitted", "Save it after training.")
    _check_answers(model)
    for part in components(model):
        _check_part(part)


def is_classifier(model: Any) -> bool:
    """Whether a model answers with classes, and not with numbers."""
    return bool(require("sklearn.base").is_classifier(model))


def _check_answers(model: Any) -> None:
    """Refuse what gives neither numbers nor probabilities, or several labels at once."""
    if not is_classifier(model):
        ranks = type(model).__name__.endswith("Ranker")
        if not ranks and not require("sklearn.base").is_regressor(model):
            lack = "is neither a classifier nor a regressor"
            raise unsupported(model, lack, "End the pipeline with one of them.")
        return
    if not hasattr(model, "predict_proba"):
        remedy = "Wrap it in CalibratedClassifierCV, or choose a loss that gives them."
        raise unsupported(model, "gives no probabilities", remedy)
    if isinstance(model.classes_, list) or getattr(model, "multilabel_", False):
        remedy = "Train one classifier for each target."
        raise unsupported(model, "predicts several targets at once", remedy)


def is_fitted(model: Any) -> bool:
    """Whether a model was trained before it was saved."""
    validation, exceptions = require("sklearn.utils.validation"), require("sklearn.exceptions")
    try:
        validation.check_is_fitted(model)
    except exceptions.NotFittedError:
        return False
    return True


def unsupported(model: Any, lack: str, remedy: str) -> Refusal:
    """A model that can't be exported, by its class, or by its last step's in a pipeline."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    return Refusal("unsupported", f"{class_name(last)} {lack}.", remedy)


def _check_part(part: Any) -> None:
    """Refuse a step that skl2onnx converts wrongly or not at all, and say what would work."""
    name = type(part).__name__
    if name.startswith("HistGradientBoosting"):
        sklearn_trees.check_thresholds(part)
    if name.startswith("KNeighbors"):
        _check_neighbours(part)
    if name == "FunctionTransformer" and part.func is not None:
        called = getattr(part.func, "__name__", repr(part.func))
        raise unsupported(
            part,
            f"calls the Python function {called}, which a graph can't",
            "Do that in a stage before training, or with a scikit-learn class that does the same.",
        )
    if name == "CalibratedClassifierCV" and part.method != "sigmoid":
        raise unsupported(
            part,
            f"calibrates by the {part.method} method, which skl2onnx doesn't convert exactly",
            "Calibrate with method='sigmoid'.",
        )
    if name in _LACKING:
        lacks, lack, remedy = _LACKING[name]
        if lacks(part):
            raise unsupported(part, lack, remedy)


def _check_neighbours(part: Any) -> None:
    """Refuse distances and weights that are code of the user's, or that skl2onnx doesn't know."""
    metric = part.metric if isinstance(part.metric, str) else class_name(part.metric)
    if callable(part.metric) or metric not in _METRICS:
        shown = getattr(part.metric, "__name__", metric)
        raise unsupported(
            part,
            f"measures distances by {shown}, which has no exact counterpart in ONNX",
            f"Use one of {', '.join(_METRICS)}.",
        )
    if part.weights != "uniform":
        raise unsupported(
            part,
            "weighs neighbours by their distance, which comes out otherwise in float32 "
            "where a row is the neighbour itself",
            "Use weights='uniform'.",
        )


def _misses_text(known: Any) -> bool:
    """Whether categories of text have one for what is missing."""
    texts = [isinstance(value, str) for value in known]
    return any(texts) and not all(texts)
