"""The one process that owns a study: asks what to try, runs it, tells what came of it."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import EnqueueTrial, Progress, StopSweep, StopTrial, Trial
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.deciding import Decider, Decision
from mlbench.engine.sweeping.judging import Judge, Judged
from mlbench.engine.sweeping.opened import Opened
from mlbench.engine.sweeping.shared_stages import shared_run
from mlbench.engine.sweeping.trial_run import SHARED, Ended, Ending, TrialRun
from mlbench.engine.sweeping.trial_values import worth_of
from mlbench.inside.identity import new_run_id
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.trial_slot import Claim, TrialSlot
from mlbench.project.layout import Layout

_LOOK_SECONDS = 0.05
_COMMAND_SECONDS = 0.1
# What is killed each time wants too much memory.
_MOST_KILLED = 2
_STOPPED = "stopped with the sweep; it is tried again when that goes on"


@dataclass(frozen=True, slots=True)
class _Began:
    number: int
    stage: str


class Coordinator:
    """Runs until the study has ended or is stopped; its lock must be held."""

    def __init__(self, layout: Layout, files: StudyFiles) -> None:
        """Open the study, and everything that it takes to run its trials."""
        self._files = files
        self._queue: queue.SimpleQueue[Ended | Judged | _Began] = queue.SimpleQueue()
        self._trials: dict[int, Trial] = {}
        self._running: dict[int, TrialRun] = {}
        self._ends: dict[int, TrialState] = {}
        self._free: list[TrialSlot] = []
        self._stopping: StopSweep | None = None
        self._next_look = 0.0
        self._phase = self._no_room = ""
        self._all = Opened(layout, files)
        self._decider = Decider(self._all.study.sweep)
        self._judge = Judge(self._all.place, self._all.workspace, self._queue.put)

    def run(self) -> Progress:
        """Go on with the study to its end; gives what it came to."""
        self._say("preparing")
        decision = self._prepare()
        while decision is None or self._running:
            self._take(_LOOK_SECONDS)
            self._look_at_curves()
            self._receive()
            if decision is None:
                decision = self._go_on()
        self._judge.close()
        self._take(0.0)
        self._all.close(self._free, is_done=decision.is_done)
        return Progress(
            "ended",
            because=decision.because,
            is_done=decision.is_done,
            has_failed=decision.has_failed,
        )

    def stop(self, command: StopSweep) -> None:
        """Begin no more trials; may be called by a signal's handler."""
        if self._stopping is None or command.at_once:
            self._stopping = command

    # What there is to go on with.

    def _prepare(self) -> Decision | None:
        everything = self._all
        self._trials = everything.trials()
        self._files.write_trials(self._trials.values(), anew=True)
        self._free = everything.slots()
        known = {trial.number: trial for trial in everything.optuna.known()}
        for number, trial in known.items():
            if trial.state is TrialState.RUNNING:
                self._take_up(number, trial.params)
        decision = self._build_shared()
        for slot in self._free:
            # What was told before its claim was taken back.
            slot.clear()
            slot.free()
        return decision

    def _take_up(self, number: int, params: Mapping[str, Any]) -> None:
        """Go on with a trial that was under way; it is lost where its process is gone."""
        slot = next((one for one in self._free if _number(one) == number), None)
        claim = slot.claim if slot is not None else None
        if slot is not None and claim is not None:
            launches, lost = slot.take_up()
            # Else a coordinator was killed while it lost this one, and both would count.
            if not lost and not self._all.optuna.is_handed_on(number):
                self._free.remove(slot)
                self._fly(TrialRunOf(slot, claim, launches))
                return
        gone = "its process was gone when the sweep went on; it is tried again"
        self._lose(number, params, gone)

    def _build_shared(self) -> Decision | None:
        """Build once what no parameter of a trial touches; why there is nothing to try if not."""
        shared = self._all.shared
        if not shared.stages or not self._free:
            return None
        run = shared_run(shared, self._free)
        thread = threading.Thread(target=lambda: self._queue.put(run.run()), daemon=True)
        thread.start()
        while True:
            self._receive()
            if self._stopping is not None:
                run.stop()
            try:
                happened = self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(happened, Ended) and happened.number == SHARED:
                break
            self._happened(happened)
        if self._stopping is not None:
            return Decision(because="it was stopped")
        return Decision(because=happened.reason) if happened.reason else None

    # One look after the other.

    def _take(self, wait: float) -> None:
        """Everything that has happened; waits so many seconds for the first."""
        try:
            self._happened(self._queue.get(timeout=wait) if wait else self._queue.get_nowait())
            while True:
                self._happened(self._queue.get_nowait())
        except queue.Empty:
            return

    def _happened(self, happened: Ended | Judged | _Began) -> None:
        match happened:
            case Ended():
                self._end(happened)
            case Judged(number, holds):
                self._tell(replace(self._trials[number], gates_hold=holds))
            case _Began(number, stage):
                self._tell(replace(self._trials[number], stage=stage))

    def _receive(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _COMMAND_SECONDS
        for command in self._files.received():
            match command:
                case StopSweep():
                    self.stop(command)
                case EnqueueTrial(params):
                    self._enqueue(params)
                case StopTrial(number):
                    self._end_early(number, TrialState.FAILED)
        if self._stopping is not None and self._stopping.at_once:
            for number in self._running:
                self._end_early(number, TrialState.LOST)

    def _enqueue(self, params: Mapping[str, Any]) -> None:
        """Have values tried next, and show that they wait; what the space refuses is left out."""
        try:
            self._all.optuna.enqueue(params, {"by_hand": True})
        except SweepError as error:
            print(f"{params} is not tried: {error}", file=sys.stderr, flush=True)
        self._show_waiting()

    def _show_waiting(self) -> None:
        """Put trials on the board that are not there yet: to be tried, or never drawn."""
        for number, trial in self._all.trials().items():
            if number not in self._trials:
                self._tell(trial)

    def _go_on(self) -> Decision | None:
        """Begin what may begin; or why nothing begins any more."""
        if self._stopping is not None:
            self._say("finishing")
            return Decision(because="it was stopped")
        if self._no_room:
            self._say("finishing")
            return Decision(because=self._no_room, has_failed=True)
        decision = self._decider.decide(self._trials, len(self._free), len(self._running))
        if decision.because:
            self._say("finishing")
            return decision
        self._say("running")
        for _ in range(decision.begin):
            # Asked before each: what has no more to give would give the same again.
            if self._all.optuna.is_exhausted:
                break
            try:
                self._begin()
            except SweepError as error:
                # Those that run are told how they ended all the same.
                self._show_waiting()
                self._say("finishing")
                return Decision(because=str(error), has_failed=True)
        if not self._running and self._all.optuna.is_exhausted:
            return Decision(because="everything in its space was tried", is_done=True)
        return None

    def _begin(self) -> None:
        number, params = self._all.optuna.ask()
        claim = Claim(
            number, params, tuple(new_run_id() for _ in range(self._all.study.sweep.repeats))
        )
        slot = self._free.pop(0)
        slot.take_for(claim)
        self._fly(TrialRunOf(slot, claim, ()))

    def _fly(self, of: TrialRunOf) -> None:
        claim, number = of.claim, of.claim.number
        overlays = self._all.overlays()

        def began(_: int, stage: str) -> None:
            self._queue.put(_Began(number, stage))

        run = TrialRun(self._all.place, of.slot, claim, overlays, began, of.launches)
        self._running[number] = run
        self._decider.look_again()
        before = self._trials.get(number)
        self._tell(
            Trial(
                number,
                TrialState.RUNNING,
                claim.params,
                runs=claim.runs,
                started=before.started if before is not None and before.started else utc(),
                slot=of.slot.number,
                is_by_hand=before is not None and before.is_by_hand,
            )
        )
        self._all.curves.follow(number, run.folders())
        threading.Thread(target=lambda: self._queue.put(run.run()), daemon=True).start()

    # How trials end.

    def _look_at_curves(self) -> None:
        """Show what was logged since, and stop what is not worth its time."""
        for number in [*self._running]:
            look = self._all.curves.look(number, is_judged=number not in self._ends)
            if look.is_pruned:
                self._end_early(number, TrialState.PRUNED)
            if look.latest is not None:
                step, value = look.latest
                self._tell(replace(self._trials[number], step=step, intermediate=value))

    def _end_early(self, number: int, state: TrialState) -> None:
        if number in self._running and number not in self._ends:
            self._ends[number] = state
            self._running[number].stop()

    def _end(self, ended: Ended) -> None:
        """Tell the study what came of a trial; only then its slot is free."""
        run = self._running.pop(ended.number)
        self._decider.look_again()
        stopped_as = self._ends.pop(ended.number, None)
        trial = self._as_it_ended(ended)
        self._trials[trial.number] = trial
        if stopped_as is not None and not ended.has_passed:
            self._end_stopped(trial, stopped_as)
        else:
            self._end_by_itself(trial, ended)
        self._files.compact(self._trials.values())
        self._all.cleaning.after_trial()
        run.slot.free()
        if not self._all.is_needed(run.slot):
            run.slot.release()
            return
        self._free.append(run.slot)
        self._free.sort(key=lambda slot: slot.number)

    def _as_it_ended(self, ended: Ended) -> Trial:
        trial = self._trials[ended.number]
        curve = self._all.curves.end(ended.number)
        if curve:
            trial = replace(trial, curve=curve, step=curve[-1][0], intermediate=curve[-1][1])
        return replace(
            trial,
            metrics=ended.runs[-1].metrics if ended.runs else {},
            seconds=round(ended.seconds, 3),
            ended=utc(),
            stage="",
            runs=tuple(one.id for one in ended.runs),
        )

    def _end_stopped(self, trial: Trial, state: TrialState) -> None:
        """End a trial that was stopped from here, as what was meant by that."""
        match state:
            case TrialState.PRUNED:
                reason = self._all.why_pruned(trial)
                self._all.optuna.note(trial.number, "reason", reason)
                self._all.optuna.prune(trial.number)
                self._tell(replace(trial, state=TrialState.PRUNED, reason=reason))
            case TrialState.LOST:
                self._lose(trial.number, trial.params, _STOPPED)
            case _:
                self._fail(trial, "it was stopped by hand")

    def _end_by_itself(self, trial: Trial, ended: Ended) -> None:
        again = "it is tried again"
        match ended.how:
            case Ending.PASSED:
                self._complete(trial, ended)
            case Ending.NO_ROOM:
                self._lose(trial.number, trial.params, f"{ended.reason}; {again}")
                self._no_room = self._no_room or ended.reason
            case Ending.LEFT:
                told = f"{ended.reason}, and the coordinator of then is gone; {again}"
                self._lose(trial.number, trial.params, told)
            case Ending.KILLED if self._all.optuna.times_killed(trial.params) < _MOST_KILLED:
                told = f"{ended.reason}; it was killed from outside, and {again}"
                self._all.optuna.note_killed(trial.number)
                self._lose(trial.number, trial.params, told)
            case _:
                self._fail(trial, ended.reason)

    def _complete(self, trial: Trial, ended: Ended) -> None:
        try:
            worth = worth_of(self._all.study.sweep, ended.runs, ended.stage_seconds)
        except SweepError as error:
            self._fail(trial, str(error))
            return
        self._all.optuna.complete(trial.number, worth.values, worth.constraints)
        self._tell(
            replace(
                trial,
                state=TrialState.COMPLETE,
                values=worth.values,
                spread=worth.spread,
                constraints=worth.constraints,
            )
        )
        self._judge.ask(trial.number, ended.runs[0])

    def _fail(self, trial: Trial, reason: str) -> None:
        self._all.optuna.note(trial.number, "reason", reason)
        self._all.optuna.fail(trial.number)
        self._tell(replace(trial, state=TrialState.FAILED, reason=reason))

    def _lose(self, number: int, params: Mapping[str, Any], reason: str) -> None:
        """End a trial that does not count, and have its parameters tried again."""
        trial = self._trials.get(number) or Trial(number, TrialState.LOST, params)
        optuna = self._all.optuna
        optuna.note(number, "reason", reason)
        try:
            optuna.lose(number, {"by_hand": True} if trial.is_by_hand else None)
        except SweepError as error:
            reason = f"{reason}; but that can't be: {error}"
        # Of one that was only asked for, the parameters are settled by now.
        told = replace(trial, params=self._all.trials()[number].params, ended=trial.ended or utc())
        self._tell(replace(told, state=TrialState.LOST, reason=reason, stage=""))
        self._show_waiting()

    # What people see.

    def _tell(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        self._files.write_trials([trial])

    def _say(self, phase: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self._files.write_progress(self._all.progress(phase))


@dataclass(frozen=True, slots=True)
class TrialRunOf:
    """A trial that is to run: where, what, and what a coordinator before has begun of it."""

    slot: TrialSlot
    claim: Claim
    launches: tuple[Launch, ...]


def _number(slot: TrialSlot) -> int | None:
    claim = slot.claim
    return None if claim is None else claim.number
