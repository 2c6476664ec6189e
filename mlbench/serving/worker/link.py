"""A worker's end of the line to its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import Awaitable, Callable
from itertools import count

from mlbench.serving.control import Ask, Message, Ping, Pong, Told, read, written

_LINE_LIMIT = 64 * 1024 * 1024

Handle = Callable[[Message], Awaitable[None]]


class Link:
    """Reads what the supervisor says, one message after another, and carries questions to it."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Told]] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def follow(self, end: socket.socket, handle: Handle) -> None:
        """Hand every message to `handle` until the supervisor is gone.

        One is handled after another, but for pings and answers to `ask`, which wait for none.
        """
        reader, self._writer = await asyncio.open_connection(sock=end, limit=_LINE_LIMIT)
        waiting: asyncio.Queue[Message] = asyncio.Queue()
        handling = asyncio.create_task(_handle_in_turn(waiting, handle))
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = read(line)
                if isinstance(message, Told):
                    self._tell(message)
                elif isinstance(message, Ping):
                    self.say(Pong())
                else:
                    waiting.put_nowait(message)
        handling.cancel()
        for asked in self._asked.values():
            asked.cancel()

    def say(self, message: Message) -> None:
        """Tell the supervisor; one that is gone hears nothing."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(written(message))

    async def ask(self, question: Ask) -> Told:
        """Ask the supervisor and wait for what it tells."""
        number = next(self._numbers)
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self.say(dataclasses.replace(question, number=number))
            return await answer
        finally:
            del self._asked[number]

    def _tell(self, told: Told) -> None:
        asked = self._asked.get(told.number)
        if asked is not None and not asked.done():
            asked.set_result(told)


async def _handle_in_turn(waiting: asyncio.Queue[Message], handle: Handle) -> None:
    while True:
        await handle(await waiting.get())
