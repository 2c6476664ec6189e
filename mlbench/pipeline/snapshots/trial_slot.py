"""The snapshots of a sweep: one of the project as the sweep began, and one a job slot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.plan import Reason
from mlbench.domain.records import dataclass
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.isolated import inside
from mlbench.pipeline.snapshots.set_params import set_params
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.variant_build import VariantBuild
from mlbench.pipeline.snapshots.wanted import inputs_among
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.system.files import read_json, write_json

_CLAIM, _BEGUN_WITH = "trial.json", "begun_with.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """The trial that a slot is taken for: its number, parameters, and a run for each repeat."""

    number: int
    params: Mapping[str, Any]
    runs: tuple[str, ...]


class SweepBase:
    """The project as a sweep began; whatever is edited since, its trials are made from this."""

    def __init__(self, layout: Layout, study: str) -> None:
        """Name it; `take` makes it or takes it up."""
        self.snapshot = Snapshot(layout, f"sweep-{study}-base")
        self._layout = layout
        self._study = study
        self._mark = self.snapshot.folder / _BEGUN_WITH

    @property
    def exists(self) -> bool:
        """Whether it was made, whole, and is still there."""
        return self._mark.exists()

    def take(self, workspace: Workspace, project: Project, stages: tuple[Stage, ...]) -> Project:
        """Hold it, made of the project as it stands now unless it was made before.

        Gives the project as the sweep began with it. SweepError where another process holds it.
        """
        if not self.snapshot.try_acquire(with_leftover=True):
            raise SweepError("another process works on this study")
        plain = read_json(self._mark)
        if plain is not None:
            return from_plain(Project, plain)
        inputs: list[str] = []
        for stage in stages:
            latest = workspace.traces.latest(stage.name)
            found = latest.found if latest is not None else ()
            inputs += (*workspace.fingerprint(stage, project).parts, *found)
        self.snapshot.bring_up_to_date(stages, project, inputs_among(inputs), outs_of(stages))
        write_json(self._mark, to_plain(project))
        return project

    def workspace(self, origin: Workspace) -> Workspace:
        """The workspace over it; nothing is built there."""
        return inside(origin, self.snapshot)

    def has_slot(self, number: int) -> bool:
        """Whether there was ever a job slot of this number."""
        return (self.snapshot.folder.parent / f"sweep-{self._study}-{number}").is_dir()

    def slot(self, number: int, workspace: Workspace, project: Project) -> TrialSlot:
        """The job slot of this number, held; SweepError where another process holds it."""
        snapshot = Snapshot(self._layout, f"sweep-{self._study}-{number}")
        if not snapshot.try_acquire(with_leftover=True):
            raise SweepError("another process works on this study")
        return TrialSlot(number, self, snapshot, workspace, project)

    def drop_slots(self) -> None:
        """Remove the slots' copies; nobody may be at work in them."""
        for folder in self.snapshot.folder.parent.glob(f"sweep-{self._study}-*"):
            if folder != self.snapshot.folder:
                shutil.rmtree(folder, ignore_errors=True)

    def release(self) -> None:
        """Let it go; it stays for whoever goes on with the sweep."""
        self.snapshot.release()


class TrialSlot:
    """A snapshot in which one trial after the other runs; what it builds lands in the cache."""

    def __init__(
        self,
        number: int,
        base: SweepBase,
        snapshot: Snapshot,
        workspace: Workspace,
        project: Project,
    ) -> None:
        """Over a snapshot of which the lock is held; `workspace` is the project's own."""
        self.number = number
        self.root = snapshot.tree
        self.space = inside(workspace, snapshot)
        self._base = base
        self._snapshot = snapshot
        self._origin = workspace
        self._project = project

    @property
    def claim(self) -> Claim | None:
        """The trial that a coordinator before has left here, if one has."""
        plain = read_json(self._snapshot.folder / _CLAIM)
        try:
            return None if plain is None else from_plain(Claim, plain)
        except (ValueError, KeyError, TypeError):
            return None

    def take_for(self, claim: Claim) -> None:
        """Write down which trial is about to run here."""
        write_json(self._snapshot.folder / _CLAIM, to_plain(claim))

    def free(self) -> None:
        """The trial is told: nobody has to go on with it."""
        (self._snapshot.folder / _CLAIM).unlink(missing_ok=True)

    def prepare(self, stages: tuple[Stage, ...], params: Mapping[str, Any]) -> None:
        """Make the tree the base's with these parameters; outs of before stay."""
        self._snapshot.mirror(self._base.snapshot, outs_of(stages))
        set_params(self.root, params)

    def build(
        self,
        stage: Stage,
        job: Job,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> VariantBuild:
        """A build of one stage here."""
        return VariantBuild(self._origin, self.space, self._project, stage, job, on_start, logged)

    def adopt(self, launch: Launch, logged: Callable[[Path], Mapping[str, float]]) -> Build:
        """A build here that a coordinator before began."""
        return Build.adopt(self.space, self._project, launch, logged=logged)

    def take_up(self) -> tuple[tuple[Launch, ...], list[str]]:
        """What a coordinator before left: launches to go on with, and stages that are lost.

        Of those that are lost the process is gone, and what they wrote half is taken back.
        """
        lost = self.space.recover()
        return self.space.unfinished(), lost

    def clear(self) -> None:
        """Stop and take back whatever is running or half done here."""
        self.space.stop_all()

    def release(self) -> None:
        """Let the slot go."""
        self.space.digests.save()
        self._snapshot.release()


def outs_of(stages: Iterable[Stage]) -> list[str]:
    """What these stages write; a frozen stage's outs are inputs like any other."""
    return [out for stage in stages if not stage.frozen for out in stage.out_paths]
