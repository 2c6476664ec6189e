"""A copy of the project to run stages in, made once and brought up to date from then on."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.digests import is_racy
from mlbench.pipeline.snapshots.tracked import entries_of
from mlbench.pipeline.snapshots.wanted import Wanted, everything_in, stat_of, wanted_for
from mlbench.pipeline.tree import Stat
from mlbench.project.layout import Layout
from mlbench.system.content import clone_file
from mlbench.system.files import read_json, remove, write_atomically
from mlbench.system.locks import FileLock, is_held

_VERSION = 1
# So often a project that is edited all the while is looked at, and a file that is written to.
_LOOKS = 4
_COPIES = 4
_BYTECODE = "__pycache__"


@dataclass(frozen=True, slots=True)
class Update:
    """What bringing a snapshot up to date took: the names copied again, linked and removed."""

    copied: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Copied:
    """The stats of source and copy when a file was copied; no source: copy it again next time."""

    source: Stat | None
    copy: Stat


@dataclass(slots=True)
class _Present:
    """What lies in the tree already: files with their stat, links and folders that may stay."""

    files: dict[str, Stat] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)


class Snapshot:
    """One slot's copy of a project, for one user at a time: take its lock before anything else.

    Files are copied, by reflink where the file system can, and never linked: what a stage does to
    its copy reaches nothing of the user's. A manifest says of each copy which version of the
    source it is, and how the copy looked then, so that one that a stage altered is noticed.
    """

    def __init__(self, layout: Layout, slot: str) -> None:
        """Name the slot; nothing is made yet."""
        self._layout = layout
        self.folder = layout.snapshots / slot
        self.tree = self.folder / "tree"
        self._manifest = self.folder / "manifest.json"
        self._incoming = self.folder / "incoming"
        self._inner = str(Layout(self.tree).own)
        self._lock = FileLock(self.folder / "lock")

    @classmethod
    def take_free(cls, layout: Layout, purpose: str, *, with_leftover: bool = False) -> Snapshot:
        """The first slot for a purpose that nobody uses, with its lock held.

        With `with_leftover` also one whose user was killed and whose stage is still running there:
        for who will stop it.
        """
        number = 1
        while True:
            snapshot = cls(layout, f"{purpose}-{number}")
            if snapshot.try_acquire(with_leftover=with_leftover):
                return snapshot
            number += 1

    def try_acquire(self, *, with_leftover: bool = False) -> bool:
        """Take the slot if nobody has it, nor, unless asked for, any stage of a killed user."""
        if not self._lock.try_acquire():
            return False
        stages = (Layout(self.tree).state / "locks").glob("*.lock")
        if not with_leftover and any(map(is_held, stages)):
            self._lock.release()
            return False
        return True

    def release(self) -> None:
        """Let the slot go; the copy stays for the next user."""
        self._lock.release()

    def bring_up_to_date(
        self,
        stages: Iterable[Stage],
        project: Project,
        also: Iterable[str] = (),
        kept: Iterable[str] = (),
    ) -> Update:
        """Make the tree what these stages need, as the project stood at one moment.

        What is there beyond that goes, such as outs of an earlier stage; bytecode stays, and so
        does what is `kept`. `also` names further inputs. UsageError for a dep that can't be had in
        a snapshot. Costs a look at each file of project and copy where nothing changed.
        """
        stages, also, kept = tuple(stages), tuple(also), tuple(kept)
        copied: dict[str, None] = {}
        removed: dict[str, None] = {}
        before: Wanted | None = None
        self.tree.mkdir(parents=True, exist_ok=True)
        for _ in range(_LOOKS):
            wanted = wanted_for(self._layout.root, stages, project, also, kept)
            # Only a second look shows that no file was edited while others were copied.
            if wanted == before:
                break
            update = self._apply(wanted)
            copied |= dict.fromkeys(update.copied)
            removed |= dict.fromkeys(update.removed)
            if not update.copied:
                break
            before = wanted
        return Update(tuple(copied), tuple(removed))

    def mirror(self, source: Snapshot, kept: Iterable[str] = ()) -> Update:
        """Make the tree what another snapshot's is, which nobody changes; `kept` is its own."""
        self.tree.mkdir(parents=True, exist_ok=True)
        return self._apply(everything_in(source.tree, source._inner, kept))

    def _apply(self, wanted: Wanted) -> Update:
        known = _entries_in(read_json(self._manifest))
        present = _Present()
        self._open_up(self.tree)
        self._clear("", wanted, present)
        for name in sorted(wanted.folders):
            if name not in present.folders:
                os.makedirs(self.tree / name, exist_ok=True)
        copied: list[str] = []
        entries: dict[str, _Copied] = {}
        for name, (source, seen) in wanted.files.items():
            entry = known.get(name)
            if entry is None or entry.source != seen or present.files.get(name) != entry.copy:
                entry = self._copy(Path(source), self.tree / name)
                copied.append(name)
            if entry is not None:
                entries[name] = entry
        for name, text in wanted.links.items():
            if name not in present.links:
                os.symlink(text, self.tree / name)
                copied.append(name)
        self._write_manifest(entries, moved=entries != known)
        return Update(tuple(copied), tuple(present.removed))

    def _clear(self, below: str, wanted: Wanted, present: _Present) -> None:
        """Remove what is not wanted, and note what stays."""
        for entry in entries_of(f"{self.tree}/{below}"):
            name = f"{below}{entry.name}"
            if name in wanted.kept:
                continue
            if entry.is_symlink():
                if wanted.links.get(name) == os.readlink(entry.path):
                    present.links.add(name)
                    continue
            elif entry.is_dir():
                if name in wanted.folders:
                    present.folders.add(name)
                    self._open_up(entry.path)
                    self._clear(f"{name}/", wanted, present)
                    continue
                if entry.name == _BYTECODE or entry.path == self._inner:
                    continue
            elif name in wanted.files and entry.is_file():
                present.files[name] = stat_of(entry.stat())
                continue
            _remove(Path(entry.path))
            present.removed.append(name)

    def _open_up(self, folder: str | Path) -> None:
        """Give a folder the mode that it was made with: a stage may have closed it."""
        usual = stat.S_IMODE(self.folder.parent.stat().st_mode)
        if stat.S_IMODE(os.stat(folder).st_mode) != usual:
            os.chmod(folder, usual)

    def _copy(self, source: Path, target: Path) -> _Copied | None:
        """Copy one file with its mode and time; None where it can't be read, as a stage will see.

        One that is written to meanwhile is copied again, and in the end is taken as it is.
        """
        for _ in range(_COPIES):
            begun = time.time_ns()
            try:
                before = source.stat()
                self._clone(source, before)
                after = source.stat()
            except (FileNotFoundError, PermissionError) as error:
                if error.filename != str(source):
                    raise
                remove(target)
                return None
            is_whole = stat_of(before) == stat_of(after)
            if is_whole:
                break
        os.replace(self._incoming, target)
        _drop_bytecode(target)
        is_known = is_whole and not is_racy(stat_of(before), begun)
        return _Copied(stat_of(before) if is_known else None, stat_of(target.stat()))

    def _clone(self, source: Path, found: os.stat_result) -> None:
        remove(self._incoming)
        clone_file(source, self._incoming)
        # The time as well: tools compare it, and a dep that counts by its stat counts by it.
        os.utime(self._incoming, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.chmod(self._incoming, stat.S_IMODE(found.st_mode))

    def _write_manifest(self, entries: Mapping[str, _Copied], *, moved: bool) -> None:
        if not moved and self._manifest.exists():
            # Its time tells when the snapshot was used last.
            os.utime(self._manifest)
            return
        files = {name: [item.source, item.copy] for name, item in entries.items()}
        body = json.dumps({"version": _VERSION, "files": files}, separators=(",", ":"))
        write_atomically(self._manifest, body.encode("utf-8", "surrogatepass"))


def _entries_in(manifest: Any) -> dict[str, _Copied]:
    """What a manifest says; nothing where it is missing, torn or of another version."""
    try:
        if manifest["version"] != _VERSION:
            return {}
        return {
            name: _Copied(tuple(source) if source else None, tuple(copy))
            for name, (source, copy) in manifest["files"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _remove(path: Path) -> None:
    """Remove what a stage left, also folders that it made read-only."""
    try:
        remove(path)
    except PermissionError:
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o700)
        remove(path)


def _drop_bytecode(source: Path) -> None:
    """What was compiled from the version before may look current to Python, and is not."""
    if source.suffix == ".py":
        for compiled in source.parent.glob(f"{_BYTECODE}/{source.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
