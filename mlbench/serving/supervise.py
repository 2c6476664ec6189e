"""An environment's server as the engine handles it: look, start, wait, stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from mlbench.domain.errors import MlbenchError, PortTakenError, ServingError, UsageError
from mlbench.domain.plain import from_plain
from mlbench.domain.release import EnvironmentStatus
from mlbench.domain.serving import CanaryState, ShadowState
from mlbench.domain.stages import EnvironmentSpec
from mlbench.project.layout import Layout
from mlbench.serving import client
from mlbench.serving.python_path import variables
from mlbench.serving.state import ServerState, read_deployment, read_state
from mlbench.serving.waiting import until
from mlbench.system.files import read_json, writable
from mlbench.system.locks import is_held

_KILL_SECONDS = 5.0
# So many workers may die as they begin before nobody waits for the next one.
_TRIES = 4
# A server that starts writes less, and with less room than this a disk counts as full.
_LEAST_ROOM = 1 << 18
_REFUSALS: Mapping[str, type[MlbenchError]] = {
    "PortTakenError": PortTakenError,
    "UsageError": UsageError,
}
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
_T = TypeVar("_T")


def status(layout: Layout, environment: EnvironmentSpec) -> EnvironmentStatus:
    """How an environment stands, from its files alone; `pid` is None where no server is up."""
    state = _running(layout, environment.name)
    error = state.error if state else ""
    try:
        deployment = read_deployment(layout.deployment(environment.name))
    except ServingError as broken:
        deployment, error = None, str(broken)
    return EnvironmentStatus(
        name=environment.name,
        port=state.port if state else environment.port,
        pid=state.pid if state else None,
        serving=state.serving if state else {},
        deployed={model.name: model.version for model in deployment.models} if deployment else {},
        error=error,
        host=state.host if state else environment.settings.host,
        workers=state.workers if state else (),
        restarts=state.restarts if state else 0,
        weights=state.weights if state else {},
        loaded=state.loaded if state else {},
        canaries=_list_in(layout.canaries(environment.name), CanaryState) if state else (),
        shadows=_list_in(layout.shadows(environment.name), ShadowState) if state else (),
    )


def ensure_up(
    layout: Layout, environment: EnvironmentSpec, timeout: float = 20.0
) -> EnvironmentStatus:
    """Start the environment's server unless it is up, and wait until it answers.

    One that listens on another port or address than the environment's is stopped and started anew.
    Raises PortTakenError where the port is taken, UsageError where the host is no address of this
    machine, ServingError with the server's or its workers' last words otherwise.
    """
    name = environment.name
    state = _running(layout, name)
    wanted = (environment.settings.host, environment.port)
    if state is not None and (state.host, state.port) != wanted:
        stop(layout, environment)
    log = layout.server_log(name)
    begin = log.stat().st_size if log.exists() else 0
    process = None if _held(layout, name) else _start(layout, environment)

    def answers() -> bool:
        nonlocal process
        if process is None and not _held(layout, name):
            # It was up a moment ago, and died before it answered.
            process = _start(layout, environment)
        if process and process.poll() is not None and not _held(layout, name):
            _raise_last_words(log, begin, name)
        found = _running(layout, name)
        if found is not None and found.error and not found.workers and found.restarts >= _TRIES:
            raise ServingError(f"{name}: {found.error}")
        return bool(found and found.workers) and client.live(
            status(layout, environment).address, timeout=1.0
        )

    try:
        if until(answers, timeout):
            return status(layout, environment)
    except ServingError:
        if process:
            process.terminate()
        raise
    if process:
        process.terminate()
    raise ServingError(
        f"{name}: its server does not answer after {timeout:g} s; {_remedy(log, 'why')}"
    )


def wait_serving(
    layout: Layout,
    environment: EnvironmentSpec,
    order: int,
    timeout: float = 30.0,
    *,
    version: tuple[str, int] | None = None,
) -> EnvironmentStatus:
    """Wait until the environment answers from the deployment of this order or a newer one.

    With `version`, a model's name and number, whatever becomes of its other models. Raises
    ServingError where the server can't load what is waited for, is down, or takes too long.
    """

    def serves(state: ServerState) -> bool:
        if version is not None and state.serving.get(version[0]) == version[1]:
            return True
        if state.error and state.order < order:
            raise ServingError(f"{environment.name}: {state.error}")
        return state.order >= order

    _wait_for(layout, environment.name, order, timeout, serves)
    return status(layout, environment)


def wait_staged(
    layout: Layout, environment: EnvironmentSpec, order: int, timeout: float = 30.0
) -> None:
    """Wait until the staged versions of the deployment of this order are loaded and warm.

    Raises ServingError where one can't be loaded, and as `wait_serving`.
    """

    def answers(state: ServerState) -> bool:
        if state.staged_error:
            raise ServingError(f"{environment.name}: {state.staged_error}")
        return True

    _wait_for(layout, environment.name, order, timeout, answers)


def _wait_for(
    layout: Layout, name: str, order: int, timeout: float, holds: Callable[[ServerState], bool]
) -> None:
    """Wait until the server has looked at the deployment of this order, and then `holds`."""

    def is_there() -> bool:
        state = _running(layout, name)
        if state is None and not _held(layout, name):
            raise ServingError(f"{name}: its server is down; start it with mlbench serve {name}")
        return state is not None and state.attempted >= order and holds(state)

    if not until(is_there, timeout):
        state = _running(layout, name)
        why = f": {state.error}" if state and state.error else ""
        raise ServingError(f"{name}: does not serve deployment {order} after {timeout:g} s{why}")


def stop(layout: Layout, environment: EnvironmentSpec, timeout: float = 10.0) -> bool:
    """Stop the environment's server, by force after `timeout` seconds; False where none was up."""
    name = environment.name
    if not _held(layout, name):
        return False
    until(lambda: _running(layout, name) is not None or not _held(layout, name), timeout)
    for number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, _KILL_SECONDS)):
        state = _running(layout, name)
        if state is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(state.pid, number)
        if until(lambda: not _held(layout, name), patience):
            return True
    raise ServingError(f"{name}: its server can't be stopped; {layout.server_log(name)} says more")


