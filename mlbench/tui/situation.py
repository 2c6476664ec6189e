"""Where the user stands, and why an action can't work there: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlbench.domain.release import Candidate, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.serving import LoggedRequest
from mlbench.domain.stages import EnvironmentSpec
from mlbench.domain.sweeps import Trial
from mlbench.tui.board import Board
from mlbench.tui.deploys import (
    first_environment,
    further_environments,
    live_in,
    not_been_in,
    ways_back,
)
from mlbench.tui.history import History
from mlbench.tui.reading import Head, Released, Releases, Surroundings
from mlbench.tui.saved import Saved
from mlbench.tui.served import Served
from mlbench.tui.serving_reading import Pulse
from mlbench.tui.studied import Studied
from mlbench.tui.sweeping_reading import Sweeps
from mlbench.tui.words import missed, version_of

if TYPE_CHECKING:
    from mlbench.engine.release_queries import ReleaseFiles

PIPELINE, RUNS, RUN, COMPARISON, MODELS = "pipeline", "runs", "run", "comparison", "models"
RELEASE, CARD, LEDGER, VERSIONS = "model", "card", "ledger", "versions"
SERVING, REQUEST, ASKING, REPLAY = "serving", "request", "try it", "replay"
SWEEPS = "sweeps"
ON_SERVING = (SERVING, REQUEST, ASKING, REPLAY)
ON_MODELS = (MODELS, RELEASE, CARD, LEDGER, VERSIONS)
BUT_SWEEPS = (PIPELINE, RUNS, RUN, COMPARISON, *ON_MODELS, *ON_SERVING)
VALUES, CURVES, PARALLEL, CODE, MACHINES = "values", "curves", "parallel", "code", "environment"
Refused = tuple[str, str, str]
"""The environment, the model, and the run or version that was to be promoted."""
VIEWS = (VALUES, CURVES, PARALLEL, CODE, MACHINES)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that is known, and what is under the cursor: it decides what a key does.

    `view` is what the comparison shows, `saved` what the opened run has saved; `files` lie beside
    the model under the cursor, `sides` are two versions side by side, `entry` is
    the ledger's under the cursor. `pulse` tells how the servers stand, `served` is the environment
    or version under screen 5's cursor, `logged` the request that is looked at, `switching` are the
    environments whose server is being started or stopped. `sweeps` are all studies, `study` and
    `trial` those under screen 3's cursors, `beginning` the names of sweeps that are being started,
    `stopping` the ids of studies that were told to begin no more trials. `errand` says what
    the loop does for this workbench just now, `refusals` which promotions it refused lately, and
    why.
    """

    screen: str = PIPELINE
    board: Board = field(default_factory=Board)
    surroundings: Surroundings = field(default_factory=Surroundings)
    head: Head = field(default_factory=Head)
    releases: Releases = field(default_factory=Releases)
    history: History = field(default_factory=History)
    stage: str | None = None
    run: Run | None = None
    release: Released | None = None
    marked: tuple[Run, ...] = ()
    view: str = VALUES
    saved: tuple[Saved, ...] = ()
    files: ReleaseFiles | None = None
    sides: tuple[Released, ...] = ()
    entry: LedgerEntry | None = None
    pulse: Pulse = field(default_factory=Pulse)
    served: Served | None = None
    logged: LoggedRequest | None = None
    switching: tuple[str, ...] = ()
    sweeps: Sweeps = field(default_factory=Sweeps)
    study: Studied | None = None
    trial: Trial | None = None
    beginning: tuple[str, ...] = ()
    stopping: tuple[str, ...] = ()
    errand: str = ""
    refusals: Mapping[Refused, str] = field(default_factory=dict)
    attached: bool = False


def with_surroundings(known: Situation, found: Surroundings) -> Situation:
    """What is known after the configuration was read again.

    One that can't be read hides nothing that was known before; one that was mended takes its
    problem along, for the loop plans again without a word where the plan is as it was.
    """
    before, board = known.surroundings, known.board
    if found.problem:
        return replace(known, surroundings=replace(before, problem=found.problem))
    if before.problem and board.problem == before.problem:
        board = replace(board, problem="")
    return replace(known, surroundings=found, board=board)


