"""Stopping what goes on after a run's stages: exporting, proving, scoring."""

from __future__ import annotations

import threading

from mlbench.domain.commands import StopStages
from mlbench.engine.state import Flight


class Halt:
    """An `event` for whoever works slowly: set at the loop's end, and by who stops their run."""

    def __init__(self) -> None:
        """Nothing goes on yet."""
        self.event = threading.Event()
        self._lock = threading.Lock()
        self._has_ended = False
        self._flight: Flight | None = None

    def begin(self, flight: Flight | None = None) -> None:
        """Say whose run is worked on from now on; what was stopped before is over."""
        with self._lock:
            self._flight = flight
            if not self._has_ended:
                self.event.clear()

    def stop(self, command: StopStages) -> None:
        """Set the event if the command means all of the run that is worked on."""
        with self._lock:
            flight = self._flight
            if flight is None or command.stages:
                return
            if command.run is None or command.run in (flight.run, *flight.requests):
                self.event.set()

    def end(self) -> None:
        """Set the event for good."""
        with self._lock:
            self._has_ended = True
            self.event.set()
