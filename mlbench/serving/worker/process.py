"""The worker's process: what it loads, listens with, and does as its supervisor says."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.release import DeployedModel, Deployment
from mlbench.domain.serving import ServerSettings
from mlbench.project.layout import Layout
from mlbench.serving.control import (
    Commit,
    Committed,
    Copy,
    Finish,
    Loading,
    Message,
    Prepare,
    Prepared,
    Share,
    written,
)
from mlbench.serving.cores import cores, worker_count
from mlbench.serving.counter_file import MOST_WORKERS
from mlbench.serving.counters import Counters, read_tallies
from mlbench.serving.http.guard import Guard
from mlbench.serving.http.limits import Limits
from mlbench.serving.http.server import HttpServer
from mlbench.serving.logging_lines import log
from mlbench.serving.requests.log import RequestLog
from mlbench.serving.running.limits import limit_memory
from mlbench.serving.running.loading import load
from mlbench.serving.running.runner import make_runner
from mlbench.serving.state import read_state
from mlbench.serving.token import read_token
from mlbench.serving.traffic.sending import ShadowSender
from mlbench.serving.worker.app import Application
from mlbench.serving.worker.link import Link
from mlbench.serving.worker.memory import Memory
from mlbench.serving.worker.questions import Questions
from mlbench.serving.worker.table import Served

_GRACE_SECONDS = 5.0
_OTHER_THREADS = 4
_COUNT_SECONDS = 1.0
_GARBAGE = 20_000


@dataclass(frozen=True)
class Place:
    """Which worker this is: its environment, and its number there."""

    layout: Layout
    environment: str
    index: int


class Worker:
    """Answers on the listening socket from what the supervisor has it load."""

    def __init__(self, place: Place, listener: socket.socket) -> None:
        """Nothing is loaded and nobody is answered yet."""
        layout, name = place.layout, place.environment
        self._place = place
        self._listener = listener
        self._link = Link()
        self._door = self._counters(layout.door(name), "connections", "")
        self._fewest_workers = MOST_WORKERS + 1
        self._memory = Memory(self._load, self._tell_loading)
        self._threads = ThreadPoolExecutor(_OTHER_THREADS, thread_name_prefix="other")
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._shadow = ShadowSender(layout, name)
        self._server: HttpServer | None = None
        self._log: RequestLog | None = None
        questions = Questions(
            layout.counters(name),
            layout.labels(name),
            self._link.ask,
            self._gauges,
            self._threads,
        )
        self._application = Application(lambda: self._memory.table, questions, self._shadow, log)

    async def run(self, control: socket.socket) -> None:
        """Work until the supervisor says to finish, or is gone."""
        loop = asyncio.get_running_loop()
        # Ctrl-C reaches the whole group; the supervisor says what it means.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, self._be_ended)
        # The line itself is asyncio's, which makes it non-blocking; this one is for the thread.
        self._control = control.dup()
        try:
            await self._link.follow(control, self._handle)
        except Exception:
            # It can't go on as it is told to: another takes its place.
            log("worker_failed", traceback=traceback.format_exc())
            await self._finish(_GRACE_SECONDS, status=1)
        await self._finish(_GRACE_SECONDS)

    async def _handle(self, message: Message) -> None:
        if isinstance(message, Prepare):
            loop = asyncio.get_running_loop()
            errors = await loop.run_in_executor(self._loading, self._prepare, message)
            self._link.say(Prepared(message.number, errors))
        elif isinstance(message, Commit):
            await self._commit(message)
        elif isinstance(message, Share):
            self._memory.table = self._memory.table.sharing(message.model, message.weights)
        elif isinstance(message, Copy):
            self._shadow.share(message.model, message.share)
        elif isinstance(message, Finish):
            await self._finish(message.seconds)

    def _prepare(self, message: Prepare) -> Mapping[str, str]:
        """In the loading thread, within the memory that so many workers leave to each.

        What a worker was given once it keeps: it may have come to need it.
        """
        count = worker_count(message.deployment.settings)
        if count < self._fewest_workers:
            self._fewest_workers = count
            limit_memory(count)
        return self._memory.prepare(message)

    async def _commit(self, message: Commit) -> None:
        gone = self._memory.commit(message.number, message.without)
        for served in gone:
            served.runner.close()
        settings = self._memory.table.settings
        if self._server is None or self._log is None:
            await self._listen(settings)
        else:
            self._log.use(settings)
            self._server.limits = Limits(connections=settings.connections)
        self._link.say(Committed(message.number))

    async def _listen(self, settings: ServerSettings) -> None:
        layout, name = self._place.layout, self._place.environment
        self._log = RequestLog(
            layout.requests(name),
            self._place.index,
            settings,
            self._logged,
            lambda why: log("request_log", message=why),
        )
        self._application.request_log = self._log
        port = self._listener.getsockname()[1]
        guard = Guard(settings.host, port, read_token(layout.server_token))
        limits = Limits(connections=settings.connections)
        self._server = HttpServer(self._application, guard, limits, self._refused)
        # What stands now stays: the collector need not look at it again and again, nor at what
        # requests make and drop, for hardly any of that goes in circles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        await self._server.start(self._listener)
        self._count_connections()

    def _be_ended(self) -> None:
        """Somebody ended this process alone: what is under way ends as always."""
        self._ending = asyncio.create_task(self._finish(_GRACE_SECONDS))

    async def _finish(self, seconds: float, status: int = 0) -> None:
        """End what is under way; models that still compute then end with the process."""
        if self._server is not None:
            await self._server.finish(seconds)
        if self._log is not None:
            self._log.close()
        os._exit(status)

    def _tell_loading(self, loading: Loading) -> None:
        """Straight into the socket: the process may die of what it begins."""
        with contextlib.suppress(OSError):
            self._control.sendall(written(loading))

    def _load(self, deployed: DeployedModel, deployment: Deployment) -> Served:
        """A version in memory, in the loading thread."""
        layout, name = self._place.layout, self._place.environment
        model = load(deployed)
        version = str(deployed.version)
        counters = self._counters(layout.counters(name), deployed.name, version)
        threads = max(1, cores() // worker_count(deployment.settings))
        runner = make_runner(model, deployment.settings, counters, threads)
        return Served.of(deployed, runner, counters)

    def _counters(self, folder: Path, model: str, version: str) -> Counters:
        counters = Counters(folder, model, version, self._place.index)
        if counters.lost:
            log("not_counted", model=model, version=version, why=counters.lost)
        return counters

    def _logged(self, model: str, version: str, kept: int, dropped: int) -> None:
        shared = self._memory.table.models.get(model)
        served = shared.versions.get(version) if shared is not None else None
        if served is not None:
            served.counters.logged(kept, dropped)

    def _refused(self, status: int) -> None:
        self._door.ended(status, 0.0)

    def _count_connections(self) -> None:
        assert self._server is not None
        self._door.in_flight(self._server.open_connections)
        asyncio.get_running_loop().call_later(_COUNT_SECONDS, self._count_connections)

    def _gauges(self) -> dict[str, float]:
        """Figures of the whole server, for a thread."""
        layout, name = self._place.layout, self._place.environment
        door = read_tallies(layout.door(name))
        state = read_state(layout.server_state(name))
        return {
            "connections": float(sum(tally.in_flight for tally in door)),
            "refused_before": float(sum(tally.refused + tally.failed for tally in door)),
            "workers": float(len(state.workers) if state is not None else 0),
            "restarts": float(state.restarts if state is not None else 0),
        }
