"""What screen 3 writes of a study and its trials: nothing that counts is cut off or parted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_axes import value_text
from mlbench.domain.sweeps import Objective, Progress, Study
from mlbench.tui.draw.columns import GAP
from mlbench.tui.draw.sweeps import detail_lines, head_lines, trial_lines
from mlbench.tui.draw.trials import cell_of, columns_for, trial_line
from mlbench.tui.studied import studied
from mlbench.tui.trial_order import NUMBER, SECONDS, STATE, keys_of, text_of
from tests.tui.swept import BEGAN, SWEEP, stepped, study_id, trial
from tests.tui.test_sweeps_rules import view_of


def test_that_nobody_has_a_study_is_told_before_what_changed_since() -> None:
    view = replace(view_of(trial(0)), is_running=False, moved=("src/model.py",))
    for lines in (
        detail_lines(studied(view), 38, BEGAN, 2),
        head_lines(studied(view), 76, BEGAN, 2),
    ):
        shown = [text.plain for text in lines]
        gone = next(at for at, text in enumerate(shown) if "its coordinator is gone" in text)
        assert all("the code moved on" not in text for text in shown[:gone])


@pytest.mark.parametrize("phase", ["running", "finishing", "preparing"])
def test_how_far_a_study_is_is_never_cut_off(phase: str) -> None:
    sweep = replace(SWEEP, trials=10_000)
    trials = [trial(number) for number in range(250)]
    study = studied(view_of(*trials, progress=Progress(phase, 1), sweep=sweep))
    for width in (30, 36, 60):
        shown = "\n".join(text.plain for text in detail_lines(study, width, BEGAN, 2))
        assert f"{phase}  " in shown
        assert "250 of 10000" in shown
    wide = "\n".join(text.plain for text in detail_lines(study, 60, BEGAN, 2))
    assert "──" in wide, "there is a bar where there is room"


def test_long_options_of_a_pruner_go_on_in_the_next_line() -> None:
    options = {"n_startup_trials": 5, "n_warmup_steps": 20}
    sweep = replace(SWEEP, pruner=replace(SWEEP.pruner, options=options))
    lines = detail_lines(studied(view_of(trial(0), sweep=sweep)), 36, BEGAN, 2)
    shown = " ".join(text.plain for text in lines)
    assert "n_startup_trials=5" in shown
    assert "n_warmup_steps=20" in shown


def test_a_front_is_told_in_full_where_the_line_is_short() -> None:
    two = replace(SWEEP, objectives=(*SWEEP.objectives, Objective("log_loss", "minimize")))
    trials = [trial(n, values=(0.9 + n / 100, 0.1 + n / 10)) for n in range(3)]
    study = studied(view_of(*trials, best=(0, 1, 2), sweep=two))
    shown = "\n".join(text.plain for text in detail_lines(study, 36, BEGAN, 2))
    assert "one of 3 trials on the front" in shown


def test_a_running_trial_says_in_full_what_it_is_at() -> None:
    view = view_of(trial(0))
    shown = [text.plain for text in trial_lines(stepped(4, 3)[-1], view.study, 60)]
    assert any("now" in text and "train step 3 · " in text for text in shown)
    assert not any(
        text.startswith("now") for text in map(str, trial_lines(trial(0), view.study, 60))
    )


def test_columns_fill_their_width_to_the_last_cell() -> None:
    study = Study(study_id(1), SWEEP, "")
    keys = keys_of(study, has_gates=False)
    shown = columns_for(study, keys, [trial(0)], 60)
    needed = sum(column.width for column in shown) + GAP * (len(shown) - 1)
    assert trial_line(trial(0), shown, is_best=False, now=None).cell_length == needed + 2
    assert len(columns_for(study, keys, [trial(0)], needed)) == len(shown)
    assert len(columns_for(study, keys, [trial(0)], needed - 1)) == len(shown) - 1


def test_values_in_cells_are_written_as_everywhere_else() -> None:
    each = replace(trial(0), params={"train.layers": ["ä", 2], "train.bias": None})
    assert cell_of("param:train.layers", each) == value_text(["ä", 2]) == '["ä", 2]'
    assert cell_of("param:train.bias", each) == value_text(None) == "null"
    assert 'train.layers=["ä", 2]' in text_of(each)


@pytest.mark.parametrize("width", [12, 17, 24, 31, 44, 58])
def test_a_count_is_never_parted_from_its_sign_and_word(width: int) -> None:
    trials = [trial(n, state) for n, state in enumerate([*TrialState, TrialState.COMPLETE])]
    lines = detail_lines(studied(view_of(*trials)), width, BEGAN, 2)
    shown = "\n".join(text.plain for text in lines)
    for state in TrialState:
        count = 2 if state is TrialState.COMPLETE else 1
        assert f"{state.glyph} {count} {state.word}"[:width] in shown


def test_columns_keep_number_state_and_value_when_others_are_scrolled() -> None:
    study = Study(study_id(1), SWEEP, "")
    keys = keys_of(study, has_gates=False)
    first = [c.key for c in columns_for(study, keys, [trial(0)], 60)]
    later = [c.key for c in columns_for(study, keys, [trial(0)], 60, 3)]
    assert first[:3] == later[:3] == [NUMBER, STATE, "value:0"]
    assert SECONDS in later
    assert SECONDS not in first
