"""What can be done to the study or trial that screen 3 looks at, and what forms hold: pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlbench.domain.objectives import read_objective
from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import number
from mlbench.domain.stages import Project
from mlbench.domain.study_axes import value_text
from mlbench.domain.sweeps import Dimension, Range, Sweep, Trial
from mlbench.tui.situation import Situation
from mlbench.tui.studied import Studied
from mlbench.tui.sweep_hand import BeginOnTheSpot

STAGE, OBJECTIVE, TRIALS, JOBS = "stage", "objective", "trials", "jobs"
OVER = ("try", "and", "and too")
_SHOWN_CHOICES = 40
# What stands between commas; those within quotes belong to a name, as in `m["f1,macro"]`.
_OBJECTIVE = re.compile(r"""(?:[^,"']|"[^"]*"|'[^']*'|["'])+""")


def configured(situation: Situation) -> tuple[Sweep, ...]:
    """The sweeps of mlbench.toml."""
    project = situation.surroundings.project
    return project.sweeps if project is not None else ()


def sweep_now(situation: Situation, study: Studied) -> Sweep:
    """A study's sweep as mlbench.toml has it today, else as it was begun."""
    found = (sweep for sweep in configured(situation) if sweep.name == study.name)
    return next(found, study.view.study.sweep)


def jobs_of(situation: Situation, study: Studied) -> int:
    """How many of its trials run at once."""
    project = situation.surroundings.project
    return study.view.study.sweep.jobs or (project.jobs if project is not None else None) or 1


def no_stage_to_sweep(situation: Situation) -> str:
    """Why no sweep can be started."""
    project = situation.surroundings.project
    if situation.surroundings.problem or project is None:
        return "the project's files have to be mended first; the line below says where"
    if not project.stages:
        return "this project has no stages yet: add [stages.NAME] to mlbench.toml"
    return ""


def no_study(situation: Situation) -> str:
    """Why nothing can be done to the study under the cursor."""
    if situation.study is not None:
        return ""
    if not situation.sweeps.is_read:
        return "sweeps are looked for; in a moment it works"
    return "there is no sweep yet: n starts one"


def not_sweeping(situation: Situation) -> str:
    """Why no sweep can be stopped, and no trial be handed to it."""
    study = situation.study
    if study is None or study.view.is_running:
        return no_study(situation)
    return f"{study.name} does not run: u goes on with it"


def not_resumable(situation: Situation) -> str:
    """Why the study can't go on."""
    study = situation.study
    if study is None:
        return no_study(situation)
    if study.view.is_running:
        return f"{study.name} runs"
    if study.name in situation.beginning:
        return f"{study.name} is beginning"
    newest = next(item for item in situation.sweeps.studies if item.name == study.name)
    if newest.id != study.id:
        return f"there is a newer study of {study.name}, which goes on instead"
    if not study.view.progress.is_done:
        return ""
    of, now = study.view.study.sweep, sweep_now(situation, study)
    if now.trials <= study.done:
        return f"{study.name} is done: R starts it anew, more `trials` in mlbench.toml go on"
    if study.done < of.trials and (now.timeout, now.patience) == (of.timeout, of.patience):
        because = study.view.progress.because
        return f"{study.name} is done, {because}: R starts it anew, a larger limit goes on"
    return ""


def not_restartable(situation: Situation) -> str:
    """Why the sweep can't begin anew."""
    study = situation.study
    if study is not None and study.name in situation.beginning:
        return f"{study.name} is beginning"
    return no_study(situation) or no_stage_to_sweep(situation)


def no_running_trial(situation: Situation) -> str:
    """Why no single trial can be stopped."""
    trial = situation.trial
    if trial is None:
        return not_sweeping(situation) or "there is no trial under the cursor"
    if trial.state is TrialState.RUNNING:
        return not_sweeping(situation)
    return f"trial {trial.number} does not run: it is {trial.state.word}"


def no_best(situation: Situation) -> str:
    """Why no best trial's parameters can be applied."""
    study = situation.study
    if study is None or study.best is not None:
        return no_study(situation)
    return f"{study.name} has no complete trial yet"


def no_params(situation: Situation) -> str:
    """Why the parameters of the trial under the cursor can't be applied."""
    if situation.study is None:
        return no_study(situation)
    trial = situation.trial
    return "" if trial is not None and trial.params else "there is no trial under the cursor"


def no_trial_run(situation: Situation) -> str:
    """Why no run can be opened."""
    trial = situation.trial
    if trial is None:
        return no_study(situation) or "there is no trial under the cursor"
    if trial.runs:
        return ""
    return f"trial {trial.number} has no run on record: it is {trial.state.word}"


def one_objective(situation: Situation) -> str:
    """Why there is no other objective to look at."""
    study = situation.study
    if study is None or len(study.view.study.sweep.objectives) > 1:
        return no_study(situation)
    return f"{study.name} has one objective"


def is_stopping(situation: Situation, study: Studied) -> bool:
    """Whether it was told to begin no more trials, so that the next stop is at once."""
    return study.view.progress.phase == "finishing" or study.id in situation.stopping


def texts_for(study: Studied) -> tuple[tuple[str, str, str], ...]:
    """Name, hint and value of each parameter, for a trial by hand: the best's, else the base's."""
    best = study.best
    base = study.view.study.base
    found = []
    for dimension in study.view.study.sweep.space:
        params = best.params if best is not None else {}
        value = params.get(dimension.name, base.get(dimension.name) if best is None else None)
        text = "" if value is None else _exact(value)
        found.append((dimension.name, hint_of(dimension), text))
    return tuple(found)


