"""Which versions each environment serves, in which role and with which share of requests: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mlbench.domain.records import dataclass
from mlbench.domain.serving import CanaryState, ShadowState, Traffic
from mlbench.tui.serving_history import Place

if TYPE_CHECKING:
    from mlbench.engine.serving_queries import EnvironmentNow

LIVE, SHARED, CANARY, SHADOW, LOADED = "live", "shared", "canary", "shadow", "loaded"


@dataclass(frozen=True, slots=True)
class Served:
    """One version in one environment; `share` of the requests come to it, None where none can.

    An environment itself is one without model and version. `is_ready` says that it answers.
    """

    environment: EnvironmentNow
    model: str = ""
    version: int = 0
    role: str = ""
    share: float | None = None
    is_ready: bool = False

    @property
    def place(self) -> Place:
        """What its points are kept under."""
        return (self.environment.name, self.model, str(self.version) if self.model else "")


def served(environments: Iterable[EnvironmentNow]) -> tuple[Served, ...]:
    """Each environment, followed by its models' versions, the live one of each model first."""
    rows: list[Served] = []
    for now in environments:
        rows.append(Served(now, is_ready=bool(now.status.pid and now.status.serving)))
        for model in sorted({**now.status.deployed, **now.status.serving}):
            rows += _versions(now, model)
    return tuple(rows)


def canary_of(now: EnvironmentNow, model: str) -> CanaryState | None:
    """How a model's canary stands, or the last one stood."""
    found = [state for state in now.status.canaries if state.model == model]
    return found[-1] if found else None


def shadow_of(now: EnvironmentNow, model: str) -> ShadowState | None:
    """How a model's shadow compares."""
    return next((state for state in now.status.shadows if state.model == model), None)


def canary_on(now: EnvironmentNow, model: str) -> int | None:
    """The version that is a model's canary now, as its Deployment says."""
    return next((item.canary for item in _traffic(now) if item.model == model), None)


def shadow_on(now: EnvironmentNow, model: str) -> int | None:
    """The version that follows a model as its shadow now."""
    return next((item.shadow for item in _traffic(now) if item.model == model), None)


def shares_of(now: EnvironmentNow, model: str) -> Mapping[int, float]:
    """The share of a model's requests by version, the live one first."""
    status = now.status
    live = status.serving.get(model, status.deployed.get(model))
    if live is None:
        return {}
    weights = status.weights.get(model) or _weights(now, model)
    found = {int(version): share for version, share in weights.items() if share > 0}
    state, canary = canary_of(now, model), canary_on(now, model)
    if canary is not None and not found.get(canary):
        share = state.share if state is not None and state.version == canary else 0.0
        found = {live: 1 - share, canary: share}
    found = found or {live: 1.0}
    return {live: found.get(live, 0.0), **found}


def signs_of(now: EnvironmentNow) -> str:
    """What goes on beside the live versions, for a badge: `▸v13 25 %`, `◌v14`, `v12+v13`."""
    signs = []
    for item in _traffic(now):
        if item.canary is not None:
            share = shares_of(now, item.model).get(item.canary, 0.0)
            signs.append(f"▸v{item.canary} {round(share * 100)} %")
        elif item.weights:
            signs.append("+".join(f"v{version}" for version in item.weights))
        if item.shadow is not None:
            signs.append(f"◌v{item.shadow}")
    return " ".join(signs)


def _versions(now: EnvironmentNow, model: str) -> list[Served]:
    status, shares = now.status, shares_of(now, model)
    canary, shadow = canary_on(now, model), shadow_on(now, model)
    is_up = status.pid is not None
    rows = []
    for place, (version, share) in enumerate(shares.items()):
        role = LIVE if place == 0 else CANARY if version == canary else SHARED
        is_ready = is_up and (place > 0 or model in status.serving)
        rows.append(Served(now, model, version, role, share, is_ready))
    if shadow is not None:
        rows.append(Served(now, model, shadow, SHADOW, None, is_up))
    known = {row.version for row in rows}
    for version in status.loaded.get(model, ()):
        if version not in known:
            rows.append(Served(now, model, version, LOADED, None, is_up))
    return rows


def _traffic(now: EnvironmentNow) -> tuple[Traffic, ...]:
    return now.deployment.traffic if now.deployment is not None else ()


def _weights(now: EnvironmentNow, model: str) -> Mapping[str, float]:
    return next((item.weights for item in _traffic(now) if item.model == model), {})
