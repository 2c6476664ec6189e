"""Which stages may start now, over all flights: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mlbench.domain.stages import Stage
from mlbench.engine.machine import Machine
from mlbench.engine.state import Flight

_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Start:
    """A stage that may start, and the GPUs that it gets."""

    run: str
    stage: str
    gpus: tuple[str, ...] = ()


@dataclass
class _Floor:
    """What is taken, as stages are given their places one after the other."""

    count: int = 0
    running: set[str] = field(default_factory=set)
    being_read: set[str] = field(default_factory=set)
    seats: dict[str, int] = field(default_factory=dict)
    cores: int = 0
    memory: int = 0
    gpus: set[str] = field(default_factory=set)

    def seat(self, flight: Flight, name: str, gpus: tuple[str, ...], *, reads: bool) -> None:
        """Take what a stage takes."""
        stage = flight.stages[name]
        self.count += 1
        if not flight.variant:
            self.running.add(name)
        if reads and not flight.variant:
            self.being_read |= flight.reads[name]
        self.seats[flight.run] = self.seats.get(flight.run, 0) + 1
        self.gpus |= set(gpus)
        if not stage.launch:
            self.cores += stage.resources.cpu or 0
            self.memory += stage.resources.memory or 0


def startable(
    flights: Iterable[Flight],
    machine: Machine,
    jobs: int,
    being_restored: frozenset[str] = frozenset(),
) -> tuple[tuple[Start, ...], tuple[Start, ...]]:
    """The stages that may start, those that somebody asked for first; and those that never can.

    Its needs stand; nobody runs it, reads its outs or writes what it reads; jobs and resources
    allow. A flight that somebody asked for always has one job and the cores for it, so that
    nobody waits for a long training to end; memory and GPUs can't be shared like that. Of those
    `being_restored` the outs are being written.
    """
    flights = tuple(flights)
    floor = _Floor(running=set(being_restored))
    for flight in flights:
        for name, seat in flight.running.items():
            # In a snapshot of its own: it reads nothing here once it has begun.
            apart = flight.stages[name].isolate and seat.began != ""
            floor.seat(flight, name, seat.gpus, reads=not apart)
    starts: list[Start] = []
    refused: list[Start] = []
    for flight in sorted(flights, key=lambda flight: not flight.is_by_hand):
        for name in flight.free:
            if not _has_a_job(floor, flight, jobs):
                break
            if refusal(flight.stages[name], machine):
                refused.append(Start(flight.run, name))
                continue
            gpus = _place(floor, flight, name, machine)
            if gpus is not None:
                floor.seat(flight, name, gpus, reads=True)
                starts.append(Start(flight.run, name, gpus))
    return tuple(starts), tuple(refused)


def refusal(stage: Stage, machine: Machine) -> str:
    """Why a stage can never run on this machine, in one sentence; empty where it can."""
    if stage.launch:
        return ""
    wants = stage.resources
    where = f"lower stages.{stage.name}.resources in mlbench.toml, or launch it elsewhere"
    if (wants.cpu or 0) > machine.cores:
        return f"asks for {wants.cpu} cores and this machine has {machine.cores}; {where}"
    if wants.gpu > len(machine.gpus):
        has = len(machine.gpus) or "none"
        return f"asks for {wants.gpu} GPU{'s'[: wants.gpu - 1]} and this machine has {has}; {where}"
    if (wants.memory or 0) > machine.memory:
        asked, there = (wants.memory or 0) / _GIGABYTE, machine.memory / _GIGABYTE
        return f"asks for {asked:.3g} GB of memory and this machine has {there:.3g} GB; {where}"
    return ""


def _is_apart(floor: _Floor, flight: Flight, name: str) -> bool:
    """Whether nobody runs the stage, reads its outs, or writes what it reads.

    In a variant there is nobody else.
    """
    return bool(flight.variant) or (
        name not in floor.running
        and name not in floor.being_read
        and floor.running.isdisjoint(flight.reads[name])
    )


def _has_its_due(floor: _Floor, flight: Flight) -> bool:
    """Whether nothing of a flight that somebody asked for runs yet."""
    return flight.is_by_hand and not floor.seats.get(flight.run)


def _has_a_job(floor: _Floor, flight: Flight, jobs: int) -> bool:
    if _has_its_due(floor, flight):
        return True
    own = floor.seats.get(flight.run, 0)
    return own < flight.jobs and floor.count < max(jobs, flight.jobs)


def _place(floor: _Floor, flight: Flight, name: str, machine: Machine) -> tuple[str, ...] | None:
    """The GPUs that a stage gets; None where it can't start beside what runs."""
    stage = flight.stages[name]
    if not _is_apart(floor, flight, name):
        return None
    if stage.launch:
        return ()
    wants = stage.resources
    cores_allow = floor.cores + (wants.cpu or 0) <= machine.cores
    if not (cores_allow or _has_its_due(floor, flight)):
        return None
    if wants.memory and floor.memory + wants.memory > machine.memory:
        return None
    free = [gpu for gpu in machine.gpus if gpu not in floor.gpus]
    return tuple(free[: wants.gpu]) if len(free) >= wants.gpu else None
