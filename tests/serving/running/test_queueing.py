"""Who waits, who is gathered, who is refused: told apart by events, never by time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.release import Signature, TensorSpec
from mlbench.domain.serving import ServerSettings
from mlbench.domain.tally import Tally
from mlbench.serving.counters import Counters
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError
from mlbench.serving.running.batching import Batching
from mlbench.serving.running.loading import load
from mlbench.serving.running.queueing import QueueRunner
from mlbench.serving.tallies import read_tallies
from tests.serving.running.shelf import (
    FREE,
    Gate,
    Gated,
    Shelf,
    looking_up,
    negating,
    reducing,
    rows_of_floats,
    turning,
)

ROUNDS = 30


class Desk:
    """A queue over a small model that waits at a gate, and what its clients do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = Gate()
        self.runner: QueueRunner

    def set_up(
        self,
        graph: onnx.GraphProto,
        most_rows: int = 64,
        threads: int = 1,
        *,
        takes: str = "FP32",
        **given: float,
    ) -> None:
        signature = Signature((TensorSpec("x", takes, FREE),), rows_of_floats("y"))
        deployed = Shelf(self.folder).put(graph, signature)
        self.gate.opened.set()
        model = Gated(deployed, self.gate)
        self.gate.opened.clear()
        counters = Counters(self.folder / "counters", "small", "1", 0)
        chosen = ServerSettings(**given)  # type: ignore[arg-type]
        self.runner = QueueRunner(model, Batching(0, most_rows), chosen, counters, threads)

    def ask(self, rows: Array, received: float | None = None) -> Awaitable[dict[str, Array]]:
        at = time.perf_counter() if received is None else received
        return self.runner.run({"x": rows}, len(rows), at)

    def ask_each(self, *values: float) -> list[Awaitable[dict[str, Array]]]:
        return [self.ask(one(value)) for value in values]

    async def entered(self) -> None:
        """Wait until the model has been called once more."""
        assert await asyncio.to_thread(self.gate.entered.acquire, timeout=30)

    def tally(self) -> Tally:
        (tally,) = read_tallies(self.folder / "counters")
        return tally


def one(value: float) -> Array:
    return np.array([[value]], np.float32)


async def values_of(*asked: Awaitable[dict[str, Array]]) -> list[float]:
    return [float(outputs["y"][0, 0]) for outputs in await asyncio.gather(*asked)]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.gate.opened.set()
    made.runner.close()


def threads_of_models() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("small")}


async def test_a_lone_request_waits_for_nobody(desk: Desk) -> None:
    """The model is called though the event loop, and so every timer of it, stands still."""
    desk.set_up(negating())
    asked = desk.ask(one(4))
    assert desk.gate.entered.acquire(timeout=30)
    assert desk.gate.calls == [1]
    desk.gate.opened.set()
    assert await values_of(asked) == [-4]


async def test_what_waits_is_gathered_when_the_thread_is_free(desk: Desk) -> None:
    desk.set_up(negating())
    first = desk.ask(one(1))
    await desk.entered()
    others = desk.ask_each(2, 3, 4, 5, 6)
    assert (desk.tally().queued, desk.tally().in_flight) == (5, 1)
    desk.gate.opened.set()
    assert await values_of(first, *others) == [-1, -2, -3, -4, -5, -6]
    assert desk.gate.calls == [1, 5]
    tally = desk.tally()
    assert (tally.calls, tally.rows, tally.queued, tally.in_flight) == (2, 6, 0, 0)
    assert tally.waited > 0
    assert tally.computed > 0


async def test_batches_have_their_bound_and_what_is_larger_runs_alone(desk: Desk) -> None:
    desk.set_up(negating(), most_rows=4)
    first = desk.ask(one(1))
    await desk.entered()
    small = desk.ask_each(1, 2, 3)
    large = desk.ask(np.ones((6, 1), np.float32))
    more = desk.ask_each(4, 5, 6)
    desk.gate.opened.set()
    assert await values_of(first, *small, large, *more) == [-1, -1, -2, -3, -1, -4, -5, -6]
    assert desk.gate.calls == [1, 4, 6, 2]


async def test_requests_of_many_rows_count_by_their_rows(desk: Desk) -> None:
    desk.set_up(negating(), most_rows=8)
    first = desk.ask(one(1))
    await desk.entered()
    asked = [desk.ask(np.full((3, 1), value, np.float32)) for value in (1, 2, 3)]
    desk.gate.opened.set()
    assert await values_of(first, *asked) == [-1, -1, -2, -3]
    assert desk.gate.calls == [1, 6, 3]


