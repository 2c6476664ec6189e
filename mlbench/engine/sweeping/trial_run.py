"""One trial on its way: its stages, for each repeat, in its slot, and its runs on record."""

from __future__ import annotations

import contextlib
import errno
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
from mlbench.system.processes import ending_in

ORIGIN = "sweep"
SHARED = -1
"""In place of a trial's number: what all trials share is being built."""
# SIGKILL, as a shell tells of it too: what kills for want of memory leaves no other word.
_KILLED = (-9, 137)
_FULL = (errno.ENOSPC, errno.EDQUOT)
# All that a build says where it found no room itself; a command's own end is told otherwise.
_FULL_WORDS = tuple(map(os.strerror, _FULL))
_EXIT = "exit status"


@dataclass(frozen=True, slots=True)
class Workplace:
    """What all trials of a study share: its stages in their order, where they run and are kept."""

    layout: Layout
    study: str
    project: Project
    stages: tuple[Stage, ...]
    opening: Opening
    recording: RecordingHand
    seats: Seats


@dataclass(frozen=True, slots=True)
class Ended:
    """How a trial ended: its runs, and why it failed where one did.

    `was_killed`: the process of its stage was killed from outside, or is gone. `has_no_room`: the
    disk is full, so that nobody can say what the trial is worth.
    """

    number: int
    runs: tuple[Run, ...] = ()
    reason: str = ""
    was_killed: bool = False
    has_no_room: bool = False
    seconds: float = 0.0

    @property
    def has_passed(self) -> bool:
        """Whether every repeat has."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class _Repeat:
    run: Run
    reason: str = ""
    was_killed: bool = False


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
        seconds = 0.0
        try:
            for index, run in enumerate(self.claim.runs):
                repeat = self._known(run) or self._repeat(index, run)
                done.append(repeat.run)
                seconds += self._own_seconds(repeat.run)
                if repeat.reason:
                    return Ended(
                        self.claim.number,
                        tuple(done),
                        repeat.reason,
                        was_killed=repeat.was_killed,
                        has_no_room=_found_no_room(repeat.run),
                        seconds=seconds,
                    )
        except MlbenchError as error:
            is_full = isinstance(error, RecordNotWrittenError)
            return Ended(self.claim.number, tuple(done), str(error), False, is_full, seconds)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            is_full = error.errno in _FULL
            return Ended(self.claim.number, tuple(done), reason, False, is_full, seconds)
        except Exception:
            reason = f"internal error: {traceback.format_exc()}"
            return Ended(self.claim.number, tuple(done), reason, seconds=seconds)
        return Ended(self.claim.number, tuple(done), seconds=seconds)

    def _known(self, run_id: str) -> _Repeat | None:
        """A repeat that a coordinator before put on record already."""
        store = self._place.recording.store
        run = store.get(run_id)
        if run is None:
            return None
        # It may have been killed between the run's folder and the index.
        store.add(run)
        return _Repeat(run, _why(run), run.outcome is not RunOutcome.PASSED and self._killed(run))

    def _repeat(self, index: int, run_id: str) -> _Repeat:
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
        run = self._record(run_id, started, results)
        return _Repeat(run, _why(run), self._killed(run))

    def _built(self, index: int, run_id: str, stage: Stage, launch: Launch | None) -> BuildResult:
        folder = self._place.layout.stage_folder(run_id, stage.name)
        with self._place.seats.taken(stage, self._stopping.is_set) as gpus:
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

    def _killed(self, run: Run) -> bool:
        """Whether a stage was ended from outside; by its supervisor's word, or the lack of one."""
        for name, record in run.stages.items():
            if record.outcome is StageOutcome.FAILED and record.ran_in == run.id:
                folder = self._place.layout.stage_folder(run.id, name)
                ending = ending_in(folder)
                has_begun = (folder / "log").exists()
                if has_begun and (ending is None or ending.code in _KILLED):
                    return True
        return False

    def _own_seconds(self, run: Run) -> float:
        """How long the commands of a run took, by themselves."""
        total = 0.0
        for name, record in run.stages.items():
            if record.ran_in == run.id:
                with contextlib.suppress(OSError):
                    ending = ending_in(self._place.layout.stage_folder(run.id, name))
                    total += ending.seconds if ending is not None else 0.0
        return total


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
