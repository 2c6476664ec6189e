"""Which graphs of ONNX a server could run on any number of rows."""

from __future__ import annotations

from typing import Any

import packing
from framework import DATATYPES
from refusal import Refusal, one_line, require

_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_BATCH_REMEDY = (
    "Export it with a first dimension that may vary: `dynamic_shapes` or `dynamic_axes` of "
    "PyTorch's exporter, None in skl2onnx's initial_types."
)


def check_graph(model: Any) -> None:
    """Refusal unsupported for a graph that no server here could run on any number of rows."""
    onnx = require("onnx")
    foreign = sorted(_foreign_operators(model))
    if foreign:
        problem = f"The model needs operators that are not ONNX's own: {', '.join(foreign)}."
        raise Refusal("unsupported", problem, "Export it without custom operators.")
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker's, and protobuf's
        problem = f"The model is not valid ONNX: {one_line(error)}."
        raise Refusal("unsupported", problem, "Export it anew with a current converter.") from error
    found = inputs(model)
    if not found or not model.graph.output:
        lack = "output" if found else "input"
        raise Refusal("unsupported", f"The model has no {lack}.", "Export the model itself.")
    for value in (*found, *model.graph.output):
        _check_tensor(value)
    for value in found:
        _check_batch(value)


def inputs(model: Any) -> list[Any]:
    """What has to be fed: old graphs list their weights among the inputs too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _foreign_operators(model: Any) -> set[str]:
    """Operators of other domains than onnxruntime knows, unless the model brings them along."""
    own = {(function.domain, function.name) for function in model.functions}
    return {
        f"{node.domain}.{node.op_type}"
        for graph in packing.graphs(model)
        for node in graph.node
        if node.domain not in _KNOWN_DOMAINS and (node.domain, node.op_type) not in own
    }


def _check_tensor(value: Any) -> None:
    """Refuse what is no tensor, or of numbers that the protocol has no name for."""
    onnx = require("onnx")
    if value.type.WhichOneof("value") != "tensor_type":
        kind = (value.type.WhichOneof("value") or "nothing").replace("_type", "")
        problem = f"{value.name} of the model is a {kind}, not a tensor."
        remedy = "Export it with tensors alone: zipmap=False in skl2onnx, for one."
        raise Refusal("unsupported", problem, remedy)
    name = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    if name not in DATATYPES:
        problem = f"{value.name} of the model is a tensor of {name}, which can't be served."
        raise Refusal("unsupported", problem, "Cast it within the model.")


def _check_batch(value: Any) -> None:
    """Refuse an input whose number of rows is fixed or unknown."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not tensor.shape.dim:
        problem = f"The input {value.name} has no dimension for the rows."
        raise Refusal("unsupported", problem, _BATCH_REMEDY)
    first = tensor.shape.dim[0]
    if first.HasField("dim_value"):
        problem = f"The input {value.name} takes exactly {first.dim_value} rows at a time."
        raise Refusal("unsupported", problem, _BATCH_REMEDY)