def no_stages(situation: Situation) -> str:
    """Why no stage can be run."""
    if situation.board.problem or situation.surroundings.problem:
        return "the project's files have to be mended first; the line below says where"
    if situation.board.is_planned and not situation.board.stages:
        return "this project has no stages yet: add [stages.NAME] to mlbench.toml"
    return ""


def no_stage(situation: Situation) -> str:
    """Why nothing can be done to the stage under the cursor."""
    return no_stages(situation) or ("" if situation.stage else "there is no stage under the cursor")


def no_tests(situation: Situation) -> str:
    """Why there are no single tests to go to."""
    project, name = situation.surroundings.project, situation.stage
    stages = {stage.name: stage for stage in project.stages} if project else {}
    if name is None or name not in stages:
        return "there is no stage under the cursor"
    if not stages[name].is_test:
        return f'{name} is no test stage: kind = "test" in [stages.{name}] makes it one'
    return ""


def nothing_runs(situation: Situation) -> str:
    """Why nothing can be stopped."""
    return "" if situation.board.is_busy else "nothing is running"


def no_run(situation: Situation) -> str:
    """Why nothing can be done to the run under the cursor."""
    return "" if situation.run is not None else "there is no run under the cursor"


def no_ended_run(situation: Situation) -> str:
    """Why nothing can be done to the record of the runs that are meant."""
    going = [run for run in subjects(situation) if run.outcome is None]
    if going:
        return f"{going[0].name} is still going; wait until it has ended"
    return no_run(situation)


def subjects(situation: Situation) -> tuple[Run, ...]:
    """Which runs an action is about: the marked ones, else the one under the cursor."""
    if situation.screen == RUNS and situation.marked:
        return situation.marked
    return (situation.run,) if situation.run is not None else ()


def compared(situation: Situation) -> tuple[str, ...]:
    """The ids of the runs to compare, what is compared with first; fewer than two for none."""
    marked, run, history = situation.marked, situation.run, situation.history
    if len(marked) > 1:
        return tuple(sorted(item.id for item in marked))
    if run is None:
        return ()
    if marked and marked[0].id != run.id:
        return tuple(sorted((marked[0].id, run.id)))
    against = history.baseline
    if against is None or against.id == run.id:
        against = history.before.of(run.id)
    return (against.id, run.id) if against is not None else ()


def nothing_to_compare(situation: Situation) -> str:
    """Why nothing can be compared."""
    if situation.run is None and not situation.marked:
        return "there is no run under the cursor"
    if len(compared(situation)) > 1:
        return ""
    return "no run passed before it; mark two runs with space"


def nothing_to_export(situation: Situation) -> str:
    """Why no file can be written."""
    return "" if len(situation.history.runs) else "there are no runs in the list"


def no_artifacts(situation: Situation) -> str:
    """Why there is nothing to look at."""
    if situation.run is None:
        return "there is no run under the cursor"
    if not situation.saved:
        return f"{situation.run.name} saved no figure, table or file with mlbench.log_…"
    return ""


def no_change_to_undo(situation: Situation) -> str:
    """Why nothing can be taken back."""
    return "" if situation.history.undoable else "there is nothing to undo"


def subject(situation: Situation) -> Released | None:
    """What p promotes: on screen 4 the row under the cursor, elsewhere the newest candidate."""
    if situation.screen in ON_MODELS:
        return situation.release
    return situation.releases.rows[0] if situation.releases.rows else None


def _no_release(situation: Situation, environment: str) -> str:
    project = situation.surroundings.project
    if project is not None and not project.models:
        return "mlbench.toml names no model to release: add [models.NAME]"
    if situation.surroundings.problem:
        return no_stages(situation)
    if project is not None and not environment:
        return "mlbench.toml names no such environment: add [environments.NAME] with a port"
    return "" if subject(situation) else "there is no candidate yet: a passing run makes one"


def not_promotable(situation: Situation) -> str:
    """Why p does nothing."""
    project = situation.surroundings.project
    environment = first_environment(project) if project else None
    missing = _no_release(situation, environment.name if environment else "")
    release = subject(situation)
    if missing or release is None or environment is None:
        return missing
    is_there = environment.name in release.environments
    if is_there and _is_served(situation, environment.name, release.candidate):
        served = f"{environment.name} serves {release.candidate.model} "
        return f"{served}{version_of(release.candidate)} already{_no_newer(situation)}"
    return ""


