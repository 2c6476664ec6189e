"""Whether the ledger is what was written: no byte edited, no line lost, no tail cut. Pure.

A chain of checksums alone can't tell that its end is missing. Each Deployment holds the length and
the last checksum of the ledger that it was derived from, and so bears witness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlbench.domain.ledger import live
from mlbench.domain.phrases import plural
from mlbench.domain.release import Deployment, LedgerEntry
from mlbench.release.ledger import chain, entry_in, first_fault, line_of
from mlbench.release.sharing import strays

_REMEDY = "bring .mlbench/ledger.jsonl back from a backup"


def fault_in(data: bytes, deployments: Iterable[Deployment]) -> str | None:
    """What is wrong with the ledger's bytes, and what to do; None where nothing is."""
    *lines, rest = data.split(b"\n")
    entries: list[LedgerEntry] = []
    for number, line in enumerate(lines, start=1):
        entry = entry_in(line)
        if entry is None:
            return f"line {number} is no ledger entry; {_REMEDY}"
        # Also an edit that leaves the values as they are is one.
        if line_of(entry) != line + b"\n":
            return f"entry {number} was altered after it was written; {_REMEDY}"
        entries.append(entry)
    fault = first_fault(entries)
    if fault is not None:
        return f"{fault}; {_REMEDY}"
    last = entry_in(rest[:-1])
    if last is not None and chain(last, entries[-1] if entries else None) == last:
        return f"the end of entry {last.sequence} was altered after it was written; {_REMEDY}"
    return fault_beside(entries, deployments)


def fault_beside(entries: Sequence[LedgerEntry], deployments: Iterable[Deployment]) -> str | None:
    """What the ledger lacks that some Deployment was derived from; None where nothing is lost."""
    for known in deployments:
        file = f".mlbench/serving/{known.environment}.json"
        remedy = f"{_REMEDY}, or remove {file} to begin again from what the ledger says"
        if known.length > len(entries):
            told = f"{file} was written after {plural(known.length, 'entry', 'entries')}"
            return f"{_lost(len(entries) + 1, known.length)} missing: {told}; {remedy}"
        if known.length and entries[known.length - 1].checksum != known.head:
            return f"entry {known.length} is not the one that {file} was written after; {remedy}"
    return None


def behind(entries: Sequence[LedgerEntry], deployments: Iterable[Deployment]) -> str | None:
    """The first Deployment that says something else than the ledger, and what to do; or None."""
    now = live(entries)
    for known in deployments:
        name = known.environment
        remedy = f"`mlbench serve {name}` brings it up to date"
        last = max((entry.sequence for entry in entries if entry.environment == name), default=0)
        if known.sequence < last:
            return (
                f"{name} is behind the ledger: its last entry is {last}, "
                f"the environment was last told of {known.sequence}; {remedy}"
            )
        for model in known.models:
            entry = now.get(name, {}).get(model.name)
            if entry is None or (entry.version, entry.digest) != (model.version, model.digest):
                says = f"version {entry.version}" if entry else "nothing"
                return (
                    f".mlbench/serving/{name}.json names version {model.version} of {model.name}, "
                    f"the ledger says {says}; {remedy}"
                )
        stray = strays(entries, name, known.traffic)
        if stray is not None:
            return (
                f".mlbench/serving/{name}.json gives version {stray[1]} of {stray[0]} a part in "
                f"the traffic, the ledger says nothing of it; {remedy}"
            )
    return None


def _lost(first: int, last: int) -> str:
    if first == 1:
        return "the whole ledger is"
    return f"entry {last} is" if first == last else f"entries {first} to {last} are"
