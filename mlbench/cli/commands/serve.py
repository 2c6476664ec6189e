"""`mlbench serve`: run the environments' servers in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.domain.errors import ServingError
from mlbench.domain.release import EnvironmentStatus
from mlbench.domain.stages import EnvironmentSpec
from mlbench.engine.sandbox import Sandbox
from mlbench.engine.session import find_layout

_POLL_SECONDS = 0.2


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environments", nargs="*", metavar="ENV", help="these; default: all")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="stop servers that run")
    what.add_argument(
        "--print-unit", action="store_true", help="print a systemd user unit that serves them"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C, printing the servers' logs as JSON lines; or stop what serves."""
    layout = find_layout(Path(options.folder))
    sandbox = Sandbox(layout)
    names = tuple(options.environments)
    if options.stop:
        for environment in sandbox.stoppable(names):
            was_up = sandbox.down(environment)
            narrate(f"{environment.name} {'is stopped' if was_up else 'was down already'}")
    elif options.print_unit:
        _print_unit(layout.root, sandbox.environments(names), names)
    else:
        _serve(sandbox, sandbox.environments(names))
    return 0


def _serve(sandbox: Sandbox, environments: tuple[EnvironmentSpec, ...]) -> None:
    started: list[EnvironmentSpec] = []
    logs: list[_Tail] = []
    try:
        for environment in environments:
            before = sandbox.status(environment)
            logs.append(_Tail(sandbox.log(environment)))
            if before.pid is None:
                started.append(environment)
            else:
                narrate(
                    f"{environment.name} is served already, by process {before.pid}; its log "
                    "follows, and Ctrl-C leaves it running"
                )
            _narrate_status(sandbox.up(environment))
        _follow(sandbox, environments, logs)
    finally:
        for environment in started:
            sandbox.down(environment)
        for log in logs:
            log.print_new()
            log.close()


def _narrate_status(status: EnvironmentStatus) -> None:
    serving = ", ".join(f"{name} v{number}" for name, number in status.serving.items())
    narrate(f"{status.name} at {status.address} serves {serving or 'nothing yet'}")
    if status.error:
        narrate(f"{status.name}: {status.error}")


def _follow(sandbox: Sandbox, environments: tuple[EnvironmentSpec, ...], logs: list[_Tail]) -> None:
    while True:
        for log in logs:
            log.print_new()
        for environment in environments:
            if sandbox.status(environment).pid is None:
                raise ServingError(f"{environment.name}: its server has ended; its log says why")
        time.sleep(_POLL_SECONDS)


def _print_unit(
    folder: Path, environments: tuple[EnvironmentSpec, ...], names: tuple[str, ...]
) -> None:
    # Late: who serves has no use for it.
    from mlbench.cli.systemd_unit import unit_text

    served = ", ".join(environment.name for environment in environments)
    title = f"mlbench: {served or 'the environments'} of {folder.name}"
    # Its name as it is, not what it links to: that is what makes it a virtual environment's.
    interpreter = os.path.abspath(sys.executable)
    command = (interpreter, "-P", "-m", "mlbench", "-C", str(folder), "serve", *names)
    path = os.environ.get("PYTHONPATH")
    sys.stdout.write(unit_text(title, folder, command, {"PYTHONPATH": path} if path else {}))
    narrate(
        "save this as ~/.config/systemd/user/NAME.service, then: systemctl --user daemon-reload && "
        "systemctl --user enable --now NAME; `loginctl enable-linger` has it run while you are "
        "logged out"
    )


class _Tail:
    """What a log has grown by, also where it was begun anew."""

    def __init__(self, path: Path) -> None:
        """Begin at the end of the file as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._path = path
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)

    def print_new(self) -> None:
        """Print what is new."""
        self._print_rest()
        try:
            is_same = os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except OSError:
            return
        if not is_same:
            # What came into the old one between the two looks comes first.
            self._print_rest()
            self._file.close()
            self._file = self._path.open("rb")
            self._print_rest()

    def close(self) -> None:
        """Look no more."""
        self._file.close()

    def _print_rest(self) -> None:
        sys.stdout.buffer.write(self._file.read())
        sys.stdout.buffer.flush()
