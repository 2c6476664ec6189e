"""The one list of actions: key, label, `mlbench …` twin, where each works, and why not."""

from __future__ import annotations

from mlbench.domain.commands import (
    Command,
    ExportRun,
    Promote,
    RunStages,
    SetWatch,
    StopStages,
)
from mlbench.domain.release import Candidate
from mlbench.tui.action import Action
from mlbench.tui.deploys import first_environment
from mlbench.tui.record_actions import ON_COMPARISON, ON_RUNS
from mlbench.tui.release_actions import EXPORT_MODEL, ON_MODELS
from mlbench.tui.serving_actions import ON_SERVING
from mlbench.tui.situation import (
    BUT_SWEEPS,
    LEDGER,
    MODELS,
    PIPELINE,
    RUN,
    RUNS,
    SERVING,
    SWEEPS,
    Situation,
    no_stage,
    no_stages,
    no_tests,
    nothing_runs,
    refused,
    subject,
)
from mlbench.tui.sweeping_actions import ON_SWEEPS


def command_for(action: str, situation: Situation) -> Command | None:
    """The command that an action hands to the loop without asking; None for all others."""
    project, stage = situation.surroundings.project, situation.stage
    match action:
        case "run":
            return RunStages()
        case "force" if stage is not None:
            return RunStages((stage,), force=True)
        case "stop":
            return StopStages()
        case "watch":
            return SetWatch(not situation.board.watching)
        case "export-model" if situation.run is not None:
            return ExportRun(situation.run.id)
        case "promote" if not refused(situation):
            release = subject(situation)
            environment = first_environment(project) if project else None
            if release is not None and environment is not None:
                return promotion(release.candidate, environment.name)
    return None


def promotion(candidate: Candidate, environment: str) -> Promote:
    """The command that promotes exactly this candidate or version."""
    which = candidate.run if candidate.version is None else str(candidate.version)
    return Promote(environment, candidate.model, which)


_LISTS = (PIPELINE, RUNS, MODELS, LEDGER)
ACTIONS: tuple[Action, ...] = (
    Action(
        "open",
        "enter",
        "enter",
        "open",
        "open what is under the cursor",
        "mlbench show RUN",
        (RUNS, MODELS, LEDGER),
        rank=3,
    ),
    Action(
        "log",
        "enter",
        "enter",
        "log",
        "go to the stage's log",
        "mlbench logs RUN STAGE",
        (PIPELINE, RUN),
        blocked=lambda s: "" if s.stage or s.run else "there is no log yet",
        rank=8,
    ),
    Action(
        "tests",
        "t",
        "t",
        "tests",
        "go to the single tests of a test stage",
        "mlbench show RUN",
        (PIPELINE, RUN),
        blocked=no_tests,
        rank=8,
    ),
    Action(
        "run",
        "r",
        "r",
        "run",
        "bring every stage up to date",
        "mlbench run",
        blocked=no_stages,
        rank=2,
    ),
    Action(
        "force",
        "f",
        "f",
        "force",
        "run the stage under the cursor though nothing changed",
        "mlbench run STAGE --force",
        (PIPELINE,),
        blocked=no_stage,
        rank=5,
    ),
    Action(
        "stop", "s", "s", "stop", "stop what runs", "mlbench stop", BUT_SWEEPS, nothing_runs, rank=3
    ),
    *ON_MODELS,
    *ON_SERVING,
    *ON_SWEEPS,
    *ON_RUNS,
    EXPORT_MODEL,
    *ON_COMPARISON,
    Action(
        "watch", "w", "w", "watch", "run on every save, or only when asked", "mlbench watch", rank=6
    ),
    Action(
        "edit",
        "e",
        "e",
        "edit",
        "open the file behind it in $EDITOR",
        "$EDITOR FILE",
        (PIPELINE, RUN),
        rank=5,
    ),
    Action(
        "filter",
        "slash",
        "/",
        "filter",
        "filter the list as you type",
        "mlbench runs --where EXPR",
        (*_LISTS, RUN, SERVING, SWEEPS),
        rank=3,
    ),
    Action("palette", "colon,ctrl+p", ":", "command", "every action by name", rank=4),
    Action(
        "help", "question_mark", "?", "keys", "the keys of this screen", "mlbench --help", rank=1
    ),
    Action(
        "back",
        "escape",
        "esc",
        "back",
        "close what is open; on screen 1 follow the run again",
        rank=3,
    ),
    Action("theme", "T", "T", "theme", "the next theme", rank=9),
    Action(
        "screen-pipeline",
        "1",
        "1",
        "Pipeline",
        "the loop: stages, gates, log",
        "mlbench status",
        rank=10,
    ),
    Action("screen-runs", "2", "2", "Runs", "the history", "mlbench runs", rank=10),
    Action(
        "screen-sweeps",
        "3",
        "3",
        "Sweeps",
        "studies, their trials and charts",
        "mlbench sweep",
        rank=10,
    ),
    Action(
        "screen-models",
        "4",
        "4",
        "Models",
        "candidates, versions, the ledger",
        "mlbench models",
        rank=10,
    ),
    Action(
        "screen-serving",
        "5",
        "5",
        "Serving",
        "environments, their traffic, the request log, try it",
        "mlbench serve",
        rank=10,
    ),
    Action("quit", "q,ctrl+q", "q", "quit", "leave; asks where something runs or serves", rank=6),
)


def action_of(name: str) -> Action:
    """The action of this name; KeyError where there is none."""
    for action in ACTIONS:
        if action.id == name:
            return action
    raise KeyError(name)


def for_key(key: str, screen: str) -> Action | None:
    """What a key does on this screen."""
    return next((a for a in ACTIONS if key in a.key.split(",") and a.works_on(screen)), None)
