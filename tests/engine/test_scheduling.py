"""Which stages may start: resources, and what this machine can't do at all."""

from __future__ import annotations

import pytest

from mlbench.domain.commands import RunStages
from mlbench.domain.events import StageFinished
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.stages import Resources, Stage
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.machine import Machine, this_machine, visible_gpus
from mlbench.engine.scheduling import refusal
from tests.engine.walk import MACHINE, RUN, Walk, plan, planned

NEEDS: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ()}


def wanting(machine: Machine = MACHINE, **wants: Resources) -> Walk:
    stages = {name: Stage(name, ("true",), resources=wants[name]) for name in wants}
    walk = Walk()
    made = planned(plan("a", "b", "c", needs=NEEDS), RUN, 3, machine=machine, stages=stages)
    walk.feed(RUN, made)
    return walk


def test_gpus_are_given_out_and_come_back() -> None:
    one = Resources(gpu=1)
    walk = wanting(a=one, b=one, c=one)
    assert [(s.stage, s.gpus) for s in walk.of(do.StartStage)] == [("a", ("0",)), ("b", ("1",))]
    walk.done("b")
    assert [(s.stage, s.gpus) for s in walk.of(do.StartStage)] == [("c", ("1",))]


def test_cores_are_shared_and_a_stage_that_names_none_takes_none() -> None:
    walk = wanting(a=Resources(cpu=6), b=Resources(cpu=3))
    assert walk.started() == ["a", "c"]
    walk.done("a")
    assert walk.started() == ["b"]


def test_memory_is_shared() -> None:
    walk = wanting(a=Resources(memory=10_000_000_000), b=Resources(memory=7_000_000_000))
    assert walk.started() == ["a", "c"]


def test_what_is_launched_elsewhere_takes_nothing_here() -> None:
    far = Stage("a", ("true",), launch=("srun",), resources=Resources(cpu=900, gpu=8))
    walk = Walk()
    walk.feed(RUN, planned(plan("a", "b", needs=NEEDS), RUN, 3, stages={"a": far}))
    assert [(s.stage, s.gpus) for s in walk.of(do.StartStage)] == [("a", ()), ("b", ())]


@pytest.mark.parametrize(
    ("wants", "said"),
    [
        (Resources(gpu=3), "asks for 3 GPUs and this machine has 2; lower stages.a.resources"),
        (Resources(cpu=9), "asks for 9 cores and this machine has 8"),
        (Resources(memory=64_000_000_000), "asks for 64 GB of memory and this machine has 16 GB"),
    ],
)
def test_what_this_machine_never_has_is_refused_at_once(wants: Resources, said: str) -> None:
    walk = wanting(a=wants)
    failed = walk.told(StageFinished)
    assert [(event.stage, event.outcome) for event in failed] == [("a", StageOutcome.FAILED)]
    assert failed[0].message.startswith(said)
    assert walk.started() == ["b", "c"]


def test_a_machine_without_a_gpu_says_so() -> None:
    stage = Stage("a", ("true",), resources=Resources(gpu=1))
    assert refusal(stage, Machine(2, (), 1)).startswith("asks for 1 GPU and this machine has none;")


def test_a_request_has_cores_of_its_own_but_never_memory() -> None:
    busy = {
        "a": Stage("a", ("true",), resources=Resources(cpu=8)),
        "b": Stage("b", ("true",), resources=Resources(cpu=2)),
        "c": Stage("c", ("true",), resources=Resources(memory=16_000_000_000)),
    }
    walk = Walk()
    first, second = got.Asked("c1", RunStages(("a",))), got.Asked("c2", RunStages(("b",)))
    made = plan("a", "b", "c", needs=NEEDS)
    walk.feed(first, planned(made, first, 1, stages=busy))
    walk.feed(second, planned(made, second, 1, stages=busy))
    assert walk.running() == {"r1": ["a"], "r2": ["b"]}


@pytest.mark.parametrize(
    ("text", "ids"),
    [("0,1", ("0", "1")), ("GPU-8f, 3", ("GPU-8f", "3")), ("", ()), ("-1", ()), ("0,-1,1", ("0",))],
)
def test_gpus_are_read_as_cuda_reads_them(text: str, ids: tuple[str, ...]) -> None:
    assert visible_gpus(text) == ids


def test_this_machine_has_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    machine = this_machine(with_gpus=True)
    assert machine.gpus == ("5", "7")
    assert machine.cores >= 1
    assert machine.memory > 100_000_000
    assert this_machine(with_gpus=False).gpus == ()
