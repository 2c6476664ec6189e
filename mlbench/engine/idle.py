"""A run that finds nothing to do, told without a loop: nobody has to wait until one is up.

It tells what a loop would tell, and leaves everything else to one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.clock import utc
from mlbench.domain.commands import RunStages
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import Event, Notice, RunFinished, RunStarted, StageFinished
from mlbench.domain.graph import with_ancestors
from mlbench.domain.names import friendly_name, new_command_id
from mlbench.domain.outcomes import RunOutcome, StageOutcome, StageState
from mlbench.domain.plan import Plan, StageStatus
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project
from mlbench.inside.identity import new_run_id
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import find_project, load_project
from mlbench.project.git import has_repository
from mlbench.project.layout import Layout
from mlbench.system.locks import FileLock
from mlbench.tracking.standing import lately_standing

if TYPE_CHECKING:
    from mlbench.domain.release import GateResult

# Called with each event and the id of the command that it answers.
Tell = Callable[[Event, str], None]


def told_without_loop(folder: Path, command: RunStages, tell: Tell) -> bool:
    """Tell of a run for which every stage stands; False, with nothing told, where a loop is needed.

    That is where somebody holds it, left something for the next holder, or a stage is not fresh;
    where a model may have to be exported; and where something is wrong, which the loop then says.
    """
    if command.force or command.params:
        return False
    layout = find_project(folder)
    lock = FileLock(layout.loop_lock)
    try:
        # Held meanwhile, so that nobody else begins to build what is looked at here.
        if not layout.loop_lock.exists() or not lock.try_acquire():
            return False
    except OSError:
        return False
    try:
        standing = _standing(layout, command)
        if standing is None:
            return False
        request = new_command_id()
        _tell_all(standing, command, request, lambda event: tell(event, request))
        return True
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class _Standing:
    """A run whose results stand, and the traces by which each wanted stage does."""

    layout: Layout
    project: Project
    workspace: Workspace
    run: Run
    notices: Sequence[str]
    traces: Mapping[str, Trace]
    began: float


def _standing(layout: Layout, command: RunStages) -> _Standing | None:
    """What stands where everything that is wanted does; None where a loop has to see to it."""
    began = time.time()
    workspace = Workspace.open(layout)
    # Without a repository the loop has something to say of that.
    if _is_something_left(layout, workspace) or not has_repository(layout.root):
        return None
    try:
        project = load_project(layout)
        statuses = _wanted(workspace.plan(project), command)
    except MlbenchError:
        return None
    if not statuses or any(status.state is not StageState.FRESH for status in statuses):
        return None
    names = [status.name for status in statuses]
    known = ((name, workspace.standing(name) or workspace.traces.newest(name)) for name in names)
    traces = {name: trace for name, trace in known if trace is not None}
    run, notices = _on_record(layout, {status.name: status.key for status in statuses})
    if run is None or len(traces) < len(statuses) or not _is_exported(layout, project, run):
        return None
    return _Standing(layout, project, workspace, run, notices, traces, began)


def _on_record(layout: Layout, state: Mapping[str, str | None]) -> tuple[Run | None, Sequence[str]]:
    """The newest passed run of a state, and what is to be said of the index if it was opened."""
    run = lately_standing(layout, state)
    if run is not None:
        return run, ()
    # Late: mostly it is one of the last.
    from mlbench.tracking.store import ExperimentStore

    store = ExperimentStore(layout)
    return store.standing(state), store.notices


def _is_something_left(layout: Layout, workspace: Workspace) -> bool:
    """Whether a holder before, or another terminal, left something for the loop."""
    left = (layout.flights, layout.inbox)
    if workspace.intents.all() or any(any(folder.glob("*.json")) for folder in left):
        return True
    # A promotion that was killed, which a loop settles.
    if any(layout.serving.glob("*.changing")):
        return True
    if not layout.snapshots.is_dir():
        return False
    # Late: few projects have snapshots.
    from mlbench.pipeline.snapshots.variant import slots_left

    return bool(slots_left(layout))


def _wanted(plan: Plan, command: RunStages) -> list[StageStatus]:
    """The stages that are asked for, with what they need; none where one is unknown."""
    if not set(command.stages) <= plan.needs.keys():
        return []
    needs = {name: frozenset(before) for name, before in plan.needs.items()}
    wanted = with_ancestors(command.stages or needs, needs)
    return [status for status in plan.stages if status.name in wanted]


def _is_exported(layout: Layout, project: Project, run: Run) -> bool:
    """Whether no model is left that a run stands for and that may have to be exported."""
    if not project.models:
        return True
    # Late, as below: a run without models should not wait for all that releases them.
    from mlbench.release.registry import Registry

    registry = Registry(layout.models)
    models = [model for model in project.models if model.stage in run.stages]
    return all(registry.find(model.name, run=run.id) is not None for model in models)


def _tell_all(
    standing: _Standing, command: RunStages, request: str, say: Callable[[Event], None]
) -> None:
    flight, run, traces = new_run_id(), standing.run, standing.traces
    outcomes = dict.fromkeys(traces, StageOutcome.UNCHANGED)
    metrics: dict[str, float] = {}
    for message in standing.notices:
        say(Notice(utc(), "warn", message))
    name = friendly_name(flight)
    say(RunStarted(utc(), flight, name, command.origin, tuple(traces), (request,)))
    for stage, trace in traces.items():
        standing.workspace.traces.touch(trace)
        metrics.update(trace.metrics)
        outcome, tests = outcomes[stage], trace.tests
        say(StageFinished(stage, utc(), flight, outcome, 0.0, metrics=trace.metrics, tests=tests))
    gates = _judged(standing, say)
    seconds = round(time.time() - standing.began, 3)
    say(
        RunFinished(
            utc(),
            run.id,
            run.name,
            RunOutcome.PASSED,
            seconds,
            outcomes,
            metrics,
            gates,
            requests=(request,),
            flight=flight,
        )
    )


def _judged(standing: _Standing, say: Callable[[Event], None]) -> tuple[GateResult, ...]:
    if not standing.project.models:
        return ()
    from mlbench.engine.release_desk import ReleaseDesk
    from mlbench.tracking.store import ExperimentStore

    store = ExperimentStore(standing.layout)
    desk = ReleaseDesk(standing.layout, standing.workspace, store, say)
    return desk.judge(standing.project, standing.run)