def hint_of(dimension: Dimension) -> str:
    """Which values a parameter can have: `1e-5 … 0.1 log`, `32 | 64`."""
    span = dimension.range
    if span is None:
        text = " | ".join(value_text(choice) for choice in dimension.choices)
        return text if len(text) <= _SHOWN_CHOICES else text[: _SHOWN_CHOICES - 1] + "…"
    words = [f"{number(span.low)} … {number(span.high)}"]
    words += ["log"] if span.log else []
    words += [f"by {number(span.step)}"] if span.step is not None else []
    return " ".join(words)


def params_in(space: Sequence[Dimension], texts: Mapping[str, str]) -> dict[str, Any]:
    """What a form's texts stand for, empty ones left out; ValueError, saying what is wrong."""
    found = {}
    for dimension in space:
        text = texts.get(dimension.name, "").strip()
        if text:
            found[dimension.name] = _value_in(dimension, text)
    return found


def fault_in_params(space: Sequence[Dimension], texts: Mapping[str, str]) -> str:
    """What is wrong with the texts; empty where nothing is."""
    try:
        params_in(space, texts)
    except ValueError as error:
        return str(error)
    return ""


def made_on_the_spot(texts: Mapping[str, str]) -> BeginOnTheSpot:
    """The sweep that a form stands for; ValueError, saying what is wrong."""
    over = tuple(texts[name].strip() for name in OVER if texts.get(name, "").strip())
    if not over:
        raise ValueError("what is to be tried? write NAME=log(1e-5,1e-1), NAME=32,64 or so")
    for text in over:
        if not text.partition("=")[2].strip():
            raise ValueError(f'"{text}": write NAME=log(1e-5,1e-1), NAME=32,64 or so')
    objectives = _objectives_in(texts[OBJECTIVE])
    trials, jobs = texts[TRIALS].strip(), texts.get(JOBS, "").strip()
    for name, text in ((TRIALS, trials), (JOBS, jobs or "1")):
        if not text.isdecimal() or not int(text):
            raise ValueError(f'{name}: "{text}" is no number from 1 on')
    if not texts[STAGE].strip():
        raise ValueError("which stage is to run?")
    return BeginOnTheSpot(
        texts[STAGE].strip(), over, objectives, int(trials), int(jobs) if jobs else None
    )


def _objectives_in(text: str) -> tuple[str, ...]:
    """The objectives with commas between, as mlbench.toml takes each; ValueError otherwise."""
    objectives = tuple(part.strip() for part in _OBJECTIVE.findall(text) if part.strip())
    if not objectives:
        raise ValueError("which way is better? write maximize METRIC or minimize METRIC")
    known = [read_objective(objective) for objective in objectives]
    for objective, understood in zip(objectives, known, strict=True):
        if understood is None:
            raise ValueError(f'"{objective}": write maximize METRIC or minimize METRIC')
        if known.count(understood) > 1:
            raise ValueError(f'"{objective}" is there twice')
    return objectives


def fault_on_the_spot(situation: Situation, texts: Mapping[str, str]) -> str:
    """What is wrong with the form; empty where nothing is."""
    try:
        made = made_on_the_spot(texts)
    except ValueError as error:
        return str(error)
    project = situation.surroundings.project
    names = [stage.name for stage in project.stages] if project is not None else []
    return "" if made.stage in names else f"there is no stage {made.stage}: {', '.join(names)}"


def begun_with(situation: Situation) -> dict[str, str]:
    """What stands in the form for a sweep on the spot to begin with."""
    project = situation.surroundings.project
    if project is None:
        return {}
    objective = project.objective or "maximize accuracy"
    return {
        STAGE: _measuring_stage(situation, project, objective),
        OBJECTIVE: objective,
        **dict.fromkeys(OVER, ""),
        TRIALS: "20",
        JOBS: "",
    }


def _measuring_stage(situation: Situation, project: Project, objective: str) -> str:
    """The stage that gave the objective's metric in the newest run, or one that may give it.

    With the stage that makes the model alone no trial would have a value where another measures it.
    """
    builds = [stage for stage in project.stages if not stage.is_test]
    wanted = read_objective(objective)
    metric = wanted.metric.removeprefix("metrics.") if wanted is not None else ""
    for run in situation.history.recent:
        known = run.stages
        giving = [s.name for s in builds if s.name in known and metric in known[s.name].metrics]
        if giving:
            return giving[-1]
    declaring = [stage for stage in builds if stage.metrics]
    return next((stage.name for stage in reversed(declaring or builds)), "")


def chosen_params(trial: Trial) -> str:
    """A trial in a few words, for a question."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in trial.params.items())


def _exact(value: Any) -> str:
    """A text that stands for exactly this value."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _value_in(dimension: Dimension, text: str) -> Any:
    if dimension.range is not None:
        return _number_in(dimension.name, dimension.range, text)
    for choice in dimension.choices:
        if text in (_exact(choice), value_text(choice)):
            return choice
    choices = ", ".join(value_text(choice) for choice in dimension.choices)
    raise ValueError(f'{dimension.name}: "{text}" is none of {choices}')


def _number_in(name: str, span: Range, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f'{name}: "{text}" is no number') from None
    if not (math.isfinite(value) and span.low <= value <= span.high):
        raise ValueError(f"{name}: {text} is not from {number(span.low)} to {number(span.high)}")
    if span.is_whole and not value.is_integer():
        raise ValueError(f'{name}: "{text}" is no whole number')
    return int(value) if span.is_whole else value
