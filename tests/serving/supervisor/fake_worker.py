"""A worker without numpy: speaks to its supervisor as the real one, and serves names and versions.

What is in a model's file says what loading it does: `broken` fails, `crash` kills the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
from itertools import count
from pathlib import Path

from mlbench.domain.plain import to_plain
from mlbench.serving.control import (
    Ask,
    Commit,
    Committed,
    Finish,
    Loading,
    Message,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Told,
    key_of,
    needed,
    read,
    written,
)


class FakeWorker:
    """Holds what it was told to hold."""

    def __init__(self, listener: socket.socket, control: socket.socket) -> None:
        self.listener, self.control = listener, control
        self.numbers = count(1)
        self.asked: dict[int, asyncio.Future[Told]] = {}
        self.prepared: Prepare | None = None
        self.memory: list[object] = []
        self.live: Prepare | None = None
        self.server: asyncio.Server | None = None

    async def run(self) -> None:
        reader, self.writer = await asyncio.open_connection(sock=self.control, limit=1 << 26)
        while line := await reader.readline():
            await self.handle(read(line))
        os._exit(0)

    def say(self, message: Message) -> None:
        self.writer.write(written(message))

    async def handle(self, message: Message) -> None:
        if isinstance(message, Prepare):
            self.prepare(message)
        elif isinstance(message, Commit):
            assert self.prepared is not None
            assert self.prepared.number == message.number
            self.live = self.prepared
            if self.server is None:
                self.server = await asyncio.start_server(self.answer, sock=self.listener)
            self.say(Committed(message.number))
        elif isinstance(message, Told):
            self.asked.pop(message.number).set_result(message)
        elif isinstance(message, Ping):
            self.say(Pong())
        elif isinstance(message, Finish):
            os._exit(0)

    def prepare(self, message: Prepare) -> None:
        errors = {}
        for model in needed(message.deployment, message.loaded):
            if model in self.memory:
                continue
            self.say(Loading(message.number, key_of(model)))
            path = Path(model.path)
            content = path.read_bytes() if path.exists() else b"broken"
            if content == b"crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            if content == b"broken":
                errors[key_of(model)] = f"{model.name} version {model.version}: is broken"
            else:
                self.memory.append(model)
        self.prepared = message
        self.say(Prepared(message.number, errors))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        status, body = await self.reply(method, path)
        data = json.dumps(body).encode()
        lines = (f"HTTP/1.1 {status} X", f"content-length: {len(data)}", "connection: close")
        writer.write("\r\n".join((*lines, "", "")).encode() + data)
        await writer.drain()
        writer.close()

    async def reply(self, method: str, path: str) -> tuple[int, object]:
        assert self.live is not None
        parts = path.strip("/").split("/")
        if method == "POST":
            model = parts[-2] if parts[-1] != "index" else ""
            question = Ask(next(self.numbers), parts[-1], model)
            self.asked[question.number] = asyncio.get_running_loop().create_future()
            self.say(question)
            told = await self.asked[question.number]
            error = {"error": told.error} if told.error else to_plain(told.index)
            return told.status, error
        if parts[1] == "models":
            versions = needed(self.live.deployment, self.live.loaded)
            numbers = [str(model.version) for model in versions if model.name == parts[2]]
            return (200, {"versions": numbers}) if numbers else (404, {"error": "none"})
        return 200, {"live": True}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--root", "--environment", "--index"):
        parser.add_argument(name)
    for name in ("--listen", "--control"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(fileno=given.listen)
    asyncio.run(FakeWorker(listener, socket.socket(fileno=given.control)).run())


if __name__ == "__main__":
    main()
