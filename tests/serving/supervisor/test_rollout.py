"""The rollout under every interleaving of deployments, loads, failures and deaths."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlbench.domain.release import DeployedModel, Deployment, Signature
from mlbench.domain.serving import ServerSettings, Traffic
from mlbench.serving.control import (
    Commit,
    Committed,
    Loading,
    Message,
    Prepare,
    Prepared,
    Told,
    key_of,
    needed,
)
from mlbench.serving.supervisor import happenings
from mlbench.serving.supervisor.happenings import Death
from mlbench.serving.supervisor.progress import Rollout
from mlbench.serving.supervisor.rollout import Step

NAMES = ("a", "b")
VERSIONS = (1, 2, 3)
CRASH = Death("signal 11")
KILL = Death("signal 9", was_killed=True)
HUNG = Death("it was not done", was_hung=True)


def version(name: str, number: int) -> DeployedModel:
    return DeployedModel(
        name, number, f"{name}{number}", "run", f"{name}/{number}", Signature((), ())
    )


POOL = {f"{name}@{number}": version(name, number) for name in NAMES for number in VERSIONS}
EMPTY = Deployment("staging", 8101, 0)


@dataclass
class World:
    """Which files can't be loaded, and which kill whoever loads them."""

    broken: set[str] = field(default_factory=set)
    deadly: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    deaths: dict[str, int] = field(default_factory=dict)


@dataclass
class FakeWorker:
    """Does what a worker does, one message at a time."""

    world: World
    inbox: deque[Message] = field(default_factory=deque)
    outbox: deque[Message] = field(default_factory=deque)
    memory: list[DeployedModel] = field(default_factory=list)
    table: list[DeployedModel] = field(default_factory=list)
    settings: ServerSettings = field(default_factory=ServerSettings)
    prepared: Prepare | None = None
    failed: bool = False
    committed: int = 0
    death: Death | None = None
    told: list[Told] = field(default_factory=list)

    def work(self) -> None:
        message = self.inbox.popleft()
        if isinstance(message, Prepare):
            self.prepare(message)
        elif isinstance(message, Commit):
            assert self.prepared is not None
            assert (self.prepared.number, self.failed) == (message.number, False), "lacks a version"
            self.table = list(needed(self.prepared.deployment, self.prepared.loaded))
            assert all(model in self.memory for model in self.table), "a version is not in memory"
            self.settings = self.prepared.deployment.settings
            self.memory = list(self.table)
            self.committed = message.number
            self.outbox.append(Committed(message.number))
        elif isinstance(message, Told):
            self.told.append(message)

    def prepare(self, message: Prepare) -> None:
        goes_on = self.committed == 0 or message.deployment.settings == self.settings
        known = self.memory if goes_on else []
        errors = {}
        loaded = []
        for model in needed(message.deployment, message.loaded):
            key = key_of(model)
            if model not in known:
                self.outbox.append(Loading(message.number, key))
                if key in self.world.deadly | self.world.hanging:
                    self.world.deaths[key] = self.world.deaths.get(key, 0) + 1
                    self.death = CRASH if key in self.world.deadly else HUNG
                    return
                if key in self.world.broken:
                    errors[key] = f"{key} is broken"
                    continue
            loaded.append(model)
        self.memory = [*self.memory, *loaded] if goes_on else [*self.table, *loaded]
        self.prepared, self.failed = message, bool(errors)
        self.outbox.append(Prepared(message.number, errors))


