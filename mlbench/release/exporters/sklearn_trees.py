"""The trees in scikit-learn's models, and in those that wrap others' trees as it does."""

from __future__ import annotations

from typing import Any

import from_lightgbm
import from_xgboost
from refusal import Refusal, require
from trees import Forest, Tree

_SINGLE = (
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
)
_MEAN = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
)
_GRADIENT = ("GradientBoostingClassifier", "GradientBoostingRegressor")
_HISTOGRAM = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
CLASS_NAMES = (*_SINGLE, *_MEAN, *_GRADIENT, *_HISTOGRAM)
"""scikit-learn's classes that are nothing but trees."""


def forest(model: Any) -> Forest | None:
    """The trees of a model that is nothing but trees, else None; Refusal as its reader's."""
    for source in (from_lightgbm, from_xgboost):
        if source.recognises(model):
            made: Forest = source.forest(model)
            return made
    name = type(model).__name__
    if not type(model).__module__.startswith("sklearn.") or name not in CLASS_NAMES:
        return None
    if name in _GRADIENT:
        return _gradient(model)
    if name in _HISTOGRAM:
        return _histogram(model)
    grown = [model] if name in _SINGLE else model.estimators_
    trees = [_plain(tree, len(grown)) for tree in grown]
    return Forest(trees, [0.0] * len(trees[0].targets))


def whole_forest(model: Any) -> Forest:
    """The trees of a model of which `forest` is known to read the class."""
    made = forest(model)
    if made is None:
        raise TypeError(type(model).__name__)
    return made


def check_thresholds(model: Any) -> None:
    """Refuse histogram gradient boosting that splits on sets of categories."""
    if getattr(model, "is_categorical_", None) is not None and model.is_categorical_.any():
        raise Refusal(
            "unsupported",
            f"{type(model).__name__} splits on sets of categories, which ONNX's trees don't know.",
            "Encode them with an OrdinalEncoder or OneHotEncoder in the pipeline before it, "
            "and leave categorical_features out.",
        )


def parts(model: Any) -> list[Forest]:
    """The forests that a model is made of, or combines, on its rows as they come.

    None where other models take part: their answers change between thresholds too.
    """
    whole = forest(model)
    if whole is not None:
        return [whole]
    if hasattr(model, "calibrated_classifiers_"):
        inner = [fitted.estimator for fitted in model.calibrated_classifiers_]
    elif hasattr(model, "estimators_"):
        inner = [fitted for fitted in model.estimators_ if not isinstance(fitted, str)]
    elif type(model).__name__ == "FrozenEstimator":
        inner = [model.estimator]
    else:
        return []
    features = getattr(model, "estimators_features_", [None] * len(inner))
    found = []
    for fitted, chosen in zip(inner, features):  # noqa: B905 (3.9)
        grown = parts(fitted)
        if not grown:
            return []
        found += [part if chosen is None else _spread_out(part, chosen) for part in grown]
    return [] if getattr(model, "passthrough", False) else found


def _spread_out(part: Forest, chosen: Any) -> Forest:
    """A forest over some columns as one over all: `chosen` are theirs."""
    np = require("numpy")
    places = np.asarray(chosen)
    return part._replace(
        trees=[tree._replace(feature=places[np.maximum(tree.feature, 0)]) for tree in part.trees]
    )


def _structure(tree: Any, values: Any, targets: tuple[int, ...]) -> Tree:
    """One of scikit-learn's Cython trees; before 1.3 they know no missing values."""
    np = require("numpy")
    nodes = tree.__getstate__()["nodes"]
    names = nodes.dtype.names
    missing = (
        nodes["missing_go_to_left"] if "missing_go_to_left" in names else nodes["left_child"] * 0
    )
    leaf = nodes["left_child"] < 0
    return Tree(
        feature=np.where(leaf, 0, nodes["feature"]),
        threshold=np.where(leaf, 0.0, nodes["threshold"]),
        left=nodes["left_child"],
        right=nodes["right_child"],
        missing_left=missing.astype(bool),
        values=values,
        targets=targets,
    )


def _plain(model: Any, count: int) -> Tree:
    """A decision tree that has a `count`th part in the answer: shares of classes, or targets."""
    np = require("numpy")
    value = model.tree_.value
    if hasattr(model, "classes_"):
        value = value[:, 0, :]
        total = value.sum(axis=1, keepdims=True)
        value = value / np.where(total == 0.0, 1.0, total)
    else:
        value = value[:, :, 0]
    return _structure(model.tree_, value / count, tuple(range(value.shape[1])))


def _gradient(model: Any) -> Forest:
    """Gradient boosting: a regression tree for each class and round."""
    np = require("numpy")
    if model.init is not None and not isinstance(model.init, str):
        raise Refusal(
            "unsupported",
            f"{type(model).__name__} starts from an estimator of its own, given as init.",
            "Leave init out, or set it to 'zero'.",
        )
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32)).ravel()
    grown = [
        _structure(tree.tree_, tree.tree_.value[:, :, 0] * model.learning_rate, (target,))
        for round_ in model.estimators_
        for target, tree in enumerate(round_)
    ]
    if not hasattr(model, "classes_"):
        return Forest(grown, start.tolist())
    link = "logistic" if len(start) == 1 else "softmax"
    return Forest(grown, start.tolist(), link, 2.0 if model.loss == "exponential" else 1.0)


def _histogram(model: Any) -> Forest:
    """Histogram gradient boosting: a tree for each class and round, thresholds in float64."""
    check_thresholds(model)
    grown = [
        _histogram_tree(predictor.nodes, target)
        for round_ in model._predictors
        for target, predictor in enumerate(round_)
    ]
    base = model._baseline_prediction.ravel().tolist()
    if hasattr(model, "classes_"):
        return Forest(grown, base, "logistic" if len(base) == 1 else "softmax")
    return Forest(grown, base, "exp" if model.loss in ("poisson", "gamma") else "identity")


def _histogram_tree(nodes: Any, target: int) -> Tree:
    """One predictor's nodes."""
    np = require("numpy")
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=np.where(leaf, 0, nodes["feature_idx"]),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=np.where(leaf, -1, nodes["left"].astype(int)),
        right=nodes["right"].astype(int),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        values=nodes["value"].reshape(-1, 1),
        targets=(target,),
        wide=True,
    )
