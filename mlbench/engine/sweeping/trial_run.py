"""One trial on its way: its stages, for each repeat, in its slot, and its runs on record."""

from __future__ import annotations

import enum
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbench.domain.errors import MlbenchError, RecordNotWrittenError
from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project, Stage
from mlbench.engine.assembling import assemble
from mlbench.engine.flight_files import Opening
from mlbench.engine.hands.recording import RecordingHand, TrialOf, all_params
from mlbench.engine.state import Flight
from mlbench.engine.summed_up import as_it_ran, summed_up
from mlbench.engine.sweeping.seats import Seats
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.trial_slot import Claim, TrialSlot
from mlbench.project.layout import Layout
from mlbench.system.files import FULL
from mlbench.system.processes import ending_in

ORIGIN = "sweep"
SHARED = -1
"""In place of a trial's number: what all trials share is being built."""
# SIGKILL, as a shell tells of it too: what kills for want of memory leaves no other word.
_KILLED = (-9, 137)
# All that a build says where it found no room itself; a command's own end is told otherwise.
_FULL_WORDS = tuple(map(os.strerror, FULL))
_EXIT = "exit status"


@dataclass(frozen=True, slots=True)
class Workplace:
    """What all trials of a study share: its stages in their order, where they run and are kept.

    `shared` are the names of those that no trial touches.
    """

    layout: Layout
    study: str
    project: Project
    stages: tuple[Stage, ...]
    shared: frozenset[str]
    opening: Opening
    recording: RecordingHand
    seats: Seats


