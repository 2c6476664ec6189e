"""Candidates and immutable versions, each a folder with its model and its proof."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from mlbench.domain.errors import DamagedModelError, UsageError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Candidate, GateResult
from mlbench.release.folders import (
    CARD_NAME,
    FACTS_NAME,
    GATES_NAME,
    PREDICTIONS,
    REQUEST_NAME,
    WORDS_NAME,
    copy_folder,
    damage_in,
    files_in,
    lock_up,
    write_digests,
)
from mlbench.system.content import clone_file
from mlbench.system.files import (
    entries_in,
    move,
    read_json,
    remove,
    sync_folder,
    write_atomically,
    write_json,
)
from mlbench.system.locks import locked

KEPT_CANDIDATES = 5
_LAST_NUMBER = ".last-version"


class Registry:
    """The models folder of a project; paths in a Candidate are relative to its parent."""

    def __init__(self, folder: Path) -> None:
        """Use this folder; it is made with the first candidate."""
        self._folder = folder

    def candidates(self, model: str) -> list[Candidate]:
        """Candidates of a model that have no version, newest first."""
        found = [_read(path) for path in entries_in(self._folder / model / "candidates")]
        known = [item for item in found if item is not None]
        return sorted(known, key=lambda item: (item.created, item.run), reverse=True)

    def versions(self, model: str) -> list[Candidate]:
        """Versions of a model, the highest first; those that can't be read are left out."""
        found = [_read(path) for _, path in self._numbered(model)]
        known = [item for item in found if item is not None and item.version is not None]
        return sorted(known, key=lambda item: item.version or 0, reverse=True)

    def models(self) -> list[str]:
        """The names of all models that have a candidate or a version."""
        return [path.name for path in entries_in(self._folder) if path.is_dir()]

    def version(self, model: str, number: int) -> Candidate:
        """The version of this number; DamagedModelError where its folder is gone or altered."""
        damage = self._damage(self._folder / model / str(number))
        for item in self.versions(model):
            if item.version == number and not damage:
                return item
        raise DamagedModelError(
            f"{model} v{number}: its folder in .mlbench/models is gone or damaged "
            f"({damage or 'it is not there'}); bring it back from a backup, "
            "or promote another version"
        )

    def damage_of(self, candidate: Candidate) -> str:
        """What is wrong with a candidate or version, empty where it is whole; reads every file."""
        return self._damage(self.folder_of(candidate))

    def damaged(self, model: str) -> dict[int, str]:
        """What is wrong with each version that is not as it was registered; reads every file."""
        found = {number: self._damage(path) for number, path in self._numbered(model)}
        return {number: damage for number, damage in sorted(found.items()) if damage}

    def find(self, model: str, *, run: str) -> Candidate | None:
        """The candidate or version that a run gave."""
        everything = [*self.candidates(model), *self.versions(model)]
        return next((item for item in everything if item.run == run), None)

    def folder_of(self, candidate: Candidate) -> Path:
        """The absolute folder of a candidate or version."""
        return self._folder.parent / candidate.path

    def file_of(self, candidate: Candidate) -> Path:
        """The model's file, absolute."""
        return self.folder_of(candidate) / candidate.file

    def predictions_of(self, candidate: Candidate) -> Path | None:
        """The table of predictions that was kept with a model; None where there is none."""
        return next(iter(self.folder_of(candidate).glob(f"{PREDICTIONS}.*")), None)

    def files(self, candidate: Candidate) -> dict[str, int]:
        """The files of a candidate or version with their bytes, by their places in its folder."""
        folder = self.folder_of(candidate)
        return {name: (folder / name).stat().st_size for name in files_in(folder)}

    def scratch(self, model: str) -> Path:
        """A new folder to export into, on the file system of the models."""
        base = self._folder / model
        base.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=base, prefix=".export-"))

    def keep(
        self, candidate: Candidate, scratch: Path, beside: Mapping[str, Path] | None = None
    ) -> Candidate:
        """Make an exported folder a candidate under its run, and drop all but the newest five.

        Copies of the files `beside` come into it under their names, and a sample request.
        """
        target = self._folder / candidate.model / "candidates" / candidate.run
        placed = dataclasses.replace(candidate, path=self._relative(target))
        for name, source in (beside or {}).items():
            clone_file(source, scratch / name)
        if candidate.signature is not None:
            from mlbench.release.request import write_request

            write_request(scratch, candidate.signature)
        write_json(scratch / FACTS_NAME, to_plain(placed))
        write_digests(scratch)
        scratch.chmod(0o755)
        with self._locked(candidate.model):
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

        UsageError where the candidate has gone since it was read, DamagedModelError where its files
        or those of the version were altered.
        """
        with self._locked(candidate.model):
            if candidate.version is not None:
                return self.version(candidate.model, candidate.version)
            for item in self.versions(candidate.model):
                if _is_same(item, candidate) and not self._damage(self.folder_of(item)):
                    return item
            source = self.folder_of(candidate)
            if not source.is_dir():
                raise UsageError(
                    f"{candidate.model}@{candidate.run}: this run has no exported model any more "
                    f"(the last {KEPT_CANDIDATES} are kept); promote a newer one"
                )
            return self._registered(candidate, source)

    def judged(self, candidate: Candidate) -> None:
        """Write down the gates as they were judged last, beside the facts, which never change."""
        folder = self.folder_of(candidate)
        write_json(folder / GATES_NAME, {"gates": to_plain(candidate.gates)})

    def request(self, candidate: Candidate) -> dict[str, object] | None:
        """The sample request of a candidate or version; None where there is none."""
        found = read_json(self.folder_of(candidate) / REQUEST_NAME)
        return found if isinstance(found, dict) else None

    def words(self, candidate: Candidate) -> str:
        """What people wrote about a candidate or version."""
        try:
            path = self.folder_of(candidate) / WORDS_NAME
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def write_words(self, candidate: Candidate, words: str) -> None:
        """Take these words in place of those before, and make the card anew."""
        with self._locked(candidate.model):
            folder = self.folder_of(candidate)
            write_atomically(folder / WORDS_NAME, words.encode())
            self._write_card(candidate, folder)

    def card(self, candidate: Candidate) -> str:
        """The model card as of now: from the facts, the gates as judged last, and the words."""
        # Late, as below: a run with nothing to do reads the registry, and writes nothing.
        from mlbench.release.card import make_card

        return make_card(candidate, self.request(candidate), self.words(candidate))

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

    def _registered(self, candidate: Candidate, source: Path) -> Candidate:
        """The new version, its folder complete and durable before it has its name."""
        scratch = self.scratch(candidate.model)
        try:
            copy_folder(source, scratch)
            damage = damage_in(scratch)
            if damage:
                raise DamagedModelError(
                    f"{candidate.model}@{candidate.run}: {damage}, so it gets no version; "
                    "export the run again (`mlbench export`)"
                )
            number = self._next_number(candidate.model)
            target = self._folder / candidate.model / str(number)
            version = dataclasses.replace(candidate, version=number, path=self._relative(target))
            write_json(scratch / FACTS_NAME, to_plain(version))
            self.judged(dataclasses.replace(version, path=self._relative(scratch)))
            write_digests(scratch)
            self._write_card(version, scratch)
            lock_up(scratch)
            scratch.rename(target)
        except BaseException:
            remove(scratch)
            raise
        sync_folder(target.parent)
        return version

    def _write_card(self, candidate: Candidate, folder: Path) -> None:
        placed = dataclasses.replace(candidate, path=self._relative(folder))
        write_atomically(folder / CARD_NAME, self.card(placed).encode("utf-8", "replace"))

    def _next_number(self, model: str) -> int:
        """One above all that were ever given, also where the highest folder has gone since."""
        last = self._folder / model / _LAST_NUMBER
        given = [number for number, _ in self._numbered(model)]
        with contextlib.suppress(FileNotFoundError, ValueError):
            given.append(int(last.read_bytes()))
        number = max(given, default=0) + 1
        write_atomically(last, b"%d\n" % number)
        return number

    def _numbered(self, model: str) -> Iterator[tuple[int, Path]]:
        for path in entries_in(self._folder / model):
            if path.name.isascii() and path.name.isdecimal() and path.is_dir():
                yield int(path.name), path

    def _damage(self, folder: Path) -> str:
        if not folder.is_dir():
            return "it is not there"
        return damage_in(folder) or ("" if _read(folder) else f"{FACTS_NAME} is damaged")

    def _relative(self, folder: Path) -> str:
        return folder.relative_to(self._folder.parent).as_posix()

    def _locked(self, model: str) -> AbstractContextManager[None]:
        return locked(self._folder / model / ".lock")


def _is_same(version: Candidate, candidate: Candidate) -> bool:
    return version.digest == candidate.digest


def _read(folder: Path) -> Candidate | None:
    """The candidate or version of a folder, with its gates as judged last; None for another."""
    if folder.name.startswith(".") or not folder.is_dir():
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        found = from_plain(Candidate, read_json(folder / FACTS_NAME))
        if found.version is not None and str(found.version) != folder.name:
            return None
        return _with_gates(found, folder)
    return None


def _with_gates(candidate: Candidate, folder: Path) -> Candidate:
    judged = read_json(folder / GATES_NAME)
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        gates = tuple(from_plain(GateResult, gate) for gate in judged["gates"])
        return dataclasses.replace(candidate, gates=gates)
    return candidate
