"""What is released and what is live, as the hands and the faces look it up."""

from __future__ import annotations

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.ledger import live
from mlbench.domain.plain import to_plain
from mlbench.domain.release import Candidate, Deployment
from mlbench.domain.runs import Run
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project
from mlbench.project.layout import Layout
from mlbench.release.ledger import Ledger
from mlbench.release.promotion import deployment_of
from mlbench.release.registry import MODEL_NAME, Registry
from mlbench.system.files import write_json
from mlbench.system.locks import locked
from mlbench.tracking.store import ExperimentStore


class Releases:
    """Registry and ledger of one project, and what follows from both."""

    def __init__(self, layout: Layout) -> None:
        """Open both; nothing is written yet."""
        self._layout = layout
        self.registry = Registry(layout.models)
        self.ledger = Ledger(layout.ledger)

    def live_now(self, model: str, store: ExperimentStore) -> dict[str, tuple[Run, Candidate]]:
        """The run and version of a model that each environment serves now."""
        serving: dict[str, tuple[Run, Candidate]] = {}
        versions = {item.version: item for item in self.registry.versions(model)}
        for environment, models in live(self.ledger.entries()).items():
            if model in models:
                version = versions.get(models[model].version)
                run = store.get(models[model].run)
                if version is not None and run is not None:
                    serving[environment] = (run, version)
        return serving

    def write_deployment(self, environment: EnvironmentSpec) -> Deployment:
        """Derive what an environment serves from the ledger, for its server to read."""
        path = self._layout.deployment(environment.name)
        # Loops of several worktrees may do so at once: an older ledger must not be written last.
        with locked(path.with_suffix(".deployment.lock")):
            known = {
                (name, item.version or 0): (item, str(self.registry.folder_of(item) / MODEL_NAME))
                for name in self.registry.models()
                for item in self.registry.versions(name)
            }
            deployment = deployment_of(environment, self.ledger.entries(), known)
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
