"""Why PyTorch's exporter gave up, told so that a person can act on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from refusal import Refusal, class_name, one_line

_BRANCHES = re.compile(r"data-dependent|DataDependent|control flow|DYNAMIC_CONTROL_FLOW", re.I)
_FIXED = re.compile(r"specializ|ConstraintViolation|not all values of rows|Constraints violated")
_NO_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)'")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def no_conversion(model: Any, error: BaseException) -> Refusal:
    """The refusal for what an export raised, by its cause."""
    if isinstance(error, Refusal):
        return error
    chain = list(_causes(error))
    told = "\n".join(f"{type(each).__name__}: {each}" for each in chain)
    name = class_name(model)
    operator = _NO_OPERATOR.search(told)
    if operator:
        problem = f"{name} uses {operator.group(1)}, for which there is no ONNX."
        return Refusal("unsupported", problem, "Write it with other operations.")
    if _BRANCHES.search(told):
        problem = f"{name} has a forward that branches on its data."
        remedy = "Use torch.where or torch.cond in place of `if`, or save torch.jit.script(model)."
        return Refusal("unsupported", problem, remedy)
    if _FIXED.search(told):
        return fixed_rows(model)
    cause = _COLOURS.sub("", one_line(chain[-1]))
    problem = f"{name} is more than torch.onnx can convert: {cause}."
    return Refusal("unsupported", problem, "The log of the export shows where.")


def fixed_rows(model: Any) -> Refusal:
    """A module or program that was made for one number of rows."""
    remedy = (
        "Let forward take it from the input's shape, and no loop go over the rows; "
        "export a program with dynamic_shapes."
    )
    return unsupported(model, "takes a fixed number of rows", remedy)


def unsupported(model: Any, lack: str, remedy: str) -> Refusal:
    """A module that can't be exported, by its class."""
    return Refusal("unsupported", f"{class_name(model)} {lack}.", remedy)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what caused it, the root last."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
