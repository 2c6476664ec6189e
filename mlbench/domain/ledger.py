"""What the ledger's entries say: which versions stand where, what is live, what was live when."""

from __future__ import annotations

from collections.abc import Iterable

from mlbench.domain.release import LedgerEntry

PROMOTE, ROLLBACK, WITHDRAW = "promote", "rollback", "withdraw"

Live = dict[str, dict[str, LedgerEntry]]


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
