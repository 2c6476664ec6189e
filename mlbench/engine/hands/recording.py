"""The hand of the tracking room: notes where a run begins, and records what it gave."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError, ProjectFileError
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, Scalar
from mlbench.domain.stages import Project
from mlbench.engine.assembling import NOTHING_SAID, Said, assemble, scalar, without_secrets_in
from mlbench.engine.flight_files import FlightFiles, Opening
from mlbench.engine.state import Flight
from mlbench.inside import logged, steplog
from mlbench.inside.secrets import (
    HIDDEN,
    is_secret,
    of_this_process,
    secret_values,
    without_secrets,
)
from mlbench.pipeline.job import BuildResult
from mlbench.project.git import code_and_diff
from mlbench.project.layout import Layout
from mlbench.project.params import flatten, read_params
from mlbench.system.files import remove
from mlbench.tracking.folder import ENVIRONMENT_NAME, write_run
from mlbench.tracking.logged import read_logged
from mlbench.tracking.pyramid import build_pyramid, summary_of
from mlbench.tracking.store import ExperimentStore
from mlbench.tracking.trash import Trash

if TYPE_CHECKING:
    from mlbench.tracking.environment import Surroundings

_SPOKEN = (steplog.PREFIX, logged.PREFIX)
_WORTH_RECORDING = frozenset(StageOutcome) - {StageOutcome.UNCHANGED}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A closed run; `standing` is the run whose results stand, itself or an earlier equal one."""

    run: Run
    standing: Run | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class TrialOf:
    """The study that a run is a trial of, by id, and the trial's number."""

    study: str = ""
    number: int | None = None


NO_TRIAL = TrialOf()


