"""Inference requests in the JSON of the Open Inference Protocol V2, from rows of arrays.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mlbench.domain.errors import UsageError
from mlbench.domain.records import dataclass
from mlbench.domain.release import Signature, TensorSpec
from mlbench.domain.request_snippets import as_curl
from mlbench.release.folders import ANSWERS_NAME, REQUEST_NAME
from mlbench.system.files import write_json

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SAMPLE_ROWS = 8
FED, RAW = "in:", "raw:"
_BINARY_ONLY = frozenset({"FP16", "BF16"})

Tensor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """One held-out row as a request, with what the original model answered, and the truth."""

    index: int
    inputs: list[Tensor]
    answer: str | None
    truth: str | None


def tensors(arrays: Mapping[str, Array], signature: Signature) -> list[Tensor]:
    """The input tensors of a request, from an array (n × …) for each input of a signature.

    ValueError, naming the tensor and its row, where JSON can't hold a value; KeyError where an
    input has no array.
    """
    return [_tensor(spec, arrays[spec.name]) for spec in signature.inputs]


def sample_request(arrays: Mapping[str, Array], signature: Signature) -> dict[str, Any] | None:
    """A request for the first few rows that JSON can hold; None where there are none."""
    if any(spec.datatype in _BINARY_ONLY for spec in signature.inputs):
        return None
    fed = {spec.name: arrays[spec.name] for spec in signature.inputs if spec.name in arrays}
    if len(fed) < len(signature.inputs) or not fed:
        return None
    rows = _sendable(fed.values())[:SAMPLE_ROWS]
    if not rows:
        return None
    return {"inputs": tensors({name: array[rows] for name, array in fed.items()}, signature)}


def write_request(folder: Path, signature: Signature) -> None:
    """Put a sample request beside the held-out rows of an exported model, if one can be made."""
    if (folder / ANSWERS_NAME).exists():
        request = sample_request(fed_arrays(folder / ANSWERS_NAME), signature)
        if request is not None:
            write_json(folder / REQUEST_NAME, request)


def fed_arrays(answers: Path, kind: str = FED) -> dict[str, Array]:
    """What was fed to the exported model for the held-out rows, by tensor; or the rows as stored.

    UsageError where the file is missing or damaged.
    """
    found = _read(answers)
    return {name.removeprefix(kind): found[name] for name in found if name.startswith(kind)}


def held_out_row(answers: Path, index: int, signature: Signature) -> HeldOutRow:
    """Row `index` of the held-out rows; UsageError where there is none, or JSON can't say it."""
    found = _read(answers)
    fed = {name.removeprefix(FED): found[name] for name in found if name.startswith(FED)}
    count = min((len(array) for array in fed.values()), default=0)
    if not 0 <= index < count:
        raise UsageError(f"there is no held-out row {index}; there are {count}, from 0")
    try:
        row = tensors({name: array[index : index + 1] for name, array in fed.items()}, signature)
    except ValueError as error:
        raise UsageError(f"held-out row {index}: {error}; ask about another row") from None
    answer = found.get("label", found.get("scores"))
    return HeldOutRow(index, row, _shown(answer, index), _shown(found.get("y"), index))


def curl(
    model: str, request: Mapping[str, Any], address: str, *, version: int | None = None
) -> str:
    """A shell command that asks a server what the first row of a request asks."""
    first = {"inputs": [_first_row(tensor) for tensor in request["inputs"]]}
    place = f"/v2/models/{quote(model, safe='')}"
    if version is not None:
        place += f"/versions/{version}"
    return as_curl(address, f"{place}/infer", first, None)


def _first_row(tensor: Mapping[str, Any]) -> Tensor:
    rows, *rest = tensor["shape"]
    width = len(tensor["data"]) // max(rows, 1)
    return {**tensor, "shape": [1, *rest], "data": tensor["data"][:width]}


def _tensor(spec: TensorSpec, array: Array) -> Tensor:
    """One tensor with its elements in row-major order."""
    if array.dtype.kind == "f":
        _refuse_gaps(spec, array)
    flat = array.ravel()
    data = [_text(item) for item in flat] if array.dtype.kind in "OUS" else flat.tolist()
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": [int(size) for size in array.shape],
        "data": data,
    }


def _refuse_gaps(spec: TensorSpec, array: Array) -> None:
    rows = _sendable([array])
    if len(rows) < len(array):
        gap = next(at for at, row in enumerate([*rows, -1]) if at != row)
        raise ValueError(
            f'"{spec.name}" has a missing or infinite number in row {gap}, '
            "for which the protocol's JSON has no word"
        )


def _sendable(arrays: Iterable[Array]) -> list[int]:
    """The rows in which every number is finite, in all of these arrays of equally many rows."""
    import numpy as np

    good: Any = True
    for array in arrays:
        if array.dtype.kind == "f":
            good = good & np.isfinite(array).reshape(len(array), -1).all(axis=1)
        else:
            good = good & np.ones(len(array), dtype=bool)
    return [int(row) for row in np.flatnonzero(good)]


def _text(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def _shown(answers: Array | None, index: int) -> str | None:
    """One answer in words: several numbers as a list."""
    if answers is None or index >= len(answers):
        return None
    values = answers[index].ravel() if answers.ndim > 1 else [answers[index]]
    words = [f"{item:.6g}" if answers.dtype.kind == "f" else _text(item) for item in values]
    return words[0] if len(words) == 1 else ", ".join(words)


def _read(answers: Path) -> dict[str, Array]:
    from zipfile import BadZipFile

    import numpy as np

    try:
        with answers.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise UsageError(
            f"{answers}: the held-out rows can't be read ({error}); "
            "bring the folder back from a backup, or promote another version"
        ) from None
