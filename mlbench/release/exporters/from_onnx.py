"""Models that are ONNX already: checked, packed into one file, and otherwise left as they are."""

from __future__ import annotations

import os
from typing import Any

import packing
from classes import by_index
from framework import Answers, Converted, Probe, Rows, is_frame
from onnx_checks import check_graph, inputs
from onnx_feeding import feed
from refusal import Refusal, one_line, require


def reads(spec: dict[str, Any]) -> bool:
    """Whether a model's file is one of ONNX, by its name."""
    return str(spec["model"]).lower().endswith(".onnx")


def load(spec: dict[str, Any]) -> Any:
    """The ModelProto with all its data; Refusal unreadable or unsupported."""
    return read(spec["model"])


def recognises(model: Any) -> bool:
    """Whether a model that was unpickled is a graph of ONNX."""
    return type(model).__name__ == "ModelProto" and hasattr(model, "graph")


def columns(model: Any) -> list[str] | None:
    """The columns that inputs are fed from by name: of several inputs, or of one of text."""
    found = inputs(model)
    text = require("onnx").TensorProto.STRING
    if len(found) == 1 and found[0].type.tensor_type.elem_type != text:
        return None
    return [value.name for value in found]


def check(model: Any, rows: Rows) -> None:
    """Refusal unsupported, or bad_sample where the rows don't fit the inputs."""
    check_graph(model)
    feed(model, rows.X[:1] if not is_frame(rows.X) else rows.X.iloc[:1])


def convert(model: Any, rows: Rows) -> Converted:
    """The graph as it is; classes by index where its only output can be their scores."""
    classes = by_index(rows.y, _scores(model))
    return Converted(model, lambda X: feed(model, X), classes, [])


def _scores(model: Any) -> int:
    """How many scores a row gets, if they are all that the graph gives; else 0."""
    types = [value.type.tensor_type for value in model.graph.output]
    is_one = len(types) == 1 and types[0].elem_type == require("onnx").TensorProto.FLOAT
    if not is_one or len(types[0].shape.dim) != 2:
        return 0
    return int(types[0].shape.dim[1].dim_value)


def answers(model: Any, X: Any) -> Answers | None:  # noqa: ARG001 (as all have it)
    """Nothing: there is no original to compare with."""
    return None


def threshold_rows(model: Any, rows: Rows) -> Probe | None:  # noqa: ARG001 (as all have it)
    """Nothing, for nobody would answer them."""
    return Probe(None, "there is no original to compare with")


def read(path: str, largest: int = packing.LARGEST) -> Any:
    """A ModelProto from a file, its external data brought in; Refusal unreadable, unsupported."""
    onnx = require("onnx")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own, and OSError
        problem = f"The model {path} can't be read as ONNX: {one_line(error)}."
        raise Refusal("unreadable", problem, "Run the stage that makes it again.") from error
    packing.pack(model, os.path.dirname(os.path.abspath(path)), largest)
    return model
