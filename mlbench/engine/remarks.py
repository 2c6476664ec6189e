"""What is to be said of gates that compare runs which were not measured on the same; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import field

from mlbench.domain.records import dataclass
from mlbench.domain.release import GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec
from mlbench.engine.evaluation import asked_of
from mlbench.release.gates import OWN


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence on some names of a root, OWN for the run that is judged.

    With `fails` what compares with them can't be judged.
    """

    root: str
    names: frozenset[str]
    sentence: str
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Today:
    """The runs that were measured again, by root, as they stand today, and what to say of it."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()


def remarked(
    model: ModelSpec, results: Iterable[GateResult], remarks: Iterable[Remark]
) -> tuple[GateResult, ...]:
    """The results with the remarks that concern them; those fail that can't be judged."""
    remarks = tuple(remarks)
    return tuple(_remarked(model, result, remarks) for result in results)


def _remarked(model: ModelSpec, result: GateResult, remarks: Iterable[Remark]) -> GateResult:
    asked = asked_of(model, result.gate)
    said = [remark for remark in remarks if remark.names & _concerned(remark, asked)]
    if not said or result.passed is None:
        return result
    sentences = dict.fromkeys(remark.sentence for remark in said)
    if any(remark.fails for remark in said):
        return GateResult(result.gate, result.model, result.level, False, why="; ".join(sentences))
    why = "; ".join(part for part in (result.why, *sentences) if part)
    return dataclasses.replace(result, why=why)


def _concerned(remark: Remark, asked: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The names in a gate of which a remark may speak."""
    if remark.root != OWN:
        return asked.get(remark.root, frozenset())
    compared = frozenset[str]().union(*(asked[root] for root in asked if root != OWN))
    # What the run itself gave then still stands; it is only not to be compared.
    return compared if remark.fails else compared | asked.get(OWN, frozenset())
