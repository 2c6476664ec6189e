"""A real server in a thread of its own, on uvloop, with a clock that tests turn; a raw client."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import uvloop

from mlbench.serving.http.guard import Guard
from mlbench.serving.http.limits import Limits
from mlbench.serving.http.server import HttpServer
from mlbench.serving.messages import JSON, Reply, Request

TOKEN = "a-token"
PATIENCE = 20.0

SMALL = Limits(
    connections=4,
    header_bytes=2048,
    body_bytes=1 << 20,
    path_bytes=512,
    header_seconds=5.0,
    body_seconds=30.0,
    idle_seconds=60.0,
)


class Served:
    """A running server, its application, and what a client does to it."""

    def __init__(self, limits: Limits, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.limits = limits
        self.family = family
        self.host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self.time = 1000.0
        self.refused: list[int] = []
        self.begun: list[str] = []
        self.cancelled = threading.Event()
        self.held = threading.Event()
        self.loop = uvloop.new_event_loop()
        self._release = asyncio.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        listener = socket.socket(self.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind((self.host, 0))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self.listener = listener
        self.thread.start()
        guard = Guard(self.host, self.port, TOKEN)

        async def begin() -> HttpServer:
            server = HttpServer(
                self.answer, guard, self.limits, self.refused.append, lambda: self.time
            )
            await server.start(listener)
            return server

        self.server = self.wait(begin())

    def stop(self) -> None:
        self.wait(self.server.finish(0.0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()
        self.listener.close()

    def wait(self, work: Any) -> Any:
        return self.soon(work).result(PATIENCE)

    def soon(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def advance(self, seconds: float) -> None:
        """Turn the clock, and let the server look at it."""
        self.time += seconds
        self.call(self.server.sweep)

    def call(self, work: Callable[[], Any]) -> Any:
        async def called() -> Any:
            return work()

        return self.wait(called())

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds in the server, looked at from its own thread."""
        deadline = time.monotonic() + PATIENCE
        while not self.call(holds):
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def release(self) -> None:
        self.loop.call_soon_threadsafe(self._release.set)

    def connect(self) -> Client:
        return Client(self)

    def ask(self, data: bytes) -> list[Answer]:
        """Every answer to what one connection sends, until the server closes it."""
        with self.connect() as client:
            client.send(data)
            return client.all()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """The application: what it got, or as the path says."""
        self.begun.append(request.path)
        if request.path == "/hold":
            return self._hold(request)
        if request.path == "/later":
            return self._later(request)
        if request.path == "/fail":
            raise ValueError("planted")
        if request.path == "/big":
            return Reply(200, b'"' + b"0123456789abcdef" * (int(request.query) // 16) + b'"')
        return described(request)

    async def _hold(self, request: Request) -> Reply:
        self.held.set()
        try:
            await self._release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return described(request)

    async def _later(self, request: Request) -> Reply:
        await asyncio.sleep(0)
        return described(request)


def described(request: Request) -> Reply:
    about = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "body": request.body.decode("latin-1"),
        "header_length": request.header_length,
        "accepts": request.accepts,
        "trusted": request.is_trusted,
    }
    return Reply(200, json.dumps(about).encode(), (JSON, (b"x-path", request.path.encode())))


class Answer:
    """One response as it came: status, headers by small name, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:200]!r}"


class Client:
    """A raw socket that reads responses."""

    def __init__(self, served: Served) -> None:
        self.socket = socket.create_connection((served.host, served.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, *, head_only: bool = False) -> Answer:
        """The next response; EOFError where the server closed instead."""
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        status, headers = parse_head(head)
        size = 0 if head_only or status < 200 else int(headers["content-length"])
        while len(self.data) < size:
            self._more()
        body, self.data = self.data[:size], self.data[size:]
        return Answer(status, headers, body)

    def all(self) -> list[Answer]:
        """Every response until the server closes."""
        answers = []
        while True:
            try:
                answers.append(self.read())
            except EOFError:
                return answers

    def is_closed(self) -> bool:
        """Whether the server closes, without another byte; waits for it."""
        try:
            return not self.data and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        received = self.socket.recv(65536)
        if not received:
            raise EOFError
        self.data += received


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}


def get(
    path: str = "/x", *headers: str, host: str | None = "127.0.0.1", method: str = "GET"
) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        *([f"Host: {host}"] if host is not None else []),
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(path: str, body: bytes, *headers: str) -> bytes:
    return get(path, f"Content-Length: {len(body)}", *headers, method="POST") + body


CLOSE = "Connection: close"
