"""PyTorch modules, exported programs and TorchScript to ONNX."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import packing
import torch_checks
import torch_files
from classes import by_index
from framework import Answers, Converted, Probe, Rows
from refusal import require
from torch_failures import fixed_rows, no_conversion
from torch_running import as_tensor, run

_CHUNK = 1000  # rows at once: activations of an image model take far more memory than its rows

reads, load, check = torch_files.reads, torch_files.load, torch_checks.check


def recognises(model: Any) -> bool:
    """Whether a model that was unpickled is one of PyTorch's."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def convert(model: Any, rows: Rows) -> Converted:
    """One input `input`, one output `output` or several; any number of rows.

    `classes` are 0 … k-1 where the truth is one of these and the only output is n x k.
    """
    torch = require("torch")
    # Neither 0 nor 1 rows: the exporter would take that number for a constant.
    example = as_tensor(model, require("numpy").repeat(rows.X[:2], 2, axis=0)[:2])
    outputs = run(model, example)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own, on its own insides
            graph = _exported(model, example, list(outputs))
    except Exception as error:
        raise no_conversion(model, error) from error
    _name_rows(model, graph)
    packing.strip(graph)
    del graph.graph.value_info[:]  # shapes by symbols that no two exports name alike
    scores = list(outputs.values())
    is_classifier = len(scores) == 1 and scores[0].ndim == 2
    classes = by_index(rows.y, scores[0].shape[1]) if is_classifier else []
    return Converted(graph, lambda X: {"input": as_tensor(model, X).numpy()}, classes, [])


def answers(model: Any, X: Any) -> Answers:
    """All outputs of each row, side by side as n x k."""
    np = require("numpy")
    chunks = []
    for start in range(0, len(X), _CHUNK):
        rows = X[start : start + _CHUNK]
        outputs = run(model, as_tensor(model, rows)).values()
        flat = [output.numpy().astype(np.float64).reshape(len(rows), -1) for output in outputs]
        chunks.append(np.concatenate(flat, axis=1))
    return Answers(None, np.concatenate(chunks))


def threshold_rows(model: Any, rows: Rows) -> Probe | None:  # noqa: ARG001 (as all have it)
    """Nothing: a module has no thresholds."""
    return None


def _exported(model: Any, example: Any, names: list[str]) -> Any:
    """The ModelProto, by PyTorch's exporter for the kind of model."""
    torch = require("torch")
    if isinstance(model, torch.jit.ScriptModule):
        # The current exporter refuses TorchScript; the one before reads it as it is.
        axes = {name: {0: "rows"} for name in ("input", *names)}
        buffer = io.BytesIO()
        torch.onnx.export(
            model,
            (example,),
            buffer,
            dynamo=False,
            input_names=["input"],
            output_names=names,
            dynamic_axes=axes,
        )
        return require("onnx").load_model_from_string(buffer.getvalue())
    shapes = None
    if isinstance(model, torch.nn.Module):
        shapes = ({0: torch.export.Dim("rows", min=1)},)
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        verbose=False,
        input_names=["input"],
        output_names=names,
        dynamic_shapes=shapes,
    )
    return program.model_proto


def _name_rows(model: Any, graph: Any) -> None:
    """Call the first dimension "rows" throughout; Refusal where it may not vary."""
    values = [*graph.graph.input, *graph.graph.output]
    for value in values:
        if value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise fixed_rows(model)
    symbol = values[0].type.tensor_type.shape.dim[0].dim_param
    for value in values:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == symbol:
                size.dim_param = "rows"
