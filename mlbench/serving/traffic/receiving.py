"""The shadow's process at work: copies in from all workers, counts out."""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from pathlib import Path

from mlbench.domain.plain import from_plain
from mlbench.project.layout import Layout
from mlbench.serving.traffic.copies import (
    FRAME_BYTES,
    MOST_BYTES,
    copied_of,
    frame_length,
    socket_path,
)
from mlbench.serving.traffic.counted import (
    counted_file,
    pairs_file,
    read_counted,
    write_counted,
)
from mlbench.serving.traffic.shadowed import Pair, Shadowed
from mlbench.system.files import read_json

_WRITE_SECONDS = 0.5
# Of a processor's time, in pieces of so many seconds: a worker that wakes on this processor may
# have to wait for the end of a piece, however low the priority here is, for not every kernel takes
# the processor from it at once.
_DUTY, _PIECE_SECONDS = 0.2, 0.0005
_CHUNK = 1 << 18
_MOST_FRAME = 2 * MOST_BYTES + 4096


class Shadowing:
    """Takes copies from all workers, and has each model's shadow answer them in turn."""

    def __init__(self, layout: Layout, environment: str, *, rests: bool = True) -> None:
        """Load the shadows and listen; one that never `rests` takes all that it can get."""
        self._rests = rests
        self._worked = 0.0
        self._file = counted_file(layout, environment)
        before = read_counted(self._file)
        plain = read_json(pairs_file(layout, environment)) or []
        pairs = [from_plain(Pair, item) for item in plain]
        self._shadows = {
            pair.shadow.name: Shadowed(pair, before.get(pair.shadow.name)) for pair in pairs
        }
        self._selector = selectors.DefaultSelector()
        self._parts: dict[socket.socket, bytearray] = {}
        self._listener = _listening(socket_path(layout, environment))
        self._selector.register(self._listener, selectors.EVENT_READ, "listener")
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "supervisor")
        self._write_at = 0.0

    def run(self) -> None:
        """Work until the supervisor is gone."""
        while True:
            self._write()
            for key, _ in self._selector.select(_WRITE_SECONDS):
                if key.data == "supervisor":
                    if not os.read(sys.stdin.fileno(), 1):
                        return
                elif key.data == "listener":
                    self._accept()
                else:
                    self._read(key.data)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self._parts[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ, connection)

    def _read(self, connection: socket.socket) -> None:
        """Take what one worker sent; what it keeps sending meanwhile waits in its socket."""
        try:
            data = connection.recv(_CHUNK)
        except OSError:
            data = b""
        part = self._parts[connection]
        part += data
        while len(part) >= FRAME_BYTES:
            end = FRAME_BYTES + frame_length(bytes(part[:FRAME_BYTES]))
            if end > _MOST_FRAME:
                data = b""
                break
            if len(part) < end:
                break
            self._take(bytes(part[FRAME_BYTES:end]))
            del part[:end]
            self._write()
        if not data:
            self._selector.unregister(connection)
            connection.close()
            del self._parts[connection]

    def _take(self, frame: bytes) -> None:
        began = time.thread_time()
        copied = copied_of(frame)
        shadow = self._shadows.get(copied.model)
        if shadow is not None:
            shadow.take(copied)
        self._worked += time.thread_time() - began
        if self._rests and self._worked >= _PIECE_SECONDS:
            time.sleep(self._worked * (1 - _DUTY) / _DUTY)
            self._worked = 0.0

    def _write(self) -> None:
        now = time.monotonic()
        if now >= self._write_at:
            self._write_at = now + _WRITE_SECONDS
            write_counted(self._file, [shadow.counted for shadow in self._shadows.values()])


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    listener.setblocking(False)
    return listener
