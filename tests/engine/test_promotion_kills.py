"""kill -9 of whoever promotes or rolls back, at any moment: the old version answers or the new one.

Never none and never a half; the ledger verifies, and the next promotion works.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbench.domain.ledger import traffic_of
from mlbench.domain.serving import Traffic
from mlbench.engine.sandbox import Sandbox
from mlbench.serving import supervise
from tests.engine import promotion_killing as killing
from tests.engine.released_project import MODEL, Client, Released
from tests.support import REPOSITORY, SmallProject

KILLS = int(os.environ.get("MLBENCH_KILLS", "2"))
pytestmark = pytest.mark.long
_LONGEST = 1.0


@dataclass
class Scene:
    """A project whose staging serves a version, and a client that never stops asking."""

    released: Released
    client: Client

    @property
    def root(self) -> Path:
        return self.released.project.root

    def words(self, action: str) -> tuple[str, ...]:
        """What is asked for: another version to go live, or the one before to come back."""
        if action == "rollback":
            return ("rollback", "staging")
        return (action, f"{MODEL}@{self.released.candidate()}", "staging")

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def killed_at(self, action: str, phase: str, step: int) -> bool:
        """Carry out an action that kills itself at this step; False where it never came there."""
        harness = ("-m", "tests.engine.promotion_killing", phase, str(step), "")
        with self.start(*harness, *self.words(action)) as process:
            _, told = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGKILL), told.decode()
        return process.returncode != 0

    def steps_of(self, action: str) -> dict[str, int]:
        """How many steps each phase of an action has, by doing it once."""
        report = self.root.parent / "steps.json"
        harness = ("-m", "tests.engine.promotion_killing", "", "0", str(report))
        with self.start(*harness, *self.words(action)) as process:
            _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told.decode()
        return {str(phase): int(count) for phase, count in json.loads(report.read_text()).items()}

    def check(self, before: int) -> None:
        """What must hold right after a kill, and what after the next command of any kind."""
        released = self.released
        assert released.releases.ledger_fault() is None
        now = released.version_by_ledger()
        assert released.version_served() in (before, now)
        assert self.client.wrong == []
        assert self.client.seen() <= {before, now}
        assert released.releases.registry.damaged(MODEL) == {}

        done = released.project.cli("run")
        assert done.returncode == 0, done.stderr
        assert released.releases.behind() is None
        assert not released.layout.change_mark("staging").exists()
        assert released.deployment().staged == ()
        supervise.wait_serving(released.layout, released.environment(), released.deployment().order)
        assert released.version_served() == now
        status = supervise.status(released.layout, released.environment())
        assert (status.error, status.serving) == ("", {MODEL: now})

    def go_on(self) -> None:
        """The next promotion works, and the world outside hears of it."""
        done = self.released.project.cli(*self.words("promote"))
        assert done.returncode == 0, done.stderr
        now = self.released.version_by_ledger()
        assert self.released.version_served() == now
        assert self.released.project.read("told.txt").splitlines()[-1] == str(now)
        assert self.client.wrong == []
        self.client.seen()


@pytest.fixture
def scene(tiny: SmallProject) -> Iterator[Scene]:
    config = tiny.read("mlbench.toml")
    command = "echo {version} >> told.txt"
    tiny.write(
        "mlbench.toml",
        config.replace("[environments.staging]", f'[environments.staging]\non_promote="{command}"'),
    )
    released = Released(tiny)
    for _ in range(2):
        done = tiny.cli("promote", f"{MODEL}@{released.candidate()}", "staging")
        assert done.returncode == 0, done.stderr
    client = Client(released.environment().port)
    client.start()
    yield Scene(released, client)
    client.stop()


def version(scene: Scene) -> int:
    found = scene.released.version_by_ledger()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("action", "phases"),
    [("promote", killing.OF_PROMOTION), ("rollback", killing.OF_ROLLBACK)],
)
def test_a_kill_in_any_phase_leaves_the_old_or_the_new(
    scene: Scene, action: str, phases: tuple[str, ...]
) -> None:
    dice = random.Random(5)
    counts = scene.steps_of(action)
    scene.go_on()
    assert set(counts) == set(phases)
    outcomes: Counter[tuple[str, str]] = Counter()
    rounds = max(1, KILLS // 2)
    for phase in phases:
        for number in range(rounds):
            before = version(scene)
            step = 1 if number == 1 else dice.randint(1, counts[phase])
            if scene.killed_at(action, phase, step):
                outcomes[phase, "old" if version(scene) == before else "new"] += 1
            scene.check(before)
            scene.go_on()
    print(f"{outcomes.total()} kills of a {action}: {dict(outcomes)}")
    assert outcomes.total() >= len(phases) * rounds * 3 // 4
    assert all(was == "old" for phase, was in outcomes if phase in _BEFORE)
    assert all(was == "new" for phase, was in outcomes if phase in _AFTER)


_BEFORE = (killing.JUDGE, killing.REGISTER, killing.HAVE_UP, killing.STAGE, killing.SMOKE)
_AFTER = (killing.GO_LIVE, killing.OUTSIDE)


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(scene: Scene) -> None:
    dice = random.Random(7)
    whole = _seconds_of(scene.go_on)
    wanted, killed, tries = 4 * KILLS, 0, 0
    while killed < wanted and tries < 4 * wanted:
        before = version(scene)
        words = scene.words("rollback" if tries % 3 == 2 else "promote")
        with scene.start("-m", "mlbench", *words) as process:
            # The first third is the interpreter's own start.
            time.sleep(dice.uniform(whole / 3, whole))
            process.kill()
            process.communicate()
        tries += 1
        killed += process.returncode == -signal.SIGKILL
        scene.check(before)
        scene.go_on()
    print(f"{killed} killed on their way, of {tries} begun")
    assert killed == wanted


def test_a_kill_while_a_canary_begins_leaves_none_or_a_whole_one(scene: Scene) -> None:
    dice = random.Random(11)
    released = scene.released
    counts = scene.steps_of("canary")
    assert set(counts) == set(killing.OF_CANARY)
    outcomes: Counter[tuple[str, str]] = Counter()
    for phase in killing.OF_CANARY:
        if traffic_of(released.entries()):
            assert released.project.cli("canary", MODEL, "staging", "--stop").returncode == 0
        live = version(scene)
        killed = scene.killed_at("canary", phase, dice.randint(1, counts[phase]))
        traffic = traffic_of(released.entries()).get("staging", {}).get(MODEL, Traffic(MODEL))
        if killed:
            outcomes[phase, "none" if traffic.canary is None else "whole"] += 1
        assert released.releases.ledger_fault() is None
        assert released.version_served() in (live, traffic.canary)
        done = released.project.cli("run")
        assert done.returncode == 0, done.stderr
        found = released.deployment()
        assert (found.staged, [one.version for one in found.models]) == ((), [live])
        assert list(found.traffic) == ([traffic] if traffic.canary else [])
        assert [one.version for one in found.beside] == ([traffic.canary] if traffic.canary else [])
        assert released.releases.behind() is None
        supervise.wait_serving(released.layout, released.environment(), found.order)
        assert scene.client.wrong == []
    print(f"{outcomes.total()} kills of a canary: {dict(outcomes)}")
    assert outcomes.total() >= len(killing.OF_CANARY) * 3 // 4
    assert all(was == "none" for phase, was in outcomes if phase in _BEFORE)
    assert all(was == "whole" for phase, was in outcomes if phase in _AFTER)


def _seconds_of(act: Callable[[], None]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def test_a_killed_server_comes_up_with_what_the_ledger_says(scene: Scene) -> None:
    dice = random.Random(3)
    scene.client.stop()
    for _ in range(KILLS):
        before = version(scene)
        with scene.start("-m", "mlbench", *scene.words("promote")) as process:
            _later(dice.uniform(0.25, _LONGEST), lambda: _kill_server(scene))
            _, told = process.communicate(timeout=60)
        assert process.returncode in (0, 1), told.decode()
        _kill_server(scene)
        released = scene.released
        status = Sandbox(released.layout).up(released.environment())
        now = version(scene)
        assert status.serving == {MODEL: now}
        assert released.version_served() == now
        assert now != before or process.returncode == 1, told.decode()
        assert released.releases.ledger_fault() is None
        assert released.releases.behind() is None


def _later(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.start()
    timer.join()


def _kill_server(scene: Scene) -> None:
    status = supervise.status(scene.released.layout, scene.released.environment())
    if status.pid is not None:
        os.kill(status.pid, signal.SIGKILL)
