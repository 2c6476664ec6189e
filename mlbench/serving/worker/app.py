"""What a worker answers: one request in, one reply out, whatever happens in between."""

from __future__ import annotations

import asyncio
import functools
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from mlbench.serving.http.refusal import refusal
from mlbench.serving.messages import JSON, Reply, Request
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import InferenceRequest, parse_request
from mlbench.serving.protocol.rows import build_predictions, parse_rows
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError
from mlbench.serving.requests.log import Kept, RequestLog
from mlbench.serving.traffic.sending import ShadowSender
from mlbench.serving.worker.ids import Ids
from mlbench.serving.worker.questions import Questions
from mlbench.serving.worker.routes import Route, find_route
from mlbench.serving.worker.table import Served, Table

T = TypeVar("T")
Given = TypeVarTuple("Given")

_ROUTES_KEPT = 1024
# To read as much JSON takes some ten milliseconds, and as much as is allowed takes seconds, in
# which nobody else would be answered.
_LONG_BODY = 512 * 1024
_LENGTH = b"inference-header-content-length"
_BINARY = (b"content-type", b"application/octet-stream")
_INFER = "model_infer"

_Built = tuple[bytes, int | None, str]
"""A reply's body, the length of its JSON where binary tensors follow, and its id."""


class Application:
    """Answers the protocol from whatever the table says when a request arrives."""

    def __init__(
        self,
        table: Callable[[], Table],
        questions: Questions,
        shadow: ShadowSender,
        log: Callable[..., None],
    ) -> None:
        """`table` is asked once a request; `log` hears of what should not have happened."""
        self._table = table
        self._questions = questions
        self._shadow = shadow
        self._log = log
        self._ids = Ids()
        # One: what long bodies take while they are read does not add up.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="long-bodies")
        self._route = functools.lru_cache(_ROUTES_KEPT)(find_route)
        self.request_log: RequestLog | None = None

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        """The reply, at once where that takes no waiting; errors are `{"error": "…"}`."""
        try:
            route = self._route(request.method, request.path)
            if route.what in (_INFER, "predict"):
                return self._infer(route, request)
            return self._answered(self._questions.answer(route, request, self._table()), request)
        except RequestError as error:
            return refusal(error)
        except Exception as error:
            return self._failed(request, error)

    def _infer(self, route: Route, request: Request) -> Reply | Awaitable[Reply]:
        table = self._table()
        is_rows = route.what == "predict"
        served = _serving(route, table)
        if len(request.body) > _LONG_BODY and _takes_long(request, served):
            return self._infer_aside(route, request, served, is_rows)
        try:
            asked = _parse(request, served, is_rows)
            outputs = served.runner.run(asked.inputs, asked.rows, request.received)
            if isinstance(outputs, dict):
                return self._reply(served, request, asked, outputs, is_rows, table)
        except RequestError as error:
            return self._refused(served, request, error)
        except Exception as error:
            return self._refused(served, request, self._internal(request, error))
        return self._later(served, request, asked, outputs, is_rows, table)

    async def _infer_aside(
        self, route: Route, request: Request, served: Served, is_rows: bool
    ) -> Reply:
        """The same for a long body, read and answered beside the event loop."""
        try:
            while True:
                asked = await self._in_thread(_parse, request, served, is_rows)
                table = self._table()
                if any(item is served for item in table.served):
                    break
                # It was let go meanwhile, and what took its place may take something else.
                served = _serving(route, table)
            outputs = served.runner.run(asked.inputs, asked.rows, request.received)
            given = outputs if isinstance(outputs, dict) else await outputs
            built = await self._in_thread(_build, served, asked, given, self._id(asked), is_rows)
            return self._given(served, request, given, built, is_rows, table)
        except RequestError as error:
            return self._refused(served, request, error)
        except Exception as error:
            return self._refused(served, request, self._internal(request, error))

    async def _in_thread(self, work: Callable[[*Given], T], *arguments: *Given) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *arguments)

    async def _later(
        self,
        served: Served,
        request: Request,
        asked: InferenceRequest,
        outputs: Awaitable[dict[str, Array]],
        is_rows: bool,
        table: Table,
    ) -> Reply:
        try:
            return self._reply(served, request, asked, await outputs, is_rows, table)
        except RequestError as error:
            return self._refused(served, request, error)
        except Exception as error:
            return self._refused(served, request, self._internal(request, error))

    def _reply(
        self,
        served: Served,
        request: Request,
        asked: InferenceRequest,
        outputs: Mapping[str, Array],
        is_rows: bool,
        table: Table,
    ) -> Reply:
        built = _build(served, asked, outputs, self._id(asked), is_rows)
        return self._given(served, request, outputs, built, is_rows, table)

    def _id(self, asked: InferenceRequest) -> str:
        return self._ids.next() if asked.id is None else asked.id

    def _given(
        self,
        served: Served,
        request: Request,
        outputs: Mapping[str, Array],
        built: _Built,
        is_rows: bool,
        table: Table,
    ) -> Reply:
        """The reply, counted, logged and offered to the shadow where a client asked for it."""
        body, length, id_ = built
        headers = (JSON,) if length is None else (_BINARY, (_LENGTH, b"%d" % length))
        reply = Reply(200, body, headers)
        if table.is_tried(served, id_):
            return reply
        took = time.perf_counter() - request.received
        served.counters.ended(200, took)
        served.counters.predicted(served.predictions(outputs))
        self._keep(served, request, reply, id_, took, length, is_rows)
        if served.deployed.name in table.shadowed and table.is_live(served):
            self._shadow.offer(served.deployed.name, served.version, request, reply)
        return reply

    def _refused(self, served: Served, request: Request, error: RequestError) -> Reply:
        reply = refusal(error)
        took = time.perf_counter() - request.received
        served.counters.ended(error.status, took)
        is_rows = self._route(request.method, request.path).what == "predict"
        self._keep(served, request, reply, "", took, None, is_rows)
        return reply

    def _keep(
        self,
        served: Served,
        request: Request,
        reply: Reply,
        id_: str,
        took: float,
        length: int | None,
        is_rows: bool,
    ) -> None:
        log = self.request_log
        if log is not None:
            log.keep(
                Kept(
                    id_,
                    time.time_ns(),
                    served.deployed.name,
                    served.version,
                    reply.status,
                    took,
                    request.body,
                    request.header_length,
                    reply.body,
                    length,
                    is_rows,
                )
            )

    def _answered(
        self, reply: Reply | Awaitable[Reply], request: Request
    ) -> Reply | Awaitable[Reply]:
        return reply if isinstance(reply, Reply) else self._guarded(reply, request)

    async def _guarded(self, reply: Awaitable[Reply], request: Request) -> Reply:
        try:
            return await reply
        except RequestError as error:
            return refusal(error)
        except Exception as error:
            return self._failed(request, error)

    def _failed(self, request: Request, error: Exception) -> Reply:
        return refusal(self._internal(request, error))

    def _internal(self, request: Request, error: Exception) -> RequestError:
        self._log("request_failed", path=request.path, traceback=traceback.format_exc())
        return RequestError(500, f"the server failed: {type(error).__name__}; its log says where")


def _serving(route: Route, table: Table) -> Served:
    """The version that a request for inference goes to; RequestError where there is none."""
    name = route.model or table.only_model()
    return table.taking(name) if route.version is None else table.version(name, route.version)


def _takes_long(request: Request, served: Served) -> bool:
    """Whether much of a long body has to be read piece by piece: numbers in binary have not."""
    length = request.header_length
    if length is None or any(spec.datatype == "BYTES" for spec in served.signature.inputs):
        return True
    return length > _LONG_BODY


def _parse(request: Request, served: Served, is_rows: bool) -> InferenceRequest:
    if is_rows:
        return parse_rows(request.body, served.signature)
    return parse_request(request.body, request.header_length, served.signature, served.outputs)


def _build(
    served: Served,
    asked: InferenceRequest,
    outputs: Mapping[str, Array],
    id_: str,
    is_rows: bool,
) -> _Built:
    name, signature = served.deployed.name, served.signature
    if is_rows:
        body = build_predictions(name, served.version, asked, outputs, id_, signature)
        return body, None, id_
    body, length = build_response(name, served.version, asked, outputs, id_, signature.classes)
    return body, length, id_
