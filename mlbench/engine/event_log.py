"""The loop's events on disk: one file a holder, followed by any number of faces."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from mlbench.domain.events import Event
from mlbench.domain.wire import event_from_plain, event_to_plain

_KEPT_FILES = 5
_LARGEST_FILE = 4_000_000


class EventWriter:
    """Appends events to a new file of this holder; a reader sees whole lines only."""

    def __init__(self, folder: Path) -> None:
        """Begin a file and drop all but the newest few."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._open_next()

    def write(self, *events: Event) -> None:
        """Append events, all at once."""
        lines = "".join(f"{_line(event)}\n" for event in events)
        with self._lock:
            os.write(self._descriptor, lines.encode())
            self._written += len(lines)

    def turn_over(self, opening: tuple[Event, ...]) -> None:
        """Begin another file once this one is large, so that who attaches reads little.

        `opening` tells a reader how things stand.
        """
        if self._written > _LARGEST_FILE:
            with self._lock:
                os.close(self._descriptor)
                self._open_next()
            self.write(*opening)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._descriptor)

    def _open_next(self) -> None:
        name = (
            f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{time.time_ns()}-{os.getpid()}.jsonl"
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._folder / name, flags, 0o644)
        self._written = 0
        for stale in event_files(self._folder)[:-_KEPT_FILES]:
            stale.unlink(missing_ok=True)


class EventFollower:
    """Reads events as they are written, over the change from one holder's file to the next."""

    def __init__(self, folder: Path, *, from_start: bool = True) -> None:
        """Begin with the newest file, at its start or at its end."""
        self._folder = folder
        self._file: Path | None = None
        self._offset = 0
        files = event_files(folder)
        if files:
            self._file = files[-1]
            self._offset = 0 if from_start else self._file.stat().st_size

    def read(self) -> list[Event]:
        """Every event since the last call, oldest first."""
        events: list[Event] = []
        while True:
            events += self._read_file()
            following = self._next_file()
            if following is None:
                return events
            events += self._read_file()
            self._file, self._offset = following, 0

    def _next_file(self) -> Path | None:
        files = event_files(self._folder)
        if self._file is None:
            return files[0] if files else None
        later = [path for path in files if path.name > self._file.name]
        return later[0] if later else None

    def _read_file(self) -> list[Event]:
        if self._file is None:
            return []
        try:
            with self._file.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [event_from_plain(json.loads(line)) for line in whole.splitlines()]


def _line(event: Event) -> str:
    return json.dumps(event_to_plain(event), ensure_ascii=False, separators=(",", ":"))


def event_files(folder: Path) -> list[Path]:
    """All event files, oldest first."""
    return sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
