"""The hand of the tracking room: notes where a run begins, and records what it gave."""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import ProjectFileError
from mlbench.domain.outcomes import RunOutcome, StageOutcome, outcome_of_run
from mlbench.domain.runs import CodeState, Run, Scalar, StageRecord
from mlbench.domain.stages import Project
from mlbench.engine.state import Flight
from mlbench.pipeline.builder import BuildResult
from mlbench.project.git import code_state, dirty_diff
from mlbench.project.layout import Layout
from mlbench.project.params import flatten, read_params
from mlbench.system.files import remove
from mlbench.tracking.folder import write_run
from mlbench.tracking.store import ExperimentStore

_WORTH_RECORDING = frozenset(StageOutcome) - {StageOutcome.UNCHANGED}


@dataclass(frozen=True, slots=True)
class Opening:
    """Where code and parameters stood when a run began."""

    code: CodeState
    diff: str
    params: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A closed run; `standing` is the run whose results stand, itself or an earlier equal one."""

    run: Run
    standing: Run | None
    is_new: bool


class RecordingHand:
    """Keeps the experiment store; openings are taken in the background while stages start."""

    def __init__(self, layout: Layout) -> None:
        """Open the store, which repairs itself where it is damaged."""
        self._layout = layout
        self.store = ExperimentStore(layout)
        self._openings: dict[str, tuple[threading.Thread, list[Opening]]] = {}

    def open(self, run: str, project: Project) -> None:
        """Begin to note commit, diff and parameters of a run."""
        found: list[Opening] = []
        thread = threading.Thread(target=lambda: found.append(self._look(project)), daemon=True)
        self._openings[run] = (thread, found)
        thread.start()

    def close(
        self, flight: Flight, results: Mapping[str, BuildResult], project: Project
    ) -> Recorded:
        """Record a run unless nothing ran, or an equal one has passed before."""
        thread, found = self._openings.pop(flight.run)
        thread.join()
        opening = found[0] if found else Opening(CodeState(), "", {})
        run = assemble(flight, results, opening, time.time() - flight.started)
        standing = self.store.standing(run.state) if run.outcome is RunOutcome.PASSED else None
        ran = any(outcome in _WORTH_RECORDING for outcome in flight.outcomes.values())
        is_new = ran and (standing is None or bool(flight.forced))
        folder = self._layout.run_folder(run.id)
        if is_new:
            write_run(folder, run, opening.diff, project.python)
            self.store.add(run)
            standing = run if run.outcome is RunOutcome.PASSED else None
        elif not any(outcome is StageOutcome.RAN for outcome in flight.outcomes.values()):
            remove(folder)
        return Recorded(run, standing, is_new)

    def _look(self, project: Project) -> Opening:
        root = self._layout.root
        return Opening(code_state(root), dirty_diff(root), _all_params(project, self._layout))


def assemble(
    flight: Flight, results: Mapping[str, BuildResult], opening: Opening, seconds: float
) -> Run:
    """The record of a run whose stages have all ended; pure."""
    stages = {
        name: _stage_record(flight.run, flight.outcomes[name], results.get(name))
        for name in flight.order
    }
    metrics: dict[str, float] = {}
    for record in stages.values():
        metrics.update(record.metrics)
    # An edit between the run's start and a stage's is in what the stage ran with.
    params = dict(opening.params)
    for result in results.values():
        params |= {name: _scalar(value) for name, value in result.params.items()}
    return Run(
        id=flight.run,
        name=flight.name,
        outcome=outcome_of_run(dict(flight.outcomes)),
        origin=flight.origin,
        by=getpass.getuser(),
        started=utc(flight.started),
        seconds=round(seconds, 3),
        code=opening.code,
        params=params,
        metrics=metrics,
        stages=stages,
    )


def _stage_record(run: str, outcome: StageOutcome, result: BuildResult | None) -> StageRecord:
    if result is None:
        return StageRecord(outcome, 0.0, None, None)
    trace = result.trace
    return StageRecord(
        outcome=outcome,
        seconds=round(result.seconds, 3),
        key=result.key,
        ran_in=trace.run if trace else run,
        outs=trace.outs if trace else {},
        metrics=trace.metrics if trace else {},
        tests=trace.tests if trace else None,
    )


def _all_params(project: Project, layout: Layout) -> dict[str, Scalar]:
    """Every parameter of every params file that a stage names, flat with dotted names."""
    files = dict.fromkeys(wanted.file for stage in project.stages for wanted in stage.params)
    params: dict[str, Scalar] = {}
    for file in files:
        try:
            params |= {
                name: _scalar(value)
                for name, value in flatten(read_params(layout.root, file)).items()
            }
        except ProjectFileError:
            continue
    return params


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
