"""Requests that wait for a thread, and the batches that threads make of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from onnxruntime import RunOptions

from mlbench.domain.serving import ServerSettings
from mlbench.serving.counters import Counters
from mlbench.serving.refusals import RequestError
from mlbench.serving.running.batching import Batching
from mlbench.serving.running.calls import Called, Inputs, Outputs, call, kind_of, refused
from mlbench.serving.running.loading import LoadedModel


@dataclass(slots=True, eq=False)
class Waiting:
    """One request: its tensors, what it may share a call with, and who waits for its outputs.

    `kind` is None where it shares none. Times are by time.perf_counter; `until` is its deadline.
    """

    inputs: Inputs
    rows: int
    kind: tuple[object, ...] | None
    came: float
    until: float
    answer: asyncio.Future[Outputs]


@dataclass(slots=True, eq=False)
class Batch:
    """What a thread took: requests to compute, and those whose time is up or nobody waits for.

    By `stop` their computation is ended.
    """

    taken: list[Waiting]
    dropped: list[Waiting]
    waited: float = 0.0
    stop: RunOptions = field(default_factory=RunOptions)

    def stop_if_done(self) -> None:
        """Compute no more where nobody waits any more: it may go on for ever."""
        if all(asked.answer.done() for asked in self.taken):
            self.stop.terminate = True


class QueueRunner:
    """Runs requests in threads of its own; gathers what waits where `batching` says so.

    A job is one turn of a thread: it takes a batch when it begins, so that it has all that came
    until then, and goes to the end of the line where more waits. Answers come back to the event
    loop, to which all else belongs, with one wake-up a batch.
    """

    def __init__(
        self,
        model: LoadedModel,
        batching: Batching,
        settings: ServerSettings,
        counters: Counters,
        threads: int,
    ) -> None:
        """No thread is started before there is a request."""
        self.batching = batching
        self._model = model
        self._settings = settings
        self._counters = counters
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=model.deployed.name)
        self._most_jobs = threads
        self._jobs = 0
        self._lock = threading.Lock()  # of the queue, which threads take from
        self._waiting: deque[Waiting] = deque()
        self._open: set[Waiting] = set()
        self._running: set[Batch] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._is_closed = False

    def run(self, inputs: Inputs, rows: int, received: float) -> Awaitable[Outputs]:
        """As Runner says; never a plain dict."""
        if self._is_closed:
            raise RequestError(503, f"{self._named} has been taken out of service; ask again")
        loop = asyncio.get_running_loop()
        kind = kind_of(inputs, rows) if rows < self.batching.most_rows else None
        until = received + self._settings.deadline
        asked = Waiting(inputs, rows, kind, time.perf_counter(), until, loop.create_future())
        if self._jobs < self._most_jobs:
            self._begin(loop, asked)
        else:
            self._line_up(asked)
        self._open.add(asked)
        if self._alarm is None:
            self._alarm = loop.call_later(until - asked.came, self._expire, loop)
        self._tell()
        return asked.answer

    def close(self) -> None:
        """As Runner says; its threads end after the last answer."""
        self._is_closed = True
        self._end_if_done()

    @property
    def _named(self) -> str:
        return f"{self._model.deployed.name} version {self._model.version}"

    def _begin(self, loop: asyncio.AbstractEventLoop, first: Waiting | None) -> None:
        self._jobs += 1
        self._threads.submit(self._work, loop, first)

    def _line_up(self, asked: Waiting) -> None:
        """Put a request into the queue; RequestError 503 where that is full of such as wait."""
        most = self._settings.queue
        with self._lock:
            if len(self._waiting) >= most:
                gone = {other for other in self._waiting if other.answer.done()}
                self._open -= gone
                self._waiting = deque(other for other in self._waiting if other not in gone)
            if len(self._waiting) < most:
                self._waiting.append(asked)
                return
        raise RequestError(
            503, f"{most} requests wait for {self._named} already; send fewer at once, or later"
        )

    def _work(self, loop: asyncio.AbstractEventLoop, first: Waiting | None) -> None:
        """One job, in a thread."""
        batch, called = self._take(first), Called([])
        self._tell()
        if batch.taken:
            rows = [asked.rows for asked in batch.taken]
            infer = functools.partial(self._model.infer, stop=batch.stop)
            self._running.add(batch)
            # Looked at once it is among those that the alarm looks at: one of the two sees it.
            batch.stop_if_done()
            try:
                called = call(infer, [asked.inputs for asked in batch.taken], rows)
            except Exception as error:
                # Whatever it is, whoever waits is told, and the thread goes on.
                called.answers = [refused(error) for _ in rows]
            finally:
                self._running.discard(batch)
        goes_on = bool(self._waiting)
        if goes_on:
            self._threads.submit(self._work, loop, None)
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it who waits
            loop.call_soon_threadsafe(self._deliver, loop, batch, called, goes_on)

    def _take(self, first: Waiting | None) -> Batch:
        """The first of the queue, and from behind it what fits into its call.

        What does not fit keeps its place, so that it is first before long.
        """
        batch, passed, rows = Batch([], []), [], 0
        with self._lock:
            if first is not None:
                self._waiting.appendleft(first)
            now = time.perf_counter()
            while self._waiting and self._has_room(batch.taken, rows):
                asked = self._waiting.popleft()
                if asked.answer.done() or asked.until <= now:
                    batch.dropped.append(asked)
                elif not batch.taken or self._fits(asked, batch.taken[0], rows):
                    batch.taken.append(asked)
                    batch.waited += now - asked.came
                    rows += asked.rows
                else:
                    passed.append(asked)
            self._waiting.extendleft(reversed(passed))
        return batch

    def _has_room(self, taken: list[Waiting], rows: int) -> bool:
        return not taken or (taken[0].kind is not None and rows < self.batching.most_rows)

    def _fits(self, asked: Waiting, first: Waiting, rows: int) -> bool:
        return (
            asked.kind is not None
            and asked.kind == first.kind
            and rows + asked.rows <= self.batching.most_rows
        )

    def _deliver(
        self, loop: asyncio.AbstractEventLoop, batch: Batch, called: Called, goes_on: bool
    ) -> None:
        """Tell everybody in a batch, and let another job begin where this one was the last."""
        for asked, answer in zip(batch.taken, called.answers, strict=True):
            if asked.answer.done():
                continue
            if isinstance(answer, RequestError):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)
        for asked in batch.dropped:
            self._refuse_late(asked)
        self._open.difference_update(batch.taken, batch.dropped)
        if called.is_mixed:
            self.batching = Batching()
        waited = batch.waited
        for each in called.calls:
            self._counters.called(each.rows, waited, each.computed)
            waited = 0.0
        if not goes_on:
            self._jobs -= 1
            if self._waiting:
                self._begin(loop, None)
        self._tell()
        self._end_if_done()

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse those whose time is up, waiting or computed, and look again when the next is.

        What is computed for nobody else is ended: its thread is for others.
        """
        now, soonest = time.perf_counter(), None
        for asked in self._open:
            if asked.until <= now:
                self._refuse_late(asked)
            elif soonest is None or asked.until < soonest:
                soonest = asked.until
        for batch in tuple(self._running):
            batch.stop_if_done()
        self._alarm = None
        if soonest is not None:
            self._alarm = loop.call_later(soonest - now, self._expire, loop)

    def _refuse_late(self, asked: Waiting) -> None:
        if not asked.answer.done():
            seconds = self._settings.deadline
            sentence = f"{self._named} gave no answer within {seconds:g} s; send fewer at once"
            asked.answer.set_exception(RequestError(504, sentence))

    def _tell(self) -> None:
        waiting = len(self._waiting)
        self._counters.queued(waiting)
        self._counters.in_flight(max(len(self._open) - waiting, 0))

    def _end_if_done(self) -> None:
        """Let go of threads and alarm, and so of the model, once all is answered."""
        if self._is_closed and not self._open:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            self._threads.shutdown(wait=False)
