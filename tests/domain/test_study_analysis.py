"""What trials tell: laws over any board, and some boards whose answers are plain to see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.best_trials import as_costs, best_of, dominates
from mlbench.domain.outcomes import TrialState
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.study_analysis import (
    Importances,
    PlacedTrial,
    chart,
    history,
    in_order,
    parallel_coordinates,
    pareto,
    since_better,
    summary,
    trial_curves,
)
from mlbench.domain.study_axes import Axis, axis_of, axis_over, value_text
from mlbench.domain.study_contour import contour_grid
from mlbench.domain.sweeps import Dimension, Objective, Range, Sweep, Trial

UP, DOWN = Objective("accuracy", "maximize"), Objective("loss", "minimize")
SPACE = (
    Dimension("alpha", Range(1e-5, 1e-1, log=True)),
    Dimension("solver", choices=("sgd", "adam")),
    Dimension("momentum", Range(0.0, 0.99), when="solver == 'sgd'"),
)
ONE = Sweep("small", "train", (UP,), SPACE)
TWO = Sweep("small", "train", (UP, DOWN), SPACE)

values = st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9, -3.0, math.nan, math.inf])


@st.composite
def trials(draw: st.DrawFn, objectives: int = 1) -> tuple[Trial, ...]:
    made = []
    for number in range(draw(st.integers(0, 12))):
        state = draw(st.sampled_from(list(TrialState)))
        solver = draw(st.sampled_from(["sgd", "adam"]))
        params = {"alpha": draw(st.floats(1e-5, 1e-1)), "solver": solver}
        if solver == "sgd":
            params["momentum"] = draw(st.floats(0, 0.99))
        scored = tuple(draw(values) for _ in range(objectives))
        made.append(
            Trial(
                number,
                state,
                params,
                scored if state is TrialState.COMPLETE else (),
                constraints={"seconds <= 60": draw(st.sampled_from([-1.0, 0.0, 2.0]))},
                ended=draw(st.sampled_from(["", "2026-11-23T10", "2026-11-23T11"])),
            )
        )
    return tuple(made)


def trial(number: int, *scored: float, **more: object) -> Trial:
    return Trial(number, TrialState.COMPLETE, {"alpha": 0.01}, scored, **more)  # type: ignore[arg-type]


@given(trials(), st.sampled_from([UP, DOWN]))
def test_best_so_far_is_the_best_of_those_until_then(
    board: tuple[Trial, ...], objective: Objective
) -> None:
    points = history(board, (objective,))
    ended = in_order(board)
    assert [point.number for point in points] == [trial.number for trial in ended]
    for place, point in enumerate(points):
        finite = [
            each for each in ended[: place + 1] if each.values and math.isfinite(each.values[0])
        ]
        best = best_of(finite, (objective,))
        by_number = {each.number: each for each in finite}
        assert point.best == (by_number[best[0]].values[0] if best else None)


@given(trials(objectives=2))
def test_trials_without_a_better_one_are_those_after_the_last_that_nothing_before_beat(
    board: tuple[Trial, ...],
) -> None:
    ended = in_order(board)
    better = [place for place in range(len(ended)) if _came_to_the_front(ended, place)]
    last = better[-1] if better else -1
    assert since_better(board, (UP, DOWN)) == len(ended) - 1 - last


def _came_to_the_front(ended: Sequence[Trial], place: int) -> bool:
    """By the definition: counts, and none before it is as good in everything."""
    sound = [each for each in ended[: place + 1] if best_of([each], (UP, DOWN))]
    if not sound or sound[-1] is not ended[place]:
        return False
    costs = as_costs(ended[place].values, (UP, DOWN))
    before = [as_costs(each.values, (UP, DOWN)) for each in sound[:-1]]
    return not any(other == costs or dominates(other, costs) for other in before)


def test_one_that_equals_the_best_is_no_better() -> None:
    board = [trial(0, 0.5), trial(1, 0.9), trial(2, 0.9), trial(3, 0.1)]
    assert since_better(board, (UP,)) == 2
    assert since_better([], (UP,)) == 0
    broken = trial(0, 0.5, constraints={"seconds <= 60": 1.0})
    assert since_better([broken], (UP,)) == 1


@given(trials(objectives=2), st.integers(0, 1))
def test_places_are_within_the_axes_and_come_back_as_values(
    board: tuple[Trial, ...], objective: int
) -> None:
    shown = parallel_coordinates(board, TWO, objective)
    assert [axis.name for axis in shown.axes] == ["alpha", "solver", "momentum", "accuracy", "loss"]
    by_number = {each.number: each for each in board}
    for placed in shown.trials:
        params = by_number[placed.number].params
        assert (placed.places[2] is None) == ("momentum" not in params)
        for axis, place in zip(shown.axes[:3], placed.places, strict=False):
            if place is not None:
                assert 0 <= place <= 1
                wanted = params[axis.name]
                found = axis.at(place)
                assert found == (wanted if axis.categories else pytest.approx(wanted, abs=1e-9))


@given(trials(objectives=2))
def test_a_chart_has_complete_trials_that_have_all_its_parameters(
    board: tuple[Trial, ...],
) -> None:
    shown = chart(board, TWO, ["alpha", "momentum"])
    wanted = [
        each.number
        for each in board
        if each.values and math.isfinite(each.values[0]) and "momentum" in each.params
    ]
    assert [placed.number for placed in shown.trials] == wanted
    assert all(None not in placed.places for placed in shown.trials)


@given(trials(objectives=2))
def test_the_front_is_that_of_the_best_trials(board: tuple[Trial, ...]) -> None:
    points = pareto(board, (UP, DOWN))
    finite = {point.number for point in points}
    front = {point.number for point in points if point.is_on_front}
    assert front == set(best_of(board, (UP, DOWN))) & finite
    assert all(point.is_feasible for point in points if point.is_on_front)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(-1e6, 1e6)), min_size=1, max_size=30
    )
)
def test_a_map_stays_between_the_least_and_the_greatest_value(
    spots: list[tuple[float, float, float]],
) -> None:
    placed = [PlacedTrial(at, (x, y), value, True) for at, (x, y, value) in enumerate(spots)]
    grid = contour_grid(placed, 5, 4)
    assert [len(row) for row in grid] == [5] * 4
    low, high = min(spot[2] for spot in spots), max(spot[2] for spot in spots)
    room = 1e-9 * max(1.0, abs(low), abs(high))
    assert all(low - room <= value <= high + room for row in grid for value in row)


def test_a_map_takes_the_values_of_trials_where_they_are() -> None:
    placed = [
        PlacedTrial(0, (0.0, 0.0), 1.0, True),
        PlacedTrial(1, (1.0, 0.0), 2.0, True),
        PlacedTrial(2, (0.0, 1.0), 5.0, True),
        PlacedTrial(3, (1.0, 1.0), 3.0, True),
    ]
    grid = contour_grid(placed, 3, 3)
    assert (grid[0][0], grid[0][2], grid[2][0], grid[2][2]) == (1.0, 2.0, 5.0, 3.0)
    assert grid[1][1] == pytest.approx(11 / 4)
    assert contour_grid([], 3, 3) == ()


@given(st.floats(), st.floats(), st.floats(0, 1))
def test_any_numbers_have_an_axis(one: float, other: float, place: float) -> None:
    axis = axis_over("loss", [one, other])
    assert axis.low <= axis.at(place) <= axis.high
    assert axis.place(math.nan) is None
    for value in (one, other):
        where = axis.place(value)
        assert (where is not None) == math.isfinite(value)


def test_a_dimension_has_its_range_and_what_was_tried_beyond_it() -> None:
    alpha = SPACE[0]
    assert axis_of(alpha, []) == Axis("alpha", 1e-5, 1e-1, is_log=True)
    assert axis_of(alpha, []).place(1e-3) == pytest.approx(0.5)
    by_hand = Trial(0, TrialState.COMPLETE, {"alpha": 1.0})
    assert axis_of(alpha, [by_hand]).high == 1.0
    zero = Trial(0, TrialState.COMPLETE, {"alpha": 0.0})
    assert not axis_of(alpha, [zero]).is_log


def test_choices_stand_in_their_own_order_and_are_told_apart_as_in_json() -> None:
    choices = Dimension("hidden", choices=([32], [64, 64], "1", 1, True))
    other = Trial(0, TrialState.COMPLETE, {"hidden": [128]})
    axis = axis_of(choices, [other])
    places = [axis.place(value) for value in ([32], [64, 64], "1", 1, True, [128])]
    assert places == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert axis.place(False) is None
    assert [value_text(value) for value in ([64, 64], True, 0.00012, "sgd")] == [
        *("[64, 64]", "true", "0.00012", "sgd")
    ]


def test_curves_come_by_step_and_without_what_is_no_number() -> None:
    board = (trial(0, 0.5), Trial(1, TrialState.PRUNED), Trial(2, TrialState.RUNNING))
    logged = {0: [(2, 0.2), (1, 0.1), (2, 0.3)], 1: [(1, math.nan)], 2: [(0, 1.0)]}
    first, second = trial_curves(board, logged)
    assert (first.number, first.steps, first.values) == (0, (1, 2), (0.1, 0.3))
    assert (second.number, second.state) == (2, TrialState.RUNNING)


def test_a_summary_counts() -> None:
    board = (
        trial(0, 0.5),
        trial(1, 0.4, constraints={"seconds <= 60": 1.0}),
        Trial(2, TrialState.LOST),
        Trial(3, TrialState.FAILED),
        Trial(4, TrialState.RUNNING),
    )
    told = summary(board, (UP,))
    assert (told.ended, told.feasible, told.since_better) == (3, 1, 2)
    assert told.counts[TrialState.LOST] == 1


def test_importances_go_through_json() -> None:
    told = Importances("accuracy", {"alpha": 0.9, "solver": 0.1}, "fANOVA", 12)
    assert from_plain(Importances, to_plain(told)) == told


def test_an_unknown_parameter_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        chart([], ONE, ["beta"])
