"""One request put to the application, plain, and its reply or refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from mlbench.serving.http.encodings import inflate
from mlbench.serving.http.head import Head
from mlbench.serving.http.limits import Limits
from mlbench.serving.http.refusal import refusal
from mlbench.serving.messages import Answer, Reply, Request
from mlbench.serving.refusals import RequestError

# A kilobyte of gzip may become a megabyte, which takes a millisecond.
_INLINE = 4 * 1024

TOO_MUCH = "too many large bodies are here already; try again in a second"


class Asker:
    """What stands between connections and the application."""

    def __init__(
        self,
        answer: Answer,
        limits: Limits,
        refused: Callable[[int], None],
        holds_too_much: Callable[[], bool] = lambda: False,
    ) -> None:
        """`refused` hears the status of every refusal made here.

        Where `holds_too_much`, no large body is decompressed.
        """
        self._answer = answer
        self._limit = limits.body_bytes
        self._refused = refused
        self._holds_too_much = holds_too_much
        self._inflating = asyncio.Semaphore(1)

    def ask(
        self, head: Head, body: bytes, received: float, grown: Callable[[int], None]
    ) -> Reply | Awaitable[Reply]:
        """The reply to a request as it came on the wire, at once if it can be.

        `grown` hears the size of a body that was decompressed meanwhile.
        """
        if head.encoding and body:
            if len(body) > _INLINE:
                return self._inflate_aside(head, body, received, grown)
            try:
                body = inflate(body, head.encoding, self._limit)
            except RequestError as error:
                return self.refuse(error)
        return self._ask(head, body, received)

    def refuse(self, error: RequestError) -> Reply:
        """The reply to what is refused, which is counted."""
        self._refused(error.status)
        return refusal(error)

    def fail(self, error: BaseException) -> Reply:
        """The reply where an answer raised, which should not happen."""
        context = {"message": "a request's answer failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        sentence = f"the server failed: {type(error).__name__}; its log says where"
        return self.refuse(RequestError(500, sentence))

    def _ask(self, head: Head, body: bytes, received: float) -> Reply | Awaitable[Reply]:
        length = head.header_length
        if length is not None and length > len(body):
            sentence = f"Inference-Header-Content-Length is {length}"
            has = f"the body has only {len(body)} bytes"
            return self.refuse(RequestError(400, f"{sentence}, {has}"))
        request = Request(
            head.method,
            head.path,
            body,
            length,
            head.accepts,
            head.is_trusted,
            received,
            head.query,
        )
        try:
            return self._answer(request)
        except Exception as error:
            return self.fail(error)

    async def _inflate_aside(
        self, head: Head, body: bytes, received: float, grown: Callable[[int], None]
    ) -> Reply:
        """Decompress in a thread: it may take longer than a hundred small requests.

        One body after the other, so that each has been counted before the next grows.
        """
        work = partial(inflate, body, head.encoding, self._limit)
        async with self._inflating:
            if self._holds_too_much():
                return self.refuse(RequestError(503, TOO_MUCH))
            try:
                body = await asyncio.get_running_loop().run_in_executor(None, work)
            except RequestError as error:
                return self.refuse(error)
            grown(len(body))
        reply = self._ask(head, body, received)
        return reply if isinstance(reply, Reply) else await reply
