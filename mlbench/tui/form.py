"""The try-it form: a row of input tensors as fields to edit, and back: pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbench.domain.release import Signature

MOST_FIELDS = 16
"""With more values than that, all of a row stand in one text."""

_PIXELS = {64: (8, 8), 784: (28, 28)}
_IMAGE_SIDES = ((8, 8), (28, 28))
_MOST_A_LINE = 8
Inputs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the row: what it is called, where it belongs, its text."""

    name: str
    tensor: int
    place: int
    datatype: str
    text: str


@dataclass(frozen=True, slots=True)
class Form:
    """The row as it was filled in; `shape` is that of a picture where it is one."""

    inputs: tuple[Mapping[str, Any], ...]
    fields: tuple[Field, ...]
    shape: tuple[int, int] | None = None

    @property
    def is_one_text(self) -> bool:
        """Whether there are too many values for a field each."""
        return len(self.fields) > MOST_FIELDS

    @property
    def is_named(self) -> bool:
        """Whether the one text names each value."""
        return self.is_one_text and self.shape is None and not self.fields[0].name.endswith("]")

    @property
    def text(self) -> str:
        """All values in one text: pictures row by row, named columns a line each."""
        if self.is_named:
            return "\n".join(f"{field.name} = {field.text}" for field in self.fields)
        width = self.shape[1] if self.shape else _MOST_A_LINE
        texts = [field.text for field in self.fields]
        room = max((len(text) for text in texts), default=0)
        lines = [texts[at : at + width] for at in range(0, len(texts), width)]
        return "\n".join(" ".join(text.rjust(room) for text in part) for part in lines)


def form_of(inputs: Inputs, signature: Signature) -> Form:
    """A form with the first row of these tensors filled in."""
    first = tuple(_first_row(tensor) for tensor in inputs)
    fields: list[Field] = []
    for index, tensor in enumerate(first):
        names = _names(tensor, signature, is_alone=len(first) == 1)
        for place, value in enumerate(tensor["data"]):
            text = _text(value, str(tensor["datatype"]))
            fields.append(Field(names[place], index, place, tensor["datatype"], text))
    return Form(first, tuple(fields), image_shape(first, signature.columns))


def texts_in(form: Form, text: str) -> list[str]:
    """The value of each field in the one text; ValueError, saying what is wrong."""
    if form.is_named:
        return _named_texts(form, text)
    found = text.replace(",", " ").split()
    if len(found) != len(form.fields):
        raise ValueError(f"there are {len(found)} values, the model takes {len(form.fields)}")
    return found


def inputs_with(form: Form, texts: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    """The tensors with these texts as values; ValueError, naming the field that does not fit."""
    data = [list(tensor["data"]) for tensor in form.inputs]
    for field, text in zip(form.fields, texts, strict=True):
        try:
            data[field.tensor][field.place] = _value(text, field.datatype)
        except ValueError as error:
            raise ValueError(f"{field.name}: {error}") from None
    return tuple(
        {**tensor, "data": values} for tensor, values in zip(form.inputs, data, strict=True)
    )


def image_shape(inputs: Inputs, columns: Sequence[str] = ()) -> tuple[int, int] | None:
    """Height and width where the row is a picture of one channel; None where it is none.

    So is one numeric input of 8 × 8 or 28 × 28, or of as many values, unless columns have names of
    their own kind.
    """
    if len(inputs) != 1 or inputs[0]["datatype"] in ("BYTES", "BOOL"):
        return None
    sides = tuple(size for size in inputs[0]["shape"][1:] if size != 1)
    if sides in _IMAGE_SIDES:
        return sides[0], sides[1]
    # Columns that are called pixel_0_1 or x17 differ in their numbers alone.
    kinds = {"".join(sign for sign in name if not sign.isdigit()) for name in columns}
    return _PIXELS.get(sides[0]) if len(sides) == 1 and len(kinds) < 2 else None


def numbers_of(inputs: Inputs) -> list[float]:
    """The values of the first row of a picture."""
    tensor = _first_row(inputs[0])
    return [float(value) for value in tensor["data"]]


def _first_row(tensor: Mapping[str, Any]) -> Mapping[str, Any]:
    rows, *rest = tensor["shape"] or [1]
    width = len(tensor["data"]) // max(rows, 1)
    return {**tensor, "shape": [1, *rest], "data": list(tensor["data"][:width])}


def _names(tensor: Mapping[str, Any], signature: Signature, *, is_alone: bool) -> list[str]:
    count = len(tensor["data"])
    if is_alone and len(signature.columns) == count:
        return list(signature.columns)
    name = str(tensor["name"])
    return [name] if count == 1 else [f"{name}[{place}]" for place in range(count)]


def _named_texts(form: Form, text: str) -> list[str]:
    found: dict[str, str] = {}
    names = {field.name for field in form.fields}
    for part in text.splitlines():
        name, sign, value = (word.strip() for word in part.rpartition("="))
        if not part.strip():
            continue
        if sign != "=" or name not in names:
            raise ValueError(f'"{part.strip()}": write NAME = VALUE with a column of the model')
        found[name] = value
    missing = [field.name for field in form.fields if field.name not in found]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return [found[field.name] for field in form.fields]


def _text(value: Any, datatype: str) -> str:
    """The shortest text that stands for exactly this value."""
    if isinstance(value, float):
        return _shortest(value) if datatype in ("FP32", "FP16", "BF16") else f"{value!r}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shortest(value: float) -> str:
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    single = struct.pack("f", value)
    return next((text for text in texts if struct.pack("f", float(text)) == single), f"{value!r}")


def _value(text: str, datatype: str) -> Any:
    """The value that a text stands for; ValueError where it is none of this datatype."""
    if datatype == "BYTES":
        return text
    word = text.strip().lower()
    if datatype == "BOOL":
        if word not in ("true", "false", "1", "0"):
            raise ValueError(f'"{text}" is neither true nor false')
        return word in ("true", "1")
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f'"{text}" is no number') from None
    if not math.isfinite(number):
        raise ValueError(f'"{text}" is no number that JSON can say')
    if datatype.startswith("FP"):
        return number
    if not number.is_integer():
        raise ValueError(f'"{text}" is no whole number')
    return int(word) if word.lstrip("+-").isdecimal() else int(number)
