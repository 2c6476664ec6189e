"""Read-only questions that every face may ask, whoever holds the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.plan import Plan
from mlbench.domain.stages import Project
from mlbench.project.config import find_project, load_project
from mlbench.project.layout import Layout
from mlbench.system.locks import is_held

if TYPE_CHECKING:
    from mlbench.domain.curves import CurveSource
    from mlbench.domain.release import Candidate, EnvironmentStatus, LedgerEntry
    from mlbench.domain.runs import Run, TestResult
    from mlbench.domain.serving import Traffic
    from mlbench.domain.use import Use
    from mlbench.tracking.history import History
    from mlbench.tracking.logged import Artifact
    from mlbench.tracking.store import ExperimentStore


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A candidate or version with where it is live, and its model file.

    `beside` says what it is in environments where another one is live: a canary, a shadow, `20 %`.
    """

    candidate: Candidate
    environments: tuple[str, ...]
    path: Path
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def places(self) -> tuple[str, ...]:
        """Where it is live, and what it is elsewhere: `staging`, `canary in production`."""
        beside = (f"{' and '.join(roles)} in {name}" for name, roles in self.beside.items())
        return (*self.environments, *beside)


class Queries:
    """Answers from the files of one project; never starts the loop and never writes the record."""

    def __init__(self, layout: Layout) -> None:
        """Ask about this project."""
        self.layout = layout
        self._store: ExperimentStore | None = None

    @classmethod
    def of(cls, folder: Path) -> Queries:
        """Queries on the project that a folder belongs to; UsageError where there is none."""
        return cls(find_project(folder))

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.layout.root

    def project(self) -> Project:
        """The configuration as it stands; ProjectFileError where it is wrong."""
        return load_project(self.layout)

    def status(self) -> Plan:
        """How every stage stands."""
        # Late, as below: who asks of the record needs nothing that makes a plan.
        from mlbench.pipeline.workspace import Workspace

        return Workspace.open(self.layout).plan(self.project())

    def loop_is_held(self) -> bool:
        """Whether some process runs this folder's loop."""
        return is_held(self.layout.loop_lock)

    def something_runs(self) -> bool:
        """Whether a loop is held here, or stages go on that a loop has left."""
        if self.loop_is_held():
            return True
        from mlbench.pipeline.snapshots.variant import something_runs_apart
        from mlbench.pipeline.workspace import Workspace

        workspace = Workspace.open(self.layout)
        return bool(workspace.unfinished()) or something_runs_apart(self.layout, workspace)

    def store(self) -> ExperimentStore:
        """The experiment store; what it had to repair stands in its `notices`."""
        if self._store is None:
            from mlbench.tracking.store import ExperimentStore

            self._store = ExperimentStore(self.layout)
        return self._store

    def record_stamp(self) -> tuple[object, ...]:
        """Changes whenever the record does, or a script's own run begins or ends.

        It is a few looks at the file system, however long the history is.
        """
        from mlbench.tracking.adoption import Unrecorded

        index = self.layout.experiments
        stamp: list[object] = [Unrecorded(self.layout).stamp()]
        for path in (index, index.with_suffix(".journal")):
            with contextlib.suppress(OSError):
                found = path.stat()
                stamp += [path.name, found.st_mtime_ns, found.st_size]
        return tuple(stamp)

    def runs(
        self,
        *,
        where: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        everything: bool = False,
        best: str | None = None,
        last: bool = False,
        study: str = "",
        trials: bool = True,
    ) -> History:
        """Recorded runs, newest first or by a key, decoded as they are touched.

        `best` gives those that passed by an objective, the project's where it is empty, trials of
        studies among them; `last` those that passed. `study` is the id of one whose trials alone
        are asked for; without `trials` those of no study come. UsageError for a bad expression, key
        or objective.
        """
        from mlbench.tracking.query import objective_of, passed, ranked, select

        newest = self.store().newest()
        if best is None and not last:
            return select(
                newest,
                where=where,
                sort=sort,
                limit=limit,
                everything=everything,
                study=study,
                trials=trials,
            )
        everything = everything or best is not None
        found = select(newest, where=where, everything=everything, study=study, trials=trials).lines
        if best is not None:
            objective = objective_of(best, self.project().objective)
            return ranked(found, objective, "--best")[:limit]
        return passed(found, limit)

    def run(self, name: str) -> Run:
        """The whole run of an id, prefix, friendly name or @name; UsageError if there is none."""
        from mlbench.tracking.query import resolve

        objective = None
        if name.startswith("@") and name not in ("@last", "@baseline"):
            project = self.project()
            objective = project.objective
            environment, _, model = name.removeprefix("@").partition("/")
            if environment in {item.name for item in project.environments}:
                name = self._live_run(environment, model or None)
        try:
            run = resolve(name, self.store().newest(), objective)
        except UsageError:
            if self._on_its_way(name) is None:
                raise
            raise UsageError(
                f"{name} is still going; `mlbench logs {name} -f` follows it"
            ) from None
        return self.store().get(run.id) or run

    def stage_folder(self, run: Run, stage: str) -> Path:
        """Where the log and steps of a stage lie, as of this run; UsageError for another stage."""
        if stage not in run.stages:
            raise UsageError(f'run {run.name} has no stage "{stage}"{nearest(stage, run.stages)}')
        return self.layout.stage_folder(run.stages[stage].ran_in or run.id, stage)

    def run_folder(self, run: Run) -> Path:
        """Where everything about a run lies."""
        return self.layout.run_folder(run.id)

    def environment_of(self, run: Run) -> Mapping[str, Any]:
        """What a run ran on: its `environment.json`, empty where it has none."""
        from mlbench.system.files import read_json
        from mlbench.tracking.folder import ENVIRONMENT_NAME

        found = read_json(self.run_folder(run) / ENVIRONMENT_NAME)
        return found if isinstance(found, dict) else {}

    def saved(self, run: Run) -> dict[str, tuple[Artifact, ...]]:
        """The artifacts, figures and tables that the scripts of each stage of a run saved."""
        from mlbench.tracking.logged import read_logged

        folders = {stage: self.stage_folder(run, stage) for stage in run.stages}
        return {stage: read_logged(folder).artifacts for stage, folder in folders.items()}

    def stage_folders(self, name: str, stage: str | None) -> dict[str, Path]:
        """The folders of one or all stages of a run, also of one that is still going."""
        name = self._on_its_way(name) or name
        going = self.layout.run_folder(name) / "stages"
        recorded = (self.layout.run_folder(name) / "run.json").exists()
        if "/" not in name and going.is_dir() and not recorded:
            folders = {path.name: path for path in sorted(going.iterdir())}
            if stage is None:
                return folders
            return {stage: self.layout.stage_folder(name, stage)}
        run = self.run(name)
        wanted = [stage] if stage is not None else list(run.stages)
        return {item: self.stage_folder(run, item) for item in wanted}

    def is_script(self, name: str) -> bool:
        """Whether a run was begun by a script itself, outside of any stage."""
        from mlbench.inside.script import SCRIPT_NAME

        folder = self.layout.run_folder(self._on_its_way(name) or name)
        if "/" in name or not folder.is_dir():
            folder = self.run_folder(self.run(name))
        return (folder / SCRIPT_NAME).exists()

    def live_stage_folder(self, run_id: str, stage: str) -> Path:
        """Where the log and steps of a stage of the run in flight lie."""
        return self.layout.stage_folder(run_id, stage)

    def tests(self, folder: Path) -> tuple[TestResult, ...]:
        """The single tests of a test stage, by its folder, in pytest's order; none for others."""
        from mlbench.pipeline.results import read_results

        return read_results(folder)

    def tests_stamp(self, folder: Path) -> int | None:
        """What changes whenever the single tests do; None where there are none."""
        from mlbench.pipeline.running import JUNIT_NAME

        try:
            return (folder / JUNIT_NAME).stat().st_mtime_ns
        except OSError:
            return None

    def curves(self, folder: Path, running: str | None = None) -> CurveSource:
        """What gives the curves of a stage's folder, also while they grow.

        While the stage `running` runs, those in files that it writes are among them.
        """
        from mlbench.tracking.curves import CurveReader

        if running is None:
            return CurveReader(folder)
        from mlbench.engine.followed_files import FollowedFiles

        return CurveReader(folder, FollowedFiles(self.layout, running, folder).look)

    def system_use(self, run: Run) -> dict[str, dict[str, Use]]:
        """What each stage that took a while used, and the machine meanwhile: `system/cpu` etc."""
        from mlbench.tracking.system_use import read_system

        found = {name: read_system(self.stage_folder(run, name)) for name in run.stages}
        return {name: use for name, use in found.items() if use}

    def models(self) -> list[ModelRow]:
        """Every version and candidate, newest first, with where it is live."""
        from mlbench.domain.ledger import live, roles_of
        from mlbench.release.ledger import Ledger
        from mlbench.release.registry import Registry

        registry = Registry(self.layout.models)
        entries = Ledger(self.layout.ledger).entries()
        serving, roles = live(entries), roles_of(entries)
        rows = []
        for model in registry.models():
            versions = registry.versions(model)
            known = {item.run for item in versions}
            candidates = [item for item in registry.candidates(model) if item.run not in known]
            for item in [*candidates, *versions]:
                where = tuple(
                    environment
                    for environment, models in serving.items()
                    if item.version and model in models and models[model].version == item.version
                )
                beside = roles.get((model, item.version or 0), {})
                rows.append(ModelRow(item, where, registry.file_of(item), beside))
        return rows

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every promotion and rollback, oldest first."""
        from mlbench.release.ledger import Ledger

        return Ledger(self.layout.ledger).entries()

    def live_at(self, moment: str) -> tuple[LedgerEntry, ...]:
        """What was live at a moment, written as the ledger's times (see `domain.moments`)."""
        from mlbench.domain.ledger import live_at

        serving = live_at(self.ledger(), moment)
        return tuple(entry for models in serving.values() for entry in models.values())

    def traffic_at(self, moment: str) -> Mapping[str, Mapping[str, Traffic]]:
        """What shared traffic with that, by environment and model."""
        from mlbench.domain.ledger import traffic_at

        return traffic_at(self.ledger(), moment)

    def ledger_fault(self) -> str | None:
        """What is wrong with the ledger, by itself and beside what environments serve, or None."""
        from mlbench.engine.releases import Releases

        return Releases(self.layout).ledger_fault()

    def behind_ledger(self) -> str | None:
        """The first environment that is not told to serve what the ledger says, or None."""
        from mlbench.engine.releases import Releases

        return Releases(self.layout).behind()

    def environments(self) -> list[EnvironmentStatus]:
        """How every environment's server stands."""
        from mlbench.serving.supervise import status

        return [status(self.layout, item) for item in self.project().environments]

    def head(self) -> tuple[str | None, int]:
        """The branch and how many files differ from its commit; (None, 0) without git."""
        from mlbench.project.git import code_state

        code = code_state(self.root)
        return code.branch or (code.commit or "")[:8] or None, code.changed_files

    def _on_its_way(self, name: str) -> str | None:
        """The id of the run that a loop has on its way under this name or id, if there is one."""
        from mlbench.engine.flight_files import FlightFiles

        flights = FlightFiles(self.layout.flights).all()
        return next((one.run for one in reversed(flights) if name in (one.name, one.run)), None)

    def _live_run(self, environment: str, model: str | None) -> str:
        from mlbench.domain.ledger import live

        serving = live(self.ledger()).get(environment, {})
        if model is None and len(serving) == 1:
            return next(iter(serving.values())).run
        if model is None or model not in serving:
            listed = ", ".join(serving) or "nothing"
            raise UsageError(f"@{environment}: say which model; it serves {listed}")
        return serving[model].run
