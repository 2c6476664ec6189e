"""The environments' servers as a face handles them: up, down, and asked a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.domain.errors import UsageError
from mlbench.domain.release import EnvironmentStatus
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.releases import Releases, find_environment
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.project.rows import HeldOutRow, held_out_row, read_rows
from mlbench.release.registry import ANSWERS_NAME, Registry
from mlbench.serving import client, supervise


@dataclass(frozen=True, slots=True)
class Answer:
    """A served model's answer to some rows: the request as sent and the response as it came."""

    model: str
    address: str
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    row: HeldOutRow | None = None

    @property
    def version(self) -> str:
        """The version that answered."""
        return str(self.response["model_version"])

    def output(self, name: str) -> list[Any] | None:
        """The flat data of one output, None where the model has no such output."""
        for output in self.response["outputs"]:
            if output["name"] == name:
                return list(output["data"])
        return None


class Sandbox:
    """Starts, stops and asks the servers of one project."""

    def __init__(self, layout: Layout) -> None:
        """Handle the environments of this project."""
        self._layout = layout

    def environments(self, names: tuple[str, ...] = ()) -> tuple[EnvironmentSpec, ...]:
        """The named environments, or all; UsageError for an unknown one."""
        project = load_project(self._layout)
        if not names:
            return project.environments
        return tuple(find_environment(project, name) for name in names)

    def up(self, environment: EnvironmentSpec) -> EnvironmentStatus:
        """Have an environment's server up, serving what the ledger says."""
        deployment = Releases(self._layout).write_deployment(environment)
        supervise.ensure_up(self._layout, environment)
        return supervise.wait_serving(self._layout, environment, deployment.sequence)

    def down(self, environment: EnvironmentSpec) -> bool:
        """Stop an environment's server; False where it was not up."""
        return supervise.stop(self._layout, environment)

    def status(self, environment: EnvironmentSpec) -> EnvironmentStatus:
        """How an environment's server stands."""
        return supervise.status(self._layout, environment)

    def log(self, environment: EnvironmentSpec) -> Path:
        """What an environment's server prints, one JSON object a line."""
        return self._layout.server_log(environment.name)

    def ask(
        self,
        environment_name: str,
        model_name: str | None = None,
        *,
        rows: Path | None = None,
        row: int = 0,
    ) -> Answer:
        """Ask a served model about the rows of a file, or about one held-out row.

        UsageError where the environment serves no such model, ServingError where it is down.
        """
        environment = self.environments((environment_name,))[0]
        status = self.status(environment)
        if status.pid is None:
            raise UsageError(
                f"{environment.name} is down; "
                f"`mlbench serve {environment.name}` or a promotion starts it"
            )
        name = _served_model(status, model_name)
        registry = Registry(self._layout.models)
        version = registry.version(name, status.serving[name])
        tensor = version.signature.inputs[0]
        width = tensor.shape[-1]
        held_out = None
        if rows is not None:
            target = next(
                (spec.target for spec in load_project(self._layout).models if spec.name == name),
                None,
            )
            values = read_rows(rows, width, target)
        else:
            folder = registry.folder_of(version)
            held_out = held_out_row(folder / ANSWERS_NAME, row)
            values = [held_out.values]
        request = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": [len(values), width],
            "data": values,
        }
        response = client.infer(status.address, name, [request])
        return Answer(name, status.address, {"inputs": [request]}, response, held_out)


def _served_model(status: EnvironmentStatus, wanted: str | None) -> str:
    names = sorted(status.serving)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in status.serving:
        return str(wanted)
    listed = ", ".join(names) or "nothing"
    asked = f'no model "{wanted}"' if wanted else "not exactly one model"
    raise UsageError(f"{status.name} serves {asked}; it serves: {listed}")
