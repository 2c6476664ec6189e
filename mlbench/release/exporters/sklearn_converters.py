"""Every model of trees inside scikit-learn's, converted by mlbench's own trees.

skl2onnx 1.20 fails on histogram gradient boosting, forgets which way trees send missing values,
and knows neither LightGBM nor XGBoost. Its linear discriminants of two classes answer too surely.
"""

from __future__ import annotations

import sys
from typing import Any

import sklearn_scalers
import sklearn_trees
from forest_graph import add_forest, add_label, add_link
from refusal import require

_CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}
_BOOSTED = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
_XGBOOST = ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker")


def register() -> None:
    """Tell skl2onnx; of LightGBM and XGBoost only where the model has brought them along."""
    skl2onnx = require("skl2onnx")
    found = [
        getattr(require(package), name)
        for package in ("sklearn.tree", "sklearn.ensemble")
        for name in sklearn_trees.CLASS_NAMES
        if hasattr(require(package), name)
    ]
    for package, names in (("lightgbm", _BOOSTED), ("xgboost", _XGBOOST)):
        if package in sys.modules:
            found += [getattr(sys.modules[package], name) for name in names]
    for kind in found:
        classifies = hasattr(kind, "predict_proba")
        options = dict(_CLASSIFIER_OPTIONS) if classifies else {}
        if hasattr(kind, "decision_function"):
            options["raw_scores"] = [True, False]
        skl2onnx.update_registered_converter(
            kind,
            f"Forest{kind.__name__}",
            _classifier_shapes if classifies else _regressor_shapes,
            _convert,
            options=options,
        )

    sklearn_scalers.register(skl2onnx.update_registered_converter)
    discriminant = require("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    skl2onnx.update_registered_converter(
        discriminant,
        "Discriminant",
        _classifier_shapes,
        _convert_discriminant,
        options={**_CLASSIFIER_OPTIONS, "raw_scores": [True, False]},
    )


def _classifier_shapes(operator: Any) -> None:
    """What a classifier gives: a label and a score for each class."""
    types = require("skl2onnx.common.data_types")
    model, rows = operator.raw_operator, operator.inputs[0].get_first_dimension()
    text = all(isinstance(label, str) for label in model.classes_)
    kind = types.StringTensorType if text else types.Int64TensorType
    operator.outputs[0].type = kind([rows])
    operator.outputs[1].type = types.FloatTensorType([rows, len(model.classes_)])


def _regressor_shapes(operator: Any) -> None:
    """What a regressor gives: a number for each target."""
    types = require("skl2onnx.common.data_types")
    grown = sklearn_trees.whole_forest(operator.raw_operator)
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = types.FloatTensorType([rows, len(grown.base)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a model of trees."""
    model, named = operator.raw_operator, _Named(container, scope)
    grown, feed = sklearn_trees.whole_forest(model), _as_floats(operator, named, scope)
    fresh = scope.get_unique_variable_name
    if not hasattr(model, "classes_"):
        add_forest(named, grown, feed, operator.outputs[0].full_name, fresh)
        return
    scores = operator.outputs[1].full_name
    add_forest(named, grown, feed, scores, fresh, linked=not _asks_raw(container, model))
    add_label(named, list(model.classes_), scores, operator.outputs[0].full_name, fresh)


def _convert_discriminant(scope: Any, operator: Any, container: Any) -> None:
    """Add a linear discriminant's nodes: of two classes the logistic, of more the softmax."""
    np, kind = require("numpy"), require("onnx").TensorProto.FLOAT
    model, named = operator.raw_operator, _Named(container, scope)
    fresh = scope.get_unique_variable_name
    weights, offsets, sums = fresh("weights"), fresh("offsets"), fresh("sums")
    coefficients = np.asarray(model.coef_, np.float32)
    named.add_initializer(weights, kind, list(coefficients.shape), coefficients.ravel().tolist())
    intercepts = np.asarray(model.intercept_, np.float32).ravel().tolist()
    named.add_initializer(offsets, kind, [len(intercepts)], intercepts)
    feed = _as_floats(operator, named, scope)
    named.add_node("Gemm", [feed, weights, offsets], [sums], transB=1, op_version=13)
    link = "logistic" if len(model.classes_) == 2 else "softmax"
    label, scores = (output.full_name for output in operator.outputs)
    add_link(named, link, sums, scores, fresh, linked=not _asks_raw(container, model))
    add_label(named, list(model.classes_), scores, label, fresh)


def _asks_raw(container: Any, model: Any) -> bool:
    """Whether a model around this one wants its sums, as calibration does."""
    if not hasattr(model, "decision_function"):
        return False
    return bool(container.get_options(model, {"raw_scores": False}).get("raw_scores"))


def _as_floats(operator: Any, named: _Named, scope: Any) -> str:
    """The name of a converter's input, cast where it is not of float32."""
    types, feed = require("skl2onnx.common.data_types"), str(operator.inputs[0].full_name)
    if isinstance(operator.inputs[0].type, types.FloatTensorType):
        return feed
    cast = str(scope.get_unique_variable_name("floats"))
    kind = require("onnx").TensorProto.FLOAT
    named.add_node("Cast", [feed], [cast], to=kind, op_version=13)
    return cast


class _Named:
    """skl2onnx's container, which wants a name for each node."""

    def __init__(self, container: Any, scope: Any) -> None:
        """Beside the scope, which knows what names are taken."""
        self._container, self._scope = container, scope

    def add_node(self, op_type: str, inputs: list[str], outputs: list[str], **given: Any) -> None:
        """Add a node under a name of its own."""
        name = self._scope.get_unique_operator_name(op_type)
        self._container.add_node(op_type, inputs, outputs, name=name, **given)

    def add_initializer(self, name: str, kind: int, shape: list[int], values: Any) -> None:
        """Add a constant."""
        self._container.add_initializer(name, kind, shape, values)
