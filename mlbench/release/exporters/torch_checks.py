"""Which PyTorch modules can be exported exactly: asked of the module itself, on two rows."""

from __future__ import annotations

import inspect
import re
from typing import Any

import packing
from framework import Rows
from refusal import Refusal, class_name, one_line, require
from torch_failures import fixed_rows, unsupported
from torch_running import as_tensor, run

_SAME = 1e-5  # sums on several threads need not come out alike to the last bit
_FIXED_PROGRAM = re.compile(r"Guard failed: .*size\(\)\[0\]")


def check(model: Any, rows: Rows) -> None:
    """Refusal unsupported, or bad_sample where the module fails on the rows."""
    torch = require("torch")
    if not isinstance(model, torch.jit.ScriptModule):
        require("onnxscript")
    _check_numbers(model)
    _check_forward(model)
    first = rows.X[:2]
    try:
        outputs = run(model, as_tensor(model, first))
    except Exception as error:  # whatever the user's forward raises
        if _FIXED_PROGRAM.search(str(error)):
            raise fixed_rows(model) from error
        problem = f"{class_name(model)} fails on the sample: {one_line(error)}."
        remedy = "Hold out rows as they come to forward: n x channels x height x width, for one."
        raise Refusal("bad_sample", problem, remedy) from error
    _check_outputs(model, outputs, len(first))
    if not _alike(outputs, run(model, as_tensor(model, first))):
        raise unsupported(model, "answers at random", "Draw no random numbers in forward.")
    alone = run(model, as_tensor(model, first[:1]))
    if not _alike(alone, {name: output[:1] for name, output in outputs.items()}):
        lack = "answers a row by the rows that come with it"
        raise unsupported(model, lack, "Let forward treat each row by itself.")


def _check_numbers(model: Any) -> None:
    """Refuse weights that are not float32, and more of them than a file can hold."""
    torch = require("torch")
    is_module = isinstance(model, torch.nn.Module)
    weights = dict(model.state_dict() if is_module else model.state_dict)
    packing.check_size(sum(each.numel() * each.element_size() for each in weights.values()))
    for name, weight in weights.items():
        if weight.is_floating_point() and weight.dtype != torch.float32:
            kind = str(weight.dtype).replace("torch.", "")
            raise unsupported(model, f"has {name} as {kind}", "Save model.float().")


def _check_forward(model: Any) -> None:
    """Refuse a forward that needs more than one input."""
    if not isinstance(model, require("torch").nn.Module):
        return
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return
    needed = [each.name for each in parameters if each.default is each.empty]
    needed = [each for each in needed if each not in ("args", "kwargs")]
    if len(needed) > 1:
        raise unsupported(
            model,
            f"has a forward with the inputs {', '.join(needed)}",
            "Wrap it in a module that takes one tensor and splits it.",
        )


def _check_outputs(model: Any, outputs: dict[str, Any], count: int) -> None:
    """Refuse what is no tensor of numbers with one entry for each row."""
    torch = require("torch")
    for name, output in outputs.items():
        if not isinstance(output, torch.Tensor):
            lack = f"gives {class_name(output)} as {name}"
        elif output.ndim == 0 or len(output) != count:
            shape = " x ".join(map(str, output.shape)) or "one number"
            lack = f"gives {name} as {shape} for {count} rows"
        else:
            continue
        remedy = "Wrap it in a module that returns tensors with one entry for each row."
        raise unsupported(model, lack, remedy)


def _alike(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two runs gave the same outputs for the same rows."""
    torch = require("torch")
    return all(
        torch.allclose(first[name], second[name], rtol=_SAME, atol=_SAME, equal_nan=True)
        for name in first
    )