class RecordingHand:
    """Keeps the experiment store; openings are taken in the background while stages start."""

    def __init__(self, layout: Layout) -> None:
        """Open the store, which repairs itself where it is damaged."""
        self._layout = layout
        self.store = ExperimentStore(layout)
        self.flights = FlightFiles(layout.flights)
        self._openings: dict[str, threading.Thread] = {}
        self._surroundings: Surroundings | None = None
        self._has_recorded = False

    def open(self, run: str, project: Project, root: Path) -> None:
        """Begin to note commit, diff, parameters below `root` and surroundings of a run."""

        def look() -> None:
            # Where the disk is full the record says so, and that nobody noted how it began.
            with contextlib.suppress(MlbenchError, OSError):
                self.flights.write_opening(run, self.look(project, root))
                self._describe(run, project)

        thread = self._openings[run] = threading.Thread(target=look, daemon=True)
        thread.start()

    def join(self) -> None:
        """Wait until what a run began with is written down, for the holder that goes on with it.

        What was recorded here is put where a stock TinyDB reads it, where that is quick.
        """
        for thread in self._openings.values():
            thread.join()
        if self._has_recorded:
            # Nothing is lost without it.
            with contextlib.suppress(MlbenchError, OSError):
                self.store.checkpoint()

    def look(self, project: Project, root: Path) -> Opening:
        """Where code and the parameters below `root` stand now."""
        code, diff = code_and_diff(self._layout.root)
        params = all_params(project, root)
        in_params = {name: value for name, value in params.items() if isinstance(value, str)}
        secrets = (*of_this_process(), *secret_values(in_params))
        shown = {name: HIDDEN if is_secret(name) else value for name, value in params.items()}
        return Opening(code, without_secrets(diff, secrets), shown)

    def close(
        self, flight: Flight, results: Mapping[str, BuildResult], project: Project
    ) -> Recorded:
        """Record a run unless nothing ran, or an equal one has passed before."""
        looking = self._openings.pop(flight.run, None)
        if looking is not None:
            looking.join()
        opening = self._opening(flight, project)
        run = assemble(flight, results, opening)
        standing = self.store.standing(run.state) if run.outcome is RunOutcome.PASSED else None
        # What a variant had from before says nothing of what is on record.
        ran = bool(flight.variant) or any(
            outcome in _WORTH_RECORDING for outcome in flight.outcomes.values()
        )
        is_new = ran and (standing is None or bool(flight.forced))
        if not ran and standing is None and self._is_lost(run):
            is_new, opening = True, self.look(project, self._layout.root)
        folder = self._layout.run_folder(run.id)
        if is_new:
            run = self.write(flight, results, opening, project)
            standing = run if run.outcome is RunOutcome.PASSED else None
        elif not any(outcome is StageOutcome.RAN for outcome in flight.outcomes.values()):
            remove(folder)
        if flight.is_open:
            self.flights.forget(flight.run)
        return Recorded(run, standing, is_new)

    def _opening(self, flight: Flight, project: Project) -> Opening:
        if not flight.is_open:
            return Opening()
        noted = self.flights.opening(flight.run)
        if noted is not None:
            return noted
        # The holder before ended too early to note it: that the code was the commit's is unknown.
        late = self.look(project, self._layout.root)
        return replace(
            late, code=replace(late.code, dirty=late.code.dirty or late.code.commit is not None)
        )

    def write(
        self,
        flight: Flight,
        results: Mapping[str, BuildResult],
        opening: Opening,
        project: Project,
        of: TrialOf = NO_TRIAL,
    ) -> Run:
        """Put a run on record, with what its stages' own processes said; `of` says of which study.

        RecordNotWrittenError where there is no room for it.
        """
        said: dict[str, Said] = {}
        for name, outcome in flight.outcomes.items():
            trace = results[name].trace if name in results else None
            if trace is not None or outcome is not StageOutcome.BLOCKED:
                ran_in = trace.run if trace is not None else flight.run
                said[name] = said_in(self._layout.stage_folder(ran_in, name))
        run = without_secrets_in(assemble(flight, results, opening, said), of_this_process())
        run = replace(run, study=of.study, trial=of.number)
        self._describe(run.id, project)
        write_run(self._layout.run_folder(run.id), run, opening.diff)
        self.store.add(run)
        self._has_recorded = True
        return run

    def _is_lost(self, run: Run) -> bool:
        """Whether what stands was made by a run that a crash kept from the record."""
        if run.outcome is not RunOutcome.PASSED:
            return False
        ran_in = {stage.ran_in for stage in run.stages.values() if stage.ran_in is not None}
        trash = Trash(self._layout)
        lost = {one for one in ran_in - self.store.ids() if not trash.has_deleted(one)}
        # What another worktree has on its way will be on record.
        others = [FlightFiles(other.flights) for other in self._layout.others] if lost else []
        return any(not any(flights.has(one) for flights in others) for one in lost)

    def _describe(self, run: str, project: Project) -> None:
        """Note what the run is made in, unless it is noted; a run counts without it, too."""
        folder = self._layout.run_folder(run)
        if (folder / ENVIRONMENT_NAME).exists():
            return
        # Late: a command that runs nothing describes nothing.
        from mlbench.tracking.environment import Surroundings, keep_environment

        if self._surroundings is None:
            self._surroundings = Surroundings(self._layout.environments / "interpreter.json")
        declared = (name for stage in project.stages for name in stage.env)
        with contextlib.suppress(OSError):
            environment = self._surroundings.describe(project.python, declared)
            keep_environment(self._layout.environments, folder, environment)


def said_in(folder: Path) -> Said:
    """What a stage's processes said, from the folder of the run that it ran in."""
    # Most stages say nothing, and a run may have hundreds of them.
    try:
        is_silent = not any(name.startswith(_SPOKEN) for name in os.listdir(folder))
    except OSError:
        is_silent = True
    if is_silent:
        return NOTHING_SAID
    build_pyramid(folder)
    said = read_logged(folder)
    return Said(summary_of(folder), said.params, said.tags)


def all_params(project: Project, root: Path) -> dict[str, Scalar]:
    """Every parameter of every params file that a stage names, flat with dotted names."""
    files = dict.fromkeys(wanted.file for stage in project.stages for wanted in stage.params)
    params: dict[str, Scalar] = {}
    for file in files:
        try:
            params |= {
                name: scalar(value) for name, value in flatten(read_params(root, file)).items()
            }
        except ProjectFileError:
            continue
    return params