def not_promotable_on(situation: Situation) -> str:
    """Why P does nothing."""
    further = _further(situation)
    missing = _no_release(situation, further[0].name if further else "")
    if missing or not further:
        return missing
    steps = next_steps(situation)
    if not steps:
        first, required = further[0].name, further[0].require[-1]
        return f"{first} takes what {required} serves, and {required} serves nothing yet"
    step = steps[0]
    if step.is_taken:
        served = f"{step.candidate.model} {version_of(step.candidate)}"
        return f"{step.environment.name} serves {served} already"
    return ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Where P may take a candidate or version, and the environments it should have been in.

    `is_taken` where the environment serves it already.
    """

    environment: EnvironmentSpec
    candidate: Candidate
    missing: tuple[str, ...] = ()
    is_taken: bool = False


def next_steps(situation: Situation) -> tuple[NextStep, ...]:
    """What P promotes to where: first what nothing stands against, what is there already last.

    On screen 4 the row under the cursor, elsewhere what the required environment serves.
    """
    ledger = situation.releases.ledger
    found = []
    for environment in _further(situation):
        candidate = _next_subject(situation, environment)
        if candidate is not None:
            live = live_in(ledger, environment.name, candidate.model)
            is_there = live is not None and live.digest == candidate.digest
            is_taken = is_there and _is_served(situation, environment.name, candidate)
            missing = not_been_in(ledger, environment, candidate.digest)
            found.append(NextStep(environment, candidate, missing, is_taken))
    return tuple(sorted(found, key=lambda step: (step.is_taken, bool(step.missing))))


def _further(situation: Situation) -> tuple[EnvironmentSpec, ...]:
    project = situation.surroundings.project
    return further_environments(project) if project else ()


def _next_subject(situation: Situation, environment: EnvironmentSpec) -> Candidate | None:
    if situation.screen in ON_MODELS:
        return situation.release.candidate if situation.release else None
    required = environment.require[-1]
    serving = (row for row in situation.releases.rows if required in row.environments)
    return next((row.candidate for row in serving), None)


def refused(situation: Situation) -> str:
    """Which gate the loop will probably refuse p by, or what it did refuse it by."""
    release, project = subject(situation), situation.surroundings.project
    if release is None:
        return ""
    refusing = [gate for gate in release.candidate.gates if gate.refuses]
    if refusing:
        return missed(refusing[0])
    environment = first_environment(project) if project else None
    return refusal(situation, release.candidate, environment.name if environment else "")


def refusal(situation: Situation, candidate: Candidate, environment: str) -> str:
    """What the loop said when it refused this promotion lately."""
    which = candidate.run if candidate.version is None else str(candidate.version)
    return situation.refusals.get((environment, candidate.model, which), "")


def refused_on(situation: Situation) -> str:
    """Why the loop will probably refuse P."""
    step = next(iter(next_steps(situation)), None)
    if step is None:
        return ""
    candidate, environment = step.candidate, step.environment.name
    if step.missing:
        return f"{environment} takes what has been in {step.missing[0]}: press p first"
    row = next((r for r in situation.releases.rows if r.candidate == candidate), None)
    if row is not None and row.run is not None and row.run.code.dirty:
        return "it is from uncommitted code"
    refusing = [gate for gate in candidate.gates if gate.refuses]
    return missed(refusing[0]) if refusing else refusal(situation, candidate, environment)


def _is_served(situation: Situation, environment: str, candidate: Candidate) -> bool:
    """Whether an environment's server answers; a model that is never served needs none."""
    return candidate.signature is None or any(
        status.name == environment and status.pid is not None and status.serving
        for status in situation.surroundings.environments
    )


def _no_newer(situation: Situation) -> str:
    """Why the last run made nothing newer, where that is so."""
    last, rows = situation.board.last, situation.releases.rows
    if last is None or situation.screen in ON_MODELS or not rows:
        return ""
    if rows[0].candidate.run == last.run:
        return ""
    refusing = [gate for gate in last.gates if gate.refuses]
    return f"; {last.name} made no candidate: {missed(refusing[0])}" if refusing else ""


def no_way_back(situation: Situation) -> str:
    """Why nothing can be rolled back."""
    if ways_back(situation.releases.ledger):
        return ""
    return "there is nothing to roll back to: no environment has had two versions yet"
