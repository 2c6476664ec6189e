"""The hand of release and serving: gates, export, promotion, rollback."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
from collections.abc import Callable

from mlbench.domain.clock import utc
from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.errors import ExportError, ServingError, UsageError, nearest
from mlbench.domain.events import CandidateKept, Event, ExportStarted, Notice, Promoted
from mlbench.domain.plain import to_plain
from mlbench.domain.release import Candidate, Deployment, GateResult, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project
from mlbench.engine.facts import gate_facts
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.export import ExportJob, export
from mlbench.release.gates import hold, judge_gates
from mlbench.release.ledger import PROMOTE, ROLLBACK, Ledger, live
from mlbench.release.promotion import check_allowed, choose, deployment_of, previous_version
from mlbench.release.registry import MODEL_NAME, Registry
from mlbench.serving.supervise import ensure_up, wait_serving
from mlbench.system.files import write_json
from mlbench.tracking.query import resolve
from mlbench.tracking.store import ExperimentStore

Tell = Callable[[Event], None]


class ReleasingHand:
    """Judges, exports and promotes; one call at a time, in the order of asking."""

    def __init__(self, layout: Layout, workspace: Workspace, store: ExperimentStore) -> None:
        """Open registry and ledger of a project."""
        self._layout = layout
        self._workspace = workspace
        self._store = store
        self.registry = Registry(layout.models)
        self.ledger = Ledger(layout.ledger)

    def judge(self, project: Project, run: Run, tell: Tell) -> tuple[GateResult, ...]:
        """Judge the gates of every model that a run stands for, exporting those that may pass."""
        results: list[GateResult] = []
        for model in project.models:
            record = run.stages.get(model.stage)
            if record is not None and record.outcome.stands:
                results += self._judge_model(project, model, run, tell)
        return tuple(results)

    def promote(self, project: Project, command: Promote, tell: Tell) -> str:
        """Make a candidate or version what an environment serves; gives the sentence that says so.

        GateRefusedError, UsageError, PortTakenError or ServingError leave everything as it was.
        """
        environment = find_environment(project, command.environment)
        model = find_model(project, command.model)
        entries = self.ledger.entries()
        candidate = choose(
            model.name,
            self._run_id(project, command.which),
            environment,
            candidates=self.registry.candidates(model.name),
            versions=self.registry.versions(model.name),
            entries=entries,
        )
        run = self._run_of(candidate)
        gates = judge_gates(
            model, gate_facts(project, model, run, candidate, self._live()), exported=True
        )
        candidate = dataclasses.replace(candidate, gates=gates)
        check_allowed(
            candidate,
            gates,
            environment,
            entries,
            dirty=run.code.dirty,
            allow_dirty=command.allow_dirty,
        )
        status = ensure_up(self._layout, environment)
        version = self.registry.register(candidate)
        standing = live(entries).get(environment.name, {}).get(model.name)
        if standing is not None and standing.version == version.version:
            deployment = write_deployment(self._layout, self.registry, self.ledger, environment)
            wait_serving(self._layout, environment, deployment.sequence)
            return f"{environment.name} serves {model.name} v{version.version} already"
        self._change(environment, version, PROMOTE, tell)
        return f"{environment.name} serves {model.name} v{version.version} at {status.address}"

    def rollback(self, project: Project, command: Rollback, tell: Tell) -> str:
        """Make an environment serve what it served before; UsageError where there is nothing."""
        environment = find_environment(project, command.environment)
        model = find_model(project, command.model)
        _, before = previous_version(self.ledger.entries(), environment.name, model.name)
        status = ensure_up(self._layout, environment)
        versions = self.registry.versions(model.name)
        version = next(item for item in versions if item.version == before.version)
        self._change(environment, version, ROLLBACK, tell)
        return (
            f"{environment.name} serves {model.name} v{version.version} again at {status.address}"
        )

    def _judge_model(
        self, project: Project, model: ModelSpec, run: Run, tell: Tell
    ) -> tuple[GateResult, ...]:
        live_now = self._live()
        kept = self.registry.find(model.name, run=run.id)
        facts = gate_facts(project, model, run, kept, live_now)
        gates = judge_gates(model, facts, exported=kept is not None)
        if kept is not None:
            self.registry.judged(dataclasses.replace(kept, gates=gates))
            return gates
        passed = run.outcome is not None and run.outcome.word == "passed"
        if not passed or not hold(gates) or model.sample is None:
            return gates
        try:
            candidate = self._export(project, model, run, tell)
        except ExportError as error:
            tell(Notice(utc(), "error", str(error)))
            return gates
        facts = gate_facts(project, model, run, candidate, live_now)
        gates = judge_gates(model, facts, exported=True)
        self.registry.judged(dataclasses.replace(candidate, gates=gates))
        return gates

    def _export(self, project: Project, model: ModelSpec, run: Run, tell: Tell) -> Candidate:
        digest = run.stages[model.stage].outs.get(model.path)
        if digest is None or not self._workspace.store.has(digest):
            raise ExportError(
                f"models.{model.name}: the cache has {model.path} of run {run.name} no more; "
                f"`mlbench run {model.stage} --force` makes it again"
            )
        tell(ExportStarted(utc(), run.id, model.name))
        sample_digest = self._sample_digest(model, run)
        job = ExportJob(
            model=model,
            run=run.id,
            source=self._workspace.store.path_of(digest),
            source_digest=digest,
            sample=self._workspace.store.path_of(sample_digest),
            sample_digest=sample_digest,
            python=project.python,
            project=self._layout.root,
            log=self._layout.run_folder(run.id) / "export.log",
        )
        candidate = export(job, self.registry)
        tell(CandidateKept(utc(), run.id, model.name, candidate.digest, candidate.parity))
        return candidate

    def _sample_digest(self, model: ModelSpec, run: Run) -> str:
        """The held-out rows as the run had them: a stage's out, else a file of the project."""
        sample = model.sample or ""
        for record in run.stages.values():
            if sample in record.outs:
                return record.outs[sample]
        path = self._layout.root / sample
        digest = self._workspace.digests.content(path)
        if digest is None:
            raise ExportError(
                f"mlbench.toml: models.{model.name}.sample: {sample} does not exist; "
                "name the file that holds the held-out rows"
            )
        self._workspace.store.put(path, digest)
        return digest

    def _change(
        self,
        environment: EnvironmentSpec,
        version: Candidate,
        action: str,
        tell: Tell,
    ) -> None:
        """Write the ledger first, then what is derived from it, then wait for the server.

        A server that can't load the version keeps answering from the one before; the ledger then
        goes back to that as well.
        """
        self._append(environment, version, action, "")
        deployment = write_deployment(self._layout, self.registry, self.ledger, environment)
        try:
            status = wait_serving(self._layout, environment, deployment.sequence)
        except ServingError as error:
            with contextlib.suppress(UsageError):
                _, before = previous_version(self.ledger.entries(), environment.name, version.model)
                self._append_back(environment, version, before, str(error))
                write_deployment(self._layout, self.registry, self.ledger, environment)
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
        self.ledger.append(
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

    def _append_back(
        self, environment: EnvironmentSpec, version: Candidate, before: LedgerEntry, why: str
    ) -> None:
        versions = self.registry.versions(version.model)
        back = next(item for item in versions if item.version == before.version)
        self._append(environment, back, ROLLBACK, why)

    def _live(self) -> dict[str, tuple[Run, Candidate]]:
        """What each environment serves now; with several models, the last by name."""
        serving: dict[str, tuple[Run, Candidate]] = {}
        for environment, models in live(self.ledger.entries()).items():
            for name, entry in models.items():
                versions = self.registry.versions(name)
                version = next((v for v in versions if v.version == entry.version), None)
                run = self._store.get(entry.run)
                if version is not None and run is not None:
                    serving[environment] = (run, version)
        return serving

    def _run_of(self, candidate: Candidate) -> Run:
        run = self._store.get(candidate.run)
        if run is None:
            raise UsageError(f"run {candidate.run} is not in the record any more")
        return run

    def _run_id(self, project: Project, which: str | None) -> str | None:
        """A version number as it is; a run's name, prefix, `last` or `best` as its id."""
        if which is None or which.isdigit():
            return which
        name = f"@{which}" if which in ("last", "best") else which
        return resolve(name, self._store.runs(), project.objective).id


def write_deployment(
    layout: Layout, registry: Registry, ledger: Ledger, environment: EnvironmentSpec
) -> Deployment:
    """Derive what an environment serves from the ledger, for its server to read."""
    known = {
        (name, item.version or 0): (item, str(registry.folder_of(item) / MODEL_NAME))
        for name in registry.models()
        for item in registry.versions(name)
    }
    deployment = deployment_of(environment, ledger.entries(), known)
    path = layout.deployment(environment.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, to_plain(deployment))
    return deployment


def find_environment(project: Project, name: str) -> EnvironmentSpec:
    """The environment of this name; UsageError with the nearest spelling."""
    try:
        return project.environment(name)
    except KeyError:
        names = [environment.name for environment in project.environments]
        listed = ", ".join(names) or "none; add [environments.staging] to mlbench.toml"
        raise UsageError(
            f'there is no environment "{name}"{nearest(name, names)}; there are: {listed}'
        ) from None


def find_model(project: Project, name: str | None) -> ModelSpec:
    """The model of this name, or the only one; UsageError otherwise."""
    names = [model.name for model in project.models]
    if name is None and len(names) == 1:
        return project.models[0]
    if name is None:
        listed = ", ".join(names) or "none; add [models.NAME] to mlbench.toml"
        raise UsageError(f"say which model; there are: {listed}")
    try:
        return project.model(name)
    except KeyError:
        raise UsageError(f'there is no model "{name}"{nearest(name, names)}') from None
