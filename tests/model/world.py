"""The model's project on its disk, and everything that people do to it from outside."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

from mlbench.domain.stages import Project, Stage
from tests.model.disk import WHOLE_SECOND_NS, Disk
from tests.model.fakes import package_file
from tests.model.oracle import PARAMS, PYTHON, ROOT, Oracle
from tests.model.profiles import Profile
from tests.model.runner import Machine
from tests.model.sources import (
    ALL_STAGES,
    COUNTER,
    ENV_NAME,
    ENV_VALUES,
    NOISE,
    PACKAGES,
    PARAM_VALUES,
    PYTHONS,
    SOURCES,
    Configuration,
    params_text,
)

STATE = Path(ROOT) / ".mlbench" / "state"
_PAUSES_NS = (0, 0, 1_000, 300_000, 5_000_000, 60_000_000, 400_000_000, 1_100_000_000)
_LONG_PAUSE_NS = 3_000_000_000
_BRANCHES = 4


class World:
    """The disk with its sources, the machine's processes, the store and the journal."""

    def __init__(self, rng: random.Random, profile: Profile) -> None:
        self.rng = rng
        self.disk = Disk(profile.granularity)
        self._kinds = tuple(profile.chances)
        self._weights = tuple(profile.chances.values())
        self._sources = {**SOURCES, **profile.versions}
        self._paths = tuple(path for path in SOURCES if profile.has(path))
        self._meanwhile = tuple(
            0 if kind in _NOT_MEANWHILE else weight for kind, weight in profile.chances.items()
        )
        self.machine = Machine(self.disk, rng)
        self.machine.wrote_persist = self.note_persist
        self.objects: dict[str, bytes] = {}
        self.lines: list[str] = []
        self.env: dict[str, str] = {}
        self.params = {name: values[0] for name, values in PARAM_VALUES.items()}
        self._branches: list[dict[str, str | None]] = []
        self.edits = 0
        self.events: Counter[str] = Counter()
        self.persisted: dict[str, str | None] = {}
        self.tampers: Counter[str] = Counter()
        self.busy: set[str] = set()
        self.appeared: set[str] | None = None
        names = profile.stages or _some_stages(rng)
        self.configuration = Configuration(names)
        self._undo: tuple[str, str | None] | None = None
        self._oracle: tuple[int, Oracle] | None = None
        self._set_env("one")
        for path, versions in self._sources.items():
            self._set(path, versions[0])
        for name, found in PACKAGES.items():
            self.disk.write(package_file(name), str(found[0]).encode())
        self.disk.write(PYTHON, PYTHONS[0].encode())
        self._write_params()
        self.disk.now += 10 * WHOLE_SECOND_NS

    @property
    def project(self) -> Project:
        return self.configuration.project()

    @property
    def oracle(self) -> Oracle:
        """Clean builds of the sources as they stand now."""
        if self._oracle is None or self._oracle[0] != self.edits:
            self._oracle = (self.edits, Oracle(self.disk, self.project.stages, self.env))
        return self._oracle[1]

    def note_persist(self, path: str) -> None:
        """Somebody who may wrote an out that persists."""
        self.persisted[path] = self.disk.text(f"{ROOT}/{path}")

    def outs_of(self, names: tuple[str, ...]) -> dict[str, str | None]:
        """The files of these outs as they stand on disk."""
        found: dict[str, str | None] = {}
        for name in names:
            full = f"{ROOT}/{name}"
            files = list(self.disk.files(full))
            found |= {file.removeprefix(f"{ROOT}/"): self.disk.text(file) for file in files}
            if not files:
                found[name] = "folder" if self.disk.is_folder(full) else None
        return found

    def edit(self, *, meanwhile: bool = False) -> str:
        """One thing that somebody does, at random; what it was."""
        (kind,) = self.rng.choices(self._kinds, self._meanwhile if meanwhile else self._weights)
        self.events[kind] += 1
        self.edits += 1
        getattr(self, f"_do_{kind}")()
        return kind

    def pass_time(self, *, short: bool = False) -> None:
        """The clock goes on; `short`: by less than a second."""
        pauses = _PAUSES_NS[:-1] if short else (*_PAUSES_NS, _LONG_PAUSE_NS)
        self.disk.now += self.rng.choice(pauses)

    # What people do.

    def _do_edit(self) -> None:
        path = self.rng.choice(self._paths)
        self._set(path, self.rng.choice(self._sources[path]))

    def _do_edit_same_size(self) -> None:
        """An edit that keeps the size, and often all other stamps."""
        path = self.rng.choice(self._paths)
        before = self.disk.text(f"{ROOT}/{path}")
        if before is not None:
            same = [text for text in self._sources[path] if text and len(text) == len(before)]
            if same:
                self._undo = (path, before)
                self.disk.write(f"{ROOT}/{path}", self.rng.choice(same).encode())

    def _do_edit_keeping_mtime(self) -> None:
        """As `cp -p` of another version, or a tool that sets the mtime back, does."""
        path = self.rng.choice(self._paths)
        full = f"{ROOT}/{path}"
        text = self.rng.choice(self._sources[path])
        stat = self.disk.stat(full)
        if stat is not None and text is not None:
            self._set(path, text)
            self.disk.touch(full, stat[1])

    def _do_truncate(self) -> None:
        """The first half of a save in place; the next edit of the file is the second."""
        path = self.rng.choice(self._paths)
        if self.disk.is_file(f"{ROOT}/{path}"):
            self.disk.write(f"{ROOT}/{path}", b"")

    def _do_there_and_back(self) -> None:
        """A→B→A within an instant."""
        path = self.rng.choice(self._paths)
        before = self.disk.text(f"{ROOT}/{path}")
        self._set(path, self.rng.choice(self._sources[path]))
        self._set(path, before)

    def _do_touch(self) -> None:
        path = f"{ROOT}/{self.rng.choice(self._paths)}"
        if self.disk.is_file(path):
            how = self.rng.randrange(3)
            if how == 0:
                self.disk.touch(path)
            elif how == 1:
                self.disk.touch(path, self.disk.now - self.rng.randrange(10**12))
            else:
                self.disk.chmod(path)

    def remember(self) -> None:
        """The sources as they stand become a branch that can be checked out later."""
        self._branches.append({path: self.disk.text(f"{ROOT}/{path}") for path in self._paths})
        del self._branches[:-_BRANCHES]

    def _do_branch(self) -> None:
        """Away to another branch, or back: as git does, what differs is written anew."""
        if not self._branches:
            self.remember()
        branch = self.rng.choice(self._branches)
        if self.rng.randrange(4) == 0:
            some = self.rng.sample(self._paths, min(4, len(self._paths)))
            branch = {**branch, **{path: self.rng.choice(self._sources[path]) for path in some}}
        for path, text in branch.items():
            now = self.disk.text(f"{ROOT}/{path}")
            if text != now:
                full = f"{ROOT}/{path}"
                if text is None and self._came(full):
                    continue
                if now is not None:
                    self.disk.unlink(full)
                else:
                    self._note_new(full)
                if text is not None:
                    self.disk.write(full, text.encode())

    def _do_param(self) -> None:
        name = self.rng.choice(tuple(PARAM_VALUES))
        self.params[name] = self.rng.choice(PARAM_VALUES[name])
        self._write_params()

    def _do_env(self) -> None:
        self._set_env(self.rng.choice(ENV_VALUES))

    def _do_command(self) -> None:
        self.configuration = replace(self.configuration, command=self.rng.randrange(2))

    def _do_outs(self) -> None:
        self.configuration = replace(self.configuration, more_outs=self.rng.randrange(2))

    def _do_wdir(self) -> None:
        self.configuration = replace(self.configuration, wdir=self.rng.randrange(2))

    def _do_package(self) -> None:
        name = self.rng.choice(tuple(PACKAGES))
        version = self.rng.choice(PACKAGES[name])
        path = package_file(name)
        if version is None and self._came(path):
            return
        self._note_new(path)
        self.disk.remove(path)
        if version is not None:
            self.disk.write(path, version.encode())

    def _do_python(self) -> None:
        self.disk.write(PYTHON, self.rng.choice(PYTHONS).encode())

    def _do_tamper(self) -> None:
        """Somebody alters or deletes an out, or sets the counter."""
        stage = self.rng.choice(self.project.stages)
        if not self.machine.running(stage.name) and stage.name not in self.busy:
            self.tamper(stage)

    def tamper(self, stage: Stage) -> None:
        """Alter or delete an out of this stage."""
        path = f"{ROOT}/{self.rng.choice(stage.out_paths)}"
        files = list(self.disk.files(path))
        if not files:
            return
        file = self.rng.choice(files)
        how = self.rng.randrange(4)
        self.tampers[stage.name] += 1
        if how == 0:
            self.disk.remove(path)
        elif how == 1:
            self.disk.write(file, self.rng.choice((b"tampered", b"again")))
        elif how == 2:
            text = self.disk.read(file)
            self.disk.write(file, text[:-1] + self.rng.choice((b"x", b"y")))
        else:
            self.disk.replace(file, self.disk.read(file))
        for out in stage.outs:
            if out.persist:
                self.note_persist(out.path)

    def _do_counter(self) -> None:
        self.disk.write(f"{ROOT}/{COUNTER}", self.rng.choice((b"1", b"2", b"7")))

    def _do_lose(self) -> None:
        if self.objects:
            del self.objects[self.rng.choice(sorted(self.objects))]

    def _do_noise(self) -> None:
        path = f"{ROOT}/{self.rng.choice(NOISE)}"
        if self.disk.is_file(path) and self.rng.randrange(2):
            self.disk.unlink(path)
        else:
            self.disk.write(path, b"left behind")

    def _do_undo(self) -> None:
        """Back to what the file last edited was before."""
        if self._undo is not None:
            self._set(*self._undo)

    def _set(self, path: str, text: str | None) -> None:
        full = f"{ROOT}/{path}"
        before = self.disk.text(full)
        self._undo = (path, before)
        if text is None:
            if not self._came(full):
                self.disk.remove(full)
            return
        self._note_new(full)
        if self.rng.randrange(2):
            self.disk.write(full, text.encode())
        else:
            self.disk.replace(full, text.encode())

    def _came(self, path: str) -> bool:
        """Whether a file was not there when the stages that run now began.

        One that comes and goes within a run is not seen, and documented as such.
        """
        return self.appeared is not None and path in self.appeared

    def _note_new(self, path: str) -> None:
        if self.appeared is not None and not self.disk.is_file(path):
            self.appeared.add(path)

    def _write_params(self) -> None:
        text = params_text(self.params, self.rng.randrange(2)).encode()
        if self.rng.randrange(2):
            self.disk.write(PARAMS, text)
        else:
            self.disk.replace(PARAMS, text)

    def _set_env(self, value: str | None) -> None:
        if value is None:
            self.env.pop(ENV_NAME, None)
            os.environ.pop(ENV_NAME, None)
        else:
            self.env[ENV_NAME] = os.environ[ENV_NAME] = value


def _some_stages(rng: random.Random) -> tuple[str, ...]:
    """Four of the stages; report without train would read nothing."""
    others = rng.sample([name for name in ALL_STAGES if name != "prepare"], 3)
    if "report" in others and "train" not in others:
        others = ["train", "report"]
    return tuple(name for name in ALL_STAGES if name == "prepare" or name in others)


# The environment of a process and its project stand while it works.
_NOT_MEANWHILE = frozenset(("env", "command", "outs", "wdir", "lose", "python"))
