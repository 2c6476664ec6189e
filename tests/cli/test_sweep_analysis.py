"""What `mlbench sweep NAME --show` prints: at any width, and boards whose picture is known."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mlbench.cli.sweep_analysis import analysis_lines, print_analysis
from mlbench.cli.sweep_best import best_trials_lines
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

UP, DOWN = Objective("accuracy", "maximize"), Objective("loss", "minimize")
SPACE = (
    Dimension("train.alpha", Range(1e-5, 1e-1, log=True)),
    Dimension("train.solver", choices=("sgd", "ädam\x1b[31m", "隠れ層")),
)
TOLD = Importances("accuracy", {"train.solver": 0.75, "train.alpha": 0.25}, "fANOVA", 5)


def view(trials: tuple[Trial, ...], *objectives: Objective) -> StudyView:
    sweep = Sweep("small", "train", objectives, SPACE)
    study = Study("20261123-100000-abcd", sweep, "2026-11-23T10:00:00Z")
    return StudyView(study, trials, Progress("ended"), False, best_of(trials, objectives))


def trial(number: int, alpha: float, solver: str, *values: float, **more: object) -> Trial:
    params = {"train.alpha": alpha, "train.solver": solver}
    return Trial(number, TrialState.COMPLETE, params, values, **more)  # type: ignore[arg-type]


BOARD = (
    trial(0, 1e-5, "sgd", 0.5),
    trial(1, 1e-3, "sgd", 0.9, spread=(0.01234,)),
    trial(2, 1e-1, "隠れ層", 0.7),
    trial(3, 1e-2, "sgd", 1.0, constraints={"seconds <= 60": 3.0}),
    Trial(4, TrialState.PRUNED, {"train.alpha": 0.1, "train.solver": "sgd"}),
)


def test_one_objective_has_history_best_importances_and_slices() -> None:
    blocks = analysis_lines(view(BOARD, UP), TOLD, 60)
    assert blocks[0] == [
        "small (20261123-100000-abcd)",
        "4 complete, 1 pruned",
        "1 of 4 complete breaks a constraint",
        "no better one for 3 trials",
    ]
    assert blocks[1][:2] == [
        "accuracy by trial, in the order in which they ended",
        "★ best  ─ best so far  × breaks a constraint",
    ]
    assert blocks[1][2].startswith("  1 ┤")
    assert "×" in blocks[1][2]
    assert blocks[2] == [
        "Best trials",
        "trial     accuracy  train.solver  train.alpha",
        "    1  0.9 ± 0.012  sgd                 0.001",
        "    2          0.7  隠れ層                0.1",
        "    0          0.5  sgd                  1e-5",
    ]
    assert blocks[3][0] == "What matters for accuracy   fANOVA, 5 trials"
    assert blocks[3][1].startswith("train.solver   75 %  █████")
    assert [block[0] for block in blocks[4:]] == [
        "accuracy by train.solver",
        "accuracy by train.alpha (log)",
    ]
    assert blocks[4][1].startswith("sgd")
    assert blocks[4][1].endswith("3")
    assert [sign in blocks[4][1] for sign in "★•×"] == [True, True, True]
    # The control character of a value does not reach a terminal.
    assert blocks[4][2].startswith("ädam·[31m")
    assert blocks[4][2].endswith("0")


def test_several_objectives_have_a_front() -> None:
    board = (trial(0, 1e-5, "sgd", 0.5, 0.1), trial(1, 1e-3, "sgd", 0.9, 0.2),
             trial(2, 1e-3, "sgd", 0.8, 0.3))  # fmt: skip
    blocks = analysis_lines(view(board, UP, DOWN), None, 80)
    assert blocks[1][0] == (
        "minimize loss (upwards), maximize accuracy (to the right)   ★ Pareto front"
    )
    assert sum(line.count("★") for line in blocks[1][1:]) == 2
    assert sum(line.count("•") for line in blocks[1][1:]) == 1
    assert blocks[2][0] == "Pareto front, best in the first objective first"
    assert [line.split()[:3] for line in blocks[2][2:]] == [
        ["1", "0.9", "0.2"],
        ["0", "0.5", "0.1"],
    ]


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_narrow_table_of_the_best_keeps_number_and_values(width: int) -> None:
    metrics = [Objective(name, "minimize") for name in ("validation_loss", "latency_ms", "size")]
    names = [f"model.optimizer.parameter_{at}" for at in range(8)]
    params = dict.fromkeys(names, 0.25)
    board = tuple(
        Trial(n, TrialState.COMPLETE, params, (0.1 + n, 9.0 - n, 5.25), spread=(0.0123, 0.5, 0.0))
        for n in range(3)
    )
    space = tuple(Dimension(name, Range(0.0, 1.0)) for name in names)
    wide = view(board, *metrics)
    wide = replace(wide, study=replace(wide.study, sweep=replace(wide.study.sweep, space=space)))
    heads, *rows = best_trials_lines(wide, names, width)[1:]
    assert all(cell_len(line) <= width for line in (heads, *rows))
    assert heads.startswith("trial  ")
    for n, row in enumerate(rows):
        values = [text for text in row.split() if text != "±" and text not in ("0.012", "0.5")]
        assert values[:4] == [str(n), f"{0.1 + n:g}", f"{9 - n}", "5.25"], "values are whole"
    shown = heads.count("parameter_")
    title = best_trials_lines(wide, names, width)[0]
    assert f"(no room for {8 - shown} parameters)" in title
    assert shown == {30: 0, 40: 0, 60: 1, 80: 3}[width]


def test_what_is_far_worse_leaves_room_for_the_rest() -> None:
    losses = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1e30]
    board = tuple(trial(at, 1e-3, "sgd", loss) for at, loss in enumerate(losses))
    drawn = analysis_lines(view(board, DOWN), None, 80)[1]
    assert "▾ beyond the scale" in drawn[0] + drawn[1]
    assert not any("1e30" in line for line in drawn)
    assert sum("•" in line for line in drawn[2:]) > 2


def test_curves_show_the_best_above_the_others_and_where_one_was_pruned() -> None:
    falling = tuple((step, 100.0 / 10**step) for step in range(5))
    board = (
        trial(0, 1e-5, "sgd", 0.5, curve=tuple((step, 100.0) for step in range(5))),
        trial(1, 1e-3, "sgd", 0.9, curve=falling),
        Trial(2, TrialState.PRUNED, {}, curve=((0, 100.0), (2, 10.0))),
    )
    drawn = analysis_lines(view(board, UP), None, 60)[-1]
    assert drawn == [
        "accuracy by step (log)   ━ best  · others  ✂ pruned",
        " 100 ┤━━━━         ·            ·             ·            ·",
        "     │   ━━━━━━",
        "     │        ━━━━━━",
        "     │             ━━━━━━       ✂",
        "     │                   ━━━━━━",
        "     │                        ━━━━━━",
        "     │                             ━━━━━━",
        "     │                                  ━━━━━━",
        "     │                                        ━━━━━━",
        "     │                                             ━━━━━━",
        "0.01 ┤                                                  ━━━━",
        "      0                                                    4",
    ]


def test_nothing_yet_and_no_importances_are_sentences() -> None:
    out = io.StringIO()
    print_analysis(view((Trial(0, TrialState.RUNNING),), UP), None, out)
    assert out.getvalue().splitlines() == [
        *("small (20261123-100000-abcd)", "1 running"),
        "no trial is complete yet, so there is nothing to compare",
    ]
    out = io.StringIO()
    because = "what matters shows from 5 complete trials on, and here is 1 complete trial"
    print_analysis(view(BOARD[:1], UP), Importances("accuracy", because=because), out)
    assert f"What matters for accuracy\n{because}\n" in out.getvalue()
    assert "\x1b" not in out.getvalue()


values = st.sampled_from([0.0, 0.1, 0.5, -1e300, 1e300, math.nan, math.inf, 5e-324])


@given(
    st.lists(st.tuples(values, values, st.sampled_from(list(TrialState)), st.booleans()),
             max_size=14),
    st.integers(40, 170), st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_board_fits_any_width(
    scored: list[tuple[float, float, TrialState, bool]], width: int, several: bool, told: bool
) -> None:
    objectives = (UP, DOWN) if several else (UP,)
    board = tuple(
        Trial(
            number,
            state,
            {"train.alpha": 10.0 ** -(number % 6), "train.solver": SPACE[1].choices[number % 3]},
            (one, other)[: len(objectives)] if state is TrialState.COMPLETE else (),
            constraints={"seconds <= 60": -1.0 if holds else 1.0},
            curve=((0, one), (number, other), (2**62, one))[: number % 4],
        )
        for number, (one, other, state, holds) in enumerate(scored)
    )
    for block in analysis_lines(view(board, *objectives), TOLD if told else None, width):
        assert block
        assert max(map(cell_len, block)) <= width, block
