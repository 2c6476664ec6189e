"""Read-only questions about candidates, versions and the ledger that every face may ask."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.comparison import ComparedRow
from mlbench.domain.errors import DamagedModelError, MlbenchError
from mlbench.domain.release import Candidate, GateResult, LedgerEntry, Parity
from mlbench.domain.runs import Run, Scalar
from mlbench.engine.queries import Queries

# How the facts of a candidate name versions of packages, and the run's parameters.
VERSION, PARAM = "version.", "params."

METRICS, EXPORTED, GATES, PARITY = "metrics", "exported", "gates", "parity"
SIZE, PARAMS, FACTS = "size", "params", "facts"
SIDES = (METRICS, EXPORTED, GATES, PARITY, SIZE, PARAMS, FACTS)


@dataclass(frozen=True, slots=True)
class ReleaseFiles:
    """What is to be said of a candidate or version beside its facts.

    `model` is the model's file, absolute; `card` is Markdown; `curl` asks the environment that
    serves it, or would first, what its sample request asks: empty where there is none. `damage`
    says what is wrong with the folder of a version.
    """

    model: Path
    card: str = ""
    curl: str = ""
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """A candidate or version with its run, where that is on record."""

    candidate: Candidate
    run: Run | None = None


def release_files(queries: Queries, candidate: Candidate) -> ReleaseFiles:
    """What lies in the folder of a candidate or version now; every file of it is read."""
    from mlbench.release.registry import Registry

    registry = Registry(queries.layout.models)
    damage = ""
    if candidate.version is not None:
        try:
            registry.version(candidate.model, candidate.version)
        except DamagedModelError as error:
            damage = str(error)
    return ReleaseFiles(
        registry.file_of(candidate), registry.card(candidate), _curl(queries, candidate), damage
    )


def gates_today(
    queries: Queries, candidate: Candidate, ending: threading.Event
) -> tuple[GateResult, ...]:
    """The gates of a model, judged for a candidate against what is live now.

    What is live is scored again where it was measured on other data; once `ending` is set, that is
    stopped. UsageError where the project has no such model any more, ProjectFileError where its
    files are wrong.
    """
    from mlbench.engine.gating import Gating
    from mlbench.engine.releases import Releases, find_model
    from mlbench.pipeline.workspace import Workspace

    layout, project, store = queries.layout, queries.project(), queries.store()
    run = store.get(candidate.run)
    if run is None:
        return candidate.gates
    gating = Gating(layout, Releases(layout), Workspace.open(layout), store, ending)
    model = find_model(project, candidate.model)
    return gating.judge(project, model, run, candidate, lambda _event: None)


def compare_releases(first: Side, second: Side) -> tuple[ComparedRow, ...]:
    """Two candidates or versions side by side, by kinds as in `SIDES`; what differs comes first."""
    sides = (first, second)
    found: dict[str, list[Mapping[str, Scalar]]] = {
        METRICS: [_metrics(side) for side in sides],
        EXPORTED: [_exported(side.candidate.parity) for side in sides],
        GATES: [_gates(side.candidate.gates) for side in sides],
        PARITY: [_errors(side.candidate.parity) for side in sides],
        SIZE: [_size(side.candidate) for side in sides],
        PARAMS: [side.run.params if side.run else {} for side in sides],
        FACTS: [_facts(side) for side in sides],
    }
    return tuple(row for kind, (one, other) in found.items() for row in _rows(kind, one, other))


def _rows(
    kind: str, one: Mapping[str, Scalar], other: Mapping[str, Scalar]
) -> Iterable[ComparedRow]:
    rows = [_row(kind, name, one.get(name), other.get(name)) for name in {**one, **other}]
    return sorted(rows, key=lambda row: not row.differs)


def _row(kind: str, name: str, one: Scalar, other: Scalar) -> ComparedRow:
    change = None
    if kind != PARAMS and _is_number(one) and _is_number(other):
        change = float(other) - float(one)  # type: ignore[arg-type]
    return ComparedRow(kind, name, (one, other), change)


def _is_number(value: Scalar) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _metrics(side: Side) -> Mapping[str, Scalar]:
    return side.run.metrics if side.run else side.candidate.metrics


def _exported(parity: Parity | None) -> Mapping[str, Scalar]:
    return parity.exported_metrics if parity else {}


def _gates(gates: Iterable[GateResult]) -> dict[str, Scalar]:
    words = {True: "holds", False: "fails", None: "does not apply"}
    return {gate.gate: words[gate.passed] if gate.value is None else gate.value for gate in gates}


def _errors(parity: Parity | None) -> dict[str, Scalar]:
    if parity is None:
        return {}
    checks = {f"{check.name}, max error": check.max_abs_error for check in parity.checks}
    return {
        "max absolute error": parity.max_abs_error,
        "max relative error": parity.max_rel_error,
        "labels that differ": parity.label_flips,
        **checks,
    }


def _size(candidate: Candidate) -> dict[str, Scalar]:
    return {"bytes": candidate.size, **candidate.latency}


def _facts(side: Side) -> dict[str, Scalar]:
    item = side.candidate
    code = side.run.code if side.run else None
    known: dict[str, Scalar] = {"format": item.format, "held-out rows": item.sample_digest[:12]}
    if code is not None and code.commit:
        known["commit"] = code.commit[:12] + (" ±" if code.dirty else "")
    told = {
        name.removeprefix(VERSION): value
        for name, value in item.facts.items()
        if not name.startswith(PARAM) and name not in known
    }
    return {**known, **told, "digest": item.digest[:12]}


def untold(queries: Queries, entries: Iterable[LedgerEntry]) -> dict[int, str]:
    """What went wrong where `on_promote` failed, by the number of the ledger's entry."""
    from mlbench.engine.hands.outside import failure_words, told_before

    layout = queries.layout
    ended = {entry.sequence: told_before(layout, entry.sequence) for entry in entries}
    return {
        sequence: failure_words(layout, told, sequence)
        for sequence, told in ended.items()
        if told is not None and not told.succeeded
    }


def _curl(queries: Queries, candidate: Candidate) -> str:
    from mlbench.domain.ledger import live
    from mlbench.release.registry import Registry
    from mlbench.release.request import curl

    request = Registry(queries.layout.models).request(candidate)
    try:
        environments = queries.project().environments
    except MlbenchError:
        # What is wrong with the project's files is said elsewhere, and the card stays readable.
        environments = ()
    if request is None or not environments:
        return ""
    serving = live(queries.ledger())
    here = [
        item
        for item in environments
        if (entry := serving.get(item.name, {}).get(candidate.model)) is not None
        and entry.version == candidate.version
    ]
    port = (here[0] if here else environments[0]).port
    address = f"http://127.0.0.1:{port}"
    return curl(candidate.model, request, address, version=candidate.version)
