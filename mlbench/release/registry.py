"""Candidates and immutable versions, each a folder with its model and its proof."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from mlbench.domain.errors import UsageError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Candidate
from mlbench.system.files import move, read_json, remove, sync_folder, sync_tree, write_json
from mlbench.system.locks import locked

MODEL_NAME = "model.onnx"
ANSWERS_NAME = "answers.npz"
FACTS_NAME = "candidate.json"
KEPT_CANDIDATES = 5


class Registry:
    """The models folder of a project; paths in a Candidate are relative to its parent."""

    def __init__(self, folder: Path) -> None:
        """Use this folder; it is made with the first candidate."""
        self._folder = folder

    def candidates(self, model: str) -> list[Candidate]:
        """Candidates of a model that have no version, newest first."""
        return _newest_first(_read_all(self._folder / model / "candidates"))

    def versions(self, model: str) -> list[Candidate]:
        """Versions of a model, the highest first."""
        found = [item for item in _read_all(self._folder / model) if item.version is not None]
        return sorted(found, key=lambda item: item.version or 0, reverse=True)

    def models(self) -> list[str]:
        """The names of all models that have a candidate or a version."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def version(self, model: str, number: int) -> Candidate:
        """The version of this number; UsageError where its folder is gone."""
        for item in self.versions(model):
            if item.version == number:
                return item
        raise UsageError(
            f"{model} v{number}: its folder in .mlbench/models is gone or damaged; "
            "bring it back from a backup, or promote another version"
        )

    def find(self, model: str, *, run: str) -> Candidate | None:
        """The candidate or version that a run gave."""
        everything = [*self.candidates(model), *self.versions(model)]
        return next((item for item in everything if item.run == run), None)

    def folder_of(self, candidate: Candidate) -> Path:
        """The absolute folder of a candidate or version."""
        return self._folder.parent / candidate.path

    def scratch(self, model: str) -> Path:
        """A new folder to export into, on the file system of the models."""
        base = self._folder / model
        base.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=base, prefix=".export-"))

    def keep(self, candidate: Candidate, scratch: Path) -> Candidate:
        """Make an exported folder a candidate under its run, and drop all but the newest five."""
        target = self._folder / candidate.model / "candidates" / candidate.run
        placed = dataclasses.replace(candidate, path=self._relative(target))
        with self._locked(candidate.model):
            write_json(scratch / FACTS_NAME, to_plain(placed))
            target.parent.mkdir(parents=True, exist_ok=True)
            remove(target)
            scratch.rename(target)
            # By run, not by age alone: after the clock was set back the newest is not the youngest.
            others = [item for item in self.candidates(placed.model) if item.run != placed.run]
            for stale in others[KEPT_CANDIDATES - 1 :]:
                remove(self.folder_of(stale))
        return placed

    def register(self, candidate: Candidate) -> Candidate:
        """Give a candidate the next version number, or the one that its digest has already.

        UsageError where the candidate has gone since it was read.
        """
        with self._locked(candidate.model):
            versions = self.versions(candidate.model)
            same = next((item for item in versions if item.digest == candidate.digest), None)
            if same is not None:
                return same
            source = self.folder_of(candidate)
            if not source.is_dir():
                raise UsageError(
                    f"{candidate.model}@{candidate.run}: this run has no exported model any more "
                    f"(the last {KEPT_CANDIDATES} are kept); promote a newer one"
                )
            number = self._next_number(candidate.model)
            target = self._folder / candidate.model / str(number)
            version = dataclasses.replace(candidate, version=number, path=self._relative(target))
            scratch = self.scratch(candidate.model)
            shutil.copytree(source, scratch, dirs_exist_ok=True)
            write_json(scratch / FACTS_NAME, to_plain(version))
            scratch.chmod(0o755)
            sync_tree(scratch)
            scratch.rename(target)
            sync_folder(target.parent)
        return version

    def judged(self, candidate: Candidate) -> None:
        """Write down the gates as they were judged last."""
        write_json(self.folder_of(candidate) / FACTS_NAME, to_plain(candidate))

    def take_out(self, model: str, run: str, target: Path) -> None:
        """Set the candidate that a run gave aside in a folder, if there is one."""
        with self._locked(model):
            source = self._folder / model / "candidates" / run
            if source.is_dir():
                move(source, target / model / "candidates" / run)

    def put_back(self, source: Path) -> None:
        """Bring back what was set aside in a folder, where nothing has taken its place."""
        for folder in sorted(source.glob("*/candidates/*")):
            with self._locked(folder.parent.parent.name):
                target = self._folder / folder.relative_to(source)
                if not target.exists():
                    move(folder, target)

    def _next_number(self, model: str) -> int:
        """One above the highest folder, so that a damaged version keeps its number."""
        names = (path.name for path in (self._folder / model).iterdir())
        return max((int(name) for name in names if name.isdecimal()), default=0) + 1

    def _relative(self, folder: Path) -> str:
        return folder.relative_to(self._folder.parent).as_posix()

    def _locked(self, model: str) -> AbstractContextManager[None]:
        return locked(self._folder / model / ".lock")


def _read_all(folder: Path) -> Iterator[Candidate]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                yield from_plain(Candidate, read_json(path / FACTS_NAME))


def _newest_first(candidates: Iterator[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda item: (item.created, item.run), reverse=True)
