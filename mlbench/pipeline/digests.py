"""What files hold, hashed once and remembered by their stat: the stat cache."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbench.domain.syntax import parse_module
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.tree import Stat, StrPath, Tree
from mlbench.system.content import FOLDER_MARK, hash_bytes, is_bytecode, listing_bytes

# A file written in the same tick as it was hashed can change again without its stat telling:
# git calls this racy. Whole-second stamps come from file systems that keep no finer time.
_RACY_NS = 50_000_000
_RACY_WHOLE_SECOND_NS = 2_000_000_000
_VERSION = 2


class Digests:
    """Content and syntax hashes of files; reads them from disk again only when their stat moved."""

    def __init__(self, tree: Tree, file: Path) -> None:
        """Load what was remembered in `file`; a missing or foreign one counts as empty."""
        self._tree = tree
        self._file = file
        self._entries = _entries_in(_remembered(tree, file))
        self._seen: set[str] = set()
        self._moved = False

    def content(self, path: StrPath) -> str | None:
        """BLAKE3 of a file's bytes, or of a folder's listing; None where there is nothing."""
        known = self._unmoved(f"bytes:{path}", self._tree.stat(path))
        if known is not None:
            return known
        if self._tree.is_folder(path):
            return self._folder_digest(Path(path), is_bytecode, self._file_content)
        return self._file_content(path)

    def meaning(self, path: StrPath) -> str | None:
        """As `content`, but code counts by what it says: comments and layout don't.

        A Python file counts by its syntax tree, a notebook by its code cells. What tools and
        editors leave in a folder does not count either.
        """
        known = self.known_meaning(path, self._tree.stat(path))
        if known is not None:
            return known
        if self._tree.is_folder(path):
            return self._folder_digest(Path(path), is_left_behind, self.meaning)
        key = _key_of_meaning(str(path))
        if key.startswith("syntax:"):
            return self._remember(key, path, lambda: _syntax(self._tree.read(path)))
        if key.startswith("cells:"):
            return self._remember(key, path, lambda: _cells(self._tree.read(path)))
        return self._file_content(path)

    def known_meaning(self, path: StrPath, stat: Stat | None) -> str | None:
        """The meaning of a file that has this stat; None where it would have to be read for that.

        No folder is ever remembered, so that what is known is one of a file.
        """
        return self._unmoved(_key_of_meaning(str(path)), stat)

    def save(self) -> None:
        """Remember for the next process; a folder that can't be written is no reason to fail.

        Only what this process came across is kept: files that are gone are forgotten by this.
        """
        if not self._moved:
            return
        entries = {
            key: [*stat, digest]
            for key, (stat, digest) in list(self._entries.items())
            if key in self._seen
        }
        body = json.dumps({"version": _VERSION, "entries": entries}, separators=(",", ":"))
        try:
            self._tree.write(self._file, body.encode("utf-8", "surrogatepass"))
            self._moved = False
        except OSError:
            return

    def _folder_digest(
        self, folder: Path, left_out: Callable[[str], bool], of: Callable[[StrPath], str | None]
    ) -> str:
        listing = {
            path.relative_to(folder).as_posix(): of(path) or ""
            for path in self._tree.files(folder, left_out)
        }
        return FOLDER_MARK + hash_bytes(listing_bytes(dict(sorted(listing.items()))))

    def _unmoved(self, key: str, stat: Stat | None) -> str | None:
        known = self._entries.get(key)
        if known is None or known[0] != stat:
            return None
        self._seen.add(key)
        return known[1]

    def _file_content(self, path: StrPath) -> str | None:
        return self._remember(f"bytes:{path}", path, lambda: self._tree.digest(path))

    def _remember(self, key: str, path: StrPath, look: Callable[[], str]) -> str | None:
        """The digest of a file; None where there is none, or it vanished while looked at."""
        begun = self._tree.now()
        stat = self._tree.stat(path)
        if stat is None:
            return None
        self._seen.add(key)
        known = self._entries.get(key)
        if known is not None and known[0] == stat:
            return known[1]
        if not self._tree.is_file(path):
            # A pipe or a device would be waited for, and holds nothing that could be the same.
            return None
        try:
            digest = look()
        except FileNotFoundError:
            return None
        if stat == self._tree.stat(path) and not is_racy(stat, begun):
            self._entries[key] = (stat, digest)
            self._moved = True
        return digest


def _key_of_meaning(path: str) -> str:
    if path.endswith(".py"):
        return f"syntax:{path}"
    return f"cells:{path}" if path.endswith(".ipynb") else f"bytes:{path}"


def _remembered(tree: Tree, file: Path) -> Any:
    try:
        return json.loads(tree.read(file))
    except (OSError, ValueError):
        return None


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


def is_racy(stat: Stat, begun: int) -> bool:
    """Whether a file that was read from `begun` (ns) on could change without its stat telling.

    What counts is when the reading began: a long one must not make a young file look old.
    """
    newest = max(stat[1], stat[2])
    window = _RACY_NS if newest % 1_000_000_000 else _RACY_WHOLE_SECOND_NS
    return begun - newest < window


def _syntax(source: bytes) -> str:
    """The hash of a module's syntax tree; of its bytes where it does not parse."""
    try:
        return hash_bytes(ast.dump(parse_module(source)).encode("utf-8", "surrogatepass"))
    except (SyntaxError, ValueError, RecursionError):
        return hash_bytes(source)


def _cells(source: bytes) -> str:
    """The hash of a notebook's code cells, each by its source; of its bytes where it is none."""
    try:
        cells = json.loads(source)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        return hash_bytes(source)
    return hash_bytes("\0".join(code).encode("utf-8", "surrogatepass"))
