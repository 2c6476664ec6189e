"""The server: one listening socket, its connections, and the one timer for all of them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from mlbench.serving.http.asking import Asker
from mlbench.serving.http.connection import Connection
from mlbench.serving.http.guard import Guard
from mlbench.serving.http.limits import Limits
from mlbench.serving.messages import Answer

_SWEEP_SECONDS = 1.0
# How long a client that asks again and again may take to send its next request as a server ends.
_LAST_REQUEST_SECONDS = 0.1


class HttpServer:
    """Gives the requests of one listening socket to `answer`, and writes what it replies."""

    def __init__(
        self,
        answer: Answer,
        guard: Guard,
        limits: Limits | None = None,
        refused: Callable[[int], None] = lambda _status: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refused` hears the status of each refusal made here; `clock` counts seconds."""
        self.guard = guard
        self.limits = limits or Limits()
        self.asker = Asker(answer, self.limits, refused, lambda: self.holds_too_much)
        self.is_finishing = False
        self.held = 0
        """Bytes of bodies in all connections."""
        self._clock = clock
        self._listener: socket.socket | None = None
        self._is_listening = False
        self._arriving: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._open: set[Connection] = set()
        self._leaving: set[Connection] = set()
        self._empty = asyncio.Event()
        self._tell_time()

    @property
    def open_connections(self) -> int:
        """How many clients are connected, without those that are being shown out."""
        return len(self._open)

    async def start(self, listener: socket.socket) -> None:
        """Accept connections from a bound socket, in the running loop, until `finish`."""
        listener.setblocking(False)
        self._listener = listener
        self._schedule()

    async def finish(self, seconds: float) -> None:
        """Accept who waits already and nobody more, close what is idle, let requests under way end.

        Connections that are still there after so many seconds are aborted. The listening socket is
        closed, so that whoever comes later is refused at once.
        """
        self.is_finishing = True
        self._accept_last()
        if self._arriving:
            await asyncio.wait(self._arriving)
        if self._open:
            # What was sent before its client can know is answered, with `connection: close`.
            await self._emptied(min(_LAST_REQUEST_SECONDS, seconds))
        for connection in [connection for connection in self._open if connection.is_idle]:
            connection.close()
        if not await self._emptied(seconds):
            for connection in [*self._open, *self._leaving]:
                connection.abort()
            await self._emptied(1.0)
        if self._timer is not None:
            self._timer.cancel()

    def sweep(self) -> None:
        """End all that took too long, and read the clock for everything until the next sweep."""
        self._tell_time()
        if not self.is_finishing:
            self._listen()
        for connections in (self._open, self._leaving):
            for connection in [each for each in connections if each.due <= self.now]:
                connection.expire()

    # What connections call.

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, in the place of an idle or slow one where there are too many."""
        if len(self._open) >= self.limits.connections and not self._make_room():
            return False
        self._open.add(connection)
        self._empty.clear()
        return True

    def leave(self, connection: Connection) -> None:
        """Count a connection out that only has to be closed."""
        self._open.discard(connection)
        self._leaving.add(connection)
        self._empty.clear()

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        self._leaving.discard(connection)
        if not self._open and not self._leaving:
            self._empty.set()

    @property
    def holds_too_much(self) -> bool:
        """Whether there is no room for another large body."""
        return self.held > self.limits.held_bytes

    @property
    def may_linger(self) -> bool:
        """Whether a refused client may be waited for; a flood of them is not."""
        return len(self._leaving) <= self.limits.connections

    def _listen(self) -> None:
        if self._listener is not None and not self._is_listening:
            self._is_listening = True
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        if self._listener is not None and self._is_listening:
            self._is_listening = False
            asyncio.get_running_loop().remove_reader(self._listener)

    def _accept_last(self) -> None:
        """Accept all who wait, who would be cut off otherwise, and close the socket."""
        if self._listener is not None:
            self._stop_listening()
            while self._accept():
                pass
            self._listener.close()
            self._listener = None

    def _accept(self) -> bool:
        """Accept one connection; False where none waits.

        The loop's own server accepts all that wait: of two idle workers on one socket, the first
        to wake then has every connection of a client that opens many, and the other none.
        """
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except (ConnectionAbortedError, InterruptedError):
            return True
        except BlockingIOError:
            return False
        except OSError:
            # No descriptors are left; it would be told of this without end. The sweep tries again.
            self._stop_listening()
            return False
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: Connection(self), client))
        self._arriving.add(task)
        task.add_done_callback(self._arrived)
        return True

    def _arrived(self, task: asyncio.Task[Any]) -> None:
        """A connection has its transport, unless its client went away before."""
        self._arriving.discard(task)
        if not task.cancelled():
            task.exception()

    def _make_room(self) -> bool:
        """End the connection that has been idle for longest, else the one that is slow for longest.

        So clients that send a byte now and then can't keep others out.
        """
        idle = [connection for connection in self._open if connection.is_idle]
        slow = [] if idle else [connection for connection in self._open if connection.is_slow]
        if not idle and not slow:
            return False
        min(idle or slow, key=lambda connection: connection.due).give_way()
        return True

    async def _emptied(self, seconds: float) -> bool:
        if not self._open and not self._leaving:
            return True
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _tell_time(self) -> None:
        self.now = self._clock()
        self.idle_due = self.now + self.limits.idle_seconds
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()

    def _schedule(self) -> None:
        self.sweep()
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._schedule)
