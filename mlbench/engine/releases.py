"""What is released and what is live, as the hands and the faces look it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlbench.domain.errors import ServingError, UsageError, nearest
from mlbench.domain.ledger import live
from mlbench.domain.names import friendly_name
from mlbench.domain.plain import to_plain
from mlbench.domain.records import dataclass
from mlbench.domain.release import Candidate, DeployedModel, Deployment, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project
from mlbench.project.layout import Layout
from mlbench.release.ledger import Ledger, LedgerDamagedError
from mlbench.release.ledger_check import behind, fault_beside, fault_in
from mlbench.release.promotion import deployed_model, deployment_of
from mlbench.release.registry import Registry
from mlbench.serving.state import read_deployment, read_state
from mlbench.system.files import entries_in, read_json, write_json
from mlbench.system.locks import is_held, locked
from mlbench.tracking.store import ExperimentStore


@dataclass(frozen=True, slots=True)
class LiveNow:
    """What each environment serves of a model: run and version, or why these are not to be had."""

    serving: Mapping[str, tuple[Run, Candidate]]
    lost: Mapping[str, str]


class Releases:
    """Registry and ledger of one project, and what follows from both."""

    def __init__(self, layout: Layout) -> None:
        """Open both; nothing is written yet."""
        self._layout = layout
        self.registry = Registry(layout.models)
        self.ledger = Ledger(layout.ledger)

    def live_now(self, model: str, store: ExperimentStore) -> LiveNow:
        """The run and version of a model that each environment serves now, as far as known."""
        serving: dict[str, tuple[Run, Candidate]] = {}
        lost: dict[str, str] = {}
        versions = {item.version: item for item in self.registry.versions(model)}
        for environment, models in live(self.ledger.entries()).items():
            if model in models:
                version = versions.get(models[model].version)
                run = store.get(models[model].run)
                if version is not None and run is not None:
                    serving[environment] = (run, version)
                else:
                    lost[environment] = _loss(models[model], version)
        return LiveNow(serving, lost)

    def write_deployment(
        self, environment: EnvironmentSpec, staged: Sequence[DeployedModel] | None = None
    ) -> Deployment:
        """Derive what an environment serves from the ledger, for its server to read.

        Without `staged`, what somebody has staged right now stays. LedgerDamagedError where the
        ledger lacks what this environment's Deployment was derived from.
        """
        name = environment.name
        path = self._layout.deployment(name)
        # Loops of several worktrees may do so at once: an older ledger must not be written last.
        with locked(path.with_suffix(".deployment.lock")):
            before = _known_deployment(path)
            entries = self.ledger.entries()
            if before is not None and (lost := fault_beside(entries, [before])):
                raise LedgerDamagedError(f".mlbench/{self._layout.ledger.name}: {lost}")
            if staged is None:
                is_staging = before is not None and is_held(self._layout.change_lock(name))
                staged = before.staged if before is not None and is_staging else ()
            known = self.write_available()
            order = self._last_order(name, before) + 1
            deployment = deployment_of(
                environment,
                entries,
                known,
                order=order,
                staged=staged,
                before=(*before.models, *before.beside) if before is not None else (),
            )
            write_json(path, to_plain(deployment))
        return deployment

    def write_available(self) -> Mapping[tuple[str, int], tuple[Candidate, str]]:
        """Tell servers which versions they may load, newest first; gives all with their files.

        The file is written only where it says something else.
        """
        path = self._layout.available
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            known = {
                (model, item.version or 0): (item, str(self.registry.file_of(item)))
                for model in self.registry.models()
                for item in self.registry.versions(model)
            }
            served = [found for one in known.values() if (found := deployed_model(*one))]
            told = [to_plain(found) for found in served]
            if read_json(path) != told:
                write_json(path, told)
        return known

    def deployments(self) -> tuple[Deployment, ...]:
        """Every Deployment that can be read, also of environments that the project has no more."""
        files = [
            path
            for path in entries_in(self._layout.serving)
            if path.suffix == ".json" and not path.name.endswith(".state.json")
        ]
        return tuple(found for path in files if (found := _known_deployment(path)) is not None)

    def check_ledger(self) -> None:
        """LedgerDamagedError where the ledger is not whole: whoever adds to it would hide that."""
        fault = self.ledger_fault()
        if fault is not None:
            raise LedgerDamagedError(f".mlbench/{self._layout.ledger.name}: {fault}")

    def ledger_fault(self) -> str | None:
        """What is wrong with the ledger, by itself and beside the Deployments; None if nothing."""
        # First, for what is written between the two must be in the ledger.
        deployments = self.deployments()
        return fault_in(self.ledger.read(), deployments)

    def behind(self) -> str | None:
        """The first Deployment that does not say what the ledger says, and nobody is changing."""
        resting = [
            found
            for found in self.deployments()
            if not is_held(self._layout.change_lock(found.environment))
        ]
        return behind(self.ledger.entries(), resting)

    def _last_order(self, environment: str, before: Deployment | None) -> int:
        """The order of the Deployment before; what the server saw where that file is lost."""
        state = read_state(self._layout.server_state(environment))
        known = (before.order if before else 0, state.attempted if state else 0)
        return max(known)


def _loss(entry: LedgerEntry, version: Candidate | None) -> str:
    """What of a live version is gone, in words."""
    live_as = f"{entry.environment} serves v{entry.version}"
    if version is None:
        return (
            f"{live_as}, whose folder .mlbench/models/{entry.model}/{entry.version} is gone or "
            "damaged: bring it back"
        )
    return f"{live_as} of run {friendly_name(entry.run)}, which is on record no more"


def _known_deployment(path: Path) -> Deployment | None:
    try:
        return read_deployment(path)
    except ServingError:
        return None


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
