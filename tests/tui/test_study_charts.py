"""A study's charts: every line as wide as asked, and what the eye is to find there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.binding import Binding

from mlbench.domain.best_trials import best_of
from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_analysis import Importances
from mlbench.domain.sweeps import (
    Dimension,
    Objective,
    Progress,
    Range,
    Study,
    StudyView,
    Sweep,
    Trial,
)
from mlbench.tui.draw.study_chart import (
    CHARTS,
    CONTOUR,
    CURVES,
    HISTORY,
    IMPORTANCES,
    PARALLEL,
    PARETO,
    SLICE,
    TIMELINE,
    Choice,
    Known,
    charts_of,
    choices_of,
    drawn_chart,
)
from mlbench.tui.draw.study_plot import Look, scale_over
from mlbench.tui.widgets.study_charts import StudyCharts

SPACE = (
    Dimension("train.alpha", Range(1e-5, 0.1, log=True)),
    Dimension("train.solver", choices=("adam", "sgd", [64, 64])),
    Dimension("train.momentum", Range(0.0, 0.99), when="train.solver == 'sgd'"),
)
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("latency", "minimize"))
COMPLETE, PRUNED, FAILED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED


def study(*trials: Trial, objectives: tuple[Objective, ...] = OBJECTIVES[:1]) -> StudyView:
    sweep = Sweep("small", "train", objectives, SPACE)
    best = best_of(trials, objectives)
    return StudyView(Study("id", sweep, ""), trials, Progress("running"), True, best)


def trial(number: int, *values: float, **fields: object) -> Trial:
    params = fields.pop(
        "params", {"train.alpha": 10.0 ** (-1 - number % 5), "train.solver": "adam"}
    )
    state = fields.pop("state", COMPLETE)
    return Trial(number, state, params, values, **fields)  # type: ignore[arg-type]


def text(known: Known, chart: str, width: int = 60, height: int = 16, **chosen: object) -> str:
    choice = Choice(chart, **chosen)  # type: ignore[arg-type]
    drawn = drawn_chart(known, choice, chart, Look(width, height, known.selected))
    return "\n".join(each.plain for each in drawn.lines)


floats = st.floats(allow_nan=True, allow_infinity=True)
values = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 1e308, -1e308, 5e-324]), floats)
moments = st.integers(0, 59).map(lambda second: f"2026-11-23T09:00:{second:02d}.000Z")
params = st.fixed_dictionaries(
    {"train.alpha": st.floats(1e-5, 0.1) | st.floats(-1, 1), "train.solver": st.sampled_from(
        ["adam", "sgd", [64, 64], "by hand", "字"])},
    optional={"train.momentum": st.floats(0, 0.99)},
)  # fmt: skip
drawn_trials = st.builds(
    Trial,
    number=st.just(0),
    state=st.sampled_from(TrialState),
    params=params,
    values=st.tuples(values, values),
    constraints=st.dictionaries(st.just("seconds"), st.floats(-1, 1), max_size=1),
    started=st.just("") | moments,
    ended=st.just("") | moments,
    seconds=st.floats(0, 1e6),
    slot=st.integers(0, 3),
)
points = st.lists(st.tuples(st.integers(0, 10**6), values), max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(drawn_trials, max_size=12),
    st.dictionaries(st.integers(0, 11), points, max_size=6),
    st.integers(1, 2),
    st.tuples(st.integers(1, 120), st.integers(1, 40)) | st.just((30, 8)),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_line_is_as_wide_as_asked(
    some: list[Trial], logged: Mapping[int, list[tuple[int, float]]], count: int,
    size: tuple[int, int], is_log: bool, param: int,
) -> None:  # fmt: skip
    whole = [
        replace(each, number=number, values=each.values[:count]) for number, each in enumerate(some)
    ]
    view = study(*whole, objectives=OBJECTIVES[:count])
    shares = {"train.alpha": 0.7, "train.solver": 0.3, "train.momentum": 0.0}
    known = Known(view, Importances("accuracy", shares, "Fanova", 9), logged, 0)
    for chart in CHARTS:
        choice = Choice(chart, param=param, second=param + 1, is_log=is_log)
        drawn = drawn_chart(known, choice, chart, Look(*size, 0, is_log))
        assert [each.cell_length for each in drawn.lines] == [size[0]] * size[1], chart
        numbers = {each.number for each in whole}
        assert set(drawn.spots.values()) <= numbers
        assert all(x >= 0 and y >= 0 for x, y in drawn.spots)


def test_history_says_which_trial_is_best_and_marks_what_has_no_value() -> None:
    view = study(
        trial(0, 0.5), trial(1, 0.9), trial(2, state=PRUNED), trial(3, state=FAILED),
        trial(4, 0.99, constraints={"seconds": 1.0}), trial(5, 0.7),
    )  # fmt: skip
    shown = text(Known(view), HISTORY)
    assert "★ 0.9 in trial 1" in shown
    rug = shown.splitlines()[-2]
    assert rug.index("✂") < rug.index("✗")
    assert shown.count("○") == 2
    # Level from trial 1 on, though one that breaks a constraint is above it.
    assert "⠉⠉⠉" in shown or "⠤⠤⠤" in shown or "⠒⠒⠒" in shown or "⣀⣀⣀" in shown


def test_an_outlier_does_not_flatten_the_others_and_is_told() -> None:
    view = study(*(trial(number, 0.9 + number / 100) for number in range(10)), trial(10, -50.0))
    shown = text(Known(view), HISTORY)
    assert "▾ 1 below" in shown
    assert "0.9┤" in shown
    assert shown.count("▾") == 2


def test_what_is_best_is_never_beyond_the_scale() -> None:
    values = [0.1 + number / 1000 for number in range(20)]
    assert scale_over([*values, 9.0]) != scale_over([*values, 9.0], [9.0])
    kept = scale_over([*values, 9.0], [9.0])
    assert kept is not None
    assert kept.high == 9.0


def test_a_slice_over_words_has_a_column_each() -> None:
    view = study(
        trial(0, 0.5, params={"train.solver": "adam"}),
        trial(1, 0.9, params={"train.solver": [64, 64]}),
    )
    shown = text(Known(view), SLICE, param=1)
    assert "★ 0.9 at [64,64]" in shown.replace(", ", ",")
    (names,) = [each for each in shown.splitlines() if "adam" in each]
    star = next(each for each in shown.splitlines()[2:] if "★" in each)
    assert names.index("sgd") < star.index("★")


def test_a_slice_over_a_logarithmic_range_has_its_decades_evenly() -> None:
    view = study(*(trial(number, float(number)) for number in range(5)))
    rows = [each for each in text(Known(view), SLICE).splitlines() if "•" in each or "★" in each]
    places = sorted(max(row.rfind("•"), row.rfind("★")) for row in rows if "┤" in row or "│" in row)
    gaps = [b - a for a, b in pairwise(places)]
    assert max(gaps) - min(gaps) <= 1
    assert "train.alpha (log)" in text(Known(view), SLICE)


def test_a_slice_leaves_out_those_that_lack_the_parameter_and_says_so() -> None:
    view = study(trial(0, 0.5), trial(1, 0.6, params={"train.momentum": 0.5}))
    assert "1 without it" in text(Known(view), SLICE, param=2)


def test_a_contour_is_densest_where_it_is_best_and_blank_where_nothing_was_tried() -> None:
    view = study(
        *(
            trial(number, value, params={"train.alpha": alpha, "train.momentum": momentum})
            for number, (value, alpha, momentum) in enumerate(
                [(0.1, 1e-5, 0.0), (0.2, 2e-5, 0.05), (0.9, 0.1, 0.99), (0.8, 0.08, 0.95)] * 8
            )
        )
    )
    shown = text(Known(view), CONTOUR, param=0, second=2).splitlines()
    assert "█" in shown[3][-12:]
    assert "█" not in shown[-2]
    assert "░" in shown[-2][:16]
    assert shown[8].strip("│ ").replace("┤", "").strip(" 0.495") == ""


def test_a_category_has_one_shade_of_its_own_in_a_contour() -> None:
    pairs = [(0.1, "adam", 0), (0.9, "sgd", 0), (0.9, "adam", 1), (0.1, "sgd", 1)]
    space = (Dimension("solver", choices=("adam", "sgd")), Dimension("depth", choices=(0, 1)))
    some = [
        trial(number, value, params={"solver": solver, "depth": depth})
        for number, (value, solver, depth) in enumerate(pairs)
    ]
    view = study(*some)
    view = replace(view, study=replace(view.study, sweep=replace(view.study.sweep, space=space)))
    rows = text(Known(view), CONTOUR, param=0, second=1).splitlines()
    upper = next(each for each in rows if each.lstrip().startswith("1┤"))
    lower = next(each for each in rows if each.lstrip().startswith("0┤"))
    half = len(upper) // 2
    assert set(upper[3:half]) <= set("█ ★•")
    assert set(upper[half + 2 :]) <= set("░ •")
    assert set(lower[3:half]) <= set("░ •")


def test_importances_have_their_shares_and_their_evaluator() -> None:
    found = Importances("accuracy", {"b": 0.25, "a": 0.75}, "FanovaImportanceEvaluator", 40)
    lines = text(Known(study(), found), IMPORTANCES).splitlines()
    first, second = (each for each in lines if "%" in each)
    assert first.startswith("a   75 %")
    assert first.count("█") > 2 * second.count("█")
    assert "FanovaImportanceEvaluator over 40 trials" in "\n".join(lines)
    none = Importances("accuracy", because="Two trials have to be complete.")
    assert "Two trials have to be complete." in text(Known(study(), none), IMPORTANCES)


def test_the_front_is_joined_by_steps_and_dominated_ones_are_not_on_it() -> None:
    view = study(trial(0, 0.5, 1.0), trial(1, 0.9, 5.0), trial(2, 0.4, 4.0), objectives=OBJECTIVES)
    shown = text(Known(view), PARETO)
    assert "★ 2 trials on the front" in shown
    assert "better: lower right" in shown
    assert shown.count("★") == 3
    assert sum(each.count("•") for each in shown.splitlines()[2:]) == 1
    assert PARETO not in charts_of(study(trial(0, 0.5)))


def test_a_pruned_curve_ends_with_its_sign_where_it_was_pruned() -> None:
    view = study(trial(0, 0.9), trial(1, state=PRUNED), trial(2, state=TrialState.RUNNING))
    logged = {
        0: [(step, step / 10) for step in range(10)],
        1: [(0, 0.1), (4, 0.2)],
        2: [(0, 0.8), (2, 0.85)],
    }
    shown = text(Known(view, curves=logged), CURVES)
    lines = [each for each in shown.splitlines() if "│" in each or "┤" in each]
    cut = next(each for each in lines if "✂" in each)
    running = next(each for each in lines if "▶" in each)
    assert running.index("▶") < cut.index("✂") < 40
    assert any(each.rstrip().endswith("★") for each in lines)
    assert "reading" in text(Known(view), CURVES)


def test_parallel_axes_end_with_the_objective_and_what_matters_most_before_it() -> None:
    view = study(trial(0, 0.5), trial(1, 0.9))
    found = Importances("accuracy", {"train.alpha": 0.9, "train.solver": 0.1})
    shown = text(Known(view, found), PARALLEL, width=80)
    names = next(each for each in shown.splitlines() if "alpha" in each)
    assert names.split() == ["momentum", "solver", "alpha", "accuracy"]


def test_a_selected_trial_without_a_value_is_not_in_the_legend_of_what_is_drawn() -> None:
    view = study(trial(0, 0.5), trial(1, 0.9), trial(2, state=PRUNED))
    assert "◆ trial 1" in text(Known(view, selected=1), PARALLEL, width=80)
    assert "◆" not in text(Known(view, selected=2), PARALLEL, width=80)


def test_the_selected_trial_is_marked_everywhere_and_clicks_find_trials() -> None:
    view = study(*(trial(number, 0.5 + number / 10, 3.0 - number) for number in range(4)),
                 objectives=OBJECTIVES)  # fmt: skip
    logged = {number: [(0, 0.1), (1, 0.2 + number)] for number in range(4)}
    for chart in (HISTORY, SLICE, PARETO, CURVES):
        known = Known(view, curves=logged, selected=1)
        drawn = drawn_chart(known, Choice(chart), chart, Look(60, 16, 1))
        (spot,) = [at for at, number in drawn.spots.items() if number == 1]
        assert drawn.lines[spot[1]].plain[spot[0]] == "◆", chart


@pytest.mark.parametrize("turns", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_contour_never_has_one_parameter_twice(turns: tuple[int, int]) -> None:
    view, choice = study(), Choice(CONTOUR)
    seen = set()
    for _ in range(6):
        choice = choice.turned(view, CONTOUR, *turns)
        one, other = choice.params(3)
        assert one != other
        seen.add((one, other))
    assert len(seen) == 2
    assert choices_of(view, choice, CONTOUR)


def test_the_timeline_shows_each_trial_from_beginning_to_end() -> None:
    at = "2026-11-23T09:00:{:02d}.000Z".format
    view = study(
        trial(0, 0.5, started=at(0), ended=at(10), seconds=10.0),
        trial(1, 0.9, started=at(10), ended=at(20), seconds=9.0),
    )
    shown = text(Known(view), TIMELINE)
    assert "2 trials in 20 s, 19 s of their stages' own" in shown
    row = next(each for each in shown.splitlines() if each.startswith("0  ✓"))
    assert abs(row.index("★") - 31) <= 1


def test_the_key_named_for_the_objective_is_not_that_of_the_tables_order() -> None:
    view = study(trial(0, 0.5, 1.0), objectives=OBJECTIVES)
    named = "".join(piece.content.plain for piece in choices_of(view, Choice(), HISTORY))
    assert "M objective accuracy" in named
    keys = {each.key for each in StudyCharts.BINDINGS if isinstance(each, Binding)}
    assert "M" in keys
    assert "o" not in keys
