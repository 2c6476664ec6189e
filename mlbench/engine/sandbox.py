"""The environments' servers as a face handles them: up, down, and asked a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ServingError, UsageError
from mlbench.domain.release import Candidate, EnvironmentStatus
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.access import token_for
from mlbench.engine.asking import batches_of, joined
from mlbench.engine.releases import Releases, find_environment
from mlbench.engine.trials import TrafficNow, traffic_now
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.project.rows import read_table
from mlbench.release.folders import ANSWERS_NAME
from mlbench.release.registry import Registry
from mlbench.release.request import HeldOutRow, Tensor, held_out_row
from mlbench.release.row_request import inputs_of
from mlbench.serving import client, supervise


@dataclass(frozen=True, slots=True)
class Request:
    """What a served model is to be asked: where, with which body, and about which held-out row.

    `token` is None where the server asks for none.
    """

    model: str
    version: int | None
    address: str
    inputs: Sequence[Mapping[str, Any]]
    token: str | None = None
    row: HeldOutRow | None = None

    @property
    def path(self) -> str:
        """The path of the address."""
        return client.infer_path(self.model, self.version)

    @property
    def body(self) -> Mapping[str, Any]:
        """The body, as the protocol has it."""
        return {"inputs": list(self.inputs)}


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

    def lines(self) -> list[str]:
        """What it says of each row, in words: the label, else the prediction, else the first."""
        outputs = {output["name"]: output for output in self.response["outputs"]}
        names = [name for name in ("label", "prediction") if name in outputs]
        if not outputs:
            return []
        output = outputs[names[0]] if names else next(iter(outputs.values()))
        data, rows = output["data"], output["shape"][0] if output["shape"] else 1
        width = len(data) // max(rows, 1)
        return [_words(data[at : at + width]) for at in range(0, rows * width, max(width, 1))]


class Sandbox:
    """Starts, stops and asks the servers of one project."""

    def __init__(self, layout: Layout) -> None:
        """Handle the environments of this project."""
        self._layout = layout
        self._registry = Registry(layout.models)

    def environments(self, names: tuple[str, ...] = ()) -> tuple[EnvironmentSpec, ...]:
        """The named environments, or all; UsageError for an unknown one."""
        project = load_project(self._layout)
        if not names:
            return project.environments
        return tuple(find_environment(project, name) for name in names)

    def stoppable(self, names: tuple[str, ...] = ()) -> tuple[EnvironmentSpec, ...]:
        """As `environments`, with those that went from mlbench.toml while their server is up."""
        known = load_project(self._layout).environments
        left = tuple(
            left
            for found in Releases(self._layout).deployments()
            if all(found.environment != environment.name for environment in known)
            and self.status(left := EnvironmentSpec(found.environment, found.port)).pid is not None
        )
        if not names:
            return (*known, *left)
        gone = {environment.name: environment for environment in left}
        return tuple(gone.get(name) or self.environments((name,))[0] for name in names)

    def up(self, environment: EnvironmentSpec) -> EnvironmentStatus:
        """Have an environment's server up, serving what the ledger says.

        Where only some of its models can be served, the status' `error` says why; ServingError
        where none can.
        """
        deployment = Releases(self._layout).write_deployment(environment)
        supervise.ensure_up(self._layout, environment)
        try:
            return supervise.wait_serving(self._layout, environment, deployment.order)
        except ServingError:
            status = self.status(environment)
            if not status.serving or not status.error:
                raise
            return status

    def down(self, environment: EnvironmentSpec) -> bool:
        """Stop an environment's server; False where it was not up."""
        return supervise.stop(self._layout, environment)

    def status(self, environment: EnvironmentSpec) -> EnvironmentStatus:
        """How an environment's server stands."""
        return supervise.status(self._layout, environment)

    def traffic(self, status: EnvironmentStatus) -> tuple[TrafficNow, ...]:
        """What answers the requests for each model that an environment serves."""
        return traffic_now(self._layout, status)

    def log(self, environment: EnvironmentSpec) -> Path:
        """What an environment's server prints, one JSON object a line."""
        return self._layout.server_log(environment.name)

    def token(self, status: EnvironmentStatus) -> str | None:
        """What a server asks a client for beyond loopback; None where it asks for nothing."""
        return token_for(self._layout, status.host)

    def ask(self, request: Request) -> Answer:
        """Send a request, in several where it is large; ServingError where it is refused."""
        batches = batches_of(request.inputs)
        responses = [
            client.infer(
                request.address, request.model, batch, request.version, token=request.token
            )
            for batch in batches
        ]
        response = joined(responses)
        return Answer(request.model, request.address, request.body, response, request.row)

    def request(
        self,
        environment_name: str,
        model_name: str | None = None,
        *,
        rows: Path | None = None,
        row: int = 0,
        version: int | None = None,
    ) -> Request:
        """A request about the rows of a file, or about one held-out row, to whatever is served.

        `version` asks one that the environment serves, or has in memory beside that; without it
        what is live answers. UsageError where the environment serves no such model, or is down.
        """
        environment = self.environments((environment_name,))[0]
        self._check_served(model_name)
        status = self.status(environment)
        if status.pid is None:
            raise UsageError(
                f"{environment.name} is down; "
                f"`mlbench serve {environment.name}` or a promotion starts it"
            )
        name = _served_model(status, model_name)
        asked = self._candidate(name, status.serving[name] if version is None else version)
        inputs, held_out = self._inputs(asked, rows, row)
        return Request(name, version, status.address, inputs, self.token(status), held_out)

    def _check_served(self, model: str | None) -> None:
        """UsageError for a model that is live as a file: no server has it."""
        for spec in load_project(self._layout).models:
            if spec.name == model and spec.format != "onnx":
                raise UsageError(
                    f'{model} is released as a file (format = "{spec.format}"), and not served'
                )

    def _candidate(self, model: str, number: int) -> Candidate:
        """The version of this number, of which only the facts are needed; UsageError if none."""
        versions = self._registry.versions(model)
        found = next((item for item in versions if item.version == number), None)
        if found is None:
            known = ", ".join(str(item.version) for item in versions) or "none"
            raise UsageError(f"{model} v{number}: there is no such version; there are: {known}")
        return found

    def _inputs(
        self, asked: Candidate, rows: Path | None, row: int
    ) -> tuple[list[Tensor], HeldOutRow | None]:
        """The tensors of a request for the rows of a file, or for a held-out row."""
        if asked.signature is None:
            raise UsageError(f"{asked.model} is released as a file, and not served")
        if rows is None:
            answers = self._registry.folder_of(asked) / ANSWERS_NAME
            held_out = held_out_row(answers, row, asked.signature)
            return held_out.inputs, held_out
        models = load_project(self._layout).models
        target = next((spec.target for spec in models if spec.name == asked.model), None)
        return inputs_of(read_table(rows), asked.signature, target), None


def _served_model(status: EnvironmentStatus, wanted: str | None) -> str:
    names = sorted(status.serving)
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in status.serving:
        return str(wanted)
    listed = ", ".join(names) or "nothing"
    asked = f'no model "{wanted}"' if wanted else "not exactly one model"
    raise UsageError(f"{status.name} serves {asked}; it serves: {listed}")


def _words(values: list[Any]) -> str:
    """The values of one row; numbers to six digits, for float32 holds no more."""
    return " ".join(f"{item:.6g}" if isinstance(item, float) else str(item) for item in values)
