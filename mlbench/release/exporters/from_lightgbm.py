"""LightGBM's models, of both its interfaces, to ONNX."""

from __future__ import annotations

import os
from typing import Any

import path_rows
from forest_graph import whole_graph
from framework import Answers, Converted, Probe, Rows
from matrices import check_width, one_double_matrix, one_matrix, served_matrix
from refusal import Refusal, class_name, require, unreadable_by
from trees import Forest, Tree, narrowed

_LINKS = {
    "binary": "logistic",
    "multiclass": "softmax",
    "multiclassova": "each",
    "cross_entropy": "logistic",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
}
_IDENTITY = (
    *("regression", "regression_l1", "huber", "fair", "quantile", "mape"),
    *("lambdarank", "rank_xendcg"),
)
_ZERO = 1.0000000180025095e-35  # LightGBM's kZeroThreshold, 1e-35f
CODES_REMEDY = (
    "Encode the categories before LightGBM sees them, with an OrdinalEncoder or OneHotEncoder "
    "of a scikit-learn pipeline, and train on the codes as numbers."
)

TAKES_FLOAT64 = True
served = served_matrix


def reads(spec: dict[str, Any]) -> bool:
    """Whether a file is what Booster.save_model writes."""
    if os.path.splitext(spec["model"])[1].lower() != ".txt":
        return False
    with open(spec["model"], "rb") as file:
        return file.read(5) == b"tree\n"


def load(spec: dict[str, Any]) -> Any:
    """The Booster of a model file; Refusal unreadable."""
    lightgbm = require("lightgbm")
    try:
        return lightgbm.Booster(model_file=spec["model"])
    except lightgbm.basic.LightGBMError as error:
        raise unreadable_by("LightGBM", spec["model"], error) from error


def recognises(model: Any) -> bool:
    """Whether a model is a Booster or an estimator of LightGBM's."""
    return any(base.__module__.partition(".")[0] == "lightgbm" for base in type(model).__mro__)


def columns(model: Any) -> list[str] | None:
    """None: LightGBM takes rows by position, and its names are often made up."""
    return None if is_positional(model) else list(booster(model).feature_name())


def is_positional(model: Any) -> bool:
    """Whether a model was trained on an array: its columns then are called Column_0 …."""
    names = booster(model).feature_name()
    return all(name == f"Column_{index}" for index, name in enumerate(names))


def booster(model: Any) -> Any:
    """The Booster in an estimator, or the model itself; Refusal where it is not fitted."""
    if not hasattr(model, "booster_") and hasattr(model, "fit"):
        raise Refusal(
            "unsupported", f"{class_name(model)} is not fitted.", "Save it after training."
        )
    try:
        return getattr(model, "booster_", model)
    except Exception as error:  # LightGBM's own NotFittedError
        raise Refusal(
            "unsupported", f"{class_name(model)} is not fitted.", "Save it after training."
        ) from error


def check(model: Any, rows: Rows) -> None:
    """Refuse what a forest of thresholds can't say, and rows of another width."""
    check_width(rows, booster(model).num_feature())
    forest(model)


def classes(model: Any) -> list[Any]:
    """A classifier's labels in the order of its scores; a Booster's are 0, 1, …."""
    if hasattr(model, "booster_"):
        return list(getattr(model, "classes_", []))
    made = forest(model)
    if objective(model) not in ("binary", "multiclass", "multiclassova"):
        return []
    return list(range(max(2, len(made.base))))


def objective(model: Any) -> str:
    """What a model was trained for, in LightGBM's own word."""
    words = str(booster(model).dump_model(num_iteration=1).get("objective", "custom")).split()
    return words[0] if words else "custom"


def convert(model: Any, rows: Rows) -> Converted:
    """The graph: one input of n x features."""
    labels = classes(model)
    width = booster(model).num_feature()
    names = columns(model) or []
    if rows.double:
        graph = whole_graph(forest(model), width, labels)
        return Converted(graph, one_double_matrix, labels, names)
    return Converted(whole_graph(narrowed(forest(model)), width, labels), one_matrix, labels, names)


