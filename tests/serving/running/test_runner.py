"""Quick models answer in the event loop, and give way to threads where a request is large."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.domain.serving import ServerSettings
from mlbench.domain.tally import Tally
from mlbench.serving.counters import Counters
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError
from mlbench.serving.running.loading import load
from mlbench.serving.running.runner import Runner, make_runner
from mlbench.serving.tallies import read_tallies
from tests.serving.running.shelf import FREE, Shelf, looking_up, negating, rows_of_floats

# By these up to 10 rows take 1 ms.
QUICK = {"1": 0.1, "2": 0.2, "4": 0.4}
SLOW = {"1": 5.0, "2": 5.1, "4": 5.2}


def runner_of(deployed: DeployedModel, folder: Path, **given: bool) -> Runner:
    counters = Counters(folder / "counters", "small", "1", 0)
    return make_runner(load(deployed), ServerSettings(**given), counters, 1)  # type: ignore[arg-type]


def tally_in(folder: Path) -> Tally:
    (tally,) = read_tallies(folder / "counters")
    return tally


async def answer_of(runner: Runner, value: int) -> Array:
    outputs = runner.run({"x": np.array([[value]])}, 1, time.perf_counter())
    return (outputs if isinstance(outputs, dict) else await outputs)["y"]


async def test_a_quick_model_answers_at_once(shelf: Shelf, tmp_path: Path) -> None:
    runner = runner_of(shelf.put(negating(), timings=QUICK), tmp_path)
    outputs = runner.run({"x": np.ones((2, 3), np.float32)}, 2, time.perf_counter())
    assert isinstance(outputs, dict)
    assert outputs["y"].tolist() == [[-1.0] * 3] * 2
    tally = tally_in(tmp_path)
    assert (tally.calls, tally.rows, tally.waited) == (1, 2, 0.0)
    assert tally.computed > 0


async def test_a_large_request_goes_to_a_thread(shelf: Shelf, tmp_path: Path) -> None:
    runner = runner_of(shelf.put(negating(), timings=QUICK), tmp_path)
    assert runner.batching.inline_rows == 10
    at_once = runner.run({"x": np.ones((10, 3), np.float32)}, 10, time.perf_counter())
    assert isinstance(at_once, dict)
    later = runner.run({"x": np.ones((11, 3), np.float32)}, 11, time.perf_counter())
    assert not isinstance(later, dict)
    assert (await later)["y"].shape == (11, 3)
    runner.close()
    assert tally_in(tmp_path).rows == 21


@pytest.mark.parametrize("timings", [{}, SLOW])
async def test_others_go_to_threads(
    shelf: Shelf, tmp_path: Path, timings: dict[str, float]
) -> None:
    runner = runner_of(shelf.put(negating(), timings=timings), tmp_path)
    assert runner.batching.most_rows == (4 if timings else 1)
    later = runner.run({"x": np.ones((1, 3), np.float32)}, 1, time.perf_counter())
    assert not isinstance(later, dict)
    assert (await later)["y"].tolist() == [[-1.0] * 3]
    runner.close()


async def test_batching_may_be_off(shelf: Shelf, tmp_path: Path) -> None:
    runner = runner_of(shelf.put(negating(), timings=SLOW), tmp_path, batching=False)
    assert runner.batching.most_rows == 1


@pytest.mark.parametrize("timings", [QUICK, SLOW])
async def test_what_the_model_refuses_is_the_clients_fault(
    shelf: Shelf, tmp_path: Path, timings: dict[str, float]
) -> None:
    signature = Signature((TensorSpec("x", "INT64", FREE),), rows_of_floats("y"))
    runner = runner_of(shelf.put(looking_up(), signature, timings), tmp_path)
    with pytest.raises(RequestError, match=r"the model refuses these inputs: .*Gather") as refused:
        await answer_of(runner, 99)
    assert refused.value.status == 400
    assert (await answer_of(runner, 6)).tolist() == [[3.0]]
    runner.close()
