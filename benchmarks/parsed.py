"""One handler behind each of the servers that may parse HTTP for it.

`python -m benchmarks.parsed uvicorn|granian-asgi|granian-rsgi|httptools|mlbench PORT_OR_FD`, the
model's path in the environment as MODEL. Granian takes a port, the others an inherited socket.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import orjson

Message = MutableMapping[str, Any]

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


@cache
def session() -> Any:
    """The model, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
    )


def answer(body: bytes) -> bytes:
    """What the model gives for the first tensor of the request; bodies are believed."""
    tensor = orjson.loads(body)["inputs"][0]
    rows = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    label, scores = session().run(None, {"input": rows})
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": label.shape, "data": label.ravel()},
        {"name": "scores", "datatype": "FP32", "shape": scores.shape, "data": scores.ravel()},
    ]
    return orjson.dumps({"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)


async def asgi(
    scope: Message,  # noqa: ARG001
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """The handler as an ASGI application."""
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    given = answer(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(given)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": given})


async def rsgi(scope: Any, protocol: Any) -> None:  # noqa: ARG001
    """The handler as an RSGI application."""
    given = answer(await protocol())
    protocol.response_bytes(200, [("content-type", "application/json")], given)


class Bare(asyncio.Protocol):
    """The handler behind httptools: no limit, no check, no refusal."""

    def __init__(self) -> None:
        """A connection with nothing read yet."""
        import httptools

        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: Any) -> None:
        """Keep what is written to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._body += part

    def on_message_complete(self) -> None:
        """Answer."""
        given = answer(self._body)
        self._body = b""
        self._transport.write(_HEAD % len(given) + given)


async def bare(listener: socket.socket) -> None:
    """Serve with httptools and uvloop alone."""
    server = await asyncio.get_running_loop().create_server(Bare, sock=listener)
    await server.serve_forever()


async def mlbench(listener: socket.socket) -> None:
    """Serve with mlbench's own connections, their guard and all their limits."""
    from mlbench.serving.http.guard import Guard
    from mlbench.serving.http.server import HttpServer
    from mlbench.serving.messages import Reply

    server = HttpServer(
        lambda request: Reply(200, answer(request.body)), Guard("127.0.0.1", 0, "token")
    )
    await server.start(listener)
    await asyncio.Event().wait()


def uvicorn(listener: socket.socket) -> None:
    """Serve with uvicorn, all that it can leave out left out."""
    import uvicorn

    config = uvicorn.Config(
        asgi,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


def granian(interface: str, port: int) -> None:
    """Serve with two of Granian's workers."""
    from granian.constants import Interfaces, Loops
    from granian.server import Server

    Server(
        f"benchmarks.parsed:{interface}",
        port=port,
        interface=Interfaces(interface),
        workers=2,
        loop=Loops.uvloop,
        websockets=False,
        log_enabled=False,
    ).serve()


def main(kind: str, number: int) -> None:
    """Serve until a signal ends it."""
    if kind.startswith("granian-"):
        granian(kind.removeprefix("granian-"), number)
        return
    listener = socket.socket(fileno=number)
    session()
    if kind == "uvicorn":
        uvicorn(listener)
        return
    import uvloop

    uvloop.run({"httptools": bare, "mlbench": mlbench}[kind](listener))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
