"""What the ledger's entries say: which versions stand where, and which is live."""

from __future__ import annotations

from collections.abc import Iterable

from mlbench.domain.release import LedgerEntry

PROMOTE, ROLLBACK, WITHDRAW = "promote", "rollback", "withdraw"


def history_of(
    entries: Iterable[LedgerEntry], environment: str, model: str
) -> tuple[LedgerEntry, ...]:
    """The versions that stand in an environment, the live one last.

    A promotion adds one, a rollback takes the last away, a withdrawal makes the step before it
    undone.
    """
    stands: list[tuple[LedgerEntry, ...]] = [()]
    for entry in entries:
        if (entry.environment, entry.model) != (environment, model):
            continue
        if entry.action == PROMOTE:
            stands.append((*stands[-1], entry))
        elif entry.action == ROLLBACK:
            stands.append(stands[-1][:-1] or stands[-1])
        elif entry.action == WITHDRAW and len(stands) > 1:
            stands.pop()
    return stands[-1]


def was_live(entries: Iterable[LedgerEntry], environment: str, digest: str) -> bool:
    """Whether an environment ever answered from a model; one withdrawn never came that far."""
    served: list[LedgerEntry] = []
    for entry in entries:
        if entry.environment == environment:
            same = [item for item in served if item.model == entry.model]
            if entry.action == WITHDRAW and same:
                served.remove(same[-1])
            elif entry.action in (PROMOTE, ROLLBACK):
                served.append(entry)
    return any(entry.digest == digest for entry in served)


def live(entries: Iterable[LedgerEntry]) -> dict[str, dict[str, LedgerEntry]]:
    """What each environment serves now: environment → model → the entry that put it there."""
    entries = tuple(entries)
    serving: dict[str, dict[str, LedgerEntry]] = {}
    for environment, model in dict.fromkeys((entry.environment, entry.model) for entry in entries):
        if standing := history_of(entries, environment, model):
            serving.setdefault(environment, {})[model] = standing[-1]
    return serving
