"""What the ledger's entries say: which versions stand where, what is live, what was live when."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from mlbench.domain.release import LedgerEntry
from mlbench.domain.serving import Traffic

PROMOTE, ROLLBACK, WITHDRAW = "promote", "rollback", "withdraw"
TRAFFIC, CANARY, CANARY_ENDED = "traffic", "canary", "canary_ended"
SHADOW, SHADOW_ENDED = "shadow", "shadow_ended"
# How these are read where a line is told of one; others are words already.
ACTION_WORDS = {CANARY_ENDED: "end of the canary", SHADOW_ENDED: "end of the shadow"}

Live = dict[str, dict[str, LedgerEntry]]
Shared = dict[str, dict[str, Traffic]]


def taken(entries: Iterable[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """The promotions and rollbacks that came about, in their order.

    A withdrawal undoes the last step of its model before it: no server ever answered from that.
    """
    steps: dict[int, LedgerEntry] = {}
    pending: dict[tuple[str, str], list[int]] = {}
    for number, entry in enumerate(entries):
        mine = pending.setdefault((entry.environment, entry.model), [])
        if entry.action in (PROMOTE, ROLLBACK):
            steps[number] = entry
            mine.append(number)
        elif entry.action == WITHDRAW and mine:
            del steps[mine.pop()]
    return tuple(steps.values())


def history_of(
    entries: Iterable[LedgerEntry], environment: str, model: str
) -> tuple[LedgerEntry, ...]:
    """The versions that stand in an environment, the live one last.

    A promotion adds one, a rollback takes the last away but never the only one.
    """
    return _standing(taken(entries)).get((environment, model), ())


def was_live(entries: Iterable[LedgerEntry], environment: str, digest: str) -> bool:
    """Whether an environment ever answered from a model."""
    return any(
        entry.environment == environment and entry.digest == digest for entry in taken(entries)
    )


def live(entries: Iterable[LedgerEntry]) -> Live:
    """What each environment serves now: environment → model → the entry that put it there."""
    return _live_after(taken(entries))


def live_at(entries: Iterable[LedgerEntry], moment: str) -> Live:
    """What each environment served at a time, written as the entries' own (`domain.clock.utc`).

    What was withdrawn later never was live, also between the two.
    """
    return _live_after(entry for entry in taken(entries) if entry.at <= moment)


def traffic_of(entries: Iterable[LedgerEntry]) -> Shared:
    """What shares traffic with, or follows, what is live: environment → model → traffic.

    Only models of which some version does. A step of a model ends its weights and its canary, and
    its shadow where that is the version that it makes live.
    """
    found: dict[tuple[str, str], Traffic] = {}
    for entry in entries:
        where = (entry.environment, entry.model)
        found[where] = _shared_after(found.get(where) or Traffic(entry.model), entry)
    shared: Shared = {}
    for (environment, model), traffic in found.items():
        if traffic != Traffic(model):
            shared.setdefault(environment, {})[model] = traffic
    return shared


def traffic_at(entries: Iterable[LedgerEntry], moment: str) -> Shared:
    """As `traffic_of`, at a time that is written as the entries' own."""
    return traffic_of(entry for entry in entries if entry.at <= moment)


def began(
    entries: Iterable[LedgerEntry], environment: str, model: str, action: str
) -> LedgerEntry | None:
    """The last entry of a model by which such a trial began; None where there is none."""
    found = [
        entry
        for entry in entries
        if (entry.environment, entry.model, entry.action) == (environment, model, action)
    ]
    return found[-1] if found else None


def shares_in_words(weights: Mapping[str, float]) -> str:
    """`v3 80 %, v4 20 %`, the lowest version first."""
    ordered = sorted(weights.items(), key=lambda item: int(item[0]))
    return ", ".join(f"v{version} {100 * weight:.4g} %" for version, weight in ordered)


def roles_in(traffic: Traffic, version: int) -> tuple[str, ...]:
    """What a version is to a live one, in words: a canary, a shadow, its share of the requests."""
    weight = traffic.weights.get(str(version))
    shares = (f"{100 * weight:.4g} %",) if weight is not None else ()
    trials = (("canary", traffic.canary), ("shadow", traffic.shadow))
    return (*shares, *(word for word, trial in trials if trial == version))


def roles_of(
    entries: Iterable[LedgerEntry],
) -> dict[tuple[str, int], dict[str, tuple[str, ...]]]:
    """What versions are beside another that is live: (model, version) → environment → words."""
    entries = tuple(entries)
    serving = live(entries)
    roles: dict[tuple[str, int], dict[str, tuple[str, ...]]] = {}
    for environment, models in traffic_of(entries).items():
        for model, traffic in models.items():
            entry = serving.get(environment, {}).get(model)
            for version in versions_in(traffic) - ({entry.version} if entry else set()):
                roles.setdefault((model, version), {})[environment] = roles_in(traffic, version)
    return roles


def versions_in(traffic: Traffic) -> set[int]:
    """Every version that a model's traffic names."""
    trials = {one for one in (traffic.canary, traffic.shadow) if one is not None}
    return {int(version) for version in traffic.weights} | trials


def _shared_after(traffic: Traffic, entry: LedgerEntry) -> Traffic:
    if entry.action in (PROMOTE, ROLLBACK, WITHDRAW):
        stays = traffic.shadow if traffic.shadow != entry.version else None
        return Traffic(traffic.model, shadow=stays)
    no_canary = {"canary": None, "canary_entry": 0}
    changes: dict[str, dict[str, Any]] = {
        TRAFFIC: {"weights": dict(entry.weights), **no_canary},
        CANARY: {"weights": {}, "canary": entry.version, "canary_entry": entry.sequence},
        CANARY_ENDED: no_canary,
        SHADOW: {"shadow": entry.version},
        SHADOW_ENDED: {"shadow": None},
    }
    return dataclasses.replace(traffic, **changes.get(entry.action, {}))


def _live_after(steps: Iterable[LedgerEntry]) -> Live:
    serving: Live = {}
    for (environment, model), standing in _standing(steps).items():
        serving.setdefault(environment, {})[model] = standing[-1]
    return serving


def _standing(steps: Iterable[LedgerEntry]) -> dict[tuple[str, str], tuple[LedgerEntry, ...]]:
    stands: dict[tuple[str, str], tuple[LedgerEntry, ...]] = {}
    for entry in steps:
        where = (entry.environment, entry.model)
        before = stands.get(where, ())
        if entry.action == PROMOTE:
            stands[where] = (*before, entry)
        elif len(before) > 1:
            stands[where] = before[:-1]
    return stands
