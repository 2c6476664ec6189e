"""What every test may use: a small project, free ports, and a user without configuration."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import (
    CONFIG,
    PREPARE,
    REPORT,
    TINY_CONFIG,
    TRAIN,
    Follower,
    SmallProject,
    commit_all,
    free_ports,
    write_tiny,
)


@pytest.fixture(autouse=True, scope="session")
def _environment_of_a_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a user's shell has, for the projects that a whole session builds as for each test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBENCH_CONFIG_HOME", str(tmp_path_factory.mktemp("user-config")))
        patch.delenv("VIRTUAL_ENV", raising=False)
        patch.delenv("CI", raising=False)
        # Stages under test must run as they do for a user, bytecode caches included.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(autouse=True)
def _user_without_configuration(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBENCH_CONFIG_HOME", str(tmp_path_factory.mktemp("user-config")))


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


@pytest.fixture(scope="session")
def tiny_built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project after its first run, with a candidate: copied for each test."""
    root = tmp_path_factory.mktemp("tiny") / "tiny"
    project = write_tiny(root, *free_ports(2))
    commit_all(root)
    done = project.cli("run")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def tiny(tmp_path: Path, tiny_built: Path) -> Iterator[SmallProject]:
    """A project with a trained model and a candidate; its servers are stopped at the end."""
    root = tmp_path / "tiny"
    shutil.copytree(tiny_built, root, symlinks=True)
    project = SmallProject(root)
    config = TINY_CONFIG.format(**dict(zip(("staging", "production"), free_ports(2), strict=True)))
    project.write("mlbench.toml", config)
    commit_all(root, "ports")
    yield project
    project.write("mlbench.toml", config)
    project.cli("serve", "--stop")


@pytest.fixture(scope="session", autouse=True)
def _no_stage_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stages outlive whoever started them: what a failed test left running is ended here."""
    yield
    mark = f"MLBENCH_STAGE_DIR={tmp_path_factory.getbasetemp()}/".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)
