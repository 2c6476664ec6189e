"""What a worker serves at one moment.

A swap is one assignment, and what is under way ends as it began.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mlbench.domain.errors import nearest
from mlbench.domain.release import DeployedModel, Deployment, Signature
from mlbench.domain.serving import SMOKE_TEST, ServerSettings, Traffic
from mlbench.serving.control import key_of
from mlbench.serving.counters import Counters
from mlbench.serving.protocol.parsing import RequestedOutput, requested
from mlbench.serving.refusals import RequestError
from mlbench.serving.running.runner import Runner
from mlbench.serving.traffic.choosing import chooser
from mlbench.serving.worker.predictions import Predictions, predictions_of


@dataclass(frozen=True, slots=True)
class Served:
    """One version that answers: in memory, with what runs it and what counts it."""

    deployed: DeployedModel
    signature: Signature
    version: str
    runner: Runner
    counters: Counters
    predictions: Predictions
    outputs: tuple[RequestedOutput, ...]

    @classmethod
    def of(cls, deployed: DeployedModel, runner: Runner, counters: Counters) -> Served:
        """A version with what runs it, and all that each request asks of it worked out once."""
        signature = deployed.signature
        return cls(
            deployed,
            signature,
            str(deployed.version),
            runner,
            counters,
            predictions_of(signature),
            requested(signature),
        )


@dataclass(frozen=True, slots=True)
class Shared:
    """The versions of one model: which is live, and which takes the next request."""

    live: Served | None
    versions: Mapping[str, Served]
    next_version: Callable[[], str] | None = None

    def taking(self) -> Served | None:
        """The version that takes the next request which names none; None where none is live."""
        if self.next_version is None:
            return self.live
        return self.versions.get(self.next_version(), self.live)


@dataclass(frozen=True, slots=True)
class Table:
    """Every version that answers, by model; `missing` says why a model that should be does not."""

    models: Mapping[str, Shared] = field(default_factory=dict)
    settings: ServerSettings = field(default_factory=ServerSettings)
    missing: Mapping[str, str] = field(default_factory=dict)
    shadowed: frozenset[str] = frozenset()
    staged: frozenset[str] = frozenset()

    @property
    def is_ready(self) -> bool:
        """Whether some model is live."""
        return any(shared.live is not None for shared in self.models.values())

    @property
    def served(self) -> tuple[Served, ...]:
        """Every version that answers, once each."""
        return tuple(item for shared in self.models.values() for item in shared.versions.values())

    def shared(self, model: str) -> Shared:
        """A model's versions; RequestError 404 where there is no such model."""
        found = self.models.get(model)
        if found is None:
            listed = ", ".join(self.models) or "no model yet"
            why = "".join(f"; {reason}" for reason in self.missing.values())
            raise RequestError(
                404,
                f'no model "{model}"{nearest(model, self.models)} here, which serves {listed}{why}',
            )
        return found

    def version(self, model: str, version: str) -> Served:
        """A version by its number; RequestError 404 where it is not served here."""
        shared = self.shared(model)
        found = shared.versions.get(version)
        if found is None:
            listed = ", ".join(shared.versions)
            raise RequestError(
                404, f'{model} version "{version}" is not served here; there are: {listed}'
            )
        return found

    def taking(self, model: str) -> Served:
        """The version that takes a model's next request; RequestError 404, or 400 if none is."""
        shared = self.shared(model)
        taking = shared.taking()
        if taking is None:
            listed = ", ".join(shared.versions)
            reasons = [why for key, why in self.missing.items() if key.startswith(f"{model}@")]
            why = "".join(f" ({reason})" for reason in reasons)
            raise RequestError(
                400, f"no version of {model} is live here{why}; ask one by its number: {listed}"
            )
        return taking

    def is_live(self, served: Served) -> bool:
        """Whether this is its model's live version."""
        shared = self.models.get(served.deployed.name)
        return shared is not None and shared.live is served

    def is_tried(self, served: Served, id_: str) -> bool:
        """Whether a request with this id is the smoke test of a version that is staged."""
        return id_ == SMOKE_TEST and key_of(served.deployed) in self.staged

    def only_model(self) -> str:
        """The name of the one model; RequestError 400 where there are several, 404 for none."""
        names = [name for name, shared in self.models.items() if shared.live is not None]
        if len(names) == 1:
            return names[0]
        if not names:
            raise RequestError(404, "no model is live here yet; promote one")
        raise RequestError(
            400, f"several models are served here; POST /predict/MODEL: {', '.join(names)}"
        )

    def sharing(self, model: str, weights: Mapping[str, float]) -> Table:
        """The table with other shares of one model's traffic, as far as its versions are here."""
        shared = self.models.get(model)
        if shared is None:
            return self
        changed = replace(shared, next_version=_next_version(weights, shared.versions))
        return replace(self, models={**self.models, model: changed})


def table_of(
    deployment: Deployment, memory: Mapping[str, Served], missing: Mapping[str, str]
) -> Table:
    """What answers once a deployment is committed; `memory` is what was prepared, by `key_of`."""
    versions: dict[str, dict[str, Served]] = {}
    for served in memory.values():
        versions.setdefault(served.deployed.name, {})[served.version] = served
    traffic = {item.model: item for item in deployment.traffic}
    live = {model.name: str(model.version) for model in deployment.models}
    models = {
        name: Shared(
            mine.get(live.get(name, "")),
            mine,
            _next_version(_weights(traffic.get(name)), mine),
        )
        for name, mine in sorted(versions.items())
    }
    shadowed = frozenset(item.model for item in deployment.traffic if item.shadow is not None)
    staged = frozenset(map(key_of, deployment.staged))
    return Table(models, deployment.settings, dict(missing), shadowed, staged)


def _weights(traffic: Traffic | None) -> Mapping[str, float]:
    """The shares as they were set; a canary gets its own when the supervisor tells them."""
    return traffic.weights if traffic is not None else {}


def _next_version(
    weights: Mapping[str, float], versions: Mapping[str, Served]
) -> Callable[[], str] | None:
    here = {
        version: weight for version, weight in weights.items() if version in versions and weight > 0
    }
    return chooser(here) if here else None
