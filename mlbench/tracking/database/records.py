"""The frame of a journal's lines: `<crc32> <length> <JSON>`, both in hex, and a newline.

The length lets a reader step over a line whose newline was lost, the newline lets it find the next
line where the length was lost, and a line that is only begun is told from one that was altered.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from mlbench.domain.records import dataclass

_SUM = 9
_HEAD = _SUM + 9


@dataclass(frozen=True, slots=True)
class Record:
    """One line: where it lies in what was read, its JSON where that is intact, and its newline."""

    start: int
    end: int
    body: bytes | None
    terminated: bool


def framed(body: bytes) -> bytes:
    """A line of the journal around JSON that holds no newline."""
    sized = b"%08x %s" % (len(body), body)
    return b"%08x %s\n" % (crc32(sized), sized)


def records(data: bytes) -> Iterator[Record]:
    """Every finished line, intact or not; a line that is only begun ends them."""
    position = 0
    while position < len(data):
        end = _end_by_length(data, position)
        body = _body(data, position, end) if end else None
        if body is None and (not end or data[end - 1 : end] != b"\n"):
            end = data.find(b"\n", position) + 1
        if not end:
            return
        yield Record(position, end, body, data[end - 1 : end] == b"\n")
        position = end


def _end_by_length(data: bytes, start: int) -> int:
    """Where the line ends by its own word; 0 where that can't be or is not there yet."""
    try:
        length = int(data[start + _SUM : start + _HEAD], 16)
    except ValueError:
        return 0
    end = start + _HEAD + length + 1
    return end if length >= 0 and end <= len(data) else 0


def _body(data: bytes, start: int, end: int) -> bytes | None:
    summed = data[start + _SUM : end - 1]
    if data[start : start + _SUM] != b"%08x " % crc32(summed):
        return None
    return summed[_HEAD - _SUM :]
