"""What the actions of screen 3 do: starting and stopping, adding trials, applying parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.domain.phrases import plural
from mlbench.domain.sweeps import EnqueueTrial, StopSweep, StopTrial, Sweep, Trial
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import line
from mlbench.tui.questions import Choice, Question
from mlbench.tui.situation import Situation
from mlbench.tui.sweep_hand import Apply, Begin, Order, Preview, Previewed, ShowRun, WriteHtml
from mlbench.tui.sweeping_rules import (
    JOBS,
    OBJECTIVE,
    OVER,
    STAGE,
    TRIALS,
    begun_with,
    chosen_params,
    configured,
    fault_in_params,
    fault_on_the_spot,
    is_stopping,
    made_on_the_spot,
    params_in,
    sweep_now,
    texts_for,
)
from mlbench.tui.widgets.dialog import QuestionDialog
from mlbench.tui.widgets.form_dialog import FormDialog
from mlbench.tui.widgets.text_dialog import TextDialog

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench

Deed = Callable[["Workbench", Situation], None]
_ON_THE_SPOT = "on the spot"
_MOST_LINES = 60
_HINTS = {
    STAGE: "the stage that each trial brings up to date, with all that it needs",
    OBJECTIVE: "maximize METRIC or minimize METRIC; several with commas between",
    TRIALS: "how many trials",
    JOBS: "how many at once; empty: as many as the project has",
    **dict.fromkeys(
        OVER, "train.alpha=log(1e-5,1e-1) · train.depth=int(1,12) · train.hidden=32,64,128"
    ),
}
_SIGNS = {"+": "$ok", "-": "$fail", "@": "$info"}


def _start(workbench: Workbench, situation: Situation) -> None:
    """Which sweep of mlbench.toml; or a form where there is none, or none of them is wanted."""
    sweeps = configured(situation)
    if not sweeps:
        _make(workbench, situation)
        return
    running = {study.name for study in situation.sweeps.running}
    choices = [Choice(_label(sweep, running), sweep.name) for sweep in sweeps]
    choices.append(Choice("another one, made on the spot …", _ON_THE_SPOT))
    said = line("A sweep that was begun before goes on where it was; R begins it anew.")

    def answered(choice: Choice | None) -> None:
        if choice is None:
            return
        if choice.value == _ON_THE_SPOT:
            _make(workbench, situation)
            return
        sweep = next(sweep for sweep in sweeps if sweep.name == choice.value)
        workbench.sweep(Begin(sweep))

    workbench.push_screen(
        QuestionDialog(Question("Start a sweep?", (said,), tuple(choices))), answered
    )


def _label(sweep: Sweep, running: set[str]) -> str:
    goals = ", ".join(objective.text for objective in sweep.objectives)
    runs = "  runs" if sweep.name in running else ""
    return f"{sweep.name}  {plural(sweep.trials, 'trial')} of {sweep.stage}, {goals}{runs}"


def _make(workbench: Workbench, situation: Situation) -> None:
    texts = begun_with(situation)
    fields = [(name, _HINTS[name], text) for name, text in texts.items()]

    def answered(found: Mapping[str, str] | None) -> None:
        if found is not None:
            workbench.sweep(made_on_the_spot(found))

    dialog = FormDialog(
        "A sweep on the spot",
        "Each trial runs the stage with other parameters; the files stay as they are.",
        fields,
        lambda found: fault_on_the_spot(situation, found),
        done="start",
    )
    workbench.push_screen(dialog, answered)


def _stop(workbench: Workbench, situation: Situation) -> None:
    """No new trials; the second time those that run are stopped, too."""
    study = situation.study
    if study is None:
        return
    at_once = is_stopping(situation, study)
    going = plural(len(study.running), "trial")
    said = (
        f"{study.name}: what runs is stopped; it is tried again when the sweep goes on"
        if at_once
        else f"{study.name} begins no more trials and waits for {going}; s again stops them"
    )
    stopping = dict.fromkeys((*workbench.known.stopping, study.id))
    workbench.known = replace(workbench.known, stopping=tuple(stopping))
    workbench.sweep(Order(study.id, StopSweep(at_once), said))


def _go_on(workbench: Workbench, situation: Situation) -> None:
    if situation.study is not None:
        workbench.sweep(Begin(sweep_now(situation, situation.study)))


def _restart(workbench: Workbench, situation: Situation) -> None:
    study = situation.study
    if study is None:
        return
    lines = [
        line(
            "A new study begins with the code as it is now. "
            f"{plural(study.done, 'trial')} of this one stay on record, but count no more."
        )
    ]
    if study.view.is_running:
        lines.append(line(("What runs of it is stopped at once.", "$warn")))
    choice = Choice(f"restart {study.name}", "restart")

    def answered(found: Choice | None) -> None:
        if found is not None:
            workbench.sweep(Begin(sweep_now(situation, study), restart=True))

    question = Question(f"Restart {study.name}?", tuple(lines), (choice,))
    workbench.push_screen(QuestionDialog(question), answered)


def _enqueue(workbench: Workbench, situation: Situation) -> None:
    study = situation.study
    if study is None:
        return
    space = study.view.study.sweep.space

    def answered(texts: Mapping[str, str] | None) -> None:
        if texts is not None:
            command = EnqueueTrial(params_in(space, texts))
            said = f"{study.name}: that trial is next"
            workbench.sweep(Order(study.id, command, said))

    dialog = FormDialog(
        f"The next trial of {study.name}",
        "The values of the best trial; what is left empty is sampled.",
        texts_for(study),
        lambda texts: fault_in_params(space, texts),
        done="try it",
    )
    workbench.push_screen(dialog, answered)


def _stop_trial(workbench: Workbench, situation: Situation) -> None:
    study, trial = situation.study, situation.trial
    if study is None or trial is None:
        return
    lines = (
        line((chosen_params(trial), "bold")),
        line("It counts as failed and is not tried again."),
    )
    choice = Choice(f"stop trial {trial.number}", "stop")

    def answered(found: Choice | None) -> None:
        if found is not None:
            said = f"trial {trial.number} is being stopped"
            workbench.sweep(Order(study.id, StopTrial(trial.number), said))

    question = Question(f"Stop trial {trial.number}?", lines, (choice,))
    workbench.push_screen(QuestionDialog(question), answered)


def _preview(workbench: Workbench, situation: Situation, trial: Trial | None) -> None:
    if situation.study is not None and trial is not None:
        workbench.sweep(Preview(situation.study.id, trial.number))


def ask_apply(workbench: Workbench, found: Previewed) -> None:
    """Show what applying a trial's parameters would change, and ask."""
    number, study = found.question.number, found.question.study
    if not found.diff.strip():
        workbench.tell(f"the params file has the values of trial {number} already")
        return
    choice = Choice(f"write the parameters of trial {number}", "apply")

    def answered(chosen: Choice | None) -> None:
        if chosen is not None:
            workbench.sweep(Apply(study, number))

    question = Question(f"Apply trial {number}?", _diff_lines(found.diff), (choice,))
    workbench.push_screen(QuestionDialog(question), answered)


