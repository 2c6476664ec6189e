"""Everything that may be asked beside inference: health, metadata, the repository, figures."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import orjson

from mlbench.domain.release import DeployedModel
from mlbench.domain.tally import Tally
from mlbench.serving.control import Ask, Told
from mlbench.serving.cores import worker_count
from mlbench.serving.counters import read_tallies
from mlbench.serving.messages import Reply, Request
from mlbench.serving.protocol.openapi import document
from mlbench.serving.refusals import RequestError
from mlbench.serving.requests.labels import keep_labels
from mlbench.serving.statistics import statistics
from mlbench.serving.worker.describing import model_config, model_metadata, server_metadata
from mlbench.serving.worker.repository import index_wanted, versions_named
from mlbench.serving.worker.routes import Route
from mlbench.serving.worker.table import Served, Table

T = TypeVar("T")
Given = TypeVarTuple("Given")

_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")

AskSupervisor = Callable[[Ask], Awaitable[Told]]
Gauges = Callable[[], Mapping[str, float]]
_Question = Callable[[Route, Request, Table], "Reply | Awaitable[Reply]"]


class Questions:
    """Answers what is no inference, from the table, the counters and the supervisor."""

    def __init__(
        self,
        counters: Path,
        labels: Path,
        ask: AskSupervisor,
        gauges: Gauges,
        threads: Executor,
    ) -> None:
        """`counters` and `labels` are this environment's; `gauges` are the whole server's."""
        self._counters = counters
        self._labels = labels
        self._ask = ask
        self._gauges = gauges
        self._threads = threads
        self._server = server_metadata(own_version())
        self._questions: dict[str, _Question] = {
            "server": lambda *_: _json(self._server),
            "live": lambda *_: _json({"live": True}),
            "ready": _ready,
            "models": lambda _, __, table: _json({"models": list(table.models)}),
            "model_metadata": _metadata,
            "model_ready": _model_ready,
            "model_config": _config,
            "model_stats": self._stats,
            "stats": self._stats,
            "model_feedback": self._feedback,
            "index": self._index,
            "load": self._change,
            "unload": self._change,
            "metrics": self._metrics,
            "openapi.json": _openapi,
        }

    def answer(self, route: Route, request: Request, table: Table) -> Reply | Awaitable[Reply]:
        """The reply to a route that is no inference; RequestError where it is refused."""
        return self._questions[route.what](route, request, table)

    async def _stats(self, route: Route, _: Request, table: Table) -> Reply:
        wanted = _asked_for(route, table)
        tallies = {(item.model, item.version): item for item in await self._tallies()}
        chosen = [
            tallies.get(key, Tally(*key)) for key in ((s.deployed.name, s.version) for s in wanted)
        ]
        return _json(statistics(chosen))

    async def _metrics(self, _: Route, __: Request, table: Table) -> Reply:
        models = float(len(table.served))
        return Reply(200, await self._in_thread(self._scraped, models), (_TEXT,))

    async def _feedback(self, route: Route, request: Request, table: Table) -> Reply:
        _check_trusted(request, "labels")
        table.shared(route.model)
        kept = await self._in_thread(keep_labels, self._labels, route.model, request.body)
        return _json({"kept": kept})

    async def _index(self, _: Route, request: Request, __: Table) -> Reply:
        only_ready = index_wanted(request.body)
        told = await self._ask(Ask(0, "index"))
        return _json(
            [
                {
                    "name": item.name,
                    "version": item.version,
                    "state": item.state,
                    "reason": item.reason,
                }
                for item in told.index
                if item.state == "READY" or not only_ready
            ]
        )

    async def _change(self, route: Route, request: Request, _: Table) -> Reply:
        _check_trusted(request, route.what)
        versions = versions_named(request.body)
        told = await self._ask(Ask(0, route.what, route.model, versions))
        if told.status != 200:
            raise RequestError(told.status, told.error)
        return _json({})

    def _scraped(self, models: float) -> bytes:
        # Late, and in a thread: few servers are ever scraped, and it takes a while to import.
        from mlbench.serving.metrics import exposition

        return exposition(read_tallies(self._counters), {**self._gauges(), "models": models})

    async def _tallies(self) -> Sequence[Tally]:
        return await self._in_thread(read_tallies, self._counters)

    async def _in_thread(self, work: Callable[[*Given], T], *arguments: *Given) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, *arguments)


def _check_trusted(request: Request, what: str) -> None:
    if not request.is_trusted:
        raise RequestError(
            401,
            f"{what} asks for the server's token: Authorization: Bearer TOKEN; "
            "it stands in .mlbench/serving/token",
        )


def _ready(_: Route, __: Request, table: Table) -> Reply:
    if table.is_ready:
        return _json({"ready": True})
    why = "; ".join(table.missing.values()) or "no model is deployed here yet; promote one"
    return _json({"ready": False, "error": why}, 400)


def _found(route: Route, table: Table) -> Served:
    """The version that a route names, else the live one, else the newest that answers."""
    if route.version is not None:
        return table.version(route.model, route.version)
    shared = table.shared(route.model)
    return shared.live or max(shared.versions.values(), key=lambda item: item.deployed.version)


def _asked_for(route: Route, table: Table) -> Sequence[Served]:
    if not route.model:
        return table.served
    if route.version is not None:
        return (table.version(route.model, route.version),)
    return tuple(table.shared(route.model).versions.values())


def _metadata(route: Route, _: Request, table: Table) -> Reply:
    served = _found(route, table)
    versions = sorted(table.shared(route.model).versions, key=int)
    return _json(model_metadata(served.deployed, versions))


def _config(route: Route, _: Request, table: Table) -> Reply:
    served = _found(route, table)
    return _json(
        model_config(
            served.deployed,
            served.runner.batching,
            table.settings,
            worker_count(table.settings),
        )
    )


def _model_ready(route: Route, _: Request, table: Table) -> Reply:
    if route.version is None:
        table.taking(route.model)
    else:
        table.version(route.model, route.version)
    return _json({"name": route.model, "ready": True})


def _openapi(_: Route, __: Request, table: Table) -> Reply:
    return Reply(200, _document(tuple(_Same(item.deployed) for item in table.served)))


class _Same:
    """A deployed version that counts as the same by what it is called and made of."""

    def __init__(self, deployed: DeployedModel) -> None:
        self.deployed = deployed
        self._key = (deployed.name, deployed.version, deployed.digest)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._key == self._key


@functools.lru_cache(8)
def _document(models: tuple[_Same, ...]) -> bytes:
    return document([same.deployed for same in models])


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(value))


def own_version() -> str:
    """The version of mlbench that is installed, 0 where it is not."""
    try:
        return metadata.version("mlbench")
    except metadata.PackageNotFoundError:
        return "0"
