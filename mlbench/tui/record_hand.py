"""Changes of the record, one after the other in a thread of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError

if TYPE_CHECKING:
    from mlbench.engine.record_desk import RecordDesk

RecordDeed = Callable[["RecordDesk"], str]
"""Changes the record and gives one sentence to show."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change was made, or refused; says what came of it."""

    message: str
    is_refused: bool = False


class RecordHand:
    """Carries changes out in their order; none is dropped, for each is somebody's word."""

    def __init__(self, folder: Path, deliver: Callable[[Recorded], object]) -> None:
        """Name the project; the thread starts with the first change."""
        self._folder = folder
        self._deliver = deliver
        self._deeds: queue.SimpleQueue[RecordDeed | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, deed: RecordDeed) -> None:
        """Make a change, after those that wait already."""
        self._deeds.put(deed)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="record", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait until everything that was asked for is in the record."""
        self._deeds.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        from mlbench.engine.record_desk import RecordDesk

        while (deed := self._deeds.get()) is not None:
            try:
                done = Recorded(deed(RecordDesk.of(self._folder)))
            except MlbenchError as error:
                done = Recorded(str(error), is_refused=True)
            except Exception as error:
                done = Recorded(f"the record is as it was: {error!r}", is_refused=True)
            self._deliver(done)
