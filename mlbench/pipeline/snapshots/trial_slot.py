"""The snapshots of a sweep: one of the project as the sweep began, and one a job slot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.plan import Reason
from mlbench.domain.records import dataclass
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.job import Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.apart import Apart, fill, written
from mlbench.pipeline.snapshots.isolated import inside
from mlbench.pipeline.snapshots.set_params import set_params
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.variant_build import VariantBuild
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.system.files import read_json, write_json
from mlbench.system.values import read_value

_CLAIM, _BEGUN_WITH, _SETTLED = "trial.json", "begun_with.json", "settled.json"


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
        self._settled = self.snapshot.folder / _SETTLED
        self.settled = frozenset(read_json(self._settled) or ())

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
        self._settle_with(frozenset())
        # Every trial goes on from what persisted then, and none from what another has left.
        made_anew = [out.path for out in written(stages) if not out.persist]
        fill(self.snapshot, workspace, project, stages, made_anew)
        write_json(self._mark, to_plain(project))
        return project

    def settle(self, stage: Stage, given: Trace | None, slot: TrialSlot) -> None:
        """Keep for all trials what a stage that none of them touches gave in a slot.

        Only of one that could give them something else: it runs every time, or what it gave is not
        in the cache. From then on it stands in every slot, for as long as the study is gone on
        with.
        """
        if stage.name in self.settled or not _may_differ(stage, given, slot.space):
            return
        space = self.workspace(slot.space)
        for path in stage.out_paths:
            space.tree.remove(space.root / path)
            if slot.space.tree.stat(slot.root / path) is not None:
                space.tree.copy(slot.root / path, space.root / path)
        self._settle_with(self.settled | {stage.name})

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

    def _settle_with(self, names: frozenset[str]) -> None:
        self.settled = names
        write_json(self._settled, sorted(names))


class TrialSlot(Apart):
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
        super().__init__(snapshot, workspace, project, base.workspace(workspace))
        self.number = number
        self._base = base

    @property
    def claim(self) -> Claim | None:
        """The trial that a coordinator before has left here, if one has."""
        return read_value(Claim, self._snapshot.folder / _CLAIM)

    def take_for(self, claim: Claim) -> None:
        """Write down which trial is about to run here."""
        write_json(self._snapshot.folder / _CLAIM, to_plain(claim))

    def free(self) -> None:
        """The trial is told: nobody has to go on with it."""
        (self._snapshot.folder / _CLAIM).unlink(missing_ok=True)

    def prepare(self, stages: tuple[Stage, ...], params: Mapping[str, Any]) -> None:
        """Make the tree the base's with these parameters; outs of before stay."""
        own = (stage for stage in stages if stage.name not in self._base.settled)
        self._snapshot.mirror(self._base.snapshot, [out.path for out in written(own)])
        set_params(self.root, params)

    def settle(self, stage: Stage, given: Trace | None) -> None:
        """Have all trials use what this stage gave here, which none of them touches."""
        self._base.settle(stage, given, self)

    def build(
        self,
        stage: Stage,
        job: Job,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> VariantBuild:
        """A build of one stage here; one that runs every time has done so for all trials."""
        if stage.name in self._base.settled:
            stage = replace(stage, always_changed=False)
        return super().build(stage, job, on_start, logged)

    def take_up(self) -> tuple[tuple[Launch, ...], list[str]]:
        """What a coordinator before left: launches to go on with, and stages that are lost.

        Of those that are lost the process is gone, and what they wrote half is taken back.
        """
        lost = self.space.recover()
        return self.space.unfinished(), lost

    def release(self) -> None:
        """Let the slot go."""
        self.space.digests.save()
        self._snapshot.release()


def _may_differ(stage: Stage, given: Trace | None, space: Workspace) -> bool:
    """Whether building a stage anew, from the same, could give something else than it gave."""
    outs = given.outs.values() if given is not None else ()
    return (
        stage.always_changed
        or stage.frozen
        or not stage.deterministic
        or any(out.persist for out in stage.outs)
        or not all(map(space.store.has, outs))
    )
