"""The hand that promotes and rolls back."""

from __future__ import annotations

import dataclasses
import threading

from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.errors import GateRefusedError, UsageError
from mlbench.domain.ledger import PROMOTE, ROLLBACK
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.engine.change import Change, changing
from mlbench.engine.gating import Gating
from mlbench.engine.hands.going_live import GoingLive, Step
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases, find_environment, find_model
from mlbench.pipeline.workspace import Workspace
from mlbench.project.git import code_state
from mlbench.project.layout import Layout
from mlbench.release.promotion import choose, objections, previous_version
from mlbench.tracking.query import resolve
from mlbench.tracking.store import ExperimentStore


class ReleasingHand:
    """Promotes and rolls back; one command at a time, in the order of asking."""

    def __init__(
        self,
        layout: Layout,
        releases: Releases,
        workspace: Workspace,
        store: ExperimentStore,
        gating: Gating,
        ending: threading.Event | None = None,
    ) -> None:
        """Use what the loop has open; once `ending` is set, `on_promote` is stopped."""
        self._layout = layout
        self._releases = releases
        self._workspace = workspace
        self._store = store
        self._gating = gating
        self._going_live = GoingLive(layout, releases, ending or threading.Event())

    def promote(self, project: Project, command: Promote, tell: Tell) -> str:
        """Make a candidate or version what an environment serves; gives the sentence that says so.

        GateRefusedError, UsageError, PortTakenError or ServingError leave everything as it was;
        OutsideNotToldError says that it is live, but `on_promote` failed.
        """
        environment = find_environment(project, command.environment)
        if command.force and not command.reason.strip():
            raise UsageError("--force needs --reason TEXT, which the ledger keeps")
        with changing(self._layout, self._releases, environment) as change:
            step = self._judged(project, command, environment, change, tell)
            version = self._releases.registry.register(step.version)
            step = dataclasses.replace(step, version=version)
            standing = change.standing(version.model)
            if standing is not None and standing.version == version.version:
                return self._going_live.still_live(change, step, standing, tell)
            return self._going_live.carry_out(change, step, tell)

    def rollback(self, project: Project, command: Rollback, tell: Tell) -> str:
        """Make an environment serve what it served before; UsageError where there is nothing.

        No gate is judged and nothing is compared: it was live there. It must load, though.
        """
        environment = find_environment(project, command.environment)
        with changing(self._layout, self._releases, environment) as change:
            named = command.model
            # What is live goes back also where mlbench.toml has it no more, or by another name.
            is_live = named is not None and change.standing(named) is not None
            model = named if named and is_live else find_model(project, named).name
            _, before = previous_version(change.entries, environment.name, model)
            version = self._releases.registry.version(model, before.version)
            step = Step(ROLLBACK, version, reason=command.reason.strip(), commit=before.commit)
            return self._going_live.carry_out(change, step, tell)

    def _judged(
        self,
        project: Project,
        command: Promote,
        environment: EnvironmentSpec,
        change: Change,
        tell: Tell,
    ) -> Step:
        """What to promote, its gates as of today; GateRefusedError where something is against it.

        With `force` that is written down instead.
        """
        model = find_model(project, command.model)
        which = self._run_id(project, command.which)
        candidate = self._chosen(model.name, which, environment, change, force=command.force)
        run = self._run_of(candidate)
        gates = self._gating.judge(project, model, run, candidate, tell)
        committed_as = self._committed_as(project, run)
        against = objections(
            candidate,
            gates,
            environment,
            change.entries,
            dirty=run.code.dirty and committed_as is None,
            allow_dirty=command.allow_dirty,
        )
        if against and not command.force:
            raise GateRefusedError(against[0])
        return Step(
            PROMOTE,
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
