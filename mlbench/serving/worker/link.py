"""A worker's end of the line to its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import Awaitable, Callable
from itertools import count

from mlbench.serving.control import Ask, Finish, Message, Ping, Pong, Told, read, written

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

        One is handled after another, but for pings, answers to `ask` and the end, which wait for
        none.
        Raises what `handle` does, or ValueError or KeyError for what is no message.
        """
        reader, self._writer = await asyncio.open_connection(sock=end, limit=_LINE_LIMIT)
        waiting: asyncio.Queue[Message] = asyncio.Queue()
        tasks = (
            asyncio.create_task(self._read(reader, waiting, handle)),
            asyncio.create_task(_handle_in_turn(waiting, handle)),
        )
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            for asked in self._asked.values():
                asked.cancel()

    async def _read(
        self, reader: asyncio.StreamReader, waiting: asyncio.Queue[Message], handle: Handle
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = read(line)
                if isinstance(message, Told):
                    self._tell(message)
                elif isinstance(message, Ping):
                    self.say(Pong())
                elif isinstance(message, Finish):
                    await handle(message)
                else:
                    waiting.put_nowait(message)

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
