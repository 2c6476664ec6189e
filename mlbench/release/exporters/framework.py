"""What every framework's file offers, and the values that pass between them and the export.

A file `from_<framework>.py` has the functions

- `recognises(model) -> bool`: whether the model is of this framework;
- `check(model, rows) -> None`: a Refusal that says what would work, for what can't be exported;
- `convert(model, rows) -> Converted`: the ONNX graph; the same model gives the same bytes;
- `answers(model, X) -> Answers | None`: what the original says; None where there is no original;
- `threshold_rows(model, rows) -> Probe | None`: rows around the thresholds of a model of trees;

and may have

- `reads(spec) -> bool` and `load(spec) -> model`, for files that are no pickles of joblib;
- `columns(model) -> list[str] | None`: the names of the columns that the model was trained on;
- `served(X) -> X`: the rows as a server gets them, where that is not `as_served`;
- `TAKES_FLOAT64`: that `convert` and `threshold_rows` heed `rows.double`.

They load their framework late, with `require`: an export pays for its own alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from refusal import require

DATATYPES = {
    "FLOAT": "FP32",
    "DOUBLE": "FP64",
    "FLOAT16": "FP16",
    "BFLOAT16": "BF16",
    "STRING": "BYTES",
    **{name: name for name in ("BOOL", "INT8", "INT16", "INT32", "INT64")},
    **{name: name for name in ("UINT8", "UINT16", "UINT32", "UINT64")},
}
"""ONNX element types by their Open Inference Protocol names."""


class Rows(NamedTuple):
    """Held-out rows: X is n x ... or a DataFrame, y the truth (n …) or None where unknown.

    `double` where the graph is to take numbers as float64, as they are stored.
    """

    X: Any
    y: Any
    double: bool = False


class Answers(NamedTuple):
    """A model's answers: `label` (n), None for a regressor; `scores` n x k float64."""

    label: Any
    scores: Any


class Converted(NamedTuple):
    """A graph (ModelProto), and how rows become its inputs (tensor name -> array).

    `classes` are a classifier's labels in the order of its scores, `columns` the names of the
    features of a single input, both empty where there are none.
    """

    model: Any
    inputs: Callable[[Any], dict[str, Any]]
    classes: list[Any]
    columns: list[str]


class Probe(NamedTuple):
    """Rows of one kind, as X of Rows; `why` says what they leave out, or why there are none."""

    X: Any
    why: str = ""


def is_frame(X: Any) -> bool:
    """Whether rows are a DataFrame, without importing pandas."""
    return hasattr(X, "columns") and hasattr(X, "iloc")


def as_served(X: Any) -> Any:
    """The rows as a server gets them: float32 where they hold more, the rest unchanged."""
    np = require("numpy")
    if is_frame(X):
        wide = [name for name in X.columns if getattr(X[name].dtype, "kind", "") == "f"]
        return X.astype(dict.fromkeys(wide, np.float32))
    return X.astype(np.float32) if X.dtype == np.float64 else X


def as_stored(X: Any) -> Any:
    """The rows as a graph that takes float64 gets them: unchanged, an array of others cast."""
    return X if is_frame(X) or X.dtype == "float64" else X.astype("float64")


def signature(converted: Converted) -> dict[str, Any]:
    """A graph's inputs, outputs, classes and columns; a dimension that may vary is -1."""
    graph = converted.model.graph
    constants = {tensor.name for tensor in graph.initializer}
    return {
        "inputs": [_tensor(value) for value in graph.input if value.name not in constants],
        "outputs": [_tensor(value) for value in graph.output],
        "classes": [str(label) for label in converted.classes],
        "columns": list(converted.columns),
    }


def _tensor(value: Any) -> dict[str, Any]:
    """One tensor of the signature."""
    onnx = require("onnx")
    tensor = value.type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim]
    datatype = DATATYPES[onnx.TensorProto.DataType.Name(tensor.elem_type)]
    return {"name": value.name, "datatype": datatype, "shape": shape}


def opset(onnx_model: Any) -> int:
    """The version of the main operator set that a model asks for."""
    opsets = {entry.domain: int(entry.version) for entry in onnx_model.opset_import}
    return opsets.get("", 0)
