"""Laws of runs in variants, beside random histories of the project itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.commands import RunStages
from mlbench.domain.events import RunStarted
from mlbench.domain.outcomes import StageOutcome
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from tests.engine.test_flight_laws import MACHINE, Going, World, make_world

_ENDINGS = [StageOutcome.RAN, StageOutcome.RESTORED, StageOutcome.FAILED]


@dataclass
class TwoWorlds(World):
    """The world of the project, and variants beside it that share jobs and resources with it."""

    apart: dict[tuple[str, str], Going] = field(default_factory=dict)
    requested: list[got.Asked] = field(default_factory=list)
    slots: dict[str, str] = field(default_factory=dict)
    variants: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.MakeVariant(request):
                self.requested.append(request)
            case do.DropVariant(slot):
                self.dropped[slot] += 1
            case do.StartStage(variant=slot) if slot:
                self.start_apart(effect)
            case do.StopStage(run, stage, outcome) if (run, stage) in self.apart:
                going = self.apart[run, stage]
                going.stop = going.stop or outcome
            case do.TellUnchanged(run, statuses, slot) if slot:
                self.finished.update((run, status.name) for status in statuses)
            case do.CloseRun(flight) if flight.variant:
                self.dropped[flight.variant] += 1
                super().carry_out(effect)
            case do.Tell(RunStarted(run=run, params=params)):
                begun = self.state.flight(run)
                assert begun is None or bool(begun.variant) == bool(params)
            case _:
                super().carry_out(effect)

    def start_apart(self, effect: do.StartStage) -> None:
        assert (effect.run, effect.stage) not in self.apart, "one build of a stage in one place"
        assert self.slots.setdefault(effect.variant, effect.run) == effect.run, "one run a slot"
        flight = next(one for one in self.state.flights if one.run == effect.run)
        for before in flight.needs[effect.stage]:
            assert flight.outcomes[before].stands, "what it needs stands"
        everywhere = [*self.going.values(), *self.apart.values()]
        is_due = not any(going.run == effect.run for going in everywhere)
        going = Going(effect.run, effect.gpus, effect.variant, is_due)
        self.apart[effect.run, effect.stage] = going
        self.check_room()

    def check_room(self) -> None:
        super().check_room()
        everywhere = [*self.going.items()]
        everywhere += [(stage, going) for (_, stage), going in self.apart.items()]
        gpus = [gpu for _, going in everywhere for gpu in going.gpus]
        assert len(gpus) == len(set(gpus)), "a GPU is given out once"
        wants = {id(going): self.project.stage(stage).resources for stage, going in everywhere}
        assert sum(one.memory or 0 for one in wants.values()) <= MACHINE.memory
        within = [going for _, going in everywhere if not going.is_due]
        assert len(within) <= self.project.jobs
        assert sum(wants[id(going)].cpu or 0 for going in within) <= MACHINE.cores

    def ask(self) -> None:
        if self.random.random() < 0.5:
            super().ask()
            return
        command_id = f"c{self.clock}"
        self.asked.append(command_id)
        names = tuple(name for name in self.needs if self.random.random() < 0.5)
        force = self.random.random() < 0.3
        command = RunStages(names, force=force, params={"rate": self.clock})
        self.feed(got.Asked(command_id, command))

    def answer_request(self) -> None:
        request = self.requested.pop(0)
        if self.random.random() < 0.2:
            self.feed(got.VariantFailed(request, "no such parameter", 2))
            return
        self.variants += 1
        self.feed(
            got.VariantMade(f"set-{self.variants}", self.plan(), self.project, MACHINE, request)
        )

    def end_apart(self) -> None:
        run, name = self.random.choice(list(self.apart))
        going = self.apart.pop((run, name))
        outcome = going.stop or self.random.choice(_ENDINGS)
        self.feed(got.StageDone(run, name, outcome, 1.0, "key"))

    def work(self) -> bool:
        if self.requested:
            self.answer_request()
            return True
        if self.apart and self.random.random() < 0.3:
            self.end_apart()
            return True
        return super().work() or bool(self.requested or self.apart)

    def live(self, steps: int) -> None:
        for _ in range(steps):
            way = self.random.random()
            if way < 0.10:
                self.edit()
            elif way < 0.35:
                self.ask()
            elif way < 0.38:
                self.stop()
            elif way < 0.40:
                name = self.random.choice(list(self.needs))
                self.failing ^= {self.sources(name)}
            else:
                self.work()


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 120))
def test_they_share_the_machine_and_nothing_else(random: Random, steps: int) -> None:
    plain = make_world(random)
    world = TwoWorlds(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    world.live(steps)
    world.rest()
    assert world.state.is_idle
    assert not world.apart
    assert all(world.answered[command] == 1 for command in world.asked), "answered once"
    assert all(world.dropped[f"set-{number}"] == 1 for number in range(1, world.variants + 1))
    if world.state.watching:
        given_up = {n for n, key in world.state.given_up.items() if key == repr(world.sources(n))}
        for name, before in world.needs.items():
            if not world.is_fresh(name):
                assert name in given_up or given_up & set(before), "what is stale is started"
                given_up.add(name)
