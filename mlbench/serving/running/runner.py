"""Runs one model's requests: quick ones in the event loop, others in threads, in batches or alone.

Work-conserving: where a thread is free a request runs now, and where none is, what waits is
gathered the moment one gets free. There is no window: nobody ever waits for a batch to fill.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Protocol

from mlbench.domain.serving import ServerSettings
from mlbench.serving.counters import Counters
from mlbench.serving.running.batching import Batching, decide
from mlbench.serving.running.calls import Inputs, Outputs, refused
from mlbench.serving.running.loading import LoadedModel
from mlbench.serving.running.queueing import QueueRunner


class Runner(Protocol):
    """What runs one version; for the event loop's thread alone."""

    @property
    def batching(self) -> Batching:
        """How it was decided to run."""

    def run(self, inputs: Inputs, rows: int, received: float) -> Outputs | Awaitable[Outputs]:
        """The outputs, a plain dict where they are there at once.

        `received` is when the request came, by time.perf_counter. Raises, or gives an awaitable
        that raises, RequestError: 400 where the model refuses the inputs, 500 where it fails, 503
        where too many wait, 504 at its deadline. Who waits no longer cancels the awaitable.
        """

    def close(self) -> None:
        """Take no more requests; those that it has are answered."""


class InlineRunner:
    """Runs requests of few rows in the event loop, where a hand-over would cost more than it gives.

    A run can't be interrupted: its deadline is not looked at, since it takes about a millisecond.
    """

    def __init__(
        self, model: LoadedModel, batching: Batching, counters: Counters, queue: QueueRunner
    ) -> None:
        """Requests of more rows than `batching.inline_rows` go to the queue."""
        self.batching = batching
        self._infer = model.infer
        self._counters = counters
        self._queue = queue

    def run(self, inputs: Inputs, rows: int, received: float) -> Outputs | Awaitable[Outputs]:
        """As Runner says."""
        if rows > self.batching.inline_rows:
            return self._queue.run(inputs, rows, received)
        began = time.perf_counter()
        try:
            return self._infer(inputs)
        except Exception as error:  # onnxruntime's errors share no other class
            raise refused(error) from None
        finally:
            self._counters.called(rows, 0.0, time.perf_counter() - began)

    def close(self) -> None:
        """As Runner says."""
        self._queue.close()


def make_runner(
    model: LoadedModel, settings: ServerSettings, counters: Counters, threads: int
) -> Runner:
    """What runs a version as its timings and the settings say, in up to so many threads."""
    batching = decide(model.deployed.timings, model.signature, settings)
    queue = QueueRunner(model, batching, settings, counters, threads)
    return InlineRunner(model, batching, counters, queue) if batching.is_inline else queue


__all__ = ["InlineRunner", "QueueRunner", "Runner", "make_runner"]
