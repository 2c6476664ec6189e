"""What files hold, hashed once and remembered by their stat: the stat cache."""

from __future__ import annotations

import ast
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.domain.syntax import parse_module
from mlbench.pipeline.ignored import is_left_behind
from mlbench.system.content import FOLDER_MARK, folder_listing, hash_bytes, hash_file, listing_bytes
from mlbench.system.files import read_json, write_atomically

# A file written in the same tick as it was hashed can change again without its stat telling:
# git calls this racy. Whole-second stamps come from file systems that keep no finer time.
_RACY_NS = 50_000_000
_RACY_WHOLE_SECOND_NS = 2_000_000_000
_VERSION = 1

Stat = tuple[int, int, int, int]


def stat_of(path: Path) -> Stat | None:
    """Size, mtime, ctime (ns) and inode of a file, or None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class Digests:
    """Content and syntax hashes of files; reads them from disk again only when their stat moved."""

    def __init__(self, file: Path) -> None:
        """Load what was remembered in `file`; a missing or foreign one counts as empty."""
        self._file = file
        self._entries = _entries_in(read_json(file))
        self._moved = False

    def content(self, path: Path) -> str | None:
        """BLAKE3 of a file's bytes, or of a folder's listing; None where there is nothing."""
        if path.is_dir():
            return _folder_digest(
                folder_listing(path, lambda inner: self._file_content(inner) or "")
            )
        return self._file_content(path) if path.is_file() else None

    def meaning(self, path: Path) -> str | None:
        """As `content`, but Python files count by their syntax tree: comments and layout don't.

        What tools and editors leave in a folder does not count either.
        """
        if path.is_dir():
            return _folder_digest(
                folder_listing(path, lambda inner: self.meaning(inner) or "", is_left_behind)
            )
        if not path.is_file():
            return None
        if path.suffix != ".py":
            return self._file_content(path)
        return self._remembered(f"syntax:{path}", path, _syntax_digest)

    def save(self) -> None:
        """Remember for the next process; a folder that can't be written is no reason to fail."""
        if not self._moved:
            return
        entries = {key: [*stat, digest] for key, (stat, digest) in list(self._entries.items())}
        body = json.dumps({"version": _VERSION, "entries": entries}, separators=(",", ":"))
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, body.encode())
            self._moved = False
        except OSError:
            return

    def _file_content(self, path: Path) -> str | None:
        return self._remembered(f"bytes:{path}", path, hash_file)

    def _remembered(self, key: str, path: Path, digest_of: Callable[[Path], str]) -> str | None:
        """The digest of a file; None where it vanished while it was looked at."""
        begun = time.time_ns()
        stat = stat_of(path)
        known = self._entries.get(key)
        if known is not None and known[0] == stat:
            return known[1]
        try:
            digest = digest_of(path)
        except FileNotFoundError:
            return None
        if stat is not None and stat == stat_of(path) and not is_racy(stat, begun):
            self._entries[key] = (stat, digest)
            self._moved = True
        return digest


def _entries_in(remembered: Any) -> dict[str, tuple[Stat, str]]:
    try:
        if remembered["version"] != _VERSION:
            return {}
        return {
            key: ((size, mtime, ctime, inode), digest)
            for key, (size, mtime, ctime, inode, digest) in remembered["entries"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _folder_digest(listing: dict[str, str]) -> str:
    return FOLDER_MARK + hash_bytes(listing_bytes(listing))


def is_racy(stat: Stat, begun: int) -> bool:
    """Whether a file that was read from `begun` (ns) on could change without its stat telling.

    What counts is when the reading began: a long one must not make a young file look old.
    """
    newest = max(stat[1], stat[2])
    window = _RACY_NS if newest % 1_000_000_000 else _RACY_WHOLE_SECOND_NS
    return begun - newest < window


def _syntax_digest(path: Path) -> str:
    """The hash of a module's syntax tree; of its bytes where it does not parse."""
    source = path.read_bytes()
    try:
        return hash_bytes(ast.dump(parse_module(source)).encode())
    except (SyntaxError, ValueError, RecursionError):
        return hash_bytes(source)
