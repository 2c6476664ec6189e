"""The ASGI application: one request in, one reply out, whatever happens in between."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import orjson
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from mlbench.domain.errors import nearest
from mlbench.serving.deployments import Live
from mlbench.serving.models import LoadedModel
from mlbench.serving.protocol import RequestError, build_response, describe, parse_request
from mlbench.serving.routes import BODY_LIMIT, Route, check_headers, find_route, too_large

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Log = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a JSON body."""

    status: int
    body: bytes
    allow: str = ""


class Application:
    """Answers the protocol from whatever is live when a request arrives.

    Inference always goes to the threads, so that no model holds up the health routes. Measured
    with a linear model of 64 inputs on two cores, that gives 8,600 requests a second to 16 or 32
    connections, against 7,700 when computed in place; a lone one waits 0.27 ms instead of 0.18.
    """

    def __init__(self, live: Callable[[], Live], threads: Executor, log: Log) -> None:
        """`live` is asked once a request; `log` hears of what should not have happened."""
        self._live = live
        self._threads = threads
        self._log = log
        self._server = _dumps({"name": "mlbench", "version": _own_version(), "extensions": []})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; errors become `{"error": "…"}` with their status."""
        try:
            reply = await self._reply(scope, receive)
        except RequestError as error:
            reply = _error(error.status, str(error), error.allow)
        except Exception as error:
            self._log("request_failed", path=scope["path"], traceback=traceback.format_exc())
            reply = _error(500, f"the server failed: {type(error).__name__}; its log says where")
        if reply is not None:
            await _send(send, reply)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply | None:
        check_headers(scope["headers"])
        route = find_route(scope["method"], scope["raw_path"].decode("latin-1"))
        live = self._live()
        if route.what != "infer":
            return self._describe(route, live)
        model = _find_model(live, route)
        body = await _read(receive)
        if body is None:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _infer, model, body)

    def _describe(self, route: Route, live: Live) -> Reply:
        if route.what == "server":
            return Reply(200, self._server)
        if route.what == "live":
            return Reply(200, _dumps({"live": True}))
        if route.what == "ready":
            return _ready(live)
        model = _find_model(live, route)
        return Reply(200, _dumps({"ready": True} if route.what == "model_ready" else _about(model)))


def _infer(model: LoadedModel, body: bytes) -> Reply:
    """Everything that costs time: parse, compute, write."""
    request = parse_request(body, model.signature)
    try:
        outputs = model.infer(request.inputs)
    except InvalidArgument as error:
        raise RequestError(400, f"the model refuses these inputs: {_line(error)}") from None
    except Exception as error:
        raise RequestError(500, f"the model failed on these inputs: {_line(error)}") from None
    return Reply(200, build_response(model.deployed.name, model.version, request, outputs))


def _find_model(live: Live, route: Route) -> LoadedModel:
    model = live.models.get(route.model)
    staged = live.staged.get(route.model)
    if staged is not None and route.version == staged.version:
        return staged
    if model is None:
        served = ", ".join(live.models) or "no model yet"
        meant = nearest(route.model, live.models)
        why = f"; {live.error}" if live.error else ""
        raise RequestError(404, f'no model "{route.model}"{meant} here, which serves {served}{why}')
    if route.version not in (None, model.version):
        raise RequestError(
            404, f'{route.model} version "{route.version}" is not served here, {model.version} is'
        )
    return model


def _ready(live: Live) -> Reply:
    if live.models:
        return Reply(200, _dumps({"ready": True}))
    why = live.error or "no model is deployed here yet; promote one"
    return Reply(400, _dumps({"ready": False, "error": why}))


def _about(model: LoadedModel) -> dict[str, Any]:
    return {
        "name": model.deployed.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": describe(model.signature.inputs),
        "outputs": describe(model.signature.outputs),
    }


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None where the client went away; RequestError 413 where it is too long."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            raise too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _send(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    if reply.allow:
        headers.append((b"allow", reply.allow.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _error(status: int, sentence: str, allow: str = "") -> Reply:
    return Reply(status, _dumps({"error": sentence}), allow)


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _own_version() -> str:
    try:
        return metadata.version("mlbench")
    except metadata.PackageNotFoundError:
        return "0"
