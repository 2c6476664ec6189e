"""What a pruner is told: the same steps whenever one looks, and few of many."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.sweeps import Component
from mlbench.engine.sweeping.pruning import StepFollower, grids_of, rung_of
from mlbench.inside.steplog import POINT
from mlbench.inside.stepwriter import StepWriter
from mlbench.tracking.steps import RECORD_TYPE

Look = Callable[[], None]
steps = st.integers(-3, 200) | st.integers(0, 2**62)
writes = st.tuples(st.integers(0, 2), st.sampled_from(["loss", "other"]), steps, st.booleans())


@contextmanager
def folders(count: int) -> Iterator[list[Path]]:
    """Folders of stages that exist already."""
    with ExitStack() as stack:
        made = (stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(count))
        yield [Path(name) for name in made]


def write_log(folder: Path, steps: Sequence[int], name: str = "loss") -> None:
    """A step log as one process leaves it, value = step."""
    records = np.zeros(len(steps), RECORD_TYPE)
    records["step"] = records["value"] = records["at"] = steps
    records["kind"] = POINT
    (folder / "steps-1-1.bin").write_bytes(records.tobytes())
    (folder / "steps-1-1.names").write_text(f"{name}\n")


def reported(logged: Sequence[int], folder: Path, pruner: Component | None = None) -> list[int]:
    """The steps of one log that a pruner is told."""
    write_log(folder, logged)
    return [step for step, _ in StepFollower([folder], "loss", pruner).new()]


@given(st.lists(writes, max_size=60), st.sampled_from([None, Component("HyperbandPruner")]))
@settings(max_examples=60, deadline=None)
def test_the_moments_of_looking_make_no_difference(
    logged: list[tuple[int, str, int, bool]], pruner: Component | None
) -> None:
    """Of two processes in two stages' folders, and another language in one of them."""
    with folders(2) as places, (places[0] / "steps-r.jsonl").open("w") as lines:
        writers = [StepWriter(str(place)) for place in places]
        often, found = StepFollower(places, "loss", pruner), []
        for at, (who, name, step, is_looked_at) in enumerate(logged):
            if who < 2:
                writers[who].add(name, float(at), step, float(at))
            else:
                row = {"name": name, "step": step, "value": at, "at": at}
                print(json.dumps(row), file=lines, flush=True)
            if is_looked_at:
                found += often.new()
        found += often.new()
        once = StepFollower(places, "loss", pruner).new()
        assert sorted(found) == once
        assert len(dict(once)) == len(once)
        assert all(logged[int(value)][1:3] == ("loss", step) for step, value in once)
        assert all(step >= 0 for step in dict(once))
        for writer in writers:
            writer.close()


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_cells_rise_with_the_steps(one: int, other: int) -> None:
    assert (rung_of(one) <= rung_of(other)) is (one <= other or rung_of(one) == rung_of(other))
    assert rung_of(min(one, 63)) == min(one, 63)
    octave = one.bit_length()
    assert rung_of(2 ** (octave + 6)) - rung_of(2 ** (octave + 5)) == 32


def test_of_200_000_points_a_few_hundred_are_told(tmp_path: Path) -> None:
    told = reported(range(200_000), tmp_path)
    assert 400 < len(told) < 500
    assert told[:67] == [*range(64), 64, 66, 68]
    assert all(later - step <= max(1, step // 32) for step, later in pairwise(told))


def test_what_is_logged_every_hundredth_step_is_told_too(tmp_path: Path) -> None:
    """A grid of fixed steps would hit none of 99, 199, …, and nothing were ever pruned."""
    told = reported(range(99, 50_000, 100), tmp_path)
    assert told[:20] == list(range(99, 2000, 100))
    assert len(told) > 100


@pytest.mark.parametrize(
    ("pruner", "asked"),
    [
        (
            Component("MedianPruner", {"n_warmup_steps": 5001, "interval_steps": 1000}),
            {5001, 6001, 11_001, 45_001},
        ),
        (Component("ThresholdPruner", {"upper": 1.0, "n_warmup_steps": 777}), {777}),
        (
            Component("SuccessiveHalvingPruner", {"min_resource": 101, "reduction_factor": 3}),
            {101, 303, 909, 2727, 8181, 24_543},
        ),
        (Component("HyperbandPruner", {"max_resource": 10_000}), {81, 243, 729, 2187, 6561}),
        (Component("SuccessiveHalvingPruner", {"min_resource": "auto"}), set()),
        (Component("NopPruner"), set()),
    ],
)
def test_a_pruner_is_told_where_it_asks(pruner: Component, asked: set[int], tmp_path: Path) -> None:
    told = reported(range(50_000), tmp_path, pruner)
    plain = [step for step, _ in StepFollower([tmp_path], "loss").new()]
    assert set(told) >= asked | set(plain)
    assert (len(grids_of(pruner)) > 1) is bool(asked)
    assert not asked or not asked <= set(plain)
    assert len(told) < 2 * len(plain)


def test_what_is_not_finite_is_told_as_nan_and_the_first_value_of_a_step_counts(
    tmp_path: Path,
) -> None:
    follower = StepFollower([tmp_path / "later", tmp_path], "loss")
    assert follower.new() == []
    writer = StepWriter(str(tmp_path))
    for step, value in ((0, math.inf), (1, math.nan), (2, -math.inf), (3, 0.5), (3, 0.7)):
        writer.add("loss", value, step, 1.0)
    assert repr(follower.new()) == "[(0, nan), (1, nan), (2, nan), (3, 0.5)]"
    assert follower.new() == []
    writer.close()
