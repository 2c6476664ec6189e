"""Gates replayed over past promotions: what was live before each, and what each would have met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.ledger import PROMOTE, ROLLBACK, WITHDRAW, live, taken
from mlbench.domain.release import LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.engine.gate_evidence import Live
from mlbench.engine.gate_replay import (
    Archive,
    Known,
    Replayed,
    gates_to_replay,
    promotions,
    replay,
)
from mlbench.release.gates import Evidence
from tests.release.conftest import entry, versioned
from tests.release.test_facts import MODEL, PROJECT, run_with

BETTER = GateSpec("accuracy >= production.accuracy")
GOOD = GateSpec("accuracy >= 0.9")
FAST = GateSpec("onnx.p99_ms < 5")


def ledger(*steps: tuple[str, str, int]) -> tuple[LedgerEntry, ...]:
    """Entries of (action, environment, version), each a minute after the one before."""
    return tuple(
        replace(
            entry(action, version, environment),
            sequence=number,
            at=f"2026-11-23T09:{number:02d}:00.000Z",
            run=f"run-{version}",
        )
        for number, (action, environment, version) in enumerate(steps, start=1)
    )


def archive(
    accuracies: dict[int, float], *, lost: Sequence[int] = (), unexported: Sequence[int] = ()
) -> Archive:
    """The runs of versions by their accuracy, without those that are lost."""

    def find(of: LedgerEntry) -> Known | None:
        number = of.version
        if number in lost:
            return None
        run = replace(run_with(evaluate={"accuracy": accuracies[number]}), id=f"run-{number}")
        return Known(run, None if number in unexported else versioned(number, number))

    def baseline(at: str) -> Run | None:
        return run_with(evaluate={"accuracy": 0.7}) if at >= "2026-11-23T09:02" else None

    def evidence(_at: str, _known: Known, _live: Live, _baseline: Run | None) -> Evidence:
        return Evidence()

    return Archive(find, baseline, evidence)


def replayed(
    entries: tuple[LedgerEntry, ...], known: Archive, *gates: GateSpec, model: ModelSpec = MODEL
) -> tuple[Replayed, ...]:
    return replay(PROJECT, model, gates, promotions(entries, model.name), known)


def passed(results: Sequence[Replayed]) -> list[list[bool | None]]:
    return [[gate.passed for gate in one.results] for one in results]


def test_each_promotion_meets_what_was_live_just_before_it() -> None:
    entries = ledger(
        (PROMOTE, "production", 1),
        (PROMOTE, "production", 2),
        (ROLLBACK, "production", 1),
        (PROMOTE, "production", 3),
    )
    found = replayed(entries, archive({1: 0.8, 2: 0.95, 3: 0.85}), BETTER)
    assert [(one.entry.version, one.is_stopped) for one in found] == [
        (1, False),
        (2, False),
        (3, False),
    ]
    assert passed(found) == [[None], [True], [True]]
    # After the rollback it was version 1 that stood there, not the better version 2.
    assert found[2].results[0].threshold == 0.8


def test_what_would_have_been_stopped_has_value_and_margin() -> None:
    entries = ledger((PROMOTE, "staging", 1), (PROMOTE, "production", 1), (PROMOTE, "staging", 2))
    found = replayed(entries, archive({1: 0.95, 2: 0.8}), GOOD)
    assert [one.is_stopped for one in found] == [False, False, True]
    (result,) = found[2].results
    assert (result.value, result.threshold) == (0.8, 0.9)
    assert result.margin == pytest.approx(-0.1)


def test_the_baseline_is_that_of_then() -> None:
    entries = ledger((PROMOTE, "staging", 1), (PROMOTE, "staging", 2))
    found = replayed(entries, archive({1: 0.9, 2: 0.6}), GateSpec("accuracy >= baseline.accuracy"))
    assert passed(found) == [[None], [False]]


def test_what_is_gone_is_named_and_nothing_is_made_of_it() -> None:
    entries = ledger(
        (PROMOTE, "production", 1), (PROMOTE, "production", 2), (PROMOTE, "production", 3)
    )
    known = archive({1: 0.8, 2: 0.9, 3: 0.85}, lost=[2], unexported=[3])
    first, second, third = replayed(entries, known, BETTER, GOOD, FAST)
    assert first.gone == third.gone == ""
    assert (second.gone, second.results, second.is_stopped) == ("run-2", (), False)
    assert [gate.passed for gate in third.results] == [None, False, None]
    assert third.results[0].why == "production served v2, which is on record no more"
    assert third.results[2].why == "what was exported is on record no more"


def test_a_gate_that_the_model_has_keeps_its_level() -> None:
    model = replace(MODEL, gates=(replace(GOOD, level="warn"), BETTER))
    assert gates_to_replay(model, "") == model.gates
    assert gates_to_replay(model, GOOD.check) == (replace(GOOD, level="warn"),)
    assert gates_to_replay(model, "accuracy > 0.5") == (GateSpec("accuracy > 0.5"),)
    with pytest.raises(UsageError, match="--replay 'accuracy >': not an expression"):
        gates_to_replay(model, "accuracy >")


STEPS = st.lists(
    st.tuples(
        st.sampled_from((PROMOTE, PROMOTE, ROLLBACK, WITHDRAW)),
        st.sampled_from(("staging", "production")),
        st.integers(1, 4),
    ),
    max_size=12,
)


@given(STEPS)
def test_every_promotion_that_came_about_is_there_with_what_the_ledger_said_then(
    steps: list[tuple[str, str, int]],
) -> None:
    entries = ledger(*steps)
    others = ledger(*steps)
    mixed = [one for pair in zip(entries, others, strict=True) for one in pair]
    foreign = [replace(one, model="other") if at % 2 else one for at, one in enumerate(mixed)]
    past = list(promotions(foreign, "digits"))
    assert past == list(promotions(entries, "digits"))
    came = [one for one in taken(entries) if one.action == PROMOTE]
    assert [then.entry for then in past] == came
    for then in past:
        # What was withdrawn later never was live, whenever it is asked.
        before = [one for one in taken(entries) if one.sequence < then.entry.sequence]
        serving = {name: models["digits"] for name, models in live(before).items()}
        assert dict(then.live) == serving


@given(STEPS, st.dictionaries(st.integers(1, 4), st.floats(0, 1), min_size=4, max_size=4))
def test_a_gate_stops_exactly_what_misses_it(
    steps: list[tuple[str, str, int]], accuracies: dict[int, float]
) -> None:
    for one in replayed(ledger(*steps), archive(accuracies), GOOD):
        assert one.is_stopped is (accuracies[one.entry.version] < 0.9)
