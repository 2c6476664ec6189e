"""The request log as a worker writes it: handed over in a microsecond, written by a thread."""

from __future__ import annotations

import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from mlbench.domain.serving import ServerSettings
from mlbench.serving.cores import worker_count
from mlbench.serving.requests.given_ids import given_id
from mlbench.serving.requests.records import LARGEST_BODY, Kept, block_of
from mlbench.serving.requests.segments import Bounds, SegmentWriter

__all__ = ["Kept", "RequestLog"]

# Often enough that no batch holds the interpreter for long beside requests, and kill -9 loses
# little; while nobody asks, the thread sleeps.
_PAUSE_SECONDS = 0.05
_MOST_WAITING = 20_000
_MOST_BYTES = 64_000_000
_BLOCK_BYTES = 1_000_000
# Bytes a second of one worker, and at once, beyond which only short bodies are logged: to write
# more would cost the answers more than it is worth, and fill the log within seconds.
_RATE, _AT_ONCE, _SHORT = 32_000_000, 64_000_000, 16_384
_TIDY_SECONDS = 600.0
_CLOSE_SECONDS = 5.0
_HASHES = 1 << 32

Counted = Callable[[str, str, int, int], None]
"""Told of a model and version how many requests were logged, and how many dropped."""


def _untold(_model: str, _version: str, _kept: int, _dropped: int) -> None:
    """For those who count nothing."""


class RequestLog:
    """Keeps requests of one worker; `keep` is called by one thread and never waits."""

    def __init__(
        self,
        folder: Path,
        worker: int,
        settings: ServerSettings,
        counted: Counted = _untold,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Write below `folder`; `counted` and `say` are called by the log's own thread.

        `say` hears once why nothing can be written, and again only after something could.
        """
        self._counted, self._say = counted, say
        self._segments = SegmentWriter(folder, worker, Bounds(0, 0.0))
        self._share, self._with_inputs, self._tidy_seconds = 0.0, False, _TIDY_SECONDS
        self._waiting: deque[Kept] = deque()
        self._bytes_put = self._bytes_taken = 0
        self._room, self._room_at = float(_AT_ONCE), time.monotonic()
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._is_broken = False
        self._due, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self.use(settings)
        self._thread.start()

    def use(self, settings: ServerSettings) -> None:
        """Go on with these settings; cheap where they are as before."""
        workers = worker_count(settings)
        self._segments.bounds = Bounds(settings.log_bytes, settings.log_seconds, workers)
        self._tidy_seconds = min(_TIDY_SECONDS, settings.log_seconds / 8)
        self._with_inputs = settings.log_inputs
        self._share = settings.log_requests * _HASHES if settings.log_bytes > 0 else 0.0

    def keep(self, entry: Kept) -> None:
        """Log a request, if it is among the share that is; one sent again is treated alike."""
        if self._share < _HASHES and self._place_of(entry) >= self._share:
            return
        size = len(entry.body) + len(entry.reply)
        waiting = self._waiting
        if len(waiting) >= _MOST_WAITING or self._bytes_put - self._bytes_taken > _MOST_BYTES:
            self._dropped[entry.model, entry.version] += 1
            return
        self._bytes_put += size
        waiting.append(entry)
        if not self._due.is_set():
            self._due.set()

    def close(self) -> None:
        """Write what waits, and end."""
        self._closing.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    @staticmethod
    def _place_of(entry: Kept) -> int:
        # One that was refused before it had an id is chosen by its moment.
        return zlib.crc32((entry.id or str(entry.at_ns)).encode("utf-8", "surrogatepass"))

    def _work(self) -> None:
        tidied = 0.0
        while not self._closing.is_set():
            self._due.wait(self._tidy_seconds)
            self._closing.wait(_PAUSE_SECONDS)
            self._due.clear()
            self._write_all()
            if time.monotonic() - tidied >= self._tidy_seconds:
                tidied = time.monotonic()
                self._attempt(self._segments.tidy)
        self._write_all()
        self._segments.close()

    def _write_all(self) -> None:
        for _ in range(len(self._dropped)):
            (model, version), count = self._dropped.popitem()
            self._counted(model, version, 0, count)
        waiting = self._waiting
        taken: list[Kept] = []
        size = 0
        for _ in range(len(waiting)):
            entry = waiting.popleft()
            taken.append(entry)
            size += len(entry.body) + len(entry.reply)
            if size >= _BLOCK_BYTES:
                self._write(taken, size)
                taken, size = [], 0
        if taken:
            self._write(taken, size)

    def _write(self, entries: Sequence[Kept], size: int) -> None:
        for entry in entries:
            # A request that was refused may have been so before anybody looked for its id.
            entry.id = entry.id or given_id(entry)
        block = block_of(entries, with_inputs=self._with_inputs, largest=self._largest(size))
        is_written = self._attempt(lambda: self._segments.append(block))
        self._is_broken = self._is_broken and not is_written
        self._bytes_taken += size
        for (model, version), count in Counter((one.model, one.version) for one in entries).items():
            self._counted(model, version, *((count, 0) if is_written else (0, count)))

    def _largest(self, size: int) -> int:
        """The longest body that is kept of entries of so many bytes."""
        now = time.monotonic()
        self._room = min(self._room + (now - self._room_at) * _RATE, _AT_ONCE)
        self._room_at = now
        if size > self._room:
            return _SHORT
        self._room -= size
        return LARGEST_BODY

    def _attempt(self, work: Callable[[], object]) -> bool:
        """Do something with files; a failure is said once and must not end the thread."""
        try:
            work()
        except Exception as error:
            if not self._is_broken:
                why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self._say(f"requests are not logged: {why}")
            self._is_broken = True
            return False
        return True
