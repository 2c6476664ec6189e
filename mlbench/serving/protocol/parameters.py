"""What requests, inputs and outputs may say under `parameters`, checked as Triton checks it.

Source: Triton's protocol extensions for binary data, classification, sequences, schedule policy,
shared memory and parameters. A parameter of null counts as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbench.serving.refusals import RequestError

Parameters = Mapping[str, Any]

NONE: Parameters = {}
MOST_CLASSES = 2**31 - 1

_FLAGS = ("binary_data_output", "sequence_start", "sequence_end")
_COUNTS = ("priority", "timeout")
_SHARED = "shared_memory_region"


def request_parameters(found: Any) -> Parameters:
    """A request's parameters; custom ones may be texts, numbers, true or false.

    Those of sequences, priority and timeout are checked and mean nothing to models without state.
    """
    parameters = _object(found, "the request")
    for name, value in parameters.items():
        if name.startswith("triton_"):
            raise RequestError(400, f'the request: parameter "{name[:80]}" is reserved for servers')
        if name in _FLAGS:
            _flag(parameters, name, "the request")
        elif name in _COUNTS:
            _count(parameters, name, "the request")
        elif isinstance(value, list | dict):
            raise RequestError(
                400,
                f'the request: parameter "{name[:80]}" must be a string, a number, true or false',
            )
        elif name == "sequence_id" and isinstance(value, bool | float):
            raise RequestError(400, "the request: sequence_id must be a whole number or a string")
    return parameters


def binary_size(found: Any, where: str) -> int | None:
    """The `binary_data_size` of an input's parameters in bytes, None where it has none."""
    parameters = _object(found, where)
    _refuse_shared(parameters, where)
    return _count(parameters, "binary_data_size", where)


def output_parameters(found: Any, where: str) -> tuple[bool | None, int]:
    """An output's `binary_data`, None where it says nothing, and `classification`, 0 for none."""
    parameters = _object(found, where)
    _refuse_shared(parameters, where)
    classes = _count(parameters, "classification", where) or 0
    return _flag(parameters, "binary_data", where), min(classes, MOST_CLASSES)


def _object(found: Any, where: str) -> Parameters:
    if found is None:
        return NONE
    if not isinstance(found, dict):
        raise RequestError(400, f"{where}: parameters must be an object or null")
    return found


def _refuse_shared(parameters: Parameters, where: str) -> None:
    if parameters.get(_SHARED) is not None:
        raise RequestError(
            400,
            f"{where}: this server shares no memory with its clients; send the data in the body, "
            "as JSON or in binary",
        )


def _flag(parameters: Parameters, name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(400, f"{where}: {name} must be true or false")
    return value


def _count(parameters: Parameters, name: str, where: str) -> int | None:
    value = parameters.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise RequestError(400, f"{where}: {name} must be a whole number from 0")
    return value
