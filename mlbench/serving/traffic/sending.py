"""The worker's end of the shadow: it offers copies, and nothing of that may hold up a request."""

from __future__ import annotations

import socket
import time

from mlbench.project.layout import Layout
from mlbench.serving.messages import Reply, Request
from mlbench.serving.traffic.copies import MOST_BYTES, Copied, frame_of, socket_path

_RETRY_SECONDS = 1.0
# To find a full socket full costs as much as to fill it; requests come faster than it empties.
_FULL_SECONDS = 0.002
_LENGTH = b"inference-header-content-length"
_ROWS = "/predict"


class ShadowSender:
    """Sends copies of requests to the shadow's process, as many as that takes without waiting.

    What it has no time for is dropped and counted; the count goes along with the next copy. At most
    one copy waits here for room in the socket.
    """

    def __init__(self, layout: Layout, environment: str) -> None:
        """Nothing is copied before `share` says so."""
        self._place = (layout, environment)
        self._shares: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._dropped: dict[str, int] = {}
        self._socket: socket.socket | None = None
        self._waiting = b""
        self._retry_at = 0.0
        self._full_until = 0.0

    def share(self, model: str, share: float) -> None:
        """Offer this share of a model's requests from now on, 0 … 1."""
        self._shares[model] = share

    def offer(self, model: str, version: str, request: Request, reply: Reply) -> None:
        """Copy an answered request where its turn has come; at once, and it never raises."""
        share = self._shares.get(model, 0.0)
        if share <= 0.0 or reply.status != 200:
            return
        due = self._due.get(model, 0.0) + share
        self._due[model] = due % 1.0
        if due < 1.0:
            return
        try:
            is_sent = self._send(model, version, request, reply)
        except Exception:
            # Whatever became of the copy, the client's answer is ready.
            self._close()
            is_sent = False
        self._dropped[model] = 0 if is_sent else self._dropped.get(model, 0) + 1

    def close(self) -> None:
        """Let the socket go."""
        self._close()

    def _send(self, model: str, version: str, request: Request, reply: Reply) -> bool:
        too_long = max(len(request.body), len(reply.body)) > MOST_BYTES
        if too_long or time.monotonic() < self._full_until:
            return False
        if self._waiting and not self._flush(self._waiting):
            return False
        length = next((int(value) for name, value in reply.headers if name == _LENGTH), None)
        copied = Copied(
            model,
            version,
            request.body,
            request.header_length,
            reply.body,
            length,
            request.path.startswith(_ROWS),
            self._dropped.get(model, 0),
        )
        return self._connected() and self._begin(frame_of(copied))

    def _begin(self, frame: bytes) -> bool:
        """Send a frame, of which a rest may wait; False where not one byte of it was taken."""
        self._flush(frame)
        is_begun = len(self._waiting) < len(frame)
        if not is_begun:
            self._waiting = b""
        return is_begun

    def _flush(self, data: bytes) -> bool:
        """Send what there is room for; whether that was all."""
        assert self._socket is not None
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
            self._full_until = time.monotonic() + _FULL_SECONDS
        self._waiting = data[sent:]
        return not self._waiting

    def _connected(self) -> bool:
        """Connect where there is no connection, but not again and again to nobody."""
        if self._socket is not None:
            return True
        now = time.monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + _RETRY_SECONDS
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            made.connect(str(socket_path(*self._place)))
        except OSError:
            made.close()
            return False
        self._socket = made
        return True

    def _close(self) -> None:
        self._waiting = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
