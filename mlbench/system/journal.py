"""Append-only files of checksummed JSON lines: a torn tail is seen, cut and costs nothing else."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mlbench.system.files import write_all, write_atomically
from mlbench.system.locks import locked

# Enough of a line's end to tell it, with its checksum before it, from another's.
_TAIL_BYTES = 256


def line_of(value: Any) -> bytes:
    """One value as `<crc32 in hex> <json>` and a newline."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A file name that is no UTF-8 arrives as lone surrogates; json.loads takes them back.
    body = text.encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def value_of(line: bytes) -> Any:
    """The value of a whole line; ValueError where the line is torn or altered."""
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise ValueError("checksum does not match")
    return json.loads(body)


def read_lines(path: Path) -> Iterator[Any]:
    """Every intact value of a journal, in order; damaged lines are passed over."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    yield from _values_in(data)


def _values_in(data: bytes) -> Iterator[Any]:
    for line in data.splitlines(keepends=True):
        if line.endswith(b"\n"):
            try:
                yield value_of(line)
            except ValueError:
                continue


class Journal:
    """A file of such lines that one room keeps, in as many processes as there are."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._seen = (0, 0, 0)
        self._inode = self._read_to = 0
        self._read_last = b""

    def read(self) -> Iterator[Any]:
        """Every intact value, oldest first."""
        return read_lines(self._path)

    def news(self) -> tuple[bool, list[Any]]:
        """What came since the last call, and whether it takes the place of all that came before.

        Costs a stat where nothing came.
        """
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False, []
        stamp = (found.st_ino, found.st_size, found.st_ctime_ns)
        if stamp == self._seen:
            return False, []
        self._seen = stamp
        before = self._read_last
        with open(self._path, "rb") as file:
            known, self._inode = self._inode, os.fstat(file.fileno()).st_ino
            file.seek(self._read_to - len(before))
            # Another file may have taken its place, even under the same inode.
            is_anew = known not in (0, self._inode) or file.read(len(before)) != before
            if is_anew:
                file.seek(0)
                self._read_to = 0
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if whole:
            self._read_to += len(whole)
            self._read_last = whole[-_TAIL_BYTES:]
        elif is_anew:
            self._read_last = b""
        return is_anew, list(_values_in(whole))

    def append(self, value: Any) -> None:
        """Append a value durably."""
        append(self._path, [value])

    def rewrite(self, change: Callable[[list[Any]], list[Any] | None]) -> None:
        """Replace all values by what `change` makes of them, as a whole and durably; None: leave.

        Nobody appends meanwhile.
        """
        with locked(self._path.with_name(f"{self._path.name}.lock")):
            values = change(list(self.read()))
            if values is not None:
                write_atomically(self._path, b"".join(map(line_of, values)))


def append(path: Path, values: Iterable[Any], *, durable: bool = True) -> None:
    """Append values under the journal's lock, after cutting a torn tail; fsync if durable."""
    data = b"".join(line_of(value) for value in values)
    # The lock makes the folder where there is none yet.
    with locked(path.with_name(f"{path.name}.lock")):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.lseek(descriptor, _intact_length(descriptor), os.SEEK_SET)
            os.truncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))
            write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _intact_length(descriptor: int) -> int:
    """Where the last whole line ends: a crash can tear only what stands behind it."""
    size = os.fstat(descriptor).st_size
    step = 4096
    start = size
    while start > 0:
        start = max(0, start - step)
        chunk = os.pread(descriptor, min(step, size - start), start)
        newline = chunk.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
    return 0
