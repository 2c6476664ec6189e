"""What answers the requests of an environment, by the ledger and by what its server wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlbench.domain.ledger import live, traffic_of
from mlbench.domain.plain import from_plain
from mlbench.domain.release import EnvironmentStatus
from mlbench.domain.serving import CanaryState, ShadowState, Traffic
from mlbench.project.layout import Layout
from mlbench.release.ledger import Ledger
from mlbench.system.files import read_json


@dataclass(frozen=True, slots=True)
class TrafficNow:
    """What answers the requests for one model: `weights` are shares of 1 by version.

    `canary` and `shadow` are None where there is none, or its server has said nothing of it yet.
    """

    model: str
    live: int
    weights: Mapping[str, float]
    traffic: Traffic
    canary: CanaryState | None = None
    shadow: ShadowState | None = None


def read_canaries(layout: Layout, environment: str) -> tuple[CanaryState, ...]:
    """The states of an environment's canaries, also while its server is down."""
    found = read_json(layout.canaries(environment))
    try:
        return tuple(from_plain(CanaryState, one) for one in found or ())
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def traffic_now(layout: Layout, status: EnvironmentStatus) -> tuple[TrafficNow, ...]:
    """What answers the requests for each model that an environment serves, by ledger and server."""
    entries = Ledger(layout.ledger).entries()
    shared = traffic_of(entries).get(status.name, {})
    canaries = status.canaries or read_canaries(layout, status.name)
    found = []
    for model, entry in sorted(live(entries).get(status.name, {}).items()):
        traffic = shared.get(model, Traffic(model))
        canary = next((one for one in canaries if _is_of(one, traffic)), None)
        shadow = next((one for one in status.shadows if _is_shadow_of(one, traffic)), None)
        alone = {str(entry.version): 1.0}
        weights = traffic.weights or _with_canary(alone, canary)
        if status.pid is not None:
            weights = status.weights.get(model) or weights
        found.append(TrafficNow(model, entry.version, weights, traffic, canary, shadow))
    return tuple(found)


def _is_of(state: CanaryState, traffic: Traffic) -> bool:
    which = (traffic.model, traffic.canary, traffic.canary_entry)
    return (state.model, state.version, state.entry) == which


def _is_shadow_of(state: ShadowState, traffic: Traffic) -> bool:
    return (state.model, state.version) == (traffic.model, traffic.shadow)


def _with_canary(alone: Mapping[str, float], state: CanaryState | None) -> Mapping[str, float]:
    """The live version's requests without the share that its canary gets."""
    if state is None or not state.share:
        return alone
    left = {version: 1 - state.share for version in alone if state.share < 1}
    return {**left, str(state.version): state.share}
