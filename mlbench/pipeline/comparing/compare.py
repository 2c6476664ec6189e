"""What differs between an out and the same out built again: bytes first, then values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbench.pipeline.comparing.arrays import npy_place, npz_place
from mlbench.pipeline.comparing.places import NoValuesError, Place
from mlbench.pipeline.comparing.tables import csv_place, parquet_place, tree_place
from mlbench.system.content import files_below, is_bytecode

_BLOCK = 1 << 20
_LONGEST_TEXT = 1 << 24
_SHOWN = 80

_VALUES: dict[str, Callable[[Path, Path, float], Place | None]] = {
    ".npy": npy_place,
    ".npz": npz_place,
    ".csv": csv_place,
    ".tsv": csv_place,
    ".json": tree_place,
    ".yaml": tree_place,
    ".yml": tree_place,
    ".toml": tree_place,
    ".parquet": parquet_place,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not what was expected: `where` in it, and what stands there in both."""

    path: str
    where: str
    expected: str
    found: str


def differences(expected: Path, found: Path, name: str, tolerance: float) -> tuple[Difference, ...]:
    """The first difference in each file of an out called `name`; none where all agree.

    Floating numbers agree within a tolerance relative to the larger, whole numbers and text
    exactly. A folder is compared file by file. Nothing is ever unpickled: what holds Python
    objects is compared by its bytes, as is every file that is no table, array or tree of values.
    """
    if expected.is_dir() and found.is_dir():
        return tuple(_in_folder(expected, found, name, tolerance))
    difference = _in_file(expected, found, name, tolerance)
    return () if difference is None else (difference,)


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files, or all files of two folders, are the same to the last bit."""
    if one.is_dir() and other.is_dir():
        names = _names(one)
        return names == _names(other) and all(same_bytes(one / n, other / n) for n in names)
    return one.is_file() and other.is_file() and _first_differing_byte(one, other) is None


def _in_folder(expected: Path, found: Path, name: str, tolerance: float) -> Iterator[Difference]:
    for inner in sorted(_names(expected) | _names(found)):
        difference = _in_file(expected / inner, found / inner, f"{name}/{inner}", tolerance)
        if difference is not None:
            yield difference


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in files_below(folder, is_bytecode)}


def _in_file(expected: Path, found: Path, name: str, tolerance: float) -> Difference | None:
    if not (expected.is_file() and found.is_file()):
        kinds = _kind(expected), _kind(found)
        return None if kinds[0] == kinds[1] else Difference(name, "", *kinds)
    offset = _first_differing_byte(expected, found)
    if offset is None:
        return None
    compare = _VALUES.get(expected.suffix.lower())
    why = ""
    if compare is not None:
        try:
            place = compare(expected, found, tolerance)
            return None if place is None else Difference(name, *place)
        except NoValuesError as error:
            why = f" ({error})"
    where, *both = _in_bytes(expected, found, offset)
    return Difference(name, f"{where}{why}", *both)


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file" if path.is_file() else "missing"


def _first_differing_byte(one: Path, other: Path) -> int | None:
    """The offset from which two files differ; the shorter one's length where it ends before."""
    offset = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(_BLOCK), right.read(_BLOCK)
            if a != b:
                both = zip(a, b, strict=False)
                alike = min(len(a), len(b))
                return offset + next((at for at, (x, y) in enumerate(both) if x != y), alike)
            if not a:
                return None
            offset += len(a)


def _in_bytes(expected: Path, found: Path, offset: int) -> Place:
    """The line of a text, else the byte, at which two files part."""
    try:
        lines = _line_at(expected, offset), _line_at(found, offset)
    except (UnicodeDecodeError, ValueError):
        return Place(f"byte {offset}", _byte_at(expected, offset), _byte_at(found, offset))
    number = lines[0][0]
    return Place(f"line {number}", lines[0][1], lines[1][1])


def _line_at(path: Path, offset: int) -> tuple[int, str]:
    """The number and text of the line around an offset; ValueError where this is no text."""
    if offset > _LONGEST_TEXT:
        raise ValueError("too far to count lines")
    with path.open("rb") as file:
        before = file.read(offset)
        after = file.read(_BLOCK)
    if b"\0" in before or b"\0" in after:
        raise ValueError("text has no zero bytes")
    before.decode()
    start = before.rfind(b"\n") + 1
    line = (before[start:] + after).splitlines()[:1]
    text = line[0].decode() if line else "the end"
    return before.count(b"\n") + 1, text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _byte_at(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        byte = file.read(1)
    return f"0x{byte.hex()}" if byte else f"the end, after {offset} bytes"
