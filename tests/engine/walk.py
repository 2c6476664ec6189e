"""Feeds inputs to the loop's decisions and keeps what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from mlbench.domain.commands import RunStages
from mlbench.domain.events import Event
from mlbench.domain.outcomes import ReasonKind, StageOutcome, StageState
from mlbench.domain.plan import Plan, Reason, StageStatus
from mlbench.domain.stages import Out, Project, Stage
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.machine import Machine
from mlbench.engine.state import LoopState, NewRun
from mlbench.engine.steps import step

RUN = got.Asked("c1", RunStages())
NEEDS: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
MACHINE = Machine(cores=8, gpus=("0", "1"), memory=16_000_000_000)
Stages = Mapping[str, Stage]
NO_STAGES: Stages = {}
E = TypeVar("E")


def plan(
    *stale: str,
    keys: Mapping[str, str] | None = None,
    needs: Mapping[str, tuple[str, ...]] = NEEDS,
    kind: ReasonKind = ReasonKind.FILE,
) -> Plan:
    """These stages are stale by themselves, and what is built from them by that."""
    states: dict[str, StageStatus] = {}
    for name, before in needs.items():
        reasons = [Reason(kind, "x")] if name in stale else []
        reasons += [
            Reason(ReasonKind.UPSTREAM, up) for up in before if states[up].state is StageState.STALE
        ]
        state = StageState.STALE if reasons else StageState.FRESH
        key = (keys or {}).get(name, f"key-{name}")
        states[name] = StageStatus(name, state, tuple(reasons), key)
    return Plan(tuple(states.values()), dict(needs))


def project(
    jobs: int = 2,
    needs: Mapping[str, tuple[str, ...]] = NEEDS,
    stages: Stages = NO_STAGES,
) -> Project:
    """A project of these stages, each with one out of its own name."""
    plain = {name: Stage(name, ("true",), outs=(Out(f"out/{name}"),)) for name in needs}
    return Project("t", "python", jobs, tuple({**plain, **stages}.values()))


def planned(
    made: Plan,
    request: got.Asked | None = None,
    jobs: int = 2,
    looks: tuple[got.Look, ...] = (),
    machine: Machine = MACHINE,
    stages: Stages = NO_STAGES,
) -> got.Planned:
    """The answer to MakePlan."""
    return got.Planned(made, project(jobs, made.needs, stages), machine, request, looks)


class Walk:
    """The state, and the effects of the last inputs; runs are named r1, r2 … as they begin."""

    def __init__(self, **state: object) -> None:
        self.state = replace(LoopState(), **state)  # type: ignore[arg-type]
        self.effects: list[do.Effect] = []
        self.now = 0.0
        self._runs = 0

    def feed(self, *happened: got.Input) -> list[do.Effect]:
        self.effects = []
        for one in happened:
            run = f"r{self._runs + 1}"
            before = {flight.run for flight in self.state.flights}
            self.state, effects = step(one, self.state, NewRun(run, f"name-{run}", self.now))
            opened = {flight.run for flight in self.state.flights} - before
            closed = {effect.flight.run for effect in effects if isinstance(effect, do.CloseRun)}
            self._runs += run in opened | closed
            self.effects += effects
        return self.effects

    def settle(self, answer: got.Planned) -> list[do.Effect]:
        """Answer with this plan until the loop asks for no other."""
        effects: list[do.Effect] = []
        while self.state.planning:
            effects += self.feed(answer)
        self.effects = effects
        return effects

    def of(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def started(self, run: str | None = None) -> list[str]:
        return [one.stage for one in self.of(do.StartStage) if run in (None, one.run)]

    def stopped(self) -> list[tuple[str, str]]:
        return [(one.run, one.stage) for one in self.of(do.StopStage)]

    def told(self, kind: type[E]) -> list[E]:
        events: list[Event] = [effect.event for effect in self.of(do.Tell)]
        return [event for event in events if isinstance(event, kind)]

    def done(
        self,
        stage: str,
        outcome: StageOutcome = StageOutcome.RAN,
        run: str = "r1",
        moved: str | None = None,
        moved_by_itself: bool | None = None,
    ) -> list[do.Effect]:
        return self.feed(
            got.StageDone(
                run,
                stage,
                outcome,
                1.0,
                f"key-{stage}",
                moved=moved,
                moved_by_itself=moved_by_itself,
            )
        )

    def running(self) -> dict[str, list[str]]:
        return {flight.run: sorted(flight.running) for flight in self.state.flights}


def all_running(jobs: int = 2) -> Walk:
    """A run of everything that somebody asked for, with the watch on; `a` runs."""
    walk = Walk(watching=True)
    walk.feed(RUN, planned(plan("a", "b", "c", "d"), RUN, jobs))
    return walk
