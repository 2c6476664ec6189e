"""The project's own exporter: a function from (path, sample path) to a ModelProto or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import from_onnx
import packing
from framework import Answers, Converted, Probe, Rows
from onnx_checks import inputs
from onnx_feeding import feed
from project_code import call
from refusal import Refusal, class_name, one_line


class Own(NamedTuple):
    """The project's exporter, the graph it gave, and the original where its framework is known."""

    reference: str
    graph: Any
    framework: ModuleType | None
    original: Any


def load(
    spec: dict[str, Any], load_original: Callable[[dict[str, Any]], tuple[ModuleType, Any]]
) -> Own:
    """Call the exporter, and load the original that its graph has to agree with.

    Refusal unreadable where the function is not there, failed with its own sentence.
    """
    reference = spec["exporter"]
    graph = _graph(reference, call(reference, "exporter", spec["model"], spec["sample"]))
    try:
        return Own(reference, graph, *load_original(spec))
    except Refusal as refusal:
        print(f"There is no original to compare with: {refusal.problem}", file=sys.stderr)
        return Own(reference, graph, None, None)


def _graph(reference: str, given: Any) -> Any:
    """The ModelProto that a function gave, or the path of."""
    if isinstance(given, (str, os.PathLike)):
        return from_onnx.read(os.fspath(given))
    if not from_onnx.recognises(given):
        problem = f"The exporter {reference} gave a {class_name(given)}."
        raise Refusal("failed", problem, "Return an onnx.ModelProto, or the path of an .onnx file.")
    packing.pack(given, os.getcwd())
    return given


def recognises(model: Any) -> bool:
    """Never: it is asked for by name."""
    return isinstance(model, Own)


def columns(model: Own) -> list[str] | None:
    """The columns by name of the original, else those of the graph."""
    of_original = getattr(model.framework, "columns", None)
    names: list[str] | None = None if of_original is None else of_original(model.original)
    return from_onnx.columns(model.graph) if names is None else names


def check(model: Own, rows: Rows) -> None:
    """Refusal unsupported, or bad_sample where the rows don't fit the graph."""
    from_onnx.check(model.graph, rows)


def convert(model: Own, rows: Rows) -> Converted:  # noqa: ARG001 (as all have it)
    """The graph that the function gave, with the classes that the original knows."""
    known = getattr(model.original, "classes_", ())
    classes = [] if isinstance(known, list) else list(known)  # a list: those of several targets
    names = (columns(model) or []) if len(inputs(model.graph)) == 1 else []
    return Converted(model.graph, lambda X: feed(model.graph, X), classes, names)


def answers(model: Own, X: Any) -> Answers | None:
    """The original's, where its framework is known here and can say them."""
    if model.framework is None:
        return None
    try:
        given: Answers | None = model.framework.answers(model.original, X)
    except Exception as error:  # why it has an exporter of its own: LinearSVC has no probabilities
        print(f"The original is not compared with: {one_line(error)}", file=sys.stderr)
        return None
    return given


def threshold_rows(model: Own, rows: Rows) -> Probe | None:
    """Those of the original, where it is known."""
    if model.framework is None:
        return Probe(None, "there is no original to compare with")
    probe: Probe | None = model.framework.threshold_rows(model.original, rows)
    return probe
