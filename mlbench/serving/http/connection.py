"""One client's connection: requests answered in their order, within the limits."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, cast

from mlbench.serving.http.asking import TOO_MUCH
from mlbench.serving.http.head import Head
from mlbench.serving.http.packing import is_quick, packed, packed_aside, pays
from mlbench.serving.http.receiving import BODY, HEAD, IDLE, Receiver
from mlbench.serving.http.writing import CONTINUE, head_of
from mlbench.serving.messages import Reply
from mlbench.serving.refusals import RequestError

if TYPE_CHECKING:
    from mlbench.serving.http.server import HttpServer

LINGER_SECONDS = 5.0
"""How long a refused client may go on sending what nobody reads, so that the refusal reaches it."""

SLOW_HEAD_SECONDS = 1.0
"""How long a head may come before its connection makes room for another, where there is none."""

_LITTLE = 64 * 1024

_COPIED = 32 * 1024

_CLOSE = b"connection: close\r\n"
_KEEP = b"connection: keep-alive\r\n"


class _Arrived(NamedTuple):
    """A request that waits for its turn."""

    head: Head
    body: bytes
    received: float


class Connection(asyncio.Protocol):
    """A client's connection.

    `due` is when, by the server's clock, the server should call `expire`: nothing here has a timer
    of its own. While a request is answered, what comes after it waits in `_queue`, and not much of
    it, for then the socket is not read.
    """

    __slots__ = (
        "_asker",
        "_held",
        "_is_leaving",
        "_is_paused",
        "_is_stalled",
        "_owes_continue",
        "_pending",
        "_pending_head",
        "_pending_size",
        "_queue",
        "_receiver",
        "_server",
        "_transport",
        "_turns",
        "due",
    )

    _transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        """A connection that `server` accepts."""
        self._server = server
        self._asker = server.asker
        self._receiver = Receiver(self, server.guard, server.limits)
        self._queue: deque[_Arrived | RequestError] = deque()
        self._pending: asyncio.Future[Reply] | None = None
        self._pending_head: Head | None = None
        self._pending_size = 0
        self._held = 0
        self._turns = 0
        self._is_leaving = self._is_paused = self._is_stalled = self._owes_continue = False
        self.due = inf

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request is here: it can be closed without harm."""
        busy = self._pending is not None or self._is_stalled or self._is_leaving or self._queue
        return not busy and self._receiver.phase == IDLE

    @property
    def is_slow(self) -> bool:
        """Whether its request has been coming for so long that others may take its place."""
        server, phase = self._server, self._receiver.phase
        limits = server.limits
        if self._pending is not None or self._is_stalled or self._is_leaving or self._queue:
            return False
        if phase == HEAD:
            return self.due - limits.header_seconds + SLOW_HEAD_SECONDS <= server.now
        # A body may take as long as a head must not.
        return (
            phase == BODY and self.due - limits.body_seconds + limits.header_seconds <= server.now
        )

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or refuse it where there are too many."""
        # uvloop's transports don't derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        # Answers are small: none may wait for the client's acknowledgement of the last.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = self._server.idle_due
        if not self._server.admit(self):
            sentence = "too many connections are open; close some, or try again in a second"
            self._receiver.stop()
            self.refuse(RequestError(503, sentence))

    def data_received(self, data: bytes) -> None:
        """Answer what is complete; see that what is not can't wait for ever."""
        receiver = self._receiver
        receiver.feed(data)
        if receiver.phase == BODY or self._held:
            self._keep_room()
        if self._pending is not None or self._is_stalled:
            if self._queue or receiver.buffered > _LITTLE:
                self._pause()
        elif not self._is_leaving:
            if receiver.phase == IDLE:
                self.due = self._server.idle_due
            elif receiver.turns != self._turns:
                self._turns = receiver.turns
                self._set_due()

    def eof_received(self) -> None:
        """The client is gone: one that only shuts its sending side is not told apart from it."""

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """Nobody waits for the answer any more."""
        self._is_leaving = True
        self._is_stalled = False
        self._receiver.stop()
        self._queue.clear()
        self._grow(0)
        self._server.forget(self)
        if self._pending is not None:
            self._pending.cancel()

    def pause_writing(self) -> None:
        """The client doesn't read its answers: nothing more is read from it, or kept for it."""
        self._is_stalled = True
        self._count()
        self.due = self._server.now + self._server.limits.body_seconds
        if not self._is_leaving:
            self._pause()

    def resume_writing(self) -> None:
        """The client has read most of it."""
        self._is_stalled = False
        self._count()
        if self._is_leaving:
            self.due = self._server.now + LINGER_SECONDS
        else:
            self._go_on()

    # What the receiver calls.

    def begun(self) -> None:
        """Ask for the body, once the answers before are out."""
        if self._pending is not None or self._is_stalled:
            self._owes_continue = True
        else:
            self._transport.write(CONTINUE)

    def take(self, head: Head, body: bytes) -> None:
        """Answer a request, at once if it can be."""
        received = perf_counter()
        if self._pending is not None or self._is_stalled:
            self._queue.append(_Arrived(head, body, received))
        else:
            self._serve(head, body, received)

    def refuse(self, error: RequestError) -> None:
        """Refuse what came, after the answers to what came before it, and read nothing more."""
        if self._pending is not None or self._is_stalled:
            self._queue.append(error)
        else:
            self._write_last(error)

    # What the server calls.

    def expire(self) -> None:
        """End what took too long: `due` is over."""
        limits = self._server.limits
        phase = self._receiver.phase
        if self._is_leaving or self._is_stalled:
            self._transport.abort()
        elif phase == HEAD:
            self._late(f"the headers did not come within {limits.header_seconds:g} seconds")
        elif phase == BODY:
            self._late(f"the body did not come within {limits.body_seconds:g} seconds")
        else:
            self.close()

    def give_way(self) -> None:
        """End for the sake of another client: this one is idle, or slow."""
        if self.is_idle:
            self.close()
        else:
            self._late("too many connections are open, and this request came slowly")

    def close(self) -> None:
        """Close once what is written is sent."""
        self._leave()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is not answered stays so."""
        self._transport.abort()

    # Answering.

    def _serve(self, head: Head, body: bytes, received: float) -> None:
        reply = self._asker.ask(head, body, received, self._grow)
        if isinstance(reply, Reply):
            self._give(head, reply)
        else:
            self._wait(head, reply, len(body))

    def _wait(self, head: Head, reply: Awaitable[Reply], size: int) -> None:
        self._pending_head = head
        self._pending_size = size
        self._count()
        self._pending = asyncio.ensure_future(reply)
        self._pending.add_done_callback(self._answered)
        self.due = inf

    def _answered(self, future: asyncio.Future[Reply]) -> None:
        head = self._pending_head
        self._pending = self._pending_head = None
        self._pending_size = 0
        self._count()
        if self._is_leaving or head is None:
            # Asked for, else asyncio reports it as never retrieved.
            _ = future.cancelled() or future.exception()
            return
        if future.cancelled():
            reply = self._asker.refuse(
                RequestError(503, "the server stopped before it could answer")
            )
        elif (error := future.exception()) is not None:
            reply = self._asker.fail(error)
        else:
            reply = future.result()
        self._give(head, reply)
        self._go_on()

    def _go_on(self) -> None:
        """Answer what waited, until one is not ready; then read on."""
        queue = self._queue
        while queue and not (self._pending is not None or self._is_stalled or self._is_leaving):
            arrived = queue.popleft()
            if isinstance(arrived, RequestError):
                self._write_last(arrived)
            else:
                self._serve(*arrived)
        if self._pending is not None or self._is_stalled or self._is_leaving:
            return
        if self._owes_continue:
            self._owes_continue = False
            self._transport.write(CONTINUE)
        self._set_due()
        self._resume()

    # Writing.

    def _give(self, head: Head, reply: Reply) -> None:
        """Write the reply, compressed where the client asked for it and it is worth it."""
        if head.accepts and pays(reply):
            if not is_quick(reply):
                self._wait(head, packed_aside(head.accepts, reply), len(reply.body))
                return
            reply = packed(head.accepts, reply)
        self._write(head, reply)

    def _write(self, head: Head, reply: Reply) -> None:
        ends = not head.keeps_alive or (self._server.is_finishing and not self._queue)
        connection = _CLOSE if ends else _KEEP if head.is_old else b""
        start = head_of(reply, self._server.date, connection)
        body = reply.body
        if head.method == "HEAD":
            self._transport.write(start)
        elif len(body) < _COPIED:
            self._transport.write(start + body)
        else:
            self._transport.writelines((start, body))
        if ends:
            self.close()

    def _write_last(self, error: RequestError) -> None:
        """Refuse, and let the client finish sending.

        To close on unread bytes would take the refusal out of its hands (RFC 9112 9.6).
        """
        reply = self._asker.refuse(error)
        body = b"" if self._receiver.asks_head_alone else reply.body
        self._transport.write(head_of(reply, self._server.date, _CLOSE) + body)
        self._leave()
        if self._server.may_linger:
            self._transport.write_eof()
            self._resume()
        else:
            self._transport.close()

    def _leave(self) -> None:
        """Answer nothing more."""
        self._is_leaving = True
        self._receiver.stop()
        self._queue.clear()
        self._count()
        stalled = self._server.limits.body_seconds
        self.due = self._server.now + (stalled if self._is_stalled else LINGER_SECONDS)
        self._server.leave(self)

    def _late(self, sentence: str) -> None:
        self._receiver.stop()
        self.refuse(RequestError(408, f"{sentence}; send the request again"))

    # Keeping account.

    def _grow(self, size: int) -> None:
        """The body that is answered now has another size than on the wire."""
        self._pending_size = size
        self._count()

    def _count(self) -> None:
        """Tell the server how much is kept here."""
        held = self._receiver.buffered + self._pending_size
        if self._is_stalled:
            held += self._transport.get_write_buffer_size()
        self._server.held += held - self._held
        self._held = held

    def _keep_room(self) -> None:
        """Refuse a body that is large, if the bodies of all connections are too much."""
        self._count()
        is_large = self._receiver.buffered > _LITTLE
        if is_large and self._server.holds_too_much and not self._is_leaving:
            self._receiver.stop()
            self.refuse(RequestError(503, TOO_MUCH))

    def _set_due(self) -> None:
        server, phase = self._server, self._receiver.phase
        if phase == HEAD:
            self.due = server.now + server.limits.header_seconds
        elif phase == BODY:
            self.due = server.now + server.limits.body_seconds
        else:
            self.due = server.idle_due

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
