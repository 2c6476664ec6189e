"""The hand that promotes and rolls back."""

from __future__ import annotations

import dataclasses
import getpass

from mlbench.domain.clock import utc
from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.errors import ServingError, UsageError
from mlbench.domain.events import Promoted
from mlbench.domain.ledger import PROMOTE, ROLLBACK, WITHDRAW, live
from mlbench.domain.release import Candidate, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.engine.facts import gate_facts
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases, find_environment, find_model
from mlbench.pipeline.workspace import Workspace
from mlbench.project.git import code_state
from mlbench.project.layout import Layout
from mlbench.release.gates import judge_gates
from mlbench.release.promotion import check_allowed, choose, previous_version
from mlbench.serving.supervise import ensure_up, wait_serving
from mlbench.tracking.query import resolve
from mlbench.tracking.store import ExperimentStore


class ReleasingHand:
    """Promotes and rolls back; one command at a time, in the order of asking."""

    def __init__(
        self, layout: Layout, releases: Releases, workspace: Workspace, store: ExperimentStore
    ) -> None:
        """Use what the loop has open."""
        self._layout = layout
        self._releases = releases
        self._workspace = workspace
        self._store = store

    def promote(self, project: Project, command: Promote, tell: Tell) -> str:
        """Make a candidate or version what an environment serves; gives the sentence that says so.

        GateRefusedError, UsageError, PortTakenError or ServingError leave everything as it was.
        """
        environment = find_environment(project, command.environment)
        model = find_model(project, command.model)
        entries = self._releases.ledger.entries()
        candidate = choose(
            model.name,
            self._run_id(project, command.which),
            environment,
            candidates=self._releases.registry.candidates(model.name),
            versions=self._releases.registry.versions(model.name),
            entries=entries,
        )
        run = self._run_of(candidate)
        live_now = self._releases.live_now(model.name, self._store)
        facts = gate_facts(project, model, run, candidate, live_now)
        gates = judge_gates(model, facts, exported=True)
        candidate = dataclasses.replace(candidate, gates=gates)
        committed_as = self._committed_as(project, run)
        check_allowed(
            candidate,
            gates,
            environment,
            entries,
            dirty=run.code.dirty and committed_as is None,
            allow_dirty=command.allow_dirty,
        )
        status = ensure_up(self._layout, environment)
        version = self._releases.registry.register(candidate)
        standing = live(entries).get(environment.name, {}).get(model.name)
        if standing is not None and standing.version == version.version:
            deployment = self._releases.write_deployment(environment)
            wait_serving(self._layout, environment, deployment.sequence)
            return f"{environment.name} serves {model.name} v{version.version} already"
        why = f"code committed since as {committed_as[:12]}" if committed_as else ""
        self._change(environment, version, PROMOTE, tell, why)
        return f"{environment.name} serves {model.name} v{version.version} at {status.address}"

    def rollback(self, project: Project, command: Rollback, tell: Tell) -> str:
        """Make an environment serve what it served before; UsageError where there is nothing."""
        environment = find_environment(project, command.environment)
        model = find_model(project, command.model)
        _, before = previous_version(self._releases.ledger.entries(), environment.name, model.name)
        status = ensure_up(self._layout, environment)
        version = self._releases.registry.version(model.name, before.version)
        self._change(environment, version, ROLLBACK, tell)
        return (
            f"{environment.name} serves {model.name} v{version.version} again at {status.address}"
        )

    def _change(
        self,
        environment: EnvironmentSpec,
        version: Candidate,
        action: str,
        tell: Tell,
        why: str = "",
    ) -> None:
        """Write the ledger first, then what is derived from it, then wait for the server.

        A server that can't load the version keeps answering from the one before; the step is then
        withdrawn, so that the ledger says what is live.
        """
        self._append(environment, version, action, why)
        deployment = self._releases.write_deployment(environment)
        try:
            status = wait_serving(self._layout, environment, deployment.sequence)
        except ServingError as error:
            self._append(environment, version, WITHDRAW, str(error))
            self._releases.write_deployment(environment)
            raise
        tell(
            Promoted(
                utc(),
                action,
                environment.name,
                version.model,
                version.version or 0,
                version.run,
                status.address,
            )
        )

    def _append(
        self, environment: EnvironmentSpec, version: Candidate, action: str, why: str
    ) -> None:
        self._releases.ledger.append(
            LedgerEntry(
                sequence=0,
                at=utc(),
                action=action,
                environment=environment.name,
                model=version.model,
                version=version.version or 0,
                digest=version.digest,
                run=version.run,
                by=getpass.getuser(),
                why=why,
            )
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
