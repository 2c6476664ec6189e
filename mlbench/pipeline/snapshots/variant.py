"""A variant of the project: the same with other parameters, in a snapshot, where stages run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.graph import with_ancestors
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.plan import Plan
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.job import Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.apart import Apart, fill, written
from mlbench.pipeline.snapshots.isolated import inside
from mlbench.pipeline.snapshots.set_params import set_params
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.system.files import read_json, write_json

_PURPOSE = "set"
_CLAIM = "variant.json"


class Variant(Apart):
    """A snapshot that is held, with the project as it was at launch.

    What runs here leaves traces and outs in the cache, and the project's own files alone. The slot
    is claimed from the first on until all is done, also where its holder is killed: then the next
    one takes it up, or clears it.
    """

    def __init__(
        self, snapshot: Snapshot, workspace: Workspace, project: Project, stages: tuple[Stage, ...]
    ) -> None:
        """Over a snapshot of which the lock is held; `stages` are those that may run there."""
        super().__init__(snapshot, workspace, project)
        self.slot = snapshot.folder.name
        self.wanted = replace(project, stages=stages)
        self.stages = {stage.name: stage for stage in stages}

    @classmethod
    def make(
        cls,
        layout: Layout,
        workspace: Workspace,
        project: Project,
        names: Iterable[str],
        params: Mapping[str, Any],
    ) -> Variant:
        """Take a free slot and bring it up to date for these stages, or all, and what they need.

        `params` maps dotted keys, after their file and a colon where that is another than the
        project's own, to values. UsageError for an unknown stage, ProjectFileError for a parameter
        that is not there.
        """
        needs = workspace.needs(project)
        names = tuple(names) or tuple(needs)
        for name in names:
            if name not in needs:
                raise UsageError(f'there is no stage "{name}"{nearest(name, needs)}')
        wanted = with_ancestors(names, needs)
        stages = tuple(stage for stage in project.stages if stage.name in wanted)
        variant = cls(_free_slot(layout), workspace, project, stages)
        try:
            variant._prepare(params)
        except BaseException:
            variant.release()
            raise
        return variant

    @classmethod
    def take_up(cls, layout: Layout, workspace: Workspace, slot: str) -> Variant | None:
        """The variant that a holder before has left in a slot; None where it can't be had."""
        snapshot = Snapshot(layout, slot)
        claim = read_json(snapshot.folder / _CLAIM)
        if claim is None or not snapshot.try_acquire(with_leftover=True):
            return None
        try:
            project = from_plain(Project, claim["project"])
            names = set(claim["stages"])
        except (KeyError, TypeError, ValueError):
            snapshot.release()
            return None
        stages = tuple(stage for stage in project.stages if stage.name in names)
        variant = cls(snapshot, workspace, project, stages)
        variant.space.recover()
        return variant

    def plan(self) -> Plan:
        """How the stages stand here."""
        return self.space.plan(self.wanted)

    def bring_in(self) -> None:
        """Put the outs of every stage that need not run in their places, as running them would."""
        for status in self.plan().stages:
            stage = self.wanted.stage(status.name)
            nowhere = Job("", self._snapshot.folder)
            build = self.build(stage, nowhere, lambda _: None, lambda _: {})
            build.bring_in(self.space.fingerprint(stage, self.project))

    def unfinished(self) -> tuple[Launch, ...]:
        """The launches of a holder before that can be gone on with."""
        return self.space.unfinished()

    def release(self) -> None:
        """All is done: the slot is free for the next."""
        try:
            self.space.digests.save()
            (self._snapshot.folder / _CLAIM).unlink(missing_ok=True)
        finally:
            self._snapshot.release()

    def let_go(self) -> None:
        """Leave the slot, and what runs there, to the next holder."""
        self._snapshot.release()

    def _prepare(self, params: Mapping[str, Any]) -> None:
        self.clear()
        stages = self.wanted.stages
        names = [stage.name for stage in stages]
        claim = {"project": to_plain(self.project), "stages": names}
        write_json(self._snapshot.folder / _CLAIM, claim)
        kept = [out.path for out in written(stages)]
        fill(self._snapshot, self._origin, self.project, stages, kept)
        set_params(self.root, params)


def clear_unclaimed(layout: Layout, workspace: Workspace, claimed: Iterable[str]) -> None:
    """Stop what was left running in slots that nobody goes on with, and free them."""
    for slot in set(slots_left(layout)) - set(claimed):
        snapshot = Snapshot(layout, slot)
        if snapshot.try_acquire(with_leftover=True):
            variant = Variant(snapshot, workspace, _NO_PROJECT, ())
            variant.clear()
            variant.release()


def slots_left(layout: Layout) -> list[str]:
    """The slots that somebody has claimed, alive or not."""
    return sorted(path.parent.name for path in layout.snapshots.glob(f"{_PURPOSE}-*/{_CLAIM}"))


def something_runs_apart(layout: Layout, workspace: Workspace) -> bool:
    """Whether a stage goes on in a variant that its holder has left."""
    slots = (Snapshot(layout, slot) for slot in slots_left(layout))
    return any(inside(workspace, snapshot).unfinished() for snapshot in slots)


_NO_PROJECT = Project("", "", 1, ())


def _free_slot(layout: Layout) -> Snapshot:
    """The first slot that nobody uses, nor any process of a holder that was killed."""
    number = 1
    while True:
        snapshot = Snapshot(layout, f"{_PURPOSE}-{number}")
        if snapshot.try_acquire():
            if not (snapshot.folder / _CLAIM).exists():
                return snapshot
            snapshot.release()
        number += 1
