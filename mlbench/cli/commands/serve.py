"""`mlbench serve`: run the environments' servers in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import IO

from mlbench.cli.output import narrate
from mlbench.domain.errors import ServingError
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.sandbox import Sandbox
from mlbench.engine.session import find_layout

_POLL_SECONDS = 0.2


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environments", nargs="*", metavar="ENV", help="these; default: all")
    parser.add_argument("--stop", action="store_true", help="stop servers that run")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C, printing the servers' logs as JSON lines; or stop what serves."""
    sandbox = Sandbox(find_layout(Path(options.folder)))
    names = tuple(options.environments)
    if options.stop:
        for environment in sandbox.stoppable(names):
            was_up = sandbox.down(environment)
            narrate(f"{environment.name} {'is stopped' if was_up else 'was down already'}")
        return 0
    environments = sandbox.environments(names)
    started: list[EnvironmentSpec] = []
    logs: list[IO[bytes]] = []
    try:
        for environment in environments:
            is_ours = sandbox.status(environment).pid is None
            logs.append(_end_of(sandbox.log(environment)))
            started += [environment] if is_ours else []
            status = sandbox.up(environment)
            serving = ", ".join(f"{name} v{number}" for name, number in status.serving.items())
            narrate(f"{environment.name} at {status.address} serves {serving or 'nothing yet'}")
            if status.error:
                narrate(f"{environment.name}: {status.error}")
        _follow(sandbox, environments, logs)
    finally:
        for environment in started:
            sandbox.down(environment)
        for log in logs:
            log.close()
    return 0


def _follow(
    sandbox: Sandbox, environments: tuple[EnvironmentSpec, ...], logs: list[IO[bytes]]
) -> None:
    while True:
        for log in logs:
            sys.stdout.buffer.write(log.read())
        sys.stdout.buffer.flush()
        for environment in environments:
            if sandbox.status(environment).pid is None:
                raise ServingError(f"{environment.name}: its server has ended; its log says why")
        time.sleep(_POLL_SECONDS)


def _end_of(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    log = path.open("rb")
    log.seek(0, os.SEEK_END)
    return log