class RolloutMachine(RuleBasedStateMachine):
    """A supervisor's rollout and its workers, with nothing between them but queues."""

    SIZE = 2

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.order = 0
        self.asks = 0
        self.asked_of: list[tuple[FakeWorker, int]] = []
        self.kills = 0
        self.state = Rollout(EMPTY, self.SIZE)
        self.workers: dict[int, FakeWorker] = {}
        for index in range(self.SIZE):
            self.start(index)

    def take(self, step: Step) -> None:
        self.state, sends = step
        for index, message in sends:
            worker = self.workers.get(index)
            if worker is not None and worker.death is None:
                worker.inbox.append(message)

    def start(self, index: int) -> None:
        self.workers[index] = FakeWorker(self.world)
        self.take(happenings.joined(self.state, index))

    def hear(self, index: int) -> None:
        worker = self.workers[index]
        if worker.outbox:
            self.take(happenings.heard(self.state, index, worker.outbox.popleft()))
        elif worker.death is not None:
            del self.workers[index]
            self.take(happenings.left(self.state, index, worker.death))

    @rule(
        live=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VERSIONS)),
        staged=st.sets(st.sampled_from(sorted(POOL)), max_size=1),
        beside=st.sets(st.sampled_from(sorted(POOL)), max_size=1),
        queue=st.sampled_from((256, 8)),
    )
    def deploy(self, live: dict[str, int], staged: set[str], beside: set[str], queue: int) -> None:
        self.order += 1
        models = tuple(version(name, number) for name, number in sorted(live.items()))
        shared = tuple(POOL[key] for key in beside if key not in map(key_of, models))
        self.wanted = Deployment(
            "staging",
            8101,
            self.order,
            models,
            tuple(POOL[key] for key in staged),
            self.order,
            beside=shared,
            traffic=tuple(
                Traffic(item.name, {str(item.version): 0.25, str(live[item.name]): 0.75})
                for item in shared
                if item.name in live
            ),
            settings=ServerSettings(queue=queue),
        )
        self.take(happenings.wanted(self.state, self.wanted))

    @rule(
        key=st.sampled_from(sorted(POOL)),
        how=st.sampled_from(("broken", "deadly", "hanging", "whole")),
    )
    def change_file(self, key: str, how: str) -> None:
        self.world.broken.discard(key)
        self.world.deadly.discard(key)
        self.world.hanging.discard(key)
        self.world.deaths.pop(key, None)
        if how != "whole":
            getattr(self.world, how).add(key)
        self.take(happenings.changed(self.state, {POOL[key].path}))

    @rule(
        keys=st.sets(st.sampled_from(sorted(POOL)), min_size=1, max_size=2), is_load=st.booleans()
    )
    def ask(self, keys: set[str], is_load: bool) -> None:
        alive = [i for i, worker in self.workers.items() if worker.death is None]
        if not alive:
            return
        self.asks += 1
        self.asked_of.append((self.workers[alive[0]], self.asks))
        act = happenings.load if is_load else happenings.unload
        self.take(act(self.state, alive[0], self.asks, tuple(POOL[key] for key in sorted(keys))))

    @rule(index=st.integers(0, 2))
    def let_work(self, index: int) -> None:
        worker = self.workers.get(index)
        if worker is not None and worker.death is None and worker.inbox:
            worker.work()

    @rule(index=st.integers(0, 2))
    def let_hear(self, index: int) -> None:
        if index in self.workers:
            self.hear(index)

    @rule(index=st.integers(0, 2))
    def let_start(self, index: int) -> None:
        if index < self.SIZE and index not in self.workers:
            self.start(index)

    @precondition(lambda self: self.kills < 3)
    @rule(index=st.integers(0, 2))
    def kill(self, index: int) -> None:
        worker = self.workers.get(index)
        if worker is not None and worker.death is None:
            self.kills += 1
            worker.death = KILL

    @invariant()
    def crashes_alone_leave_somebody_to_serve(self) -> None:
        if self.SIZE > 1 and self.kills == 0 and self.state.answering is not None:
            workers = self.workers.values()
            assert any(worker.death is None and worker.committed for worker in workers)

    @invariant()
    def a_deadly_version_kills_no_more_than_it_must(self) -> None:
        for key, deaths in self.world.deaths.items():
            # Those that have it to catch up may die of it as often as they are started.
            if self.state.standing is None or POOL[key] not in self.state.standing.versions:
                assert deaths <= self.SIZE + 2 + self.kills, (key, deaths)

    def teardown(self) -> None:
        self.settle()
        self.check_settled()

    def settle(self) -> None:
        """Let all that is under way end."""
        for _ in range(400):
            for index in range(self.SIZE):
                worker = self.workers.get(index)
                if worker is None:
                    if self.crash_loops < 12:
                        self.start(index)
                elif worker.outbox or worker.death is not None:
                    self.crash_loops += worker.death in (CRASH, HUNG) and not worker.outbox
                    self.hear(index)
                elif worker.inbox:
                    worker.work()

    crash_loops = 0

    def check_settled(self) -> None:
        state, standing = self.state, self.state.standing
        assert standing is not None
        assert standing is state.answering
        assert state.trial is None
        assert state.serving
        tables = [self.workers[index].table for index in state.serving]
        assert all(table == list(standing.versions) for table in tables)
        assert standing.deployment.order == self.order, "the newest has been looked at"
        lacking = set(self.workers) - set(state.serving)
        assert all(state.members[index].errors for index in lacking), "waits without a reason"
        self.check_served(standing.deployment)
        for worker, number in self.asked_of:
            if worker in self.workers.values():
                assert sum(told.number == number for told in worker.told) == 1, "told once"

    def check_served(self, served: Deployment) -> None:
        """No broken version holds up another, and shares are of what is there."""
        faulty = self.world.broken | self.world.deadly | self.world.hanging
        wanted = self.state.wanted
        live = {model.name: model for model in served.models}
        for model in wanted.models:
            if key_of(model) not in faulty:
                assert live.get(model.name) == model, f"{key_of(model)} is held up"
        for model in wanted.staged:
            if key_of(model) not in faulty:
                assert model in served.staged
        for model in _with_live(wanted.beside, wanted, live):
            if key_of(model) not in faulty:
                assert model in served.beside
        there = {key_of(model) for model in (*served.models, *served.beside)}
        for traffic in served.traffic:
            assert {f"{traffic.model}@{text}" for text in traffic.weights} <= there
            assert not traffic.weights or abs(sum(traffic.weights.values()) - 1) < 1e-9
        whole = not any(key_of(m) in faulty for m in (*wanted.models, *wanted.beside))
        if whole:
            assert self.state.order == wanted.order


