"""The loop: one thread, one queue; decides by pure steps and lets the hands carry out."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable

from mlbench.domain.clock import utc
from mlbench.domain.commands import Command, Promote, Rollback
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
from mlbench.domain.names import friendly_name, new_run_id
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.release import GateResult
from mlbench.engine import effects as do
from mlbench.engine import inbox
from mlbench.engine import inputs as got
from mlbench.engine.event_log import EventWriter
from mlbench.engine.hands.building import BuildingHand
from mlbench.engine.hands.judging import JudgingHand
from mlbench.engine.hands.recording import RecordingHand
from mlbench.engine.hands.releasing import ReleasingHand
from mlbench.engine.releases import Releases
from mlbench.engine.state import Flight, LoopState, NewRun
from mlbench.engine.steps import step
from mlbench.project.git import missing_because
from mlbench.project.layout import Layout

_INBOX_SECONDS = 0.1


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
        shared = (layout, Releases(layout), self._building.workspace, self._recording.store)
        self._judging = JudgingHand(*shared)
        self._releasing = ReleasingHand(*shared)
        self._slow: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._slow_thread = threading.Thread(target=self._work_slowly, name="release", daemon=True)
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def start(self) -> None:
        """Say that the loop is held here, and begin."""
        inbox.clear_stale(self._layout.inbox)
        self._tell(LoopStarted(utc(), os.getpid(), self._layout.root.name))
        for stage in self._building.recovered:
            message = f"{stage} was interrupted; its outs from before are back in place"
            self._tell(Notice(utc(), "warn", message))
        for message in self._recording.store.notices:
            self._tell(Notice(utc(), "warn", message))
        missing = missing_because(self._layout.root)
        if missing is not None:
            self._tell(Notice(utc(), "info", missing))
        self._slow_thread.start()
        self._thread.start()

    def send(self, command: Command) -> str:
        """Put a command into the queue; gives the id that its CommandDone will carry."""
        command_id = inbox.new_command_id()
        self._queue.put(got.Asked(command_id, command))
        return command_id

    def look(self) -> None:
        """Have the tree looked at now."""
        self._queue.put(got.TreeChanged(()))

    def quit(self) -> None:
        """Stop what runs, wait for the end and close the event file."""
        self._queue.put(got.Quit())
        self._thread.join()
        self._slow.put(None)
        self._slow_thread.join()
        self._building.join()
        self._tell(LoopStopped(utc()))
        self._events.close()

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
        run = new_run_id()
        new_run = NewRun(run, friendly_name(run), time.time())
        self._state, effects = step(happened, self._state, new_run)
        for effect in effects:
            if isinstance(effect, do.Finish):
                return True
            self._carry_out(effect)
        return False

    def _next_inputs(self) -> list[got.Input]:
        """The next input of the queue, and what has come to the inbox every tenth of a second."""
        inputs: list[got.Input] = []
        with contextlib.suppress(queue.Empty):
            inputs.append(self._queue.get(timeout=_INBOX_SECONDS))
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _INBOX_SECONDS
            inputs += inbox.take(self._layout.inbox)
        return inputs

    def _carry_out(self, effect: do.Effect) -> None:
        building = self._building
        match effect:
            case do.Tell(event):
                self._tell(event)
            case do.MakePlan(request):
                building.plan(request)
            case do.OpenRun(run):
                self._recording.open(run, building.project)
            case do.StartStage(run, stage, force):
                building.build(run, stage, force)
            case do.StopStage(_, stage, outcome):
                building.stop(stage, outcome)
            case do.LookAtRunning(run):
                building.look_at_running(run)
            case do.CloseRun(flight):
                self._slow.put(lambda: self._close(flight))
            case do.CarryOut(command_id, command):
                self._slow.put(lambda: self._release(command_id, command))
            case do.SetWatching(watching):
                detail = building.set_watching(watching)
                if detail:
                    self._tell(WatchChanged(utc(), watching, detail))
            case _:
                raise TypeError(f"nobody carries out {effect!r}")

    def _tell(self, event: Event) -> None:
        stamped = event if event.at else dataclasses.replace(event, at=utc())
        self._events.write(stamped)
        plan = self._state.plan
        if plan is not None and isinstance(stamped, RunFinished):
            watching = WatchChanged(utc(), self._state.watching)
            self._events.turn_over((watching, PlanMade(utc(), plan)))

    def _work_slowly(self) -> None:
        """Everything that has to happen one after the other: closing runs, releasing."""
        while (work := self._slow.get()) is not None:
            work()

    def _close(self, flight: Flight) -> None:
        """Record a run, judge and export, and say how it ended; whatever happens, it is closed."""
        try:
            closed = self._closed(flight)
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
        self.look()

    def _closed(self, flight: Flight) -> RunFinished:
        project = self._building.project
        results = self._building.results(flight.run)
        recorded = self._recording.close(flight, results, project)
        self._building.workspace.digests.save()
        subject = recorded.standing or recorded.run
        gates: tuple[GateResult, ...] = self._judging.judge(project, subject, self._tell)
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
        )

    def _release(self, command_id: str, command: Promote | Rollback) -> None:
        status, message = 0, ""
        try:
            project = self._building.project
            if isinstance(command, Promote):
                message = self._releasing.promote(project, command, self._tell)
            else:
                message = self._releasing.rollback(project, command, self._tell)
        except MlbenchError as error:
            status, message = error.exit_status, str(error)
        except Exception:
            status, message = 1, f"internal error: {traceback.format_exc()}"
        self._queue.put(got.Happened((CommandDone(utc(), command_id, status, message),)))
