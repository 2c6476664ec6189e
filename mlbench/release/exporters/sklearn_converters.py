"""Every model of trees inside scikit-learn's, converted by mlbench's own trees.

skl2onnx 1.20 fails on histogram gradient boosting, forgets which way trees send missing values,
and knows neither LightGBM nor XGBoost. Its linear discriminants of two classes answer too surely.
"""

from __future__ import annotations

import sys
from typing import Any

import sklearn_imputer
import sklearn_scalers
import sklearn_trees
from forest_graph import add_forest, add_label, add_link
from refusal import require
from sklearn_scalers import in_precision
from trees import is_wide, narrowed

_CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}
_BOOSTED = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
_XGBOOST = ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker")


def register(*, double: bool) -> None:
    """Tell skl2onnx; of LightGBM and XGBoost only where the model has brought them along.

    With `double`, converters for graphs of float64, which they both take and give.
    """
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
            *in_precision(
                _classifier_shapes if classifies else _regressor_shapes, _convert, double=double
            ),
            options=options,
        )

    sklearn_imputer.register(skl2onnx.update_registered_converter, double=double)
    sklearn_scalers.register(skl2onnx.update_registered_converter, double=double)
    discriminant = require("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    skl2onnx.update_registered_converter(
        discriminant,
        "Discriminant",
        *in_precision(_classifier_shapes, _convert_discriminant, double=double),
        options={**_CLASSIFIER_OPTIONS, "raw_scores": [True, False]},
    )


def _classifier_shapes(operator: Any, *, double: bool) -> None:
    """What a classifier gives: a label and a score for each class."""
    types = require("skl2onnx.common.data_types")
    model, rows = operator.raw_operator, operator.inputs[0].get_first_dimension()
    text = all(isinstance(label, str) for label in model.classes_)
    kind = types.StringTensorType if text else types.Int64TensorType
    operator.outputs[0].type = kind([rows])
    number = types.DoubleTensorType if double else types.FloatTensorType
    operator.outputs[1].type = number([rows, len(model.classes_)])


def _regressor_shapes(operator: Any, *, double: bool) -> None:
    """What a regressor gives: a number for each target."""
    types = require("skl2onnx.common.data_types")
    grown = sklearn_trees.whole_forest(operator.raw_operator)
    rows = operator.inputs[0].get_first_dimension()
    number = types.DoubleTensorType if double else types.FloatTensorType
    operator.outputs[0].type = number([rows, len(grown.base)])


def _convert(scope: Any, operator: Any, container: Any, *, double: bool) -> None:
    """Add the nodes of a model of trees, which cast what they are fed as the original does."""
    model, named = operator.raw_operator, _Named(container, scope)
    grown = sklearn_trees.whole_forest(model)
    grown = grown if double else narrowed(grown)
    feed = _fed(operator, named, scope, double=is_wide(grown))
    fresh = scope.get_unique_variable_name
    scores = operator.outputs[-1].full_name
    given = fresh("narrow") if double else scores
    linked = not (hasattr(model, "classes_") and _asks_raw(container, model))
    add_forest(named, grown, feed, given, fresh, linked=linked)
    if double:
        kind = require("onnx").TensorProto.DOUBLE
        named.add_node("Cast", [given], [scores], to=kind, op_version=13)
    if hasattr(model, "classes_"):
        add_label(named, list(model.classes_), given, operator.outputs[0].full_name, fresh)


def _convert_discriminant(scope: Any, operator: Any, container: Any, *, double: bool) -> None:
    """Add a linear discriminant's nodes: of two classes the logistic, of more the softmax."""
    kinds = require("onnx").TensorProto
    kind = kinds.DOUBLE if double else kinds.FLOAT
    model, named = operator.raw_operator, _Named(container, scope)
    fresh = scope.get_unique_variable_name
    weights, offsets, sums = fresh("weights"), fresh("offsets"), fresh("sums")
    named.add_initializer(weights, kind, list(model.coef_.shape), model.coef_.ravel().tolist())
    intercepts = model.intercept_.ravel().tolist()
    named.add_initializer(offsets, kind, [len(intercepts)], intercepts)
    feed = _fed(operator, named, scope, double=double)
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


def _fed(operator: Any, named: _Named, scope: Any, *, double: bool) -> str:
    """The name of a converter's input, cast where it is not of float32, or not of float64."""
    types, feed = require("skl2onnx.common.data_types"), str(operator.inputs[0].full_name)
    wanted = types.DoubleTensorType if double else types.FloatTensorType
    if type(operator.inputs[0].type) is wanted:
        return feed
    cast = str(scope.get_unique_variable_name("floats"))
    kinds = require("onnx").TensorProto
    kind = kinds.DOUBLE if double else kinds.FLOAT
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
