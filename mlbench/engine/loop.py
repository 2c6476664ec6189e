"""The loop: one thread, one queue; decides by pure steps and lets the hands carry out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlbench.domain.clock import utc
from mlbench.domain.commands import (
    Command,
    Release,
    RestoreRun,
    StopStages,
)
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import (
    CommandDone,
    Event,
    LoopStarted,
    LoopStopped,
    Notice,
    PlanMade,
    RunFinished,
    WatchChanged,
)
from mlbench.domain.names import friendly_name, new_command_id
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.engine import effects as do
from mlbench.engine import inbox
from mlbench.engine import inputs as got
from mlbench.engine.event_log import EventWriter
from mlbench.engine.halting import Halt
from mlbench.engine.hands.building import BuildingHand
from mlbench.engine.hands.cleaning import CleaningHand
from mlbench.engine.hands.recording import RecordingHand
from mlbench.engine.state import Flight, LoopState, NewRun
from mlbench.engine.steps import step
from mlbench.engine.steps.holders import to_keep, told_again
from mlbench.engine.verdict_watch import VerdictWatch
from mlbench.inside.identity import new_run_id
from mlbench.project.git import has_repository, missing_because
from mlbench.project.layout import Layout

if TYPE_CHECKING:
    from mlbench.engine.release_desk import ReleaseDesk

_INBOX_SECONDS = 0.1
# What the system does not tell of (a network, an overflow) is found by looking, so often.
_GLANCE_SECONDS = 5.0


class Loop:
    """Runs in a thread of its own until `quit`; its holder must have the folder's loop.lock."""

    def __init__(self, layout: Layout) -> None:
        """Open every room of a project and begin an event file."""
        self._layout = layout
        self._queue: queue.SimpleQueue[got.Input] = queue.SimpleQueue()
        self._state = LoopState()
        self._next_look = 0.0
        self._events = EventWriter(layout.events)
        self._building = BuildingHand(layout, self._queue.put)
        self._recording = RecordingHand(layout)
        self._next_glance = 0.0
        self._since = utc()
        self._verdicts = VerdictWatch(layout)
        self._left: list[str] = []
        self._heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._knows_git = False
        self._cleaning = CleaningHand(layout)
        self._slow: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._halt = Halt()
        self._slow_thread = threading.Thread(target=self._work_slowly, name="release", daemon=True)
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def start(self) -> None:
        """Say that the loop is held here, and begin."""
        inbox.clear_stale(self._layout.inbox)
        left = self._take_over()
        going_on = tuple(request for kept in left.kept for request in kept.requests)
        self._tell(LoopStarted(utc(), os.getpid(), self._layout.root.name, going_on))
        for stage in self._building.recovered:
            message = f"{stage} was interrupted; its outs from before are back in place"
            self._tell(Notice(utc(), "warn", message))
        for message in self._recording.store.notices:
            self._tell(Notice(utc(), "warn", message))
        if not has_repository(self._layout.root):
            self._say_what_git_lacks()
        if left.kept or left.unfinished:
            self._queue.put(left)
        if any(self._layout.serving.glob("*.changing")):
            self._slow.put(self._settle)
        if self._verdicts.has_verdict():
            self._slow.put(self._settle_canaries)
        self._slow_thread.start()
        self._thread.start()

    def send(self, command: Command) -> str:
        """Put a command into the queue; gives the id that its CommandDone will carry."""
        command_id = new_command_id()
        self._queue.put(got.Asked(command_id, command))
        return command_id

    def look(self) -> None:
        """Have the tree looked at now."""
        self._queue.put(got.TreeChanged(()))

    def heard(self, wait: float) -> list[Event]:
        """Every event since the last call; waits so many seconds for the first."""
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            events.append(self._heard.get(timeout=wait) if wait else self._heard.get_nowait())
            while True:
                events.append(self._heard.get_nowait())
        return events

    def quit(self, *, leave_running: bool = False) -> tuple[str, ...]:
        """Stop what was started from here, or leave it running; then close the event file.

        Gives the stages that go on.
        """
        self._halt.end()
        self._queue.put(got.Quit(leave_running))
        self._thread.join()
        self._slow.put(None)
        self._slow_thread.join()
        self._building.join()
        self._recording.join()
        self._tell(LoopStopped(utc()))
        self._events.close()
        return tuple(self._left)

    def _take_over(self) -> got.Resumed:
        """What the holder before left: runs that it let go, and those that have a stage going."""
        building, flights = self._building, self._recording.flights
        going = {one.run for one in building.unfinished()}
        kept: list[got.Kept] = []
        variants: list[got.VariantMade] = []
        for flight in flights.all():
            made = building.variants.take_up(flight) if flight.variant else None
            is_going = flight.was_left or flight.run in going
            if made is not None or (is_going and not flight.variant):
                kept.append(flight)
                variants += [] if made is None else [made]
            else:
                flights.forget(flight.run)
        building.variants.clear_others()
        return got.Resumed(tuple(kept), building.unfinished(), tuple(variants))

    def _run(self) -> None:
        while True:
            for happened in self._next_inputs():
                try:
                    if self._handle(happened):
                        return
                except Exception:
                    # A fault of ours is told and survived: what runs must not be left alone.
                    self._tell(Notice("", "error", f"internal error: {traceback.format_exc()}"))

    def _handle(self, happened: got.Input) -> bool:
        """Decide and carry out; True when nothing is left to do."""
        if isinstance(happened, got.StageLeft):
            self._left.append(happened.stage)
        if isinstance(happened, got.Asked) and isinstance(happened.command, StopStages):
            self._halt.stop(happened.command)
        run = new_run_id()
        new_run = NewRun(run, friendly_name(run), time.time())
        self._state, effects = step(happened, self._state, new_run)
        for is_told, several in itertools.groupby(effects, lambda one: isinstance(one, do.Tell)):
            if is_told:
                self._tell(*(effect.event for effect in several if isinstance(effect, do.Tell)))
                continue
            for effect in several:
                if isinstance(effect, do.Finish):
                    return True
                self._carry_out(effect)
        return False

    def _next_inputs(self) -> list[got.Input]:
        """The next input of the queue, and what has come to the inbox every tenth of a second."""
        inputs: list[got.Input] = []
        with contextlib.suppress(queue.Empty):
            inputs.append(self._queue.get(timeout=_INBOX_SECONDS))
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _INBOX_SECONDS
            inputs += inbox.take(self._layout.inbox)
        if now >= self._next_glance:
            self._next_glance = now + _GLANCE_SECONDS
            if self._state.watching:
                self._building.glance()
            if self._verdicts.has_verdict():
                self._slow.put(self._settle_canaries)
        return inputs

    def _carry_out(self, effect: do.Effect) -> None:
        building, flights = self._building, self._recording.flights
        match effect:
            case do.MakePlan(request):
                building.plan(request)
            case do.TellUnchanged(run, statuses, variant):
                self._tell(*building.unchanged(run, statuses, variant))
            case do.ShareStage(run, stage, source):
                self._tell(building.share(run, stage, source))
            case do.OpenRun(run, variant):
                self._slow.put(self._say_what_git_lacks)
                self._recording.open(run, *building.launched_from(variant))
            case do.KeepFlight(flight, is_left):
                flights.write(to_keep(flight, was_left=is_left))
            case do.ForgetFlight(run):
                flights.forget(run)
            case do.CloseRun(flight):
                self._slow.put(lambda: self._close(flight))
            case do.CarryOut(command_id, command):
                self._slow.put(lambda: self._carry_out_slowly(command_id, command))
            case do.SetWatching(watching):
                detail = building.set_watching(watching)
                if detail:
                    self._tell(WatchChanged(utc(), watching, detail))
            case _:
                self._build(effect)

    def _build(self, effect: do.Effect) -> None:
        building = self._building
        match effect:
            case do.MakeVariant(request):
                building.make_variant(request)
            case do.DropVariant(variant):
                building.variants.drop(variant)
            case do.StartStage():
                building.build(effect)
            case do.AdoptStage(run, stage):
                building.adopt(run, stage)
            case do.AbandonStage(run, stage):
                building.abandon(run, stage)
            case do.StopStage(run, stage, outcome):
                building.stop(run, stage, outcome)
            case do.LeaveStage(run, stage):
                building.leave(run, stage)
            case _:
                raise TypeError(f"nobody carries out {effect!r}")

    def _tell(self, *events: Event) -> None:
        stamped = [one if one.at else dataclasses.replace(one, at=utc()) for one in events]
        self._events.write(*stamped)
        for event in stamped:
            self._heard.put(event)
        if isinstance(events[-1], RunFinished):
            self._events.turn_over(self._as_it_stands())

    def _as_it_stands(self) -> tuple[Event, ...]:
        """What a face that attaches now has to know."""
        state = self._state
        told: list[Event] = [WatchChanged(utc(), state.watching)]
        if state.plan is not None:
            told.append(PlanMade(utc(), state.plan))
        told += [event for flight in state.flights for event in told_again(flight)]
        return tuple(one if one.at else dataclasses.replace(one, at=utc()) for one in told)

    def _work_slowly(self) -> None:
        """Everything that has to happen one after the other: closing runs, releasing."""
        while (work := self._slow.get()) is not None:
            work()

    def _close(self, flight: Flight) -> None:
        """Record a run, judge and export, and say how it ended; whatever happens, it is closed."""
        self._halt.begin(flight)
        try:
            try:
                closed = self._closed(flight)
            finally:
                if flight.variant:
                    self._building.variants.drop(flight.variant)
        except Exception as error:
            message = str(error) if isinstance(error, MlbenchError) else traceback.format_exc()
            told: tuple[Event, ...] = (
                Notice(utc(), "error", f"run {flight.name} could not be recorded: {message}"),
                *(CommandDone(utc(), request, 1, str(error)) for request in flight.requests),
            )
        else:
            status = 0 if closed.outcome is RunOutcome.PASSED else 1
            told = (
                closed,
                *(CommandDone(utc(), request, status) for request in flight.requests),
            )
        for event in told:
            self._tell(event)
        self._queue.put(got.RunClosed(flight.run))
        if any(outcome is not StageOutcome.UNCHANGED for outcome in flight.outcomes.values()):
            if not flight.variant:
                self.look()
            self._cleaning.after_run(self._building.project, self._tell)

    def _closed(self, flight: Flight) -> RunFinished:
        project, _ = self._building.launched_from(flight.variant)
        results = self._building.results(flight.run)
        recorded = self._recording.close(flight, results, project)
        self._building.workspace.digests.save()
        subject = recorded.standing or recorded.run
        # A candidate names the run that it came from, so that run must be on record.
        exports = recorded.standing is not None or recorded.is_new
        gates = self._desk.judge(project, subject, exports=exports) if project.models else ()
        shown = recorded.standing if recorded.standing and not recorded.is_new else recorded.run
        return RunFinished(
            utc(),
            shown.id if recorded.is_new or recorded.standing else None,
            shown.name,
            recorded.run.outcome or RunOutcome.FAILED,
            recorded.run.seconds,
            dict(flight.outcomes),
            recorded.run.metrics,
            gates,
            recorded.is_new,
            flight.requests,
            flight.run,
        )

    @functools.cached_property
    def _desk(self) -> ReleaseDesk:
        # A run without models should not wait for the import of all that releases them.
        from mlbench.engine.release_desk import ReleaseDesk

        workspace, store = self._building.workspace, self._recording.store
        ending, since = self._halt.event, self._since
        return ReleaseDesk(self._layout, workspace, store, self._tell, ending, since)

    def _carry_out_slowly(self, command_id: str, command: Release | RestoreRun) -> None:
        self._halt.begin()
        try:
            if isinstance(command, RestoreRun):
                status, message = 0, self._restore(command)
            else:
                status, message = 0, self._desk.release(self._building.project, command)
        except MlbenchError as error:
            status, message = error.exit_status, str(error)
        except OSError as error:
            status, message = 1, f"{error.filename or self._layout.root}: {error.strerror or error}"
        except Exception:
            status, message = 1, f"internal error: {traceback.format_exc()}"
        self._queue.put(got.Happened((CommandDone(utc(), command_id, status, message),)))

    def _settle(self) -> None:
        # Few loops come after a promotion that was killed.
        from mlbench.engine.hands.settling import settle_environments

        try:
            settle_environments(self._layout, self._building.project, self._tell)
        except Exception as error:
            message = str(error) if isinstance(error, MlbenchError) else traceback.format_exc()
            self._tell(Notice(utc(), "error", message))

    def _settle_canaries(self) -> None:
        try:
            self._desk.settle_canaries(self._building.project)
        except Exception as error:
            message = str(error) if isinstance(error, MlbenchError) else traceback.format_exc()
            self._tell(Notice(utc(), "error", message))

    def _restore(self, command: RestoreRun) -> str:
        # Few loops ever bring something back.
        from mlbench.engine.restoring import bring_back, find_run

        run = find_run(self._recording.store, command.run)
        return bring_back(self._layout, self._building.workspace, run, command)

    def _say_what_git_lacks(self) -> None:
        """Once, and where there is a repository only when a run needs it: the look takes long."""
        if self._knows_git:
            return
        self._knows_git = True
        missing = missing_because(self._layout.root)
        if missing is not None:
            self._tell(Notice(utc(), "info", missing))
