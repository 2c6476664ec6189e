"""What is told of a study's board between two looks, and how its trials are phrased."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlbench.cli.sweep_lines import status_line, summary_lines, trial_line
from mlbench.cli.sweep_news import Began, Ended, counts, is_over, news
from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_axes import short_names
from mlbench.domain.sweeps import Dimension, Objective, Range, Study, Sweep, Trial

SPACE = (Dimension("train.rate", Range(0.0, 1.0)), Dimension("train.size", choices=(8, 16)))
SWEEP = Sweep("small", "train", (Objective("score", "maximize"),), SPACE, trials=30)
FRONT = replace(SWEEP, objectives=(*SWEEP.objectives, Objective("cost", "minimize")))


def complete(number: int, *values: float, ended: str = "2") -> Trial:
    params = {"train.rate": 0.25, "train.size": 8}
    return Trial(number, TrialState.COMPLETE, params, values, runs=("r",), started="1", ended=ended)


def running(number: int) -> Trial:
    return Trial(number, TrialState.RUNNING, {"train.rate": 0.5}, started="1", stage="train")


def test_a_trial_that_came_and_went_between_two_looks_is_told_twice_over() -> None:
    assert news({}, {3: complete(3, 0.5)}, SWEEP.objectives) == [
        Began(complete(3, 0.5)),
        Ended(complete(3, 0.5), is_best=True),
    ]


def test_the_mark_of_the_best_is_as_of_the_moment_at_which_each_ended() -> None:
    told = {0: complete(0, 0.5, ended="1")}
    board = {
        **told,
        1: complete(1, 0.9, ended="3"),
        2: complete(2, 0.7, ended="2"),
        3: complete(3, 0.8, ended="4"),
    }
    ends = [item for item in news(told, board, SWEEP.objectives) if isinstance(item, Ended)]
    assert [(item.trial.number, item.is_best) for item in ends] == [
        (2, True),
        (1, True),
        (3, False),
    ]


def test_a_trial_that_only_equals_the_best_is_not_marked_in_its_turn() -> None:
    board = {3: complete(3, 0.9, ended="2"), 1: complete(1, 0.9, ended="3")}
    ends = [item for item in news({}, board, SWEEP.objectives) if isinstance(item, Ended)]
    assert [(item.trial.number, item.is_best) for item in ends] == [(3, True), (1, False)]
    both = {3: complete(3, 0.9, 1.0, ended="2"), 1: complete(1, 0.9, 1.0, ended="3")}
    ends = [item for item in news({}, both, FRONT.objectives) if isinstance(item, Ended)]
    assert all(item.is_best for item in ends), "a front keeps both"


def test_a_board_that_is_written_anew_tells_nothing_again() -> None:
    told = {0: complete(0, 0.5), 1: running(1)}
    assert news(told, {}, SWEEP.objectives) == []
    assert news(told, told, SWEEP.objectives) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(list(TrialState)), st.booleans()), max_size=30
    )
)
def test_every_end_is_told_once_after_its_beginning_however_often_one_looks(
    steps: list[tuple[int, TrialState, bool]],
) -> None:
    board: dict[int, Trial] = {}
    told: dict[int, Trial] = {}
    heard: list[tuple[str, int]] = []
    for number, state, looks in steps:
        before = board.get(number)
        if before is None or (not is_over(before.state) and state is not TrialState.WAITING):
            board[number] = Trial(number, state, values=(1.0,), started="1", ended="2")
        if looks:
            heard += [
                (type(item).__name__, item.trial.number)
                for item in news(told, board, SWEEP.objectives)
            ]
            told = {**told, **board}
    heard += [
        (type(item).__name__, item.trial.number) for item in news(told, board, SWEEP.objectives)
    ]
    assert len(set(heard)) == len(heard)
    for number, trial in board.items():
        assert (("Ended", number) in heard) == is_over(trial.state)
        assert (("Began", number) in heard) == (trial.state is not TrialState.WAITING)
        if is_over(trial.state):
            assert heard.index(("Began", number)) < heard.index(("Ended", number))


def test_a_line_says_values_with_spread_params_time_and_what_is_wrong() -> None:
    trial = replace(complete(7, 0.98123), spread=(0.003,), seconds=6.1)
    assert trial_line(trial, SWEEP, is_best=True) == (
        " 7  score 0.9812 ± 0.003 ★   rate=0.25 size=8   6.1 s"
    )
    broken = replace(trial, constraints={"seconds <= 5": 1.1, "score > 0": -1.0})
    assert trial_line(broken, SWEEP).endswith("6.1 s   breaks seconds <= 5")
    pruned = replace(
        trial,
        state=TrialState.PRUNED,
        values=(),
        step=5,
        intermediate=0.4,
        reason="below the median\nof 6",
    )
    assert trial_line(pruned, SWEEP) == (
        " 7  pruned at step 5, score 0.4   rate=0.25 size=8   6.1 s   below the median of 6"
    )


def test_names_are_short_where_no_other_ends_so() -> None:
    names = ("train.rate", "prepare.rate", "other.yaml:a.size", "other.yaml:depth")
    assert list(short_names(names).values()) == ["train.rate", "prepare.rate", "size", "depth"]


def test_the_status_line_says_what_runs_where() -> None:
    at_work = replace(running(8), step=12, intermediate=0.31)
    board = {0: complete(0, 0.5), 8: at_work, 9: running(9)}
    assert status_line(board, SWEEP) == "1 of 30 · #8 train step 12 score 0.31 · #9 train"


def test_the_summary_names_the_best_and_the_command_that_comes_next() -> None:
    board = {0: complete(0, 0.5), 1: Trial(1, TrialState.FAILED, reason="no memory")}
    lines = summary_lines(Study("id", SWEEP, "1"), board, (0,), 61.0)
    assert lines[0] == "small (id)  2 trials: 1 complete, 1 failed, in 1:01"
    assert lines[1] == "best is trial 0: score 0.5"
    assert "mlbench sweep small --apply`" in lines[-1]
    (_, none) = summary_lines(Study("id", SWEEP, "1"), board, ())
    assert "none is the best" in none


def test_a_front_is_listed_and_one_of_it_has_to_be_named() -> None:
    board = {0: complete(0, 0.5, 1.0), 1: complete(1, 0.9, 4.0)}
    lines = summary_lines(Study("id", FRONT, "1"), board, (0, 1))
    assert sum("score" in line and "cost" in line for line in lines) == 2
    assert "--apply TRIAL" in lines[-1]


def test_counts_always_have_the_states_that_count() -> None:
    assert counts([]) == {"complete": 0, "pruned": 0, "failed": 0}
    assert counts([running(1)])["running"] == 1
