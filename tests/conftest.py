"""What every test may use: a small project, free ports, and a user without configuration."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import CONFIG, PREPARE, REPORT, TRAIN, Follower, SmallProject


@pytest.fixture(autouse=True)
def _user_without_configuration(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBENCH_CONFIG_HOME", str(tmp_path_factory.mktemp("user-config")))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    # Stages under test must run as they do for a user, bytecode caches included.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def small(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path / "small")
    project.write("mlbench.toml", CONFIG)
    project.write("params.toml", "[train]\nrate = 0.5\n")
    project.write("data.txt", "Some DATA\n")
    project.write("prepare.py", PREPARE)
    project.write("train.py", TRAIN)
    project.write("rule.py", "def score(rate):\n    return 1 - rate\n")
    project.write("report.py", REPORT)
    project.write(".gitignore", "build/\n")
    return project


@pytest.fixture
def follow() -> Iterator[Callable[[Path], Follower]]:
    opened: list[Follower] = []

    def open_on(folder: Path) -> Follower:
        follower = Follower(folder)
        opened.append(follower)
        return follower

    yield open_on
    for follower in reversed(opened):
        follower.session.close()
