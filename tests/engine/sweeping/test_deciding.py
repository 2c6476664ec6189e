"""What a study does next, over hand-made boards."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.clock import utc
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Dimension, Objective, Range, Sweep, Trial
from mlbench.engine.sweeping.deciding import Decision, decide, worked_seconds

SWEEP = Sweep(
    "small",
    "train",
    (Objective("accuracy", "maximize"),),
    (Dimension("alpha", Range(0.0, 1.0)),),
    trials=5,
)
BEGAN = 1_800_000_000.0


def trial(number: int, value: float | None, state: TrialState = TrialState.COMPLETE) -> Trial:
    values = () if value is None else (value,)
    started, ended = utc(BEGAN + 10 * number), utc(BEGAN + 10 * number + 10)
    return Trial(number, state, {}, values, started=started, ended=ended)


def test_free_slots_are_filled_up_to_the_trials_that_are_left() -> None:
    ended = [trial(0, 0.5), trial(1, None, TrialState.FAILED)]
    assert decide(SWEEP, ended, free=2, running=0, now=BEGAN) == Decision(begin=2)
    assert decide(SWEEP, ended, free=2, running=2, now=BEGAN) == Decision(begin=1)
    assert decide(SWEEP, ended, free=0, running=3, now=BEGAN) == Decision(begin=0)


def test_what_is_lost_is_tried_again() -> None:
    lost = [trial(number, None, TrialState.LOST) for number in range(9)]
    assert decide(SWEEP, lost, free=2, running=0, now=BEGAN) == Decision(begin=2)


def test_a_study_is_done_when_its_trials_have_ended() -> None:
    kinds = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED]
    ended = [trial(number, 0.1, kinds[number % 3]) for number in range(5)]
    decision = decide(SWEEP, ended, free=1, running=0, now=BEGAN)
    assert decision == Decision(because="all 5 trials have ended", is_done=True)


def test_a_study_is_done_after_its_time() -> None:
    sweep = replace(SWEEP, timeout=25.0)
    two = [trial(0, 0.5), trial(1, 0.5)]
    assert decide(sweep, two, free=1, running=0, now=BEGAN).begin == 1
    three = [*two, trial(2, 0.5)]
    decision = decide(sweep, three, free=1, running=0, now=BEGAN)
    assert decision == Decision(because="its time of 0:25 is over", is_done=True)


def test_a_study_is_done_when_nothing_gets_better() -> None:
    sweep = replace(SWEEP, patience=2)
    better = [trial(0, 0.5), trial(1, 0.4), trial(2, 0.6), trial(3, 0.6)]
    assert decide(sweep, better, free=1, running=0, now=BEGAN).begin == 1
    stagnant = [*better[:3], trial(3, None, TrialState.PRUNED), trial(4, 0.1)]
    decision = decide(replace(sweep, trials=9), stagnant, free=1, running=0, now=BEGAN)
    assert decision == Decision(because="no better one in 2 trials", is_done=True)


def test_time_in_which_nothing_ran_does_not_count() -> None:
    early, late = trial(0, 0.1), trial(50, 0.1)
    running = Trial(60, TrialState.RUNNING, started=utc(BEGAN + 600))
    assert worked_seconds([early, late], BEGAN + 10_000) == 20.0
    assert worked_seconds([early, late, running], BEGAN + 607) == 27.0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 50)), max_size=20))
def test_work_is_never_more_than_the_whole_time_nor_than_all_trials(
    spans: list[tuple[int, int]],
) -> None:
    trials = [
        Trial(at, TrialState.COMPLETE, started=utc(BEGAN + begin), ended=utc(BEGAN + begin + took))
        for at, (begin, took) in enumerate(spans)
    ]
    worked = worked_seconds(trials, BEGAN)
    assert worked <= sum(took for _, took in spans) + 1e-6
    assert worked <= max((begin + took for begin, took in spans), default=0) + 1e-6
    assert worked >= max((took for _, took in spans), default=0) - 1e-6
