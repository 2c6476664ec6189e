"""A worker's end of the line, on a real socket pair."""

from __future__ import annotations

import asyncio
import socket

import pytest

from mlbench.domain.release import Deployment
from mlbench.serving.control import Finish, Message, Ping, Pong, Prepare, read, written
from mlbench.serving.worker.link import Link

SLOW = Prepare(1, Deployment("staging", 8101, 1))


async def test_what_cannot_wait_passes_what_takes_long() -> None:
    ours, theirs = socket.socketpair()
    handled: list[Message] = []
    may_end = asyncio.Event()

    async def handle(message: Message) -> None:
        handled.append(message)
        if isinstance(message, Prepare):
            await may_end.wait()

    link = Link()
    following = asyncio.create_task(link.follow(theirs, handle))
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(written(SLOW) + written(Ping()) + written(Finish(1.0)) + written(Ping()))
    assert [read(await reader.readline()) for _ in range(2)] == [Pong(), Pong()]
    assert Finish(1.0) in handled
    writer.close()
    await following
    await ended(link)


async def test_a_message_that_cannot_be_handled_ends_it_with_the_reason() -> None:
    ours, theirs = socket.socketpair()

    async def handle(message: Message) -> None:
        raise ValueError(f"can't handle {message.kind}")

    with ours:
        ours.sendall(written(SLOW))
        link = Link()
        with pytest.raises(ValueError, match="can't handle prepare"):
            await link.follow(theirs, handle)
        await ended(link)


async def ended(link: Link) -> None:
    """Close what a worker's process closes by its end."""
    assert link._writer is not None
    link._writer.close()
    await link._writer.wait_closed()
