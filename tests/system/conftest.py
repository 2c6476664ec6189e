"""Stages under a real supervisor, and a way to wait for the end of everything they started."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mlbench.system.processes import SupervisedStage

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

Start = Callable[..., SupervisedStage]
BOUND = 30_000


class Pipe:
    """A named pipe that stages write to; it ends when the last process that holds it has ended."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._buffer = b""

    def line(self) -> str:
        """The next line that anybody writes."""
        while b"\n" not in self._buffer:
            data = self._read()
            assert data, "everybody has ended without writing a line"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def end(self) -> str:
        """What is written until nobody holds the pipe any more."""
        # Without a first writer there is no last.
        os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
        while data := self._read():
            self._buffer += data
        rest, self._buffer = self._buffer, b""
        return rest.decode()

    def close(self) -> None:
        os.close(self._descriptor)

    def _read(self) -> bytes:
        assert self._poll.poll(BOUND), "nothing was written, and somebody still holds the pipe"
        return os.read(self._descriptor, 4096)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "pipe")
    yield pipe
    pipe.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts commands in `tmp_path` with a log in `tmp_path/stage`; kills what a test left."""
    started: list[SupervisedStage] = []
    folder = tmp_path / "stage"
    folder.mkdir()

    def _start(
        *commands: str,
        timeout: float | None = None,
        grace: tuple[float, float] = (20.0, 20.0),
        cwd: Path = tmp_path,
        launch: tuple[str, ...] = (),
    ) -> SupervisedStage:
        path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
        stage = SupervisedStage(
            commands,
            cwd=cwd,
            env={**os.environ, "PATH": path},
            folder=folder,
            lock=tmp_path / "lock",
            timeout=timeout,
            grace=grace,
            launch=launch,
        )
        started.append(stage)
        return stage

    yield _start
    for stage in started:
        stage.stop()
        stage.wait()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Writes a Python script and gives the command that runs it quickly."""

    def _write(text: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(text)
        return f"exec {json.dumps(sys.executable)} -S -E {path}"

    return _write
