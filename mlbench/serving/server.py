"""One environment's server process, from taking its lock to letting it go."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence

from mlbench.domain.errors import PortTakenError, ServingError, UsageError
from mlbench.domain.release import EnvironmentStatus
from mlbench.domain.serving import LOOPBACK
from mlbench.project.layout import Layout
from mlbench.serving.counters import forget
from mlbench.serving.logging_lines import log
from mlbench.serving.port import listen
from mlbench.serving.state import ServerState, read_deployment, read_state
from mlbench.serving.supervisor.desks import Desk
from mlbench.serving.supervisor.process import WORKER
from mlbench.serving.supervisor.supervisor import Supervisor
from mlbench.serving.token import ensure_token
from mlbench.serving.waiting import until
from mlbench.system.files import writable
from mlbench.system.locks import FileLock
from mlbench.system.proctable import Process, lives, send

_LOCK_SECONDS = 1.0
# What workers of a supervisor that was killed may take to end, and then to be ended.
_ORPHAN_SECONDS = 7.0
_KILL_SECONDS = 2.0
_MOST_FILES = 65536

MakeDesks = Callable[[Layout, str], Sequence[Desk]]


def serve(
    layout: Layout,
    environment: str,
    port: int | None,
    host: str | None = None,
    *,
    worker: Sequence[str] = WORKER,
    make_desks: MakeDesks = lambda _layout, _environment: (),
) -> None:
    """Serve one environment until SIGTERM or SIGINT; requests under way get five seconds.

    `port` and `host` override the deployment's; port 0 takes any that is free. Raises
    PortTakenError, ServingError where the environment is served already, UsageError where no port
    is known.
    """
    with writable(layout.serving), _environment_lock(layout, environment) as lock:
        state = layout.server_state(environment)
        before = read_state(state)
        state.unlink(missing_ok=True)
        host, port = _address(layout, environment, host, port)
        ensure_token(layout.server_token)
        _set_limits()
        try:
            with _listen_after(before, environment, port, host) as listener:
                for counters in (layout.counters(environment), layout.door(environment)):
                    forget(counters)
                address = EnvironmentStatus(environment, listener.getsockname()[1], None, host=host)
                log("listening", environment=environment, address=address.address, pid=os.getpid())
                Supervisor(
                    layout,
                    environment,
                    listener,
                    host,
                    worker=worker,
                    make_desks=lambda: make_desks(layout, environment),
                    is_ousted=lambda: lock.is_lost,
                ).run()
                log("stopped", environment=environment)
        finally:
            if not lock.is_lost:
                state.unlink(missing_ok=True)


def _address(
    layout: Layout, environment: str, host: str | None, port: int | None
) -> tuple[str, int]:
    if host is not None and port is not None:
        return host, port
    deployment = read_deployment(layout.deployment(environment))
    if port is None and deployment is None:
        raise UsageError(
            f"{environment}: no port is known, for nothing is deployed there; give one with --port"
        )
    known = deployment.settings.host if deployment is not None else LOOPBACK
    return host or known, port if port is not None else deployment.port if deployment else 0


def _listen_after(
    before: ServerState | None, environment: str, port: int, host: str
) -> socket.socket:
    """Listen, once the workers of a supervisor that was killed let go of the port.

    They finish what is under way; one that hangs is killed, so that it keeps no port for ever.
    """
    orphans: list[Process] = []
    if before is not None:
        orphans = [(int(pid), birth) for pid, birth in before.processes.items()]
    begin = time.monotonic()
    while True:
        try:
            return listen(environment, port, host)
        except PortTakenError:
            orphans = [orphan for orphan in orphans if lives(orphan)]
            patience = time.monotonic() - begin
            if not orphans or patience > _ORPHAN_SECONDS + _KILL_SECONDS:
                # What ended between the two looks has let go of it by now.
                return listen(environment, port, host)
        if patience > _ORPHAN_SECONDS:
            for orphan in orphans:
                send(orphan, signal.SIGKILL)
        time.sleep(0.01)


def _set_limits() -> None:
    """For this process and its workers: no core files, and as many sockets as the system gives."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextlib.contextmanager
def _environment_lock(layout: Layout, environment: str) -> Iterator[FileLock]:
    """Be the environment's one server; whoever only looks at the lock holds it for an instant."""
    lock = FileLock(layout.server_lock(environment))
    if not until(lock.try_acquire, _LOCK_SECONDS):
        state = read_state(layout.server_state(environment))
        where = ""
        if state is not None:
            at = EnvironmentStatus(environment, state.port, state.pid, host=state.host)
            where = f" at {at.address} by process {state.pid}"
        raise ServingError(f"{environment}: is served already{where}; stop that server first")
    try:
        yield lock
    finally:
        lock.release()
