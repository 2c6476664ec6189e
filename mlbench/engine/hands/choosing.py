"""Which candidate a command means, and what speaks for and against it today."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mlbench.domain.commands import Promote, SetTraffic, StartCanary, StartShadow
from mlbench.domain.errors import GateRefusedError, UsageError
from mlbench.domain.ledger import PROMOTE
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project
from mlbench.engine.change import Change
from mlbench.engine.gating import Gating
from mlbench.engine.hands.step import Step
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases, find_model
from mlbench.pipeline.workspace import Workspace
from mlbench.project.git import code_state
from mlbench.project.layout import Layout
from mlbench.release.promotion import choose, objections
from mlbench.tracking.query import resolve
from mlbench.tracking.store import ExperimentStore


class Choosing:
    """Finds what is to go somewhere, and judges it as of today."""

    def __init__(
        self,
        layout: Layout,
        releases: Releases,
        workspace: Workspace,
        store: ExperimentStore,
        gating: Gating,
    ) -> None:
        """Use what the loop has open."""
        self._layout = layout
        self._releases = releases
        self._workspace = workspace
        self._store = store
        self._gating = gating

    def candidate(
        self,
        project: Project,
        model: ModelSpec,
        command: Promote | StartCanary | StartShadow,
        environment: EnvironmentSpec,
        change: Change,
    ) -> Candidate:
        """What a command means by what stands after @; UsageError where there is no such thing.

        A shadow answers nobody, so whether its gates hold does not matter.
        """
        is_free = isinstance(command, StartShadow) or command.force
        which = self._run_id(project, command.which)
        return self._chosen(model.name, which, environment, change, force=is_free)

    def version(
        self, model: ModelSpec, number: int, environment: EnvironmentSpec, change: Change
    ) -> Candidate:
        """The version of this number; UsageError with those that there are."""
        return self._chosen(model.name, str(number), environment, change, force=False)

    def judged(
        self,
        action: str,
        project: Project,
        candidate: Candidate,
        command: Promote | StartCanary | SetTraffic,
        change: Change,
        tell: Tell,
        more_against: Sequence[str] = (),
    ) -> Step:
        """What to do with a candidate, its gates as of today.

        GateRefusedError where something is against it; with `force` that is written down instead.
        """
        model = find_model(project, candidate.model)
        run = self._run_of(candidate)
        gates = self._gating.judge(project, model, run, candidate, tell)
        committed_as = self._committed_as(project, run)
        against = objections(
            candidate,
            gates,
            change.environment,
            change.entries,
            dirty=run.code.dirty and committed_as is None,
            allow_dirty=command.allow_dirty,
            promotes=action == PROMOTE,
        )
        against = (*against, *more_against)
        if against and not command.force:
            raise GateRefusedError(against[0])
        return Step(
            action,
            dataclasses.replace(candidate, gates=gates),
            gates,
            f"code committed since as {committed_as[:12]}" if committed_as else "",
            command.reason.strip(),
            command.force,
            against,
            committed_as or run.code.commit or "",
        )

    def _chosen(
        self,
        model: str,
        which: str | None,
        environment: EnvironmentSpec,
        change: Change,
        *,
        force: bool,
    ) -> Candidate:
        registry = self._releases.registry
        return choose(
            model,
            which,
            environment,
            candidates=registry.candidates(model),
            versions=registry.versions(model),
            entries=change.entries,
            force=force,
        )

    def _committed_as(self, project: Project, run: Run) -> str | None:
        """The commit that holds a run's code by now, where it was dirty when it ran.

        That is so when nothing differs from the commit and every fingerprint still is the run's.
        """
        if not run.code.dirty:
            return None
        code = code_state(self._layout.root)
        plan = self._workspace.plan(project)
        state = {status.name: status.key for status in plan.stages if status.name in run.stages}
        return code.commit if not code.dirty and state == run.state else None

    def _run_of(self, candidate: Candidate) -> Run:
        run = self._store.get(candidate.run)
        if run is None:
            raise UsageError(f"run {candidate.run} is not in the record any more")
        return run

    def _run_id(self, project: Project, which: str | None) -> str | None:
        """A version number as it is; a run's name, prefix, `last` or `best` as its id."""
        if which is None or which.isdecimal():
            return which
        name = f"@{which}" if which in ("last", "best") else which
        return resolve(name, self._store.newest(), project.objective).id


def check_force(command: Promote | StartCanary | SetTraffic) -> None:
    """UsageError where rules are to be overruled and nobody says why."""
    if command.force and not command.reason.strip():
        raise UsageError("--force needs --reason TEXT, which the ledger keeps")