def _held(layout: Layout, environment: str) -> bool:
    return is_held(layout.server_lock(environment))


def _running(layout: Layout, environment: str) -> ServerState | None:
    """What a living server says of itself: a state whose server is gone says nothing."""
    state = read_state(layout.server_state(environment)) if _held(layout, environment) else None
    if state is None:
        return None
    # Late: most commands find no server. One that took the lock this instant has yet to remove
    # what the one before it said.
    from mlbench.system.proctable import start_time

    return state if start_time(state.pid) is not None else None


def _list_in(path: Path, kind: type[_T]) -> tuple[_T, ...]:
    """The values in a file that the server writes; none where it can't be read."""
    try:
        return tuple(from_plain(kind, plain) for plain in read_json(path) or ())
    except _MALFORMED:
        return ()


def _start(layout: Layout, environment: EnvironmentSpec) -> subprocess.Popen[bytes]:
    """The server as a process that outlives this one; a thread reaps it where it dies first."""
    command = [sys.executable, "-P", "-m", "mlbench.serving", environment.name]
    # Not this worktree's folder: the server may outlive it.
    command += ["--root", str(layout.home), "--port", str(environment.port)]
    command += ["--host", environment.settings.host]
    with writable(layout.serving):
        layout.serving.mkdir(parents=True, exist_ok=True)
        with layout.server_log(environment.name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=layout.home,
                env=variables(),
                start_new_session=True,
            )
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()
    return process


def _raise_last_words(log: Path, begin: int, environment: str) -> None:
    """Raise what a server that ended at once has written to its log from `begin` on."""
    lines = log.read_bytes()[begin:].decode(errors="replace").split("\n")
    lines = [line for line in lines if line.strip()]
    for line in reversed(lines):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            if entry["event"] == "refused":
                raise _REFUSALS.get(entry["error"], ServingError)(entry["message"])
    last = lines[-1].strip() if lines else "it said nothing"
    raise ServingError(f"{environment}: its server ended at once: {last}; {_remedy(log, 'more')}")


def _remedy(log: Path, says: str) -> str:
    """Where to look; on a full disk there is nothing in the log."""
    disk = os.statvfs(log.parent)
    if disk.f_bavail * disk.f_frsize < _LEAST_ROOM:
        return f"no space is left on the disk of {log.parent}: make room there"
    return f"{log} says {says}"