def _diff_lines(diff: str) -> tuple[Content, ...]:
    lines = safe(diff).rstrip("\n").split("\n")
    shown = [line((text, _SIGNS.get(text[:1], ""))) for text in lines[:_MOST_LINES]]
    more = len(lines) - _MOST_LINES
    return (*shown, *([line((f"… {plural(more, 'more line')}", "$quiet"))] if more > 0 else []))


def _export(workbench: Workbench, situation: Situation) -> None:
    study = situation.study
    if study is None:
        return

    def answered(text: str | None) -> None:
        if text is not None:
            folder = workbench.root / Path(text.strip()).expanduser()
            workbench.tell("the figures are being drawn …")
            workbench.sweep(WriteHtml(study.id, folder))

    dialog = TextDialog(
        f"Figures of {study.name}",
        "Into which folder the HTML files go; it is made where it is not there.",
        f"{study.name}-figures",
        lambda text: "" if text.strip() else "name a folder",
        done="write",
    )
    workbench.push_screen(dialog, answered)


def _open(workbench: Workbench, situation: Situation) -> None:
    if situation.trial is not None and situation.trial.runs:
        workbench.sweep(ShowRun(situation.trial.runs[-1]))


def _apply_best(workbench: Workbench, situation: Situation) -> None:
    _preview(workbench, situation, situation.study.best if situation.study is not None else None)


SWEEPING_DEEDS: Mapping[str, Deed] = {
    "sweep": _start,
    "stop-sweep": _stop,
    "sweep-on": _go_on,
    "sweep-anew": _restart,
    "enqueue": _enqueue,
    "stop-trial": _stop_trial,
    "apply-best": _apply_best,
    "apply-trial": lambda bench, known: _preview(bench, known, known.trial),
    "open-trial": _open,
    "export-html": _export,
}
