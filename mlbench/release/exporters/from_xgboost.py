"""XGBoost's models, of both its interfaces, to ONNX."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import path_rows
from forest_graph import whole_graph
from framework import Answers, Converted, Probe, Rows, is_frame
from matrices import check_width, one_matrix, served_matrix
from refusal import Refusal, class_name, require, unreadable_by
from trees import Forest, Tree

_LINKS = {
    "binary:logistic": "logistic",
    "reg:logistic": "each",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}
_IDENTITY = (
    *("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"),
    *("reg:quantileerror", "reg:squaredlogerror"),
    *("rank:ndcg", "rank:map", "rank:pairwise"),
)
CODES_REMEDY = (
    "Encode the categories before XGBoost sees them, with an OrdinalEncoder or OneHotEncoder "
    "of a scikit-learn pipeline, and train on the codes as numbers."
)

served = served_matrix


def reads(spec: dict[str, Any]) -> bool:
    """Whether a file is what save_model writes, by its name."""
    return os.path.splitext(spec["model"])[1].lower() in (".ubj", ".json")


def load(spec: dict[str, Any]) -> Any:
    """The Booster of a model file; Refusal unreadable."""
    xgboost = require("xgboost")
    try:
        return xgboost.Booster(model_file=spec["model"])
    except xgboost.core.XGBoostError as error:
        raise unreadable_by("XGBoost", spec["model"], error) from error


def recognises(model: Any) -> bool:
    """Whether a model is a Booster or an estimator of XGBoost's."""
    return any(base.__module__.partition(".")[0] == "xgboost" for base in type(model).__mro__)


def columns(model: Any) -> list[str] | None:
    """The columns that the model was trained on by name."""
    names = booster(model).feature_names
    return None if names is None else [str(name) for name in names]


def booster(model: Any) -> Any:
    """The Booster in an estimator, or the model itself; Refusal where it is not fitted."""
    if not hasattr(model, "get_booster"):
        return model
    try:
        return model.get_booster()
    except Exception as error:  # scikit-learn's NotFittedError, or XGBoost's
        raise Refusal(
            "unsupported", f"{class_name(model)} is not fitted.", "Save it after training."
        ) from error


def check(model: Any, rows: Rows) -> None:
    """Refuse what a forest of thresholds can't say, and rows of another width."""
    check_width(rows, booster(model).num_features())
    forest(model)


def classes(model: Any) -> list[Any]:
    """A classifier's labels in the order of its scores; a Booster's are 0, 1, …."""
    if hasattr(model, "get_booster"):
        return list(model.classes_) if hasattr(model, "predict_proba") else []
    made = forest(model)
    if made.link not in ("logistic", "softmax"):
        return []
    return list(range(max(2, len(made.base))))


def convert(model: Any, rows: Rows) -> Converted:  # noqa: ARG001 (others look at the rows)
    """The graph: one input of n x features."""
    labels = classes(model)
    width = booster(model).num_features()
    return Converted(
        whole_graph(forest(model), width, labels), one_matrix, labels, columns(model) or []
    )


def answers(model: Any, X: Any) -> Answers:
    """What the model predicts."""
    np = require("numpy")
    if hasattr(model, "get_booster"):
        if not hasattr(model, "predict_proba"):
            return Answers(None, model.predict(X))
        return Answers(model.predict(X), model.predict_proba(X))
    xgboost = require("xgboost")
    names = None if is_frame(X) else model.feature_names
    rows = xgboost.DMatrix(X, feature_names=names)
    if not classes(model):
        return Answers(None, model.predict(rows))
    scores = np.asarray(model.predict(rows))
    if learner(model)["objective"]["name"] == "multi:softmax":
        margins = model.predict(rows, output_margin=True)
        grown = np.exp(margins - margins.max(axis=1, keepdims=True))
        return Answers(scores.astype(int), grown / grown.sum(axis=1, keepdims=True))
    if scores.ndim == 1:
        scores = np.column_stack([1 - scores, scores])
    return Answers(scores.argmax(axis=1), scores)


def threshold_rows(model: Any, rows: Rows) -> Probe:
    """Rows around every split."""
    return path_rows.around(forest(model), rows)


def learner(model: Any) -> dict[str, Any]:
    """XGBoost's own description of what predicts: after early stopping, the best rounds alone."""
    held = booster(model)
    if hasattr(model, "get_booster") and getattr(model, "early_stopping_rounds", None) is not None:
        held = held[: model.best_iteration + 1]
    described: dict[str, Any] = json.loads(bytes(held.save_raw("json")))["learner"]
    return described


def forest(model: Any) -> Forest:
    """The trees of a model; Refusal where they hold more than numbers against thresholds."""
    missing = getattr(model, "missing", None)
    if missing is not None and not math.isnan(missing):
        raise Refusal(
            "unsupported",
            f"The model takes {missing:g} as missing, which ONNX's trees can't.",
            "Train with NaN where a value is missing.",
        )
    described = learner(model)
    objective = described["objective"]["name"]
    if objective not in _LINKS and objective not in _IDENTITY:
        raise Refusal(
            "unsupported",
            f"XGBoost's objective {objective} has no exact counterpart in ONNX.",
            "Train with one of " + ", ".join([*_LINKS, *_IDENTITY[:4]]) + ".",
        )
    grown = described["gradient_booster"]
    if grown["name"] == "gblinear":
        raise Refusal(
            "unsupported",
            "XGBoost's linear booster has no trees to export.",
            "Use scikit-learn's LogisticRegression or ElasticNet, or booster='gbtree'.",
        )
    weights = grown.get("weight_drop")  # a dart's trees are weighted
    ensemble = grown.get("gbtree", grown)["model"]  # a dart holds its trees one level deeper
    trees = [
        _tree(tree, target, 1.0 if weights is None else float(weights[index]))
        for index, (tree, target) in enumerate(
            zip(ensemble["trees"], ensemble["tree_info"])  # noqa: B905 (3.9)
        )
    ]
    link = _LINKS.get(objective, "identity")
    return Forest(trees, _base(described["learner_model_param"], link), link)


def _base(parameters: dict[str, str], link: str) -> list[float]:
    """What every row's sum starts from: base_score, as the link would have it."""
    written = json.loads(parameters["base_score"])
    scores = [float(score) for score in (written if isinstance(written, list) else [written])]
    width = max(1, int(parameters["num_class"]), int(parameters.get("num_target", "1")))
    if link in ("logistic", "each"):
        scores = [math.log(score / (1.0 - score)) for score in scores]
    elif link == "exp":
        scores = [math.log(score) for score in scores]
    return scores if len(scores) == width else scores * width


def _tree(tree: dict[str, Any], target: int, weight: float) -> Tree:
    """One tree of the description; a leaf's value stands where a split has its threshold."""
    np = require("numpy")
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise Refusal(
            "unsupported",
            "The model's trees answer for several targets at once.",
            "Train with multi_strategy='one_output_per_tree'.",
        )
    if any(tree["split_type"]):
        raise Refusal(
            "unsupported",
            "The model splits on sets of categories, which a server can't tell apart.",
            CODES_REMEDY,
        )
    left = np.array(tree["left_children"])
    numbers = np.array(tree["split_conditions"], np.float32).astype(np.float64)
    return Tree(
        feature=np.array(tree["split_indices"]),
        threshold=numbers,
        left=left,
        right=np.array(tree["right_children"]),
        missing_left=np.array(tree["default_left"], bool),
        values=np.where(left < 0, numbers * weight, 0.0).reshape(-1, 1),
        targets=(int(target),),
        strict=True,
    )
