"""Scikit-learn's scalers, rounded step by step as they round.

skl2onnx multiplies by the inverse where they divide, and a tree behind the scaler whose threshold
lies on a training row then takes the other branch.
"""

from __future__ import annotations

import copy
from typing import Any

from refusal import require

NAMES = ("StandardScaler", "RobustScaler", "MinMaxScaler", "MaxAbsScaler")
_CALLED = {"Sub": "subtract", "Div": "divide", "Mul": "multiply", "Add": "add"}
_UNDONE_BY = {"Sub": "add", "Div": "multiply", "Mul": "divide", "Add": "subtract"}


def register(register_converter: Any, *, double: bool) -> None:
    """Tell skl2onnx, by its `update_registered_converter`; `double` for a graph of float64."""
    for name in NAMES:
        kind = getattr(require("sklearn.preprocessing"), name)
        register_converter(kind, f"Exact{name}", *in_precision(_shapes, _convert, double=double))


def in_precision(shapes: Any, convert: Any, *, double: bool) -> tuple[Any, Any]:
    """Both functions of a converter for graphs of one precision, with skl2onnx's parameters."""

    def shapes_in_precision(operator: Any) -> None:
        shapes(operator, double=double)

    def convert_in_precision(scope: Any, operator: Any, container: Any) -> None:
        convert(scope, operator, container, double=double)

    return shapes_in_precision, convert_in_precision


def operations(scaler: Any) -> list[tuple[str, Any]]:
    """What a scaler does one after the other: an ONNX operator and its constants."""
    name = type(scaler).__name__
    if name == "StandardScaler":
        wanted = [("Sub", scaler.with_mean, "mean_"), ("Div", scaler.with_std, "scale_")]
    elif name == "RobustScaler":
        wanted = [("Sub", scaler.with_centering, "center_"), ("Div", scaler.with_scaling, "scale_")]
    elif name == "MinMaxScaler":
        wanted = [("Mul", True, "scale_"), ("Add", True, "min_")]
    else:
        wanted = [("Div", True, "scale_")]
    return [(operator, getattr(scaler, held)) for operator, asked, held in wanted if asked]


def limits(scaler: Any) -> tuple[float, float] | None:
    """Where a scaler clips what it gives."""
    if not getattr(scaler, "clip", False):
        return None
    low, high = getattr(scaler, "feature_range", (-1.0, 1.0))
    return float(low), float(high)


def is_wide(scaler: Any) -> bool:
    """Whether float32 rows meet float64 constants, by trying: scikit-learn's versions differ.

    On rows such as it was fitted on, and unclipped: elsewhere both may come out the same.
    """
    np = require("numpy")
    steps = operations(scaler)
    if not steps:
        return False
    unclipped = copy.copy(scaler)
    if limits(scaler):
        unclipped.clip = False
    most = np.finfo(np.float32).max
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.random.RandomState(0).standard_normal((64, len(steps[0][1])))
        for operator, constants in reversed(steps):
            rows = getattr(np, _UNDONE_BY[operator])(rows, constants)
        rows = np.clip(rows, -most, most).astype(np.float32)
        narrow = rows
        for operator, constants in steps:
            narrow = getattr(np, _CALLED[operator])(narrow, constants.astype(np.float32))
        given = unclipped.transform(_like(scaler, rows))
    given = given.to_numpy() if hasattr(given, "to_numpy") else given
    return not np.array_equal(narrow, given, equal_nan=True)


def _like(scaler: Any, rows: Any) -> Any:
    """Rows as the scaler was fitted on them: a table, where it knows columns by name."""
    names = getattr(scaler, "feature_names_in_", None)
    return rows if names is None else require("pandas").DataFrame(rows, columns=names)


def _shapes(operator: Any, *, double: bool) -> None:
    """A scaler gives as many columns as it gets."""
    types = require("skl2onnx.common.data_types")
    first = operator.inputs[0]
    width = sum(value.type.shape[1] for value in operator.inputs)
    kind = types.DoubleTensorType if double else types.FloatTensorType
    operator.outputs[0].type = kind([first.get_first_dimension(), width])


def _convert(scope: Any, operator: Any, container: Any, *, double: bool) -> None:
    """Add a scaler's nodes: in float64 from start to end where a column is of integers.

    In a graph of float64 also what it gives is of float64.
    """
    types, kinds = require("skl2onnx.common.data_types"), require("onnx").TensorProto
    scaler = operator.raw_operator
    whole = double or any(
        not isinstance(value.type, types.FloatTensorType) for value in operator.inputs
    )
    wide = whole or is_wide(scaler)
    kind = kinds.DOUBLE if wide else kinds.FLOAT

    def add(op_type: str, inputs: list[str], **attributes: Any) -> str:
        made = str(scope.get_unique_variable_name(op_type.lower()))
        name = scope.get_unique_operator_name(op_type)
        container.add_node(op_type, inputs, [made], name=name, **attributes)
        return made

    def cast(feed: str, to: int) -> str:
        return add("Cast", [feed], to=to, op_version=13)

    feeds = [cast(value.full_name, kind) if wide else value.full_name for value in operator.inputs]
    value = feeds[0] if len(feeds) == 1 else add("Concat", feeds, axis=1, op_version=13)
    for step, (op_type, constants) in enumerate(operations(scaler)):
        if step and wide and not whole:  # what numpy writes back into rows of float32
            value = cast(cast(value, kinds.FLOAT), kinds.DOUBLE)
        constant = scope.get_unique_variable_name("constant")
        container.add_initializer(constant, kind, [len(constants)], constants.tolist())
        value = add(op_type, [value, constant], op_version=14)
    value = cast(value, kinds.FLOAT) if wide and not double else value
    if limits(scaler):
        ends = []
        for end in limits(scaler) or ():
            ends.append(scope.get_unique_variable_name("limit"))
            container.add_initializer(ends[-1], kind if double else kinds.FLOAT, [], [end])
        value = add("Clip", [value, *ends], op_version=13)
    output = operator.outputs[0].full_name
    name = scope.get_unique_operator_name("Identity")
    container.add_node("Identity", [value], [output], name=name, op_version=13)
