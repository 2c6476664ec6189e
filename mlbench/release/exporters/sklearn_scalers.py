"""Scikit-learn's scalers, rounded step by step as they round.

skl2onnx multiplies by the inverse where they divide, and a tree behind the scaler whose threshold
lies on a training row then takes the other branch.
"""

from __future__ import annotations

from typing import Any

from refusal import require

NAMES = ("StandardScaler", "RobustScaler", "MinMaxScaler", "MaxAbsScaler")


def register(register_converter: Any) -> None:
    """Tell skl2onnx, by its `update_registered_converter`."""
    for name in NAMES:
        kind = getattr(require("sklearn.preprocessing"), name)
        register_converter(kind, f"Exact{name}", _shapes, _convert)


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
    """Whether float32 rows meet float64 constants, by trying: scikit-learn's versions differ."""
    np = require("numpy")
    steps = operations(scaler)
    if not steps:
        return False
    width = len(steps[0][1])
    rows = np.random.RandomState(0).standard_normal((64, width)).astype(np.float32) * 100
    given = scaler.transform(_like(scaler, rows))
    given = given.to_numpy() if hasattr(given, "to_numpy") else given
    called = {"Sub": np.subtract, "Div": np.divide, "Mul": np.multiply, "Add": np.add}
    narrow = rows
    for operator, constants in steps:
        narrow = called[operator](narrow, constants.astype(np.float32))
    clipped = limits(scaler)
    if clipped:
        narrow = np.clip(narrow, *clipped)
    return not np.array_equal(narrow, given)


def _like(scaler: Any, rows: Any) -> Any:
    """Rows as the scaler was fitted on them: a table, where it knows columns by name."""
    names = getattr(scaler, "feature_names_in_", None)
    return rows if names is None else require("pandas").DataFrame(rows, columns=names)


def _shapes(operator: Any) -> None:
    """A scaler gives as many columns as it gets."""
    types = require("skl2onnx.common.data_types")
    first = operator.inputs[0]
    width = sum(value.type.shape[1] for value in operator.inputs)
    operator.outputs[0].type = types.FloatTensorType([first.get_first_dimension(), width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add a scaler's nodes: in float64 from start to end where a column is of integers."""
    types, kinds = require("skl2onnx.common.data_types"), require("onnx").TensorProto
    scaler = operator.raw_operator
    whole = any(not isinstance(value.type, types.FloatTensorType) for value in operator.inputs)
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
    value = cast(value, kinds.FLOAT) if wide else value
    if limits(scaler):
        ends = []
        for end in limits(scaler) or ():
            ends.append(scope.get_unique_variable_name("limit"))
            container.add_initializer(ends[-1], kinds.FLOAT, [], [end])
        value = add("Clip", [value, *ends], op_version=13)
    output = operator.outputs[0].full_name
    name = scope.get_unique_operator_name("Identity")
    container.add_node("Identity", [value], [output], name=name, op_version=13)
