"""A graph in one file: external data brought in, what is not part of the model taken out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from refusal import Refusal, require

LARGEST = 2**31 - 1
"""What protobuf lets one message hold, in bytes."""

_OVERHEAD = 16  # the most bytes that the field of a tensor's data takes beside the data
_TOO_LARGE_REMEDY = (
    'Use a smaller or quantized model, or release it as it is, with format = "file".'
)


def check_size(size: int, largest: int = LARGEST) -> None:
    """Refusal unsupported for a model of more bytes than one file of ONNX can hold."""
    if size > largest:
        problem = f"The model has {size:,} bytes, and an .onnx file holds at most {largest:,}."
        raise Refusal("unsupported", problem, _TOO_LARGE_REMEDY)


def pack(model: Any, folder: str, largest: int = LARGEST) -> None:
    """Bring a ModelProto's external data in; the references are relative to `folder`.

    Refusal unreadable for a reference that is wrong or leaves the folder, unsupported beyond
    `largest` bytes; nothing is read before that is known.
    """
    outside = [tensor for tensor in tensors(model) if is_external(tensor)]
    places = [_place(tensor, folder) for tensor in outside]
    check_size(model.ByteSize() + sum(length + _OVERHEAD for _, _, length in places), largest)
    for tensor, (path, offset, length) in zip(outside, places):  # noqa: B905 (Python 3.9)
        with open(path, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        del tensor.external_data[:]
        tensor.ClearField("data_location")


def is_external(tensor: Any) -> bool:
    """Whether a tensor's numbers lie in another file."""
    return bool(tensor.data_location == require("onnx").TensorProto.EXTERNAL)


def _place(tensor: Any, folder: str) -> tuple[str, int, int]:
    """The file, the offset and the length of a tensor's external data."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    inside = os.path.normpath(location)
    if not location or os.path.isabs(location) or inside.split(os.sep)[0] == os.pardir:
        problem = f"The tensor {tensor.name} has its data in {location!r}, outside its own folder."
        raise Refusal("unreadable", problem, "Save the model with its data beside it.")
    path = os.path.join(folder, inside)
    if not _is_below(path, folder):
        problem = f"The tensor {tensor.name} has its data in {location!r}, which leads elsewhere."
        raise Refusal("unreadable", problem, "Save the model with its data beside it.")
    if not os.path.isfile(path):
        problem = f"The data of the tensor {tensor.name} is not there: {location}."
        remedy = "Declare that file as an out of the stage, in the folder of the model."
        raise Refusal("unreadable", problem, remedy)
    offset = _number(tensor, entries, "offset", 0)
    available = os.path.getsize(path) - offset
    length = _number(tensor, entries, "length", available)
    if length > available or available < 0:
        problem = f"{location} is cut short: the tensor {tensor.name} ends behind its end."
        raise Refusal("unreadable", problem, "Run the stage that makes it again.")
    return path, offset, length


def _number(tensor: Any, entries: dict[str, str], key: str, default: int) -> int:
    """An entry of a tensor's reference as a number that is not negative."""
    text = entries.get(key, str(default))
    if not text.isdecimal():
        problem = f"The tensor {tensor.name} has {text!r} as the {key} of its external data."
        raise Refusal("unreadable", problem, "Save the model again.")
    return int(text)


def _is_below(path: str, folder: str) -> bool:
    """Whether a path leads into a folder, links followed."""
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def tensors(model: Any) -> Iterator[Any]:
    """Every TensorProto of a model: also of subgraphs, functions and attributes."""
    for graph in graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from _within(attribute)


def _within(attribute: Any) -> Iterator[Any]:
    """The tensors of a node's attribute; touching one that is not set would set it."""
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    if attribute.HasField("sparse_tensor"):
        yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
    for sparse in attribute.sparse_tensors:
        yield from (sparse.values, sparse.indices)


def graphs(model: Any) -> Iterator[Any]:
    """A model's graph, its functions, and all graphs within these."""
    for outer in (model.graph, *model.functions):
        yield from _with_inner(outer)


def _with_inner(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _with_inner(attribute.g)
            for inner in attribute.graphs:
                yield from _with_inner(inner)


def strip(model: Any) -> None:
    """Take out notes on how a graph came to be: they name files of the machine that made it."""
    noted = [model, *tensors(model)]
    for graph in graphs(model):
        values = (getattr(graph, name, ()) for name in ("input", "output", "value_info"))
        noted += [graph, *graph.node, *(value for several in values for value in several)]
    for part in noted:
        for field in ("doc_string", "metadata_props"):
            if field in part.DESCRIPTOR.fields_by_name:
                part.ClearField(field)
