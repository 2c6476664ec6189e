"""What screen 3 can do to which study and trial, what its forms hold, how trials are listed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.objectives import read_objective
from mlbench.domain.outcomes import TrialState
from mlbench.domain.stages import ModelSpec, Project, Stage
from mlbench.domain.sweeps import Objective, Progress, Study, StudyView, Sweep, Trial
from mlbench.tui.actions import ACTIONS, action_of, for_key
from mlbench.tui.draw.sweeps import detail_lines, head_lines, no_studies, study_rows, trial_lines
from mlbench.tui.draw.trials import cell_of, columns_for, trial_line
from mlbench.tui.history import History
from mlbench.tui.reading import Surroundings
from mlbench.tui.situation import PIPELINE, SWEEPS, Situation
from mlbench.tui.studied import Studied, studied, trial_of
from mlbench.tui.sweep_hand import BeginOnTheSpot
from mlbench.tui.sweeping_reading import Sweeps
from mlbench.tui.sweeping_rules import (
    begun_with,
    fault_in_params,
    fault_on_the_spot,
    is_stopping,
    made_on_the_spot,
    params_in,
    texts_for,
)
from mlbench.tui.trial_order import NOW, in_order, keys_of, text_of
from tests.tui.released import run_of
from tests.tui.swept import BASE, BEGAN, SPACE, SWEEP, stepped, study_id, trial

PROJECT = Project(
    "swept", "python", 2, (Stage("train", ("true",)),), (), (), sweeps=(SWEEP,),
    objective="maximize accuracy",
)  # fmt: skip
RUNNING = Progress("running", 1)
DONE = Progress("ended", 1, "all 30 trials have ended", True)


def view_of(
    *trials: Trial, progress: Progress = RUNNING, best: tuple[int, ...] = (), sweep: Sweep = SWEEP
) -> StudyView:
    study = Study(study_id(1), sweep, "2026-11-18T10:00:00.000Z", BASE)
    return StudyView(study, trials, progress, progress.phase != "ended", best)


def known(view: StudyView | None, chosen: Trial | None = None, **fields: object) -> Situation:
    study = studied(view) if view is not None else None
    studies = (study,) if study is not None else ()
    situation = Situation(
        screen=SWEEPS,
        surroundings=Surroundings(PROJECT),
        sweeps=Sweeps(studies=studies, chosen=study, is_read=True),
        study=study,
        trial=chosen,
    )
    return replace(situation, **fields)  # type: ignore[arg-type]


def why(action: str, situation: Situation) -> str:
    return action_of(action).blocked(situation)


def test_s_stops_the_sweep_on_its_screen_and_the_loop_elsewhere() -> None:
    on_sweeps, elsewhere = for_key("s", SWEEPS), for_key("s", PIPELINE)
    assert on_sweeps is not None
    assert elsewhere is not None
    assert (on_sweeps.id, elsewhere.id) == ("stop-sweep", "stop")


def test_no_key_does_two_things_on_the_screen() -> None:
    keys = [key for a in ACTIONS if a.works_on(SWEEPS) for key in a.key.split(",")]
    assert len(keys) == len(set(keys))


def test_what_can_not_be_done_says_why() -> None:
    nothing = known(None)
    assert why("sweep", nothing) == ""
    assert why("stop-sweep", nothing) == "there is no sweep yet: n starts one"
    running = known(view_of(trial(0)))
    assert why("stop-sweep", running) == ""
    assert why("sweep-on", running) == "small runs"
    assert why("apply-best", running) == "small has no complete trial yet"
    assert why("open-trial", running) == "there is no trial under the cursor"
    ended = known(view_of(trial(0), progress=replace(DONE, is_done=False), best=(0,)), trial(0))
    assert why("stop-sweep", ended) == "small does not run: u goes on with it"
    assert why("enqueue", ended).endswith("u goes on with it")
    assert why("sweep-on", ended) == ""
    assert why("apply-best", ended) == why("apply-trial", ended) == why("open-trial", ended) == ""
    assert why("stop-trial", ended) == "trial 0 does not run: it is complete"
    full = view_of(*map(trial, range(30)), progress=DONE, best=(13,))
    assert why("sweep-on", known(full)).startswith("small is done: R starts it anew")
    told = replace(DONE, because="no better one in 8 trials")
    ended_early = view_of(*map(trial, range(9)), progress=told, best=(1,))
    assert "is done, no better one in 8 trials: R starts" in why("sweep-on", known(ended_early))
    assert why("sweep-on", known(view_of(trial(0)), beginning=("small",))) == "small runs"
    assert why("chart-objective", ended) == "small has one objective"


def test_a_second_stop_is_at_once() -> None:
    study = studied(view_of(trial(0)))
    assert not is_stopping(known(study.view), study)
    assert is_stopping(known(study.view, stopping=(study.id,)), study)
    finishing = studied(view_of(trial(0), progress=Progress("finishing", 1)))
    assert is_stopping(known(finishing.view), finishing)


def test_a_study_tells_how_far_it_is_and_how_long_yet() -> None:
    half = [trial(number) for number in range(10)]
    going = [trial(10, TrialState.RUNNING), trial(11, TrialState.RUNNING)]
    lost = trial(12, TrialState.LOST)
    study = studied(view_of(*half, *going, lost, best=(9,)))
    assert (study.done, study.trials, study.took) == (10, 30, 7.5)
    # 18 are to begin, and the two that run have half of their time before them.
    moment = BEGAN + 10 * 10.5
    left = study.left(moment, jobs=2)
    assert left is not None
    assert 18 * 7.5 / 2 < left <= 18 * 7.5 / 2 + 7.5
    limited = replace(SWEEP, timeout=study.gone(moment) + 3.0)
    assert studied(view_of(*half, sweep=limited)).left(moment, 2) == pytest.approx(3.0)
    assert studied(view_of(*half, progress=DONE)).left(moment, 2) is None


def test_a_study_whose_coordinator_is_gone_says_so() -> None:
    view = replace(view_of(trial(0)), is_running=False)
    assert studied(view).sign[0] == "broken off"
    shown = "\n".join(text.plain for text in detail_lines(studied(view), 60, BEGAN, 2))
    assert "u goes on where it was" in shown


def test_moved_code_is_told_with_the_keys_for_it() -> None:
    view = replace(view_of(trial(0), best=(0,)), moved=("src/model.py", "data/digits.csv"))
    shown = "\n".join(text.plain for text in detail_lines(studied(view), 60, BEGAN, 2))
    assert "the code moved on since: 2 inputs" in shown
    assert "R starts anew with them" in shown
    assert "src/model.py, data/digits.csv" in shown


def test_a_form_holds_the_best_trials_values_and_gives_them_back_exactly() -> None:
    best = trial(13)
    texts = {name: text for name, _, text in texts_for(studied(view_of(best, best=(13,))))}
    assert params_in(SPACE, texts) == best.params
    # Without a trial there are the values of the params file.
    texts = {name: text for name, _, text in texts_for(studied(view_of()))}
    assert params_in(SPACE, texts) == BASE


@given(st.floats(1e-5, 1e-1), st.sampled_from((32, 64, 128)), st.sampled_from(("sgd", "adam")))
def test_any_value_of_the_space_goes_through_the_form(alpha: float, hidden: int, way: str) -> None:
    params = {"train.alpha": alpha, "train.hidden": hidden, "train.solver": way}
    made = studied(view_of(replace(trial(0), params=params), best=(0,)))
    texts = {name: text for name, _, text in texts_for(made)}
    assert params_in(SPACE, texts) == params


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.alpha", "x", 'train.alpha: "x" is no number'),
        ("train.alpha", "0.5", "train.alpha: 0.5 is not from 1e-5 to 0.1"),
        ("train.alpha", "nan", "train.alpha: nan is not from 1e-5 to 0.1"),
        ("train.hidden", "33", 'train.hidden: "33" is none of 32, 64, 128'),
    ],
)
def test_values_outside_the_space_are_refused(name: str, text: str, said: str) -> None:
    assert fault_in_params(SPACE, {name: text}) == said


def test_a_sweep_on_the_spot_is_what_the_form_says() -> None:
    situation = known(None)
    texts = begun_with(situation)
    assert fault_on_the_spot(situation, texts).startswith("what is to be tried?")
    texts |= {"try": "train.alpha=log(1e-5,1e-1)", "trials": "12"}
    assert made_on_the_spot(texts) == BeginOnTheSpot(
        "train", ("train.alpha=log(1e-5,1e-1)",), ("maximize accuracy",), 12
    )
    for name, wrong, said in (
        ("trials", "0", "trials: "),
        ("objective", "accuracy", "write maximize METRIC"),
        ("stage", "trian", "there is no stage trian"),
        ("and", "train.hidden", "write NAME="),
    ):
        assert said in fault_on_the_spot(situation, {**texts, name: wrong})


def test_the_form_begins_with_the_stage_that_measures_the_objective() -> None:
    stages = (Stage("train", ("true",)), Stage("evaluate", ("true",)), Stage("report", ("true",)))
    project = replace(PROJECT, stages=stages, models=(ModelSpec("m", "train", "m.joblib"),))
    situation = known(None, surroundings=Surroundings(project))
    assert begun_with(situation)["stage"] == "report", "nothing is known: all are built"
    declared = tuple(
        replace(each, metrics=("metrics.json",)) if each.name == "evaluate" else each
        for each in stages
    )
    project = replace(project, stages=declared)
    situation = replace(situation, surroundings=Surroundings(project))
    assert begun_with(situation)["stage"] == "evaluate"
    measured = replace(situation, history=History(recent=(run_of(2, 0.9),)))
    assert begun_with(measured)["stage"] == "train", "its last run says who gave the metric"


@pytest.mark.parametrize(
    "written",
    [
        ("maximize accuracy",),
        ("maximize accuracy", "minimize loss"),
        ('maximize m["val/accuracy"]', "minimize loss"),
        ('minimize m["loss, smoothed"]',),
        ("maximize m['f1,macro']", 'minimize m["it\'s"]'),
    ],
)
def test_the_form_takes_each_objective_that_mlbench_toml_takes(written: tuple[str, ...]) -> None:
    situation = known(None)
    texts = begun_with(situation) | {"try": "train.alpha=log(1e-5,1e-1)"}
    texts["objective"] = " ,".join(written)
    assert fault_on_the_spot(situation, texts) == ""
    assert made_on_the_spot(texts).objectives == written
    assert all(read_objective(text) is not None for text in written)


@pytest.mark.parametrize("text", ["maximize", "best m['a,b']", " , ", "minimize a, minimize  a"])
def test_the_form_refuses_what_mlbench_toml_refuses(text: str) -> None:
    situation = known(None)
    texts = begun_with(situation) | {"try": "train.alpha=log(1e-5,1e-1)", "objective": text}
    assert fault_on_the_spot(situation, texts)


ANY_TRIAL = st.builds(
    lambda number, state, value, seconds: trial(
        number, state, values=() if value is None else (value,), seconds=seconds
    ),
    st.integers(0, 999), st.sampled_from(TrialState), st.none() | st.floats(), st.floats(0, 9e3),
)  # fmt: skip


@given(st.lists(ANY_TRIAL, max_size=30), st.booleans(), st.data())
def test_trials_are_sorted_by_any_column(
    trials: list[Trial], descending: bool, data: st.DataObject
) -> None:
    study = Study(study_id(1), SWEEP, "")
    key = data.draw(st.sampled_from(keys_of(study, has_gates=True)))
    rows = in_order(trials, key, descending=descending)
    assert sorted(map(id, rows)) == sorted(map(id, trials)), "none is lost"
    if key == "value:0":
        kept = [row.values[0] for row in rows if row.values and row.values[0] == row.values[0]]
        assert kept == sorted(kept, reverse=descending)
        assert all(row.values for row in rows[: len(kept)]), "what has no value comes last"


@pytest.mark.parametrize("width", [12, 30, 76, 200])
def test_every_line_fits_its_width(width: int) -> None:
    two = (*SWEEP.objectives, Objective("log_loss", "minimize"))
    sweep = replace(SWEEP, objectives=two, repeats=3)
    trials = [
        trial(0, values=(0.91, 0.2), spread=(0.01, 0.002), gates_hold=True, is_by_hand=True),
        trial(1, TrialState.FAILED, reason="train: exit status 1\nout of memory"),
        *stepped(2, 3)[-1:],
        trial(3, values=(0.9, 0.1), constraints={"seconds <= 60": 4.0}),
    ]
    view = view_of(*trials, best=(0,), sweep=sweep)
    study = studied(view)
    keys = keys_of(view.study, has_gates=True)
    columns = columns_for(view.study, keys, trials, width)
    for each in trials:
        shown = trial_line(each, columns, is_best=each.number == 0, now=None)
        assert shown.cell_length <= max(width, 40) + 3
        assert all(t.cell_length <= width for t in trial_lines(each, view.study, width))
    for lines in (
        study_rows((study, study), width, BEGAN),
        head_lines(study, width, BEGAN, 2),
        detail_lines(study, max(12, width), BEGAN, 2),
    ):
        assert all(text.cell_length <= max(12, width) for text in lines)


def test_cells_say_what_is_true_of_a_trial() -> None:
    view = view_of(sweep=replace(SWEEP, repeats=3))
    shown = {}
    for each in (
        trial(0, values=(0.91,), spread=(0.0123,), gates_hold=False),
        *stepped(4, 3)[-1:],
        trial(5, TrialState.FAILED, reason="train: exit status 1"),
        trial(6, constraints={"seconds <= 60": 4.0}),
    ):
        columns = columns_for(view.study, keys_of(view.study, has_gates=True), [each], 200)
        shown[each.number] = trial_line(each, columns, is_best=False, now=lambda _: "9.0 s").plain
    assert "0.9100" in shown[0]
    assert "0.012" in shown[0]
    assert "✗ fail" in shown[0]
    assert "▶ running" in shown[4]
    assert "train step 3" in shown[4]
    assert "9.0 s" in shown[4]
    assert "✗ failed" in shown[5]
    assert "exit status 1" in shown[5]
    assert "breaks seconds <= 60" in shown[6]


def test_a_filter_finds_trials_by_state_number_and_parameter() -> None:
    text = text_of(trial(7, TrialState.PRUNED, reason="worse than the median"))
    assert all(word in text for word in ("#7", "pruned", "train.hidden=64", "median"))


def test_what_to_do_without_a_study_is_said() -> None:
    def said(situation: Situation) -> str:
        return "\n".join(text.plain for text in no_studies(situation, 70))

    assert "Press n to start small" in said(known(None))
    without = known(None, surroundings=Surroundings(replace(PROJECT, sweeps=())))
    assert "[sweeps.small.space]" in said(without)
    assert "small is beginning" in said(known(None, beginning=("small",)))


def test_a_trial_is_found_by_its_number_where_some_are_missing() -> None:
    trials = [trial(number) for number in (0, 1, 4, 9)]
    assert [t.number for n in range(11) if (t := trial_of(trials, n))] == [0, 1, 4, 9]
    assert trial_of((), 0) is None


def test_of_several_studies_only_the_newest_of_a_sweep_goes_on() -> None:
    newer = studied(view_of(trial(0), progress=replace(DONE, is_done=False)))
    old_view = replace(newer.view, study=replace(newer.view.study, id=study_id(0)))
    older: Studied = studied(old_view)
    situation = known(old_view)
    situation = replace(
        situation, sweeps=replace(situation.sweeps, studies=(newer, older)), study=older
    )
    assert "a newer study of small" in why("sweep-on", situation)


def test_what_was_reported_by_step_is_never_taken_for_the_objective() -> None:
    going = replace(trial(4, TrialState.RUNNING), step=3, intermediate=0.0827)
    pruned = replace(trial(5, TrialState.PRUNED), step=3, intermediate=0.0827)
    for each in (going, pruned):
        assert cell_of("value:0", each)[0] == "–"
    assert cell_of(NOW, going)[0] == "train step 3 · 0.08270"