async def test_only_what_has_one_shape_is_gathered(desk: Desk) -> None:
    desk.set_up(negating())
    first = desk.ask(one(1))
    await desk.entered()
    asked = [desk.ask(np.full((1, 2 + turn % 2), turn, np.float32)) for turn in range(6)]
    desk.gate.opened.set()
    assert await values_of(first, *asked) == [-1, 0, -1, -2, -3, -4, -5]
    assert desk.gate.calls == [1, 3, 3]
    assert [len((await outputs)["y"][0]) for outputs in asked] == [2, 3] * 3


async def test_without_batches_each_runs_alone(desk: Desk) -> None:
    desk.set_up(negating(), most_rows=1)
    first = desk.ask(one(1))
    await desk.entered()
    others = desk.ask_each(2, 3)
    desk.gate.opened.set()
    assert await values_of(first, *others) == [-1, -2, -3]
    assert desk.gate.calls == [1, 1, 1]


async def test_two_threads_compute_at_once(desk: Desk) -> None:
    desk.set_up(negating(), threads=2)
    asked = desk.ask_each(1, 2)
    await desk.entered()
    await desk.entered()
    asked += desk.ask_each(3, 4)
    desk.gate.opened.set()
    assert await values_of(*asked) == [-1, -2, -3, -4]
    assert desk.tally().rows == 4


async def test_a_full_queue_refuses_and_recovers(desk: Desk) -> None:
    desk.set_up(negating(), queue=2)
    first = desk.ask(one(1))
    await desk.entered()
    waiting = desk.ask_each(2, 3)
    with pytest.raises(RequestError, match="2 requests wait for small version 1 already") as full:
        desk.ask(one(4))
    assert full.value.status == 503
    desk.gate.opened.set()
    assert await values_of(first, *waiting) == [-1, -2, -3]
    assert await values_of(desk.ask(one(5))) == [-5]


async def test_who_goes_away_leaves_the_queue(desk: Desk) -> None:
    desk.set_up(negating(), queue=2)
    first = desk.ask(one(1))
    await desk.entered()
    gone, stays = (asyncio.ensure_future(asked) for asked in desk.ask_each(2, 3))
    gone.cancel()
    late = desk.ask(one(4))
    desk.gate.opened.set()
    assert await values_of(first, stays, late) == [-1, -3, -4]
    assert desk.gate.calls == [1, 2]


async def test_who_goes_away_while_it_is_computed_harms_nobody(desk: Desk) -> None:
    desk.set_up(negating())
    gone = asyncio.ensure_future(desk.ask(one(1)))
    await desk.entered()
    gone.cancel()
    other = desk.ask(one(2))
    desk.gate.opened.set()
    assert await values_of(other) == [-2]


async def test_a_deadline_ends_what_waits_and_what_is_computed(desk: Desk) -> None:
    desk.set_up(negating(), deadline=0.05)
    computed = desk.ask(one(1))
    await desk.entered()
    waiting = desk.ask(one(2))
    for asked in (computed, waiting):
        with pytest.raises(RequestError, match=r"gave no answer within 0.05 s") as late:
            await asked
        assert late.value.status == 504
    desk.gate.opened.set()
    while desk.tally().in_flight or desk.tally().queued:
        await asyncio.sleep(0)
    assert desk.gate.calls == [1]


async def test_what_is_computed_without_end_gives_its_thread_back(desk: Desk) -> None:
    desk.set_up(turning(), most_rows=1, deadline=0.3)
    desk.gate.opened.set()
    endless = desk.ask(one(1e15))
    with pytest.raises(RequestError, match=r"gave no answer within 0\.3 s") as late:
        await endless
    assert late.value.status == 504
    answers: list[float] = []
    for _ in range(20):
        with contextlib.suppress(RequestError):
            answers += await values_of(desk.ask(one(2)))
    assert set(answers) == {2.0}


async def test_what_is_late_when_its_turn_comes_is_not_computed(desk: Desk) -> None:
    """However busy the loop was: its own alarm has had no time to ring."""
    desk.set_up(negating())
    first = desk.ask(one(1))
    assert desk.gate.entered.acquire(timeout=30)
    late = desk.ask(one(2), received=time.perf_counter() - 31)
    desk.gate.opened.set()
    assert await values_of(first) == [-1]
    with pytest.raises(RequestError, match="gave no answer within 30 s"):
        await late
    assert desk.gate.calls == [1]


