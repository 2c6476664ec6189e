"""What a worker answers: one request in, one reply out, whatever happens in between."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping

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

_ROUTES_KEPT = 1024
_LENGTH = b"inference-header-content-length"
_BINARY = (b"content-type", b"application/octet-stream")
_INFER = "model_infer"


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
        self._route = functools.lru_cache(_ROUTES_KEPT)(find_route)
        self.request_log: RequestLog | None = None

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        """The reply, at once where that takes no waiting; errors are `{"error": "…"}`."""
        try:
            route = self._route(request.method, request.path)
            if route.what == _INFER or route.what == "predict":
                return self._infer(route, request)
            return self._answered(self._questions.answer(route, request, self._table()), request)
        except RequestError as error:
            return refusal(error)
        except Exception as error:
            return self._failed(request, error)

    def _infer(self, route: Route, request: Request) -> Reply | Awaitable[Reply]:
        table = self._table()
        is_rows = route.what == "predict"
        name = route.model or table.only_model()
        served = table.taking(name) if route.version is None else table.version(name, route.version)
        try:
            if is_rows:
                asked = parse_rows(request.body, served.signature)
            else:
                asked = parse_request(request.body, request.header_length, served.signature)
            outputs = served.runner.run(asked.inputs, asked.rows, request.received)
            if isinstance(outputs, dict):
                return self._reply(served, request, asked, outputs, is_rows, table)
        except RequestError as error:
            return self._refused(served, request, error)
        except Exception as error:
            return self._refused(served, request, self._internal(request, error))
        return self._later(served, request, asked, outputs, is_rows, table)

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
        deployed = served.deployed
        version = served.version
        id_ = self._ids.next() if asked.id is None else asked.id
        length: int | None = None
        if is_rows:
            body = build_predictions(
                deployed.name, version, asked, outputs, id_, deployed.signature
            )
        else:
            body, length = build_response(
                deployed.name, version, asked, outputs, id_, deployed.signature.classes
            )
        headers = (JSON,) if length is None else (_BINARY, (_LENGTH, b"%d" % length))
        reply = Reply(200, body, headers)
        took = time.perf_counter() - request.received
        served.counters.ended(200, took)
        served.counters.predicted(served.predictions(outputs))
        self._keep(served, request, reply, id_, took, length, is_rows)
        if deployed.name in table.shadowed and table.is_live(served):
            self._shadow.offer(deployed.name, version, request, reply)
        return reply

    def _refused(self, served: Served, request: Request, error: RequestError) -> Reply:
        reply = refusal(error)
        took = time.perf_counter() - request.received
        served.counters.ended(error.status, took)
        self._keep(served, request, reply, "", took, None, False)
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
