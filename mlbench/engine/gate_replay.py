"""Gates replayed over the promotions of the past: which of them they would have stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from mlbench.domain.errors import UsageError
from mlbench.domain.expression import ExpressionError
from mlbench.domain.ledger import PROMOTE, live, taken
from mlbench.domain.records import dataclass
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.slices import parse_gate
from mlbench.domain.stages import GateSpec, ModelSpec, Project
from mlbench.engine.evaluation import asked_of
from mlbench.engine.facts import gate_facts
from mlbench.engine.gate_evidence import Live
from mlbench.release.gates import Evidence, judge_gate, needs_export


@dataclass(frozen=True, slots=True)
class Then:
    """A promotion, and what each environment served of its model just before."""

    entry: LedgerEntry
    live: Mapping[str, LedgerEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A promotion with the gates as they would have been judged; `gone` is a run that is lost."""

    entry: LedgerEntry
    results: tuple[GateResult, ...] = ()
    gone: str = ""

    @property
    def is_stopped(self) -> bool:
        """Whether a gate would have refused it."""
        return any(result.refuses for result in self.results)


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record of a version: its run, and its export where that is there still."""

    run: Run
    candidate: Candidate | None


@dataclass(frozen=True, slots=True)
class Archive:
    """Where the past is looked up.

    `find` gives what is on record of a ledger entry's version, `baseline` the run that was the
    baseline at a time, and `evidence` what gates rest on beside facts, as known at a time.
    """

    find: Callable[[LedgerEntry], Known | None]
    baseline: Callable[[str], Run | None]
    evidence: Callable[[str, Known, Live, Run | None], Evidence]


def gates_to_replay(model: ModelSpec, written: str) -> tuple[GateSpec, ...]:
    """The model's gates, or the one that is written; UsageError where that is no expression."""
    if not written:
        return model.gates
    try:
        parse_gate(written)
    except ExpressionError as error:
        raise UsageError(f"--replay {written!r}: {error}") from None
    known = [gate for gate in model.gates if gate.check == written]
    return tuple(known) or (GateSpec(written),)


def promotions(entries: Iterable[LedgerEntry], model: str) -> Iterator[Then]:
    """The promotions of a model that came about, oldest first, with what was live before each."""
    steps = [entry for entry in taken(entries) if entry.model == model]
    for number, entry in enumerate(steps):
        if entry.action == PROMOTE:
            before = live(steps[:number])
            yield Then(entry, {name: models[model] for name, models in before.items()})


def replay(
    project: Project,
    model: ModelSpec,
    gates: Sequence[GateSpec],
    past: Iterable[Then],
    archive: Archive,
) -> tuple[Replayed, ...]:
    """Each promotion with the gates judged over what was known then; nothing is scored again."""
    return tuple(_replayed(project, model, gates, then, archive) for then in past)


def _replayed(
    project: Project, model: ModelSpec, gates: Sequence[GateSpec], then: Then, archive: Archive
) -> Replayed:
    entry = then.entry
    known = archive.find(entry)
    if known is None:
        return Replayed(entry, gone=entry.run)
    whole: dict[str, tuple[Run, Candidate]] = {}
    for name, before in then.live.items():
        served = archive.find(before)
        if served is not None and served.candidate is not None:
            whole[name] = (served.run, served.candidate)
    baseline = archive.baseline(entry.at)
    facts = gate_facts(project, model, known.run, known.candidate, whole, baseline)
    evidence = archive.evidence(entry.at, known, whole, baseline)
    lost = {name: then.live[name] for name in then.live if name not in whole}
    return Replayed(
        entry,
        tuple(
            _lost(model, gate, known, lost) or judge_gate(model.name, gate, facts, evidence)
            for gate in gates
        ),
    )


def _lost(
    model: ModelSpec, gate: GateSpec, known: Known, lost: Mapping[str, LedgerEntry]
) -> GateResult | None:
    """That a gate can't be judged, for what it names is not there any more; None where it can."""
    for root in asked_of(model, gate.check):
        if root in lost:
            before = lost[root]
            why = f"{root} served v{before.version}, which is on record no more"
            return GateResult(gate.check, model.name, gate.level, None, why=why)
    if known.candidate is None and needs_export(gate):
        why = "what was exported is on record no more"
        return GateResult(gate.check, model.name, gate.level, None, why=why)
    return None