async def test_the_alarm_rings_for_each_in_its_turn(desk: Desk) -> None:
    desk.set_up(negating(), deadline=0.1)
    asked = [desk.ask(one(1))]
    await desk.entered()
    asked += [desk.ask(one(2), received=time.perf_counter() + wait) for wait in (0.05, 0.1)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [getattr(answer, "status", None) for answer in answers] == [504] * 3
    desk.gate.opened.set()


async def test_a_request_that_the_model_refuses_fails_alone(desk: Desk) -> None:
    desk.set_up(looking_up(), takes="INT64")
    first = desk.ask(np.array([[0]]))
    await desk.entered()
    asked = [desk.ask(np.array([[value]])) for value in (1, 99, 3)]
    desk.gate.opened.set()
    answers = await asyncio.gather(first, *asked, return_exceptions=True)
    refused = answers.pop(2)
    assert isinstance(refused, RequestError)
    assert refused.status == 400
    assert "the model refuses these inputs" in str(refused)
    assert [float(answer["y"][0, 0]) for answer in answers] == [0.0, 0.5, 1.5]  # type: ignore[index]
    assert desk.gate.calls == [1, 3, 1, 1, 1]


async def test_a_model_that_mixes_rows_is_never_given_a_batch_again(desk: Desk) -> None:
    desk.set_up(reducing())
    first = desk.ask(one(1))
    await desk.entered()
    asked = desk.ask_each(2, 3)
    desk.gate.opened.set()
    assert await values_of(first, *asked) == [1, 2, 3]
    desk.gate.opened.clear()
    first = desk.ask(one(4))
    await desk.entered()
    asked = desk.ask_each(5, 6)
    desk.gate.opened.set()
    assert await values_of(first, *asked) == [4, 5, 6]
    assert desk.gate.calls == [1, 2, 1, 1, 1, 1, 1]


async def test_closing_answers_what_it_has_and_takes_no_more(desk: Desk) -> None:
    desk.set_up(negating())
    before = threads_of_models()
    asked = desk.ask_each(1, 2)
    await desk.entered()
    (thread,) = threads_of_models() - before
    desk.runner.close()
    with pytest.raises(RequestError, match="has been taken out of service") as refused:
        desk.ask(one(3))
    assert refused.value.status == 503
    desk.gate.opened.set()
    assert await values_of(*asked) == [-1, -2]
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()


async def test_closing_at_rest_ends_the_threads(desk: Desk) -> None:
    desk.set_up(negating())
    before = threads_of_models()
    desk.gate.opened.set()
    assert await values_of(desk.ask(one(1))) == [-1]
    (thread,) = threads_of_models() - before
    desk.runner.close()
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], QueueRunner]:
    """Makes queues over one model that is free to run."""
    folder = tmp_path_factory.mktemp("crowded")
    model = load(Shelf(folder).put(negating()))

    def make(most_rows: int, threads: int) -> QueueRunner:
        counters = Counters(folder / "counters", "small", str(most_rows), 0)
        chosen = ServerSettings(queue=100_000)
        return QueueRunner(model, Batching(0, most_rows), chosen, counters, threads)

    make.folder = folder  # type: ignore[attr-defined]
    return make


@settings(max_examples=ROUNDS, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.booleans()), max_size=60),
    st.integers(1, 12),
    st.integers(1, 3),
)
def test_in_every_order_each_answer_is_its_own(
    crowded: Callable[[int, int], QueueRunner],
    requests: list[tuple[int, int, bool]],
    most_rows: int,
    threads: int,
) -> None:
    async def ask_all() -> None:
        runner = crowded(most_rows, threads)
        asked = []
        for number, (rows, columns, pauses) in enumerate(requests):
            sent = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
            sent += 1000 * number
            asked.append((sent, runner.run({"x": sent}, rows, time.perf_counter())))
            if pauses:
                await asyncio.sleep(0)
        for sent, answer in asked:
            assert np.array_equal((await answer)["y"], -sent)
        runner.close()

    asyncio.run(ask_all())


@pytest.mark.long
def test_of_a_hundred_thousand_none_gets_the_answer_of_another(
    crowded: Callable[[int, int], QueueRunner],
) -> None:
    total, clients = 100_000, 64

    async def ask(runner: QueueRunner, client: int) -> int:
        rng = np.random.default_rng(client)
        wrong = 0
        for turn in range(client, total, clients):
            rows = int(rng.choice((1, 1, 1, 2, 3, 8, 40)))
            # Below 2 to the 24th float32 has every whole number: no two requests share one.
            sent = np.full((rows, 1 + turn % 2), turn, np.float32)
            answer = await runner.run({"x": sent}, rows, time.perf_counter())
            wrong += not np.array_equal(answer["y"], -sent)
        return wrong

    async def ask_all(threads: int) -> list[int]:
        runner = crowded(32, threads)
        return await asyncio.gather(*(ask(runner, client) for client in range(clients)))

    for threads in (1, 2):
        assert sum(asyncio.run(ask_all(threads))) == 0
    (tally,) = [
        each
        for each in read_tallies(crowded.folder / "counters")  # type: ignore[attr-defined]
        if each.version == "32"
    ]
    assert tally.calls < 1.5 * total  # of two times as many requests
