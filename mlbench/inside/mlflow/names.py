"""Which of a stage's MLflow runs is the stage's own, and what the others' names begin with.

The first run that is nested in no other is the stage's. What another one says has its name before
it, `child/loss`; one that got no name from its script is `run-2`, `run-3` …, so that the names are
the same in every run of the stage. All processes of the stage agree, by a file for each MLflow run.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = "first"
_OTHER = "run "
_UNNAMED = "run"
_LONGEST_BASE = 80  # bytes: quoted, still the name of a file


class RunNames:
    """The beginnings of names by MLflow run id: `""` for the stage's own, `child/` for others."""

    def __init__(self, folder: str) -> None:
        """`folder` holds the files; it is made with the first."""
        self._folder = folder
        self._known: dict[str, str] = {}

    def prefix(self, run_id: str) -> str:
        """What this run's names begin with; one that began elsewhere gets its place here now."""
        found = self._find(run_id)
        return self.claim(run_id) if found is None else found

    def claim(self, run_id: str, name: str | None = None, parent: str | None = None) -> str:
        """Give a run its beginning, and keep it; OSError where the folder can't be written."""
        found = self._find(run_id)
        if found is not None:
            return found
        above = (self._find(parent) if parent else None) or ""
        os.makedirs(self._folder, exist_ok=True)
        draft = os.path.join(self._folder, f".{os.getpid()}-{time.time_ns()}")
        with open(draft, "x", encoding="utf-8") as file:
            file.write(run_id)
        try:
            for prefix in _candidates(name, above, is_nested=bool(parent)):
                try:
                    _put(draft, os.path.join(self._folder, _file_name(prefix)))
                except FileExistsError:
                    continue
                self._known[run_id] = prefix
                return prefix
            raise AssertionError("candidates never end")
        finally:
            os.unlink(draft)

    def _find(self, run_id: str) -> str | None:
        if run_id not in self._known:
            self._read()
        return self._known.get(run_id)

    def _read(self) -> None:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return
        for name in names:
            if name == _FIRST or name.startswith(_OTHER):
                with open(os.path.join(self._folder, name), encoding="utf-8") as file:
                    self._known[file.read()] = _prefix_of(name)


def _candidates(name: str | None, above: str, *, is_nested: bool) -> Iterator[str]:
    if not is_nested:
        yield ""
    plain = _plain(name or "")
    base = (above + (plain or _UNNAMED)).encode()[:_LONGEST_BASE].decode(errors="ignore")
    if plain:
        yield f"{base}/"
    number = 2
    while True:
        yield f"{base}-{number}/"
        number += 1


def _put(draft: str, path: str) -> None:
    """Have the draft's content at a path where nothing is yet; FileExistsError where something is.

    Whole and exclusive at once: whoever sees it can read who has it. Where the file system has no
    hard links, it is empty for a moment.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        with open(path, "xb") as file, open(draft, "rb") as written:
            file.write(written.read())


def _plain(name: str) -> str:
    """The name as a folder of artifacts may be called."""
    parts = (part.strip(" .") for part in name.replace("\0", "").split("/"))
    return "/".join(part for part in parts if part)


def _file_name(prefix: str) -> str:
    if not prefix:
        return _FIRST
    return _OTHER + prefix[:-1].replace("%", "%25").replace("/", "%2F")


def _prefix_of(file_name: str) -> str:
    if file_name == _FIRST:
        return ""
    return file_name[len(_OTHER) :].replace("%2F", "/").replace("%25", "%") + "/"
