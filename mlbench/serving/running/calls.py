"""One call of a model for one request or for a batch of them: gathered, run, split again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError
from mlbench.serving.running.loading import lacks_memory

Inputs = Mapping[str, Array]
Outputs = dict[str, Array]
Infer = Callable[[Inputs], Outputs]

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Call:
    """One run of the model: how many rows it was given, and the seconds that it took."""

    rows: int
    computed: float


@dataclass(slots=True)
class Called:
    """What came of a batch: for each request its outputs or why it has none, and the calls.

    `is_mixed` says that the model does not give an output of its own to each row.
    """

    answers: list[Outputs | RequestError]
    calls: list[Call] = field(default_factory=list)
    is_mixed: bool = False


def call(infer: Infer, batch: Sequence[Inputs], rows: Sequence[int]) -> Called:
    """Run the model on a batch of requests, of so many rows each, whose `kind_of` is the same.

    A batch that fails, or whose outputs can't be told apart, is run again one by one, so that a
    request which the model can't take fails alone.
    """
    called = Called([])
    if len(batch) > 1:
        try:
            outputs = _run(infer, gather(batch), sum(rows), called)
            called.answers += split(outputs, rows)
            return called
        except (RequestError, MemoryError):
            pass  # one by one they tell who is at fault
        except ValueError:
            called.is_mixed = True
    for inputs, count in zip(batch, rows, strict=True):
        try:
            called.answers.append(_run(infer, inputs, count, called))
        except RequestError as error:
            called.answers.append(error)
    return called


def kind_of(inputs: Inputs, rows: int) -> tuple[object, ...] | None:
    """What two requests must have in common to share a call; None for one that runs alone.

    That is one whose tensors don't all have a row for each of its rows.
    """
    if any(tensor.shape[:1] != (rows,) for tensor in inputs.values()):
        return None
    return tuple((name, inputs[name].dtype, inputs[name].shape[1:]) for name in sorted(inputs))


def gather(batch: Sequence[Inputs]) -> Inputs:
    """The rows of all requests behind each other, in their order."""
    return {name: np.concatenate([inputs[name] for inputs in batch]) for name in batch[0]}


def split(outputs: Outputs, rows: Sequence[int]) -> list[Outputs]:
    """Each request's own rows of the outputs; ValueError where these are not one a row."""
    total = sum(rows)
    for name, output in outputs.items():
        if output.shape[:1] != (total,):
            raise ValueError(f"{name} has shape {output.shape} for {total} rows")
    parts, begin = [], 0
    for count in rows:
        end = begin + count
        parts.append({name: output[begin:end] for name, output in outputs.items()})
        begin = end
    return parts


def refused(error: Exception) -> RequestError:
    """What a client is told of onnxruntime's error: 400 where its tensors don't fit, else 500."""
    if isinstance(error, InvalidArgument):
        return RequestError(400, f"the model refuses these inputs: {_line(error)}")
    if lacking := lacks_memory(error):
        return RequestError(500, f"the model {lacking} on these inputs; send fewer rows")
    return RequestError(500, f"the model failed on these inputs: {_line(error)}")


def _run(infer: Infer, inputs: Inputs, rows: int, called: Called) -> Outputs:
    began = time.perf_counter()
    try:
        return infer(inputs)
    except Exception as error:  # onnxruntime's errors share no other class
        raise refused(error) from None
    finally:
        called.calls.append(Call(rows, time.perf_counter() - began))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
