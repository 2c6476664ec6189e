"""Read-only questions about the environments' servers, and rows to ask them about."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.domain.errors import ServingError, UsageError
from mlbench.domain.release import DeployedModel, Deployment, EnvironmentStatus
from mlbench.domain.serving import LoggedRequest, ServerSettings
from mlbench.domain.tally import Tally
from mlbench.engine.queries import Queries

if TYPE_CHECKING:
    from mlbench.serving.tallies import TallyReader

_MOST_LOOKED_THROUGH = 4000


@dataclass(frozen=True, slots=True)
class EnvironmentNow:
    """How one environment stands: its server, what it is to serve, and what was counted.

    `tallies` are empty where the server is down, and have no predictions; `token` is None where it
    asks for none.
    """

    status: EnvironmentStatus
    deployment: Deployment | None = None
    settings: ServerSettings = field(default_factory=ServerSettings)
    tallies: tuple[Tally, ...] = ()
    token: str | None = None

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.status.name

    def deployed(self, model: str, version: int) -> DeployedModel | None:
        """A version that it serves, in whatever role; None where it does not."""
        found = self.deployment
        every = (*found.models, *found.beside, *found.staged) if found is not None else ()
        return next((item for item in every if (item.name, item.version) == (model, version)), None)


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A held-out row as input tensors, what the original model answered to it, and the truth."""

    index: int
    inputs: tuple[Mapping[str, Any], ...]
    answer: str | None = None
    truth: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: the version that gave it, what it took in seconds, and the outputs."""

    model: str
    version: str
    seconds: float
    outputs: tuple[Mapping[str, Any], ...]


class ServerWatch:
    """Looks at every environment again and again; what did not change costs little."""

    def __init__(self, queries: Queries) -> None:
        """Look at this project's environments."""
        self._queries = queries
        self._readers: dict[str, TallyReader] = {}

    def look(self) -> tuple[EnvironmentNow, ...]:
        """Every environment as it stands now; ProjectFileError for a wrong configuration."""
        from mlbench.engine.access import token_for
        from mlbench.serving.state import read_deployment
        from mlbench.serving.supervise import status

        layout, found = self._queries.layout, []
        for spec in self._queries.project().environments:
            standing = status(layout, spec)
            # Where that file is broken, the status says so already.
            deployment = None
            with contextlib.suppress(ServingError):
                deployment = read_deployment(layout.deployment(spec.name))
            tallies = self._tallies(spec.name) if standing.pid is not None else ()
            token = token_for(layout, standing.host)
            found.append(EnvironmentNow(standing, deployment, spec.settings, tallies, token))
        return tuple(found)

    def _tallies(self, environment: str) -> tuple[Tally, ...]:
        from mlbench.serving.tallies import TallyReader

        reader = self._readers.get(environment)
        if reader is None:
            folder = self._queries.layout.counters(environment)
            reader = TallyReader(folder, predictions=False)
            self._readers[environment] = reader
        return reader.read()


def sample_row(deployed: DeployedModel, row: int) -> SampleRow:
    """A held-out row of a version, the first one after the last; UsageError where there is none."""
    from mlbench.release.folders import ANSWERS_NAME
    from mlbench.release.request import held_out_row

    answers = Path(deployed.path).parent / ANSWERS_NAME
    if not answers.exists():
        raise UsageError(f"{deployed.name} v{deployed.version} has no held-out rows beside it")
    try:
        found = held_out_row(answers, row, deployed.signature)
    except UsageError:
        if not row:
            raise
        found = held_out_row(answers, 0, deployed.signature)
    return SampleRow(found.index, tuple(found.inputs), found.answer, found.truth)


def ask(
    address: str,
    model: str,
    inputs: Sequence[Mapping[str, Any]],
    version: int | None = None,
    token: str | None = None,
) -> Reply:
    """What a server answers to these input tensors, timed from here; ServingError if it refuses."""
    from mlbench.serving import client

    began = time.perf_counter()
    response = client.infer(address, model, inputs, version, token=token)
    seconds = time.perf_counter() - began
    outputs = tuple(response.get("outputs", ()))
    return Reply(model, str(response.get("model_version", "")), seconds, outputs)


def newest_requests(
    queries: Queries, environment: str, count: int, model: str = "", version: str = ""
) -> tuple[LoggedRequest, ...]:
    """The newest logged requests, the newest first; of one model and version where these are said.

    Only the last thousands are looked through: a version that nobody asked lately has none.
    """
    from mlbench.serving.requests.decoding import decoded
    from mlbench.serving.requests.labels import labels_of
    from mlbench.serving.requests.reader import newest_kept

    kept = islice(newest_kept(queries.layout.requests(environment)), _MOST_LOOKED_THROUGH)
    wanted = (
        entry for entry in kept if model in ("", entry.model) and version in ("", entry.version)
    )
    found = [decoded(entry) for entry in islice(wanted, count)]
    labels = labels_of(queries.layout.labels(environment))
    return tuple(
        replace(item, label=labels[item.id]) if item.id in labels else item for item in found
    )


def requests_stamp(queries: Queries, environment: str) -> tuple[object, ...]:
    """Changes whenever an environment's request log or its labels do; a look at their files."""
    layout, stamp = queries.layout, list[tuple[str, int]]()
    with contextlib.suppress(OSError), os.scandir(layout.requests(environment)) as entries:
        stamp += sorted((entry.name, entry.stat().st_size) for entry in entries)
    with contextlib.suppress(OSError):
        stamp.append(("labels", layout.labels(environment).stat().st_size))
    return tuple(stamp)
