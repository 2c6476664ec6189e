"""The one list of actions: key, label, `mlbench …` twin, where each works, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mlbench.domain.commands import Command, Promote, RunStages, SetWatch, StopStages
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.tui.board import Board
from mlbench.tui.deploys import first_environment, live_in, next_environment, ways_back
from mlbench.tui.draw.gates import phrase
from mlbench.tui.draw.releases import version_of
from mlbench.tui.reading import Head, Released, Releases, Surroundings

PIPELINE, RUNS, RUN, COMPARISON, MODELS = "pipeline", "runs", "run", "comparison", "models"


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that decides what a key does here and now."""

    screen: str = PIPELINE
    board: Board = field(default_factory=Board)
    surroundings: Surroundings = field(default_factory=Surroundings)
    head: Head = field(default_factory=Head)
    releases: Releases = field(default_factory=Releases)
    stage: str | None = None
    run: Run | None = None
    release: Released | None = None
    marked: int = 0
    attached: bool = False


Why = Callable[[Situation], str]
"""Why an action can't work here and now, in one sentence; empty where it can."""


def _always(situation: Situation) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a user can do.

    `blocked` says why a key does nothing here; `doubted` why the loop will probably refuse,
    which it then says itself. `key` is Textual's name, `shown` what the key bar prints.
    """

    id: str
    key: str
    shown: str
    label: str
    help: str
    twin: str = ""
    screens: tuple[str, ...] = ()
    blocked: Why = _always
    doubted: Why = _always
    rank: int = 5

    def works_on(self, screen: str) -> bool:
        """Whether it belongs to this screen."""
        return not self.screens or screen in self.screens


def _no_stages(situation: Situation) -> str:
    if situation.board.problem or situation.surroundings.problem:
        return "the project's files have to be mended first; the line below says where"
    if situation.board.is_planned and not situation.board.stages:
        return "this project has no stages yet: add [stages.NAME] to mlbench.toml"
    return ""


def _no_stage(situation: Situation) -> str:
    return _no_stages(situation) or ("" if situation.stage else "there is no stage under the cursor")


def _nothing_runs(situation: Situation) -> str:
    return "" if situation.board.is_busy else "nothing is running"


def _no_run(situation: Situation) -> str:
    return "" if situation.run is not None else "there is no run under the cursor"


def _not_two(situation: Situation) -> str:
    if situation.marked == 2:
        return ""
    return f"mark two runs with space first; {situation.marked or 'none'} marked"


def _not_open(situation: Situation) -> str:
    return "" if situation.releases.rows else "there is no model to open yet"


def subject(situation: Situation) -> Released | None:
    """What p promotes: on screen 4 the row under the cursor, elsewhere the newest candidate."""
    if situation.screen == MODELS:
        return situation.release
    return situation.releases.rows[0] if situation.releases.rows else None


def _no_release(situation: Situation, environment: str) -> str:
    project = situation.surroundings.project
    if project is not None and not project.models:
        return "mlbench.toml names no model to release: add [models.NAME]"
    if situation.surroundings.problem:
        return _no_stages(situation)
    if project is not None and not environment:
        return "mlbench.toml names no such environment: add [environments.NAME] with a port"
    return "" if subject(situation) else "there is no candidate yet: a passing run makes one"


def _not_promotable(situation: Situation) -> str:
    project = situation.surroundings.project
    environment = first_environment(project) if project else None
    missing = _no_release(situation, environment.name if environment else "")
    release = subject(situation)
    if missing or release is None or environment is None:
        return missing
    if environment.name in release.environments and _is_up(situation, environment.name):
        served = f"{environment.name} serves {release.candidate.model} "
        return f"{served}{version_of(release.candidate)} already{_no_newer(situation)}"
    return ""


def _not_promotable_on(situation: Situation) -> str:
    project = situation.surroundings.project
    environment = next_environment(project) if project else None
    missing = _no_release(situation, environment.name if environment else "")
    if missing or environment is None:
        return missing
    candidate = next_subject(situation)
    required = environment.require[-1]
    if candidate is None:
        return f"{environment.name} takes what {required} serves, and {required} serves nothing yet"
    live = live_in(situation.releases.ledger, environment.name, candidate.model)
    if live and live.digest == candidate.digest and _is_up(situation, environment.name):
        return f"{environment.name} serves {candidate.model} {version_of(candidate)} already"
    return ""


def next_subject(situation: Situation) -> Candidate | None:
    """What P promotes: on screen 4 the row under the cursor, elsewhere what the required one serves."""
    project = situation.surroundings.project
    environment = next_environment(project) if project else None
    if environment is None:
        return None
    if situation.screen == MODELS:
        return situation.release.candidate if situation.release else None
    required = environment.require[-1]
    serving = (row for row in situation.releases.rows if required in row.environments)
    return next((row.candidate for row in serving), None)


def _refused(situation: Situation) -> str:
    release = subject(situation)
    refusing = [gate for gate in release.candidate.gates if gate.refuses] if release else []
    return phrase(refusing[0]) if refusing else ""


def _refused_on(situation: Situation) -> str:
    candidate = next_subject(situation)
    row = next((r for r in situation.releases.rows if r.candidate is candidate), None)
    if row is not None and row.run is not None and row.run.code.dirty:
        return "it is from uncommitted code"
    refusing = [gate for gate in candidate.gates if gate.refuses] if candidate else []
    return phrase(refusing[0]) if refusing else ""


def _is_up(situation: Situation, environment: str) -> bool:
    return any(
        status.name == environment and status.pid is not None and status.serving
        for status in situation.surroundings.environments
    )


def _no_newer(situation: Situation) -> str:
    """Why the last run made nothing newer, where that is so."""
    last, rows = situation.board.last, situation.releases.rows
    if last is None or situation.screen == MODELS or not rows or rows[0].candidate.run == last.run:
        return ""
    refusing = [gate for gate in last.gates if gate.refuses]
    return f"; {last.name} made no candidate: {phrase(refusing[0])}" if refusing else ""


def _no_way_back(situation: Situation) -> str:
    if ways_back(situation.releases.ledger):
        return ""
    return "there is nothing to roll back to: no environment has had two versions yet"


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
        case "promote":
            release = subject(situation)
            environment = first_environment(project) if project else None
            if release is not None and environment is not None:
                return promotion(release.candidate, environment.name)
    return None


def promotion(candidate: Candidate, environment: str) -> Promote:
    """The command that promotes exactly this candidate or version."""
    which = candidate.run if candidate.version is None else str(candidate.version)
    return Promote(environment, candidate.model, which)


_LISTS = (PIPELINE, RUNS, MODELS)
ACTIONS: tuple[Action, ...] = (
    Action("open", "enter", "enter", "open", "open what is under the cursor", "mlbench show RUN",
           (RUNS, MODELS), rank=3),
    Action("log", "enter", "enter", "log", "go to the stage's log", "mlbench logs RUN STAGE",
           (PIPELINE, RUN), blocked=lambda s: "" if s.stage or s.run else "there is no log yet",
           rank=6),
    Action("run", "r", "r", "run", "bring every stage up to date", "mlbench run",
           blocked=_no_stages, rank=2),
    Action("force", "f", "f", "force", "run the stage under the cursor though nothing changed",
           "mlbench run STAGE --force", (PIPELINE,), blocked=_no_stage, rank=5),
    Action("stop", "s", "s", "stop", "stop what runs", "mlbench stop", blocked=_nothing_runs, rank=3),
    Action("promote", "p", "p", "promote", "promote to the first environment, staging by custom",
           "mlbench promote MODEL@VERSION staging", (PIPELINE, MODELS), _not_promotable, _refused, 2),
    Action("promote-on", "P", "P", "to production", "promote to the next environment, after asking",
           "mlbench promote MODEL production", (PIPELINE, MODELS), _not_promotable_on, _refused_on, 4),
    Action("rollback", "R", "R", "roll back", "go back to the version before, after asking",
           "mlbench rollback ENV", (PIPELINE, MODELS), _no_way_back, rank=6),
    Action("mark", "space", "space", "mark", "mark the run under the cursor to compare it", "",
           (RUNS,), blocked=_no_run, rank=4),
    Action("compare", "d", "d", "compare", "show the two marked runs side by side",
           "mlbench diff RUN RUN", (RUNS,), blocked=_not_two, rank=4),
    Action("sort", "o", "o", "sort", "sort by the next column; click a title for any",
           "mlbench runs --sort KEY", (RUNS,), rank=5),
    Action("reverse", "O", "O", "reverse", "turn the order round", "mlbench runs --sort -KEY",
           (RUNS,), rank=8),
    Action("everything", "a", "a", "all", "show the watch's failures and cancelled runs too",
           "mlbench runs --all", (RUNS,), rank=5),
    Action("watch", "w", "w", "watch", "run on every save, or only when asked", "mlbench watch",
           rank=6),
    Action("edit", "e", "e", "edit", "open the file behind it in $EDITOR", "$EDITOR FILE",
           (PIPELINE, RUN), rank=5),
    Action("filter", "slash", "/", "filter", "filter the list as you type",
           "mlbench runs --where EXPR", (*_LISTS, RUN), rank=3),
    Action("palette", "colon,ctrl+p", ":", "command", "every action by name", rank=4),
    Action("help", "question_mark", "?", "keys", "the keys of this screen", "mlbench --help", rank=1),
    Action("back", "escape", "esc", "back", "close what is open; on screen 1 follow the run again",
           rank=7),
    Action("theme", "T", "T", "theme", "the next theme", rank=9),
    Action("screen-pipeline", "1", "1", "Pipeline", "the loop: stages, gates, log",
           "mlbench status", rank=10),
    Action("screen-runs", "2", "2", "Runs", "the history", "mlbench runs", rank=10),
    Action("screen-models", "4", "4", "Models", "candidates, versions, the ledger",
           "mlbench models", rank=10),
    Action("quit", "q,ctrl+q", "q", "quit", "leave; asks where something runs or serves", rank=6),
)


def action_of(name: str, screen: str = "") -> Action:
    """The action of this name; KeyError where there is none."""
    for action in ACTIONS:
        if action.id == name:
            return action
    raise KeyError(name)


def for_key(key: str, screen: str) -> Action | None:
    """What a key does on this screen."""
    return next((a for a in ACTIONS if key in a.key.split(",") and a.works_on(screen)), None)