def answers(model: Any, X: Any) -> Answers:
    """What the model predicts."""
    np = require("numpy")
    if not hasattr(model, "booster_"):
        scores = model.predict(X)
        if not classes(model):
            return Answers(None, scores)
        if scores.ndim == 1:
            scores = np.column_stack([1 - scores, scores])
        return Answers(scores.argmax(axis=1), scores)
    if not hasattr(model, "classes_"):
        return Answers(None, model.predict(X))
    return Answers(model.predict(X), model.predict_proba(X))


def threshold_rows(model: Any, rows: Rows) -> Probe:
    """Rows around every split."""
    return path_rows.around(forest(model), rows)


def forest(model: Any) -> Forest:
    """The trees of a model; Refusal where they hold more than numbers against thresholds."""
    dump = booster(model).dump_model()
    words = str(dump.get("objective", "custom")).split() or ["custom"]
    settings = dict(word.split(":", 1) for word in words[1:] if ":" in word)
    known = words[0] in _LINKS or words[0] in _IDENTITY
    if not known or "sqrt" in words:
        what = "regression with reg_sqrt" if "sqrt" in words else words[0]
        raise Refusal(
            "unsupported",
            f"LightGBM's objective {what} has no exact counterpart in ONNX.",
            "Train with one of " + ", ".join([*_LINKS, *_IDENTITY[:4]]) + ".",
        )
    if dump.get("pandas_categorical"):
        raise Refusal(
            "unsupported",
            "The model was trained on pandas categories, which a server can't tell apart.",
            CODES_REMEDY,
        )
    width = int(dump["num_tree_per_iteration"])
    trees = [
        _tree(root["tree_structure"], index % width) for index, root in enumerate(dump["tree_info"])
    ]
    if dump.get("average_output"):  # random forests give the mean
        rounds = max(1, len(trees) // width)
        trees = [tree._replace(values=tree.values / rounds) for tree in trees]
    link = _LINKS.get(words[0], "identity")
    if words[0] == "cross_entropy":
        link = "each"  # a probability alone, with no class beside it
    return Forest(trees, [0.0] * width, link, float(settings.get("sigmoid", 1.0)))


def _tree(root: dict[str, Any], target: int) -> Tree:
    """One tree of a dump, its nodes numbered from the root on."""
    np = require("numpy")
    nodes, index = [root], 0
    left, right = [], []
    while index < len(nodes):
        node = nodes[index]
        inner = "split_feature" in node
        left.append(len(nodes) if inner else -1)
        right.append(len(nodes) + 1 if inner else -1)
        if inner:
            nodes += [node["left_child"], node["right_child"]]
        elif "leaf_coeff" in node:
            raise Refusal(
                "unsupported",
                "LightGBM's linear trees have no counterpart in ONNX.",
                "Train with linear_tree=False.",
            )
        index += 1
    return Tree(
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=np.array([_threshold(node) for node in nodes]),
        left=np.array(left),
        right=np.array(right),
        missing_left=np.array([_missing_left(node) for node in nodes]),
        values=np.array([[node.get("leaf_value", 0.0)] for node in nodes]),
        targets=(target,),
        wide=True,
    )


def _threshold(node: dict[str, Any]) -> float:
    """The threshold of a split by number; sets of categories are refused.

    LightGBM takes what lies within ±1e-35 as 0 when it predicts, and so must any threshold there.
    """
    if node.get("decision_type", "<=") != "<=":
        raise Refusal(
            "unsupported",
            "The model splits on sets of categories, which ONNX's trees don't know.",
            CODES_REMEDY,
        )
    threshold = float(node.get("threshold", 0.0))
    if -_ZERO <= threshold < 0.0:
        return float(require("numpy").nextafter(-_ZERO, -1.0))
    return _ZERO if 0.0 <= threshold < _ZERO else threshold


def _missing_left(node: dict[str, Any]) -> bool:
    """Which way NaN goes: the default's, or where a model that never saw one sends 0."""
    kind = node.get("missing_type", "None")
    if kind == "Zero":
        raise Refusal(
            "unsupported",
            "The model takes zeros as missing, which ONNX's trees can't.",
            "Train with zero_as_missing=False, and NaN where a value is missing.",
        )
    if kind == "NaN":
        return bool(node["default_left"])
    return float(node.get("threshold", 0.0)) >= 0.0
