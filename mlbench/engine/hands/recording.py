"""The hand of the tracking room: notes where a run begins, and records what it gave."""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import ProjectFileError
from mlbench.domain.outcomes import RunOutcome, StageOutcome, outcome_of_run
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, Scalar, StageRecord
from mlbench.domain.stages import Project
from mlbench.engine.flight_files import FlightFiles, Opening
from mlbench.engine.state import Flight
from mlbench.pipeline.job import BuildResult
from mlbench.project.git import code_state, dirty_diff
from mlbench.project.layout import Layout
from mlbench.project.params import flatten, read_params
from mlbench.system.files import remove
from mlbench.tracking.folder import write_run
from mlbench.tracking.store import ExperimentStore

_WORTH_RECORDING = frozenset(StageOutcome) - {StageOutcome.UNCHANGED}


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
        self.flights = FlightFiles(layout.flights)
        self._openings: dict[str, threading.Thread] = {}

    def open(self, run: str, project: Project, root: Path) -> None:
        """Begin to note commit, diff, and the parameters below `root`, of a run."""

        def look() -> None:
            self.flights.write_opening(run, self._look(project, root))

        thread = self._openings[run] = threading.Thread(target=look, daemon=True)
        thread.start()

    def join(self) -> None:
        """Wait until what a run began with is written down, for the holder that goes on with it."""
        for thread in self._openings.values():
            thread.join()

    def close(
        self, flight: Flight, results: Mapping[str, BuildResult], project: Project
    ) -> Recorded:
        """Record a run unless nothing ran, or an equal one has passed before."""
        looking = self._openings.pop(flight.run, None)
        if looking is not None:
            looking.join()
        opening = (self.flights.opening(flight.run) if flight.is_open else None) or Opening()
        run = assemble(flight, results, opening, time.time() - flight.started)
        standing = self.store.standing(run.state) if run.outcome is RunOutcome.PASSED else None
        # What a variant had from before says nothing of what is on record.
        ran = bool(flight.variant) or any(
            outcome in _WORTH_RECORDING for outcome in flight.outcomes.values()
        )
        is_new = ran and (standing is None or bool(flight.forced))
        if not ran and standing is None and self._is_lost(run):
            is_new, opening = True, self._look(project, self._layout.root)
            run = assemble(flight, results, opening, time.time() - flight.started)
        folder = self._layout.run_folder(run.id)
        if is_new:
            write_run(folder, run, opening.diff, project.python)
            self.store.add(run)
            standing = run if run.outcome is RunOutcome.PASSED else None
        elif not any(outcome is StageOutcome.RAN for outcome in flight.outcomes.values()):
            remove(folder)
        if flight.is_open:
            self.flights.forget(flight.run)
        return Recorded(run, standing, is_new)

    def _is_lost(self, run: Run) -> bool:
        """Whether what stands was made by a run that a crash kept from the record."""
        if run.outcome is not RunOutcome.PASSED:
            return False
        known = {one.id for one in self.store.runs()}
        return any(stage.ran_in not in (None, *known) for stage in run.stages.values())

    def _look(self, project: Project, root: Path) -> Opening:
        own = self._layout.root
        return Opening(code_state(own), dirty_diff(own), _all_params(project, root))


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


def _all_params(project: Project, root: Path) -> dict[str, Scalar]:
    """Every parameter of every params file that a stage names, flat with dotted names."""
    files = dict.fromkeys(wanted.file for stage in project.stages for wanted in stage.params)
    params: dict[str, Scalar] = {}
    for file in files:
        try:
            params |= {
                name: _scalar(value) for name, value in flatten(read_params(root, file)).items()
            }
        except ProjectFileError:
            continue
    return params


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
