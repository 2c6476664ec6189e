"""32 connections while versions go live and back each second, and workers are killed at random.

No request fails for a promotion, a killed worker costs only requests on connections that it held,
and each answer came from a version that was live between its request and its end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlbench.serving import supervise
from tests.engine.hammering import Seen
from tests.engine.released_project import INFER, MODEL, ROW, Released
from tests.support import REPOSITORY, SmallProject, until

SECONDS = float(os.environ.get("MLBENCH_SOAK_SECONDS", "60"))
CONNECTIONS = 32
_BETWEEN_KILLS = (2.0, 5.0)
# How long a client may take to notice that its connection is gone.
_NOTICED_SECONDS = 5.0


@dataclass
class Life:
    """When a version began to go live and when the next one had taken its place for good."""

    version: int
    begun: float
    ended: float = float("inf")


@dataclass
class Fire:
    """What was done to a server: the lives of its versions, and the ports that kills cut off."""

    released: Released
    lives: list[Life] = field(default_factory=list)
    killed: list[tuple[float, frozenset[int]]] = field(default_factory=list)

    def change(self, *words: str) -> None:
        """Promote or roll back by the command line, and keep when."""
        begun = time.monotonic()
        done = self.released.project.cli(*words)
        assert done.returncode == 0, done.stderr
        ended = time.monotonic()
        version = self.released.version_by_ledger()
        assert version is not None
        if self.lives:
            self.lives[-1].ended = ended
        self.lives.append(Life(version, begun))

    def kill_a_worker(self, dice: random.Random) -> None:
        """SIGKILL; it is stopped first, so that it holds what it holds while we look."""
        status = supervise.status(self.released.layout, self.released.environment())
        worker = dice.choice(status.workers)
        os.kill(worker, signal.SIGSTOP)
        held = connections_of(worker, status.port)
        self.killed.append((time.monotonic(), held))
        os.kill(worker, signal.SIGKILL)

    def was_live(self, one: Seen) -> bool:
        return any(
            life.version == one.version and life.begun <= one.ended and one.asked <= life.ended
            for life in self.lives
        )

    def is_excused(self, one: Seen) -> bool:
        """Whether a request failed on a connection that a killed worker held."""
        return any(
            one.port in held and one.asked - _NOTICED_SECONDS <= at <= one.ended
            for at, held in self.killed
        )


def connections_of(process: int, port: int) -> frozenset[int]:
    """The clients' ports of the connections that a process has open on a port."""
    sockets = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        target = os.readlink(entry)
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        local, remote, inode = words[1], words[2], words[9]
        if inode in sockets and int(local.split(":")[1], 16) == port:
            found.add(int(remote.split(":")[1], 16))
    return frozenset(found)


@pytest.fixture
def fire(tiny: SmallProject) -> Iterator[Fire]:
    released = Released(tiny)
    made = Fire(released)
    for _ in range(2):
        made.change("promote", f"{MODEL}@{released.candidate()}", "staging")
    yield made
    supervise.stop(released.layout, released.environment())


@pytest.mark.long
def test_nobody_notices_a_promotion_and_few_a_kill(fire: Fire, tmp_path: Path) -> None:
    dice = random.Random(11)
    report = tmp_path / "seen.json"
    port = fire.released.environment().port
    words = [str(port), INFER, json.dumps(ROW), str(CONNECTIONS), str(report)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.engine.hammering", *words],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as clients:
        assert clients.stdout is not None
        assert clients.stdout.readline() == b"hammering\n"
        began = time.monotonic()
        next_kill = began + dice.uniform(*_BETWEEN_KILLS)
        while (now := time.monotonic()) < began + SECONDS:
            if now >= next_kill:
                fire.kill_a_worker(dice)
                next_kill = now + dice.uniform(*_BETWEEN_KILLS)
            if len(fire.lives) % 3:
                fire.change("promote", f"{MODEL}@{fire.released.candidate()}", "staging")
            else:
                fire.change("rollback", "staging")
            time.sleep(max(0.0, now + 1.0 - time.monotonic()))
        clients.communicate(timeout=60)
    seen = [Seen(**one) for one in json.loads(report.read_text())]
    failed = [one for one in seen if one.error]
    print(
        f"{len(seen)} requests, {len(fire.lives)} changes, {len(fire.killed)} kills, "
        f"{len(failed)} requests lost with a killed worker"
    )
    assert [one for one in failed if not fire.is_excused(one)] == []
    assert [one for one in seen if not one.error and not fire.was_live(one)] == []
    assert len(fire.lives) > SECONDS / 3
    assert len({one.version for one in seen}) > SECONDS / 6
    assert fire.killed
    until(lambda: len(_workers(fire)) == os.cpu_count())


def _workers(fire: Fire) -> tuple[int, ...]:
    return supervise.status(fire.released.layout, fire.released.environment()).workers
