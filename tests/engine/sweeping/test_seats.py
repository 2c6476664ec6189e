"""Stages side by side never take more than the machine has."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from mlbench.domain.stages import Resources, Stage
from mlbench.engine.machine import Machine
from mlbench.engine.sweeping.seats import Seats

MACHINE = Machine(cores=4, gpus=("0", "1"), memory=10)


def stage(cpu: int | None = None, gpu: int = 0, memory: int | None = None) -> Stage:
    return Stage("train", ("true",), resources=Resources(cpu, gpu, memory))


def never() -> bool:
    return False


def test_each_stage_has_gpus_of_its_own() -> None:
    seats = Seats(MACHINE)
    with seats.taken(stage(gpu=1), never) as one, seats.taken(stage(gpu=1), never) as other:
        assert {*one, *other} == {"0", "1"}
    with seats.taken(stage(gpu=2), never) as both:
        assert set(both) == {"0", "1"}


def test_who_finds_too_little_waits_until_there_is_enough() -> None:
    seats = Seats(MACHINE)
    has_begun = threading.Event()

    def second() -> None:
        with seats.taken(stage(cpu=2, memory=6), never):
            has_begun.set()

    for first in (stage(cpu=3), stage(memory=5)):
        has_begun.clear()
        thread = threading.Thread(target=second)
        with ExitStack() as stack:
            stack.enter_context(seats.taken(first, never))
            thread.start()
            assert not has_begun.wait(0.05)
        assert has_begun.wait(10)
        thread.join()


def test_who_is_stopping_does_not_wait() -> None:
    seats = Seats(MACHINE)
    with seats.taken(stage(gpu=2), never), seats.taken(stage(gpu=1), lambda: True) as got:
        assert got == ()
    with seats.taken(stage(gpu=2), never) as both:
        assert len(both) == 2


def test_what_is_launched_elsewhere_takes_nothing_here() -> None:
    seats = Seats(MACHINE)
    elsewhere = Stage("train", ("true",), launch=("srun",), resources=Resources(64, 8, 10**12))
    with seats.taken(elsewhere, never) as got:
        assert got == ()


def test_what_was_begun_before_keeps_its_gpus() -> None:
    seats = Seats(MACHINE)
    seats.hold(MACHINE.gpus[1:])
    with seats.taken(stage(gpu=1), never) as other:
        assert other == MACHINE.gpus[:1]
        with seats.taken(stage(gpu=1), never, MACHINE.gpus[1:]) as kept:
            assert kept == MACHINE.gpus[1:]
    with seats.taken(stage(gpu=2), never) as both:
        assert set(both) == set(MACHINE.gpus)