class Ending(enum.Enum):
    """How a trial came to its end, as far as its runs tell.

    KILLED: the process of its stage was killed from outside, or is gone. NO_ROOM: the disk is full,
    so that nobody can say what the trial is worth. LEFT: a coordinator before ended it, for one of
    its own reasons or for want of room, and did not live to say so.
    """

    PASSED = enum.auto()
    FAILED = enum.auto()
    KILLED = enum.auto()
    NO_ROOM = enum.auto()
    LEFT = enum.auto()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a trial ended: its runs, and why it did not pass where one has not.

    `seconds` are those of the commands that it ran; `stage_seconds` those of its stages that a
    trial touches, as they took when they ran, perhaps in an earlier trial.
    """

    number: int
    how: Ending = Ending.PASSED
    runs: tuple[Run, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    stage_seconds: float = 0.0

    @property
    def has_passed(self) -> bool:
        """Whether every repeat has."""
        return self.how is Ending.PASSED


class TrialRun:
    """Runs in a thread of its own; `stop` may come at any moment."""

    def __init__(
        self,
        place: Workplace,
        slot: TrialSlot,
        claim: Claim,
        overlays: Sequence[Mapping[str, Any]],
        on_stage: Callable[[int, str], None],
        launches: tuple[Launch, ...] = (),
    ) -> None:
        """`overlays` are the seeds of each repeat; `launches` what a coordinator before began.

        `on_stage` is told the repeat and the stage of which a command starts.
        """
        self.claim = claim
        self.slot = slot
        self._place = place
        self._overlays = overlays
        self._on_stage = on_stage
        self._launches = launches
        for launch in launches:
            place.seats.hold(launch.gpus)
        self._lock = threading.Lock()
        self._build: Build | None = None
        self._stopping = threading.Event()

    def folders(self, repeat: int = 0) -> tuple[Path, ...]:
        """Where the stages of a repeat leave what they log."""
        run, layout = self.claim.runs[repeat], self._place.layout
        return tuple(layout.stage_folder(run, stage.name) for stage in self._place.stages)

    def stop(self) -> None:
        """Stop what runs, and begin no more of it."""
        self._stopping.set()
        with self._lock:
            if self._build is not None:
                self._build.stop()

    def run(self) -> Ended:
        """Every repeat, until one does not pass; raises nothing a user can cause."""
        done: list[Run] = []
        how, reason = Ending.PASSED, ""
        try:
            for index, run_id in enumerate(self.claim.runs):
                known = self._known(run_id)
                done.append(known or self._repeat(index, run_id))
                how, reason = self._ending_of(done[-1], is_known=known is not None), _why(done[-1])
                if how is not Ending.PASSED:
                    break
        except MlbenchError as error:
            is_full = isinstance(error, RecordNotWrittenError)
            how, reason = _full_or_failed(is_full), str(error)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            how, reason = _full_or_failed(error.errno in FULL), f"{where}{error.strerror or error}"
        except Exception:
            how, reason = Ending.FAILED, f"internal error: {traceback.format_exc()}"
        took = {run.id: self._seconds_by_run(run) for run in done}
        return Ended(
            self.claim.number,
            how,
            tuple(done),
            reason,
            seconds=sum(seconds.get(run_id, 0.0) for run_id, seconds in took.items()),
            stage_seconds=sum(sum(seconds.values()) for seconds in took.values()),
        )

    def _known(self, run_id: str) -> Run | None:
        """The run of a repeat that a coordinator before put on record already."""
        store = self._place.recording.store
        run = store.get(run_id)
        if run is not None:
            # It may have been killed between the run's folder and the index.
            store.add(run)
        return run

    def _ending_of(self, run: Run, *, is_known: bool) -> Ending:
        """How a run ended; one that is known ended under another coordinator."""
        if run.outcome is RunOutcome.PASSED:
            return Ending.PASSED
        if _found_no_room(run):
            return Ending.LEFT if is_known else Ending.NO_ROOM
        # Its process may have been told to stop by a coordinator that was killed while it did.
        if run.outcome is RunOutcome.CANCELLED and (is_known or not self._stopping.is_set()):
            return Ending.LEFT
        return Ending.KILLED if self._was_killed(run) else Ending.FAILED

    def _repeat(self, index: int, run_id: str) -> Run:
        place, slot = self._place, self.slot
        begun = {one.stage.name: one for one in self._launches if one.run == run_id}
        if not begun:
            slot.prepare(place.stages, {**self.claim.params, **self._overlays[index]})
        started = min((one.started for one in begun.values()), default=time.time())
        results: dict[str, BuildResult] = {}
        for stage in place.stages:
            if self._stopping.is_set():
                break
            result = self._built(index, run_id, stage, begun.get(stage.name))
            results[stage.name] = result
            if not result.outcome.stands:
                break
        return self._record(run_id, started, results)

    def _built(self, index: int, run_id: str, stage: Stage, launch: Launch | None) -> BuildResult:
        folder = self._place.layout.stage_folder(run_id, stage.name)
        held = launch.gpus if launch is not None else ()
        with self._place.seats.taken(stage, self._stopping.is_set, held) as gpus:
            if launch is not None:
                build: Build = self.slot.adopt(launch, summed_up)
                self._on_stage(index, stage.name)
            else:
                build = self.slot.build(
                    stage,
                    Job(run_id, folder, gpus=gpus),
                    lambda _: self._on_stage(index, stage.name),
                    summed_up,
                )
            with self._lock:
                self._build = build
                if self._stopping.is_set():
                    build.stop()
            try:
                result = build.run()
            finally:
                with self._lock:
                    self._build = None
        trace = result.trace
        if self.claim.number == SHARED and result.outcome.stands:
            self.slot.settle(stage, trace)
        if result.outcome is StageOutcome.UNCHANGED and trace is not None and trace.run == run_id:
            return as_it_ran(result, trace, folder)
        return result

    def _record(self, run_id: str, started: float, results: Mapping[str, BuildResult]) -> Run:
        place = self._place
        outcomes = {name: result.outcome for name, result in results.items()}
        fallen = [one for one in outcomes.values() if not one.stands]
        rest = StageOutcome.BLOCKED if StageOutcome.FAILED in fallen else StageOutcome.CANCELLED
        order = tuple(stage.name for stage in place.stages)
        flight = Flight(
            run=run_id,
            name=friendly_name(run_id),
            origin=ORIGIN,
            started=started,
            order=order,
            reads={},
            needs={},
            stages={stage.name: stage for stage in place.stages},
            jobs=1,
            outcomes={name: outcomes.get(name, rest) for name in order},
        )
        opening = replace(place.opening, params=all_params(place.project, self.slot.root))
        is_shared = self.claim.number == SHARED
        if is_shared and StageOutcome.RAN not in outcomes.values():
            return assemble(flight, results, opening)
        of = TrialOf(place.study, None if is_shared else self.claim.number)
        return place.recording.write(flight, results, opening, place.project, of)

    def _was_killed(self, run: Run) -> bool:
        """Whether a stage was ended from outside; by its supervisor's word, or the lack of one."""
        for name, record in run.stages.items():
            if record.outcome is StageOutcome.FAILED and record.ran_in == run.id:
                folder = self._place.layout.stage_folder(run.id, name)
                ending = ending_in(folder)
                has_begun = (folder / "log").exists()
                if has_begun and (ending is None or ending.code in _KILLED):
                    return True
        return False

    def _seconds_by_run(self, run: Run) -> dict[str, float]:
        """How long the commands of a trial's own stages took, by the run that they ran in.

        What a stage waited for its place is not among it.
        """
        seconds: dict[str, float] = {}
        for name, record in run.stages.items():
            if record.ran_in and name not in self._place.shared:
                ending = ending_in(self._place.layout.stage_folder(record.ran_in, name))
                took = ending.seconds if ending is not None else 0.0
                seconds[record.ran_in] = seconds.get(record.ran_in, 0.0) + took
        return seconds


def _full_or_failed(is_full: bool) -> Ending:
    return Ending.NO_ROOM if is_full else Ending.FAILED


def _found_no_room(run: Run) -> bool:
    """Whether the disk was full for what is kept of a stage, rather than for its command."""
    return any(
        record.outcome is StageOutcome.FAILED
        and record.message.endswith(_FULL_WORDS)
        and _EXIT not in record.message
        for record in run.stages.values()
    )


def _why(run: Run) -> str:
    """Which stage did not come about and why; nothing of a run that passed."""
    if run.outcome is RunOutcome.PASSED:
        return ""
    for name, record in run.stages.items():
        if record.outcome is not None and not record.stands:
            told = record.message or record.outcome.word
            return f"{name}: {told}"
    return "it was stopped"
