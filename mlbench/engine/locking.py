"""Writing mlbench.lock from what stands, and holding a run to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from mlbench.domain.errors import MlbenchError, UsageError, nearest
from mlbench.domain.graph import in_order, with_ancestors
from mlbench.domain.outcomes import ReasonKind, StageState
from mlbench.domain.plan import StageStatus
from mlbench.domain.stages import Project
from mlbench.engine.lock_differences import (
    Difference,
    Portable,
    differences,
    sentence,
    unlockable,
)
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import LOCK_NAME, Layout
from mlbench.project.lockfile import as_text, read_lock, write_lock

_PROBE = "import platform as p; print(p.python_implementation(), p.python_version())"


class LockDiffersError(MlbenchError):
    """What a run gave is not what the lock says."""


class Locking:
    """One project's lock; reads the tree anew at each question."""

    def __init__(self, layout: Layout) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout

    def write(self) -> tuple[int, bool]:
        """Write the lock from what stands; gives how many stages it has, and whether it changed.

        UsageError names the stages that are not fresh, and then nothing is written.
        """
        project = load_project(self._layout)
        space = Workspace.open(self._layout)
        plan = space.plan(project)
        stale = unlockable(plan)
        traces = {status.name: self._trace(space, status) for status in plan.stages}
        stale += [name for name, trace in traces.items() if trace is None and name not in stale]
        if stale:
            raise UsageError(
                f"not fresh: {', '.join(stale)}; `mlbench run` brings them up to date, "
                "then the lock can be written"
            )
        portable = _portable(project)
        lock = {name: portable.stage(trace) for name, trace in traces.items() if trace is not None}
        return len(lock), write_lock(self._layout.lock, lock)

    def wanted(self, names: Iterable[str]) -> tuple[str, ...]:
        """The named stages and all that they need, or every stage, in topological order.

        UsageError for a wrong name.
        """
        needs = Workspace.open(self._layout).needs(load_project(self._layout))
        for name in names:
            if name not in needs:
                raise UsageError(f'there is no stage "{name}"{nearest(name, needs)}')
        chosen = with_ancestors(tuple(names), needs) if names else frozenset(needs)
        return tuple(name for name in in_order(needs) if name in chosen)

    def check_inputs(self, stages: Iterable[str]) -> None:
        """UsageError where an input of these stages is not the locked one, naming the first.

        Left out is what other stages give, for they are yet to give it. ProjectFileError where
        there is no lock, or none that can be read.
        """
        look = _Look(self._layout)
        for name in stages:
            for difference in look.differences(name):
                if not look.makers_of(difference):
                    raise UsageError(sentence(difference))

    def check_results(self, stages: Iterable[str]) -> None:
        """LockDiffersError where deterministic stages gave other outs than the locked ones.

        Or where an input moved while they ran. A stage whose inputs came out otherwise, for a stage
        before it is not deterministic, may give what it likes; so may what persists, for it goes on
        from what was there.
        """
        look = _Look(self._layout)
        as_locked: set[str] = set()
        wrong: list[str] = []
        for name in stages:
            differences = look.differences(name)
            for difference in differences:
                makers = look.makers_of(difference)
                # No makers at all, or such that gave what is locked: somebody else changed it.
                if makers <= as_locked:
                    raise LockDiffersError(f"{sentence(difference)} (seen once the run had ended)")
            others = look.other_outs(name)
            if not others:
                as_locked.add(name)
            if not differences and look.project.stage(name).deterministic:
                kept = {out.path for out in look.project.stage(name).outs if not out.persist}
                wrong += [f"{path} of {name}" for path in others if path in kept]
        if wrong:
            raise LockDiffersError(
                f"{LOCK_NAME}: the locked inputs gave other outs than the locked ones: "
                f"{', '.join(wrong)}; say deterministic = false where that is meant, "
                "or write the lock anew with `mlbench lock`"
            )

    def _trace(self, space: Workspace, status: StageStatus) -> Trace | None:
        standing = space.standing(status.name)
        if standing is None and status.state is StageState.FRESH:
            return space.traces.newest(status.name)
        return standing


class _Look:
    """The project, its lock and its tree, as they are at one moment."""

    def __init__(self, layout: Layout) -> None:
        self._lock = read_lock(layout.lock)
        self.project = load_project(layout)
        self._space = Workspace.open(layout)
        self._portable = _portable(self.project)
        self._makers = self._space.makers(self.project)

    def differences(self, name: str) -> tuple[Difference, ...]:
        """How a stage's inputs differ from the locked ones."""
        locked = self._lock.get(name)
        if locked is None:
            return (Difference(name, "", None, None),)
        stage, portable = self.project.stage(name), self._portable
        if stage.frozen:
            # What it was built from is as it was, whatever there is now.
            return ()
        parts = self._space.fingerprint(stage, self.project).parts
        found = self._space.found.values(map(portable.own, locked.found), stage)
        return (
            *differences(name, locked.inputs, portable.named(parts)),
            *differences(name, locked.found, portable.named(found)),
        )

    def makers_of(self, difference: Difference) -> frozenset[str]:
        """The other stages that give an input, or a part of it."""
        word, _, what = difference.name.partition(":")
        if word not in (ReasonKind.FILE.word, ReasonKind.CODE.word):
            return frozenset()
        makers = self._makers.owners_of(what.rstrip("/"))
        return frozenset(makers) - {difference.stage}

    def other_outs(self, name: str) -> list[str]:
        """The outs of a stage that are not the locked ones."""
        now = self._space.outs.now(self.project.stage(name))
        locked = self._lock[name].outs
        return [path for path, digest in now.items() if digest != locked.get(as_text(path))]


def _portable(project: Project) -> Portable:
    """For the project's interpreter; UsageError where it can't be asked for its version."""
    environment = os.path.dirname(os.path.dirname(project.python))
    try:
        done = subprocess.run(
            [project.python, "-I", "-S", "-c", _PROBE], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"{project.python}: can't be asked for its version: {error}") from None
    return Portable(environment, done.stdout.strip())