def _with_live(
    beside: Iterable[DeployedModel], wanted: Deployment, live: dict[str, DeployedModel]
) -> list[DeployedModel]:
    """Those whose model has the live version that is wanted: else its traffic stays too."""
    meant = {model.name: model for model in wanted.models}
    return [m for m in beside if live.get(m.name) == meant.get(m.name)]


class OneWorker(RolloutMachine):
    SIZE = 1


class ThreeWorkers(RolloutMachine):
    SIZE = 3


_often = settings(
    max_examples=int(os.environ.get("MLBENCH_ROLLOUT_EXAMPLES", "40")),
    stateful_step_count=30,
    deadline=None,
)
TestTwoWorkers = RolloutMachine.TestCase
TestTwoWorkers.settings = _often
TestOneWorker = OneWorker.TestCase
TestOneWorker.settings = _often
TestThreeWorkers = ThreeWorkers.TestCase
TestThreeWorkers.settings = _often


def in_turn(machine: RolloutMachine) -> None:
    """Let all that is under way end, while the invariants are looked at after every step."""
    for _ in range(60):
        for index in range(machine.SIZE):
            worker = machine.workers.get(index)
            if worker is None:
                machine.start(index)
            elif worker.death is None and worker.inbox:
                worker.work()
            machine.crashes_alone_leave_somebody_to_serve()
        for index in list(machine.workers):
            machine.hear(index)
            machine.crashes_alone_leave_somebody_to_serve()


def test_a_version_that_kills_its_loader_never_kills_all_at_once() -> None:
    for machine in (RolloutMachine(), ThreeWorkers()):
        machine.deploy({"a": 1}, set(), set(), 256)
        in_turn(machine)
        machine.change_file("a@2", "deadly")
        machine.deploy({"a": 2}, set(), set(), 256)
        in_turn(machine)
        machine.check_settled()
        assert machine.world.deaths == {"a@2": 2}
        # Another deployment is no reason to die again.
        machine.deploy({"a": 2, "b": 1}, set(), set(), 256)
        in_turn(machine)
        assert machine.world.deaths == {"a@2": 2}
        machine.check_settled()


def test_settings_that_would_lose_what_stands_in_memory_wait() -> None:
    machine = RolloutMachine()
    machine.deploy({"a": 1}, set(), set(), 256)
    in_turn(machine)
    machine.change_file("a@1", "broken")
    machine.deploy({"a": 1, "b": 1}, set(), set(), 8)
    in_turn(machine)
    standing = machine.state.standing
    assert standing is not None
    assert [key_of(model) for model in standing.versions] == ["a@1", "b@1"]
    assert standing.deployment.settings.queue == 256
    assert standing.error == "a@1 is broken"
    machine.change_file("a@1", "whole")
    in_turn(machine)
    assert machine.state.standing is not None
    assert machine.state.standing.deployment.settings.queue == 8
    machine.check_settled()
