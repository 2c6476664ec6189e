"""Scikit-learn's SimpleImputer on numbers of float64, for which onnxruntime has no operator."""

from __future__ import annotations

from typing import Any

from refusal import require
from sklearn_scalers import in_precision


def register(register_converter: Any, *, double: bool) -> None:
    """Tell skl2onnx, by its `update_registered_converter`; all else stays its own to convert."""
    imputer = require("sklearn.impute").SimpleImputer
    register_converter(
        imputer, "ExactSimpleImputer", *in_precision(_shapes, _convert, double=double)
    )


def _is_double(operator: Any) -> bool:
    types = require("skl2onnx.common.data_types")
    return all(type(value.type) is types.DoubleTensorType for value in operator.inputs)


def _kept(imputer: Any) -> Any:
    """The columns that come out: those without any value in training are dropped by default."""
    np = require("numpy")
    return np.flatnonzero(~np.isnan(np.asarray(imputer.statistics_, np.float64)))


def _shapes(operator: Any, *, double: bool) -> None:
    """An imputer gives the columns that it keeps."""
    if not (double and _is_double(operator)):
        theirs = require("skl2onnx.shape_calculators.imputer")
        theirs.calculate_sklearn_imputer_output_shapes(operator)
        return
    types, rows = require("skl2onnx.common.data_types"), operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = types.DoubleTensorType([rows, len(_kept(operator.raw_operator))])


def _convert(scope: Any, operator: Any, container: Any, *, double: bool) -> None:
    """Add an imputer's nodes: what is missing is NaN, or a number of its own."""
    if not (double and _is_double(operator)):
        theirs = require("skl2onnx.operator_converters.imputer_op")
        theirs.convert_sklearn_imputer(scope, operator, container)
        return
    np, kinds = require("numpy"), require("onnx").TensorProto
    imputer = operator.raw_operator
    kept = _kept(imputer)

    def add(op_type: str, inputs: list[str], version: int, **attributes: Any) -> str:
        made = str(scope.get_unique_variable_name(op_type.lower()))
        name = scope.get_unique_operator_name(op_type)
        container.add_node(op_type, inputs, [made], name=name, op_version=version, **attributes)
        return made

    def constant(kind: int, values: list[Any]) -> str:
        made = str(scope.get_unique_variable_name("constant"))
        container.add_initializer(made, kind, [len(values)], values)
        return made

    feeds = [value.full_name for value in operator.inputs]
    value = feeds[0] if len(feeds) == 1 else add("Concat", feeds, 13, axis=1)
    if len(kept) < len(imputer.statistics_):
        value = add("Gather", [value, constant(kinds.INT64, kept.tolist())], 13, axis=1)
    if np.isnan(imputer.missing_values):
        missing = add("IsNaN", [value], 13)
    else:
        wanted = constant(kinds.DOUBLE, [float(imputer.missing_values)])
        missing = add("Equal", [value, wanted], 13)
    filling = np.asarray(imputer.statistics_, np.float64)[kept].tolist()
    value = add("Where", [missing, constant(kinds.DOUBLE, filling), value], 16)
    output = operator.outputs[0].full_name
    name = scope.get_unique_operator_name("Identity")
    container.add_node("Identity", [value], [output], name=name, op_version=13)
