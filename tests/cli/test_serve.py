"""`mlbench serve` in the foreground: beside another, with a log that turns over, to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from mlbench.project.layout import Layout
from mlbench.serving.logging_lines import previous
from mlbench.serving.state import read_state
from tests.serving.conftest import free_port


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project that has nothing but an environment."""
    toml = f'[stages.train]\ncmd = "true"\n[environments.staging]\nport = {free_port()}\n'
    toml += "workers = 1\n"
    (tmp_path / "mlbench.toml").write_text(toml)
    yield tmp_path
    subprocess.run(command(tmp_path, "--stop"), capture_output=True, check=True)


def command(project: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "mlbench", "-C", str(project), "serve", *arguments]


def serving(project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(project, "staging"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def test_the_second_says_who_serves_and_leaves_it_running(project: Path) -> None:
    layout = Layout(project)
    with serving(project) as first:
        assert "serves nothing yet" in line_of(first.stderr)
        state = read_state(layout.server_state("staging"))
        assert state is not None
        with serving(project) as second:
            said = line_of(second.stderr)
            assert f"staging is served already, by process {state.pid}" in said
            assert "serves nothing yet" in line_of(second.stderr)
            second.send_signal(signal.SIGTERM)
            second.communicate(timeout=30)
        assert read_state(layout.server_state("staging")) is not None
        first.send_signal(signal.SIGTERM)
        log, _ = first.communicate(timeout=30)
    assert (first.returncode, second.returncode) == (130, 130)
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert (events[0], events[-1]) == ("listening", "stopped")


def test_it_ends_with_a_sentence_where_its_server_dies(project: Path) -> None:
    with serving(project) as process:
        line_of(process.stderr)
        state = read_state(Layout(project).server_state("staging"))
        assert state is not None
        os.kill(state.pid, signal.SIGKILL)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "staging: its server has ended" in said


def test_the_log_is_followed_where_it_is_begun_anew(project: Path) -> None:
    path = Layout(project).server_log("staging")
    with serving(project) as process:
        line_of(process.stderr)
        assert "listening" in line_of(process.stdout)
        with path.open("a") as before:
            os.replace(path, previous(path))
            path.write_text('{"event": "new"}\n')
            before.write('{"event": "old"}\n')
        seen = [json.loads(line_of(process.stdout))["event"]]
        while "new" not in seen:
            seen.append(json.loads(line_of(process.stdout))["event"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert seen[-2:] == ["old", "new"]
