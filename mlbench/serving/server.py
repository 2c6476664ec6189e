"""One environment's server process, from taking its lock to letting it go."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from mlbench.domain.clock import utc
from mlbench.domain.errors import ServingError, UsageError
from mlbench.project.layout import Layout
from mlbench.serving.app import Application
from mlbench.serving.deployments import DeploymentFollower, Live
from mlbench.serving.models import LoadedModel
from mlbench.serving.port import HOST, listen
from mlbench.serving.state import ServerState, read_deployment, read_state, write_state
from mlbench.serving.waiting import until
from mlbench.system.files import writable
from mlbench.system.locks import FileLock

_GRACE_SECONDS = 5
_LOCK_SECONDS = 1.0


def serve(layout: Layout, environment: str, port: int | None) -> None:
    """Serve one environment until SIGTERM or SIGINT; requests under way get five seconds.

    `port` overrides the deployment's; 0 takes any that is free. Raises PortTakenError,
    ServingError where the environment is served already, UsageError where no port is known.
    """
    with writable(layout.serving), _environment_lock(layout, environment):
        layout.server_state(environment).unlink(missing_ok=True)
        try:
            with listen(environment, _port(layout, environment, port)) as listener:
                _serve_on(listener, layout, environment)
        finally:
            layout.server_state(environment).unlink(missing_ok=True)


def log(event: str, **details: object) -> None:
    """Print one lifecycle happening as a JSON line; a reader that went away stops nothing."""
    line = json.dumps({"at": utc(), "event": event, **details}, ensure_ascii=False)
    with contextlib.suppress(OSError):
        print(line, flush=True)


class _LogLines(logging.Handler):
    """Makes what libraries report a line of our log, so that the whole log is JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one report."""
        log("library", name=record.name, level=record.levelname, message=self.format(record))


def _serve_on(listener: socket.socket, layout: Layout, environment: str) -> None:
    port = listener.getsockname()[1]
    state = layout.server_state(environment)
    write_state(state, ServerState(os.getpid(), port))
    log("listening", environment=environment, address=f"http://{HOST}:{port}", pid=os.getpid())

    def tell(live: Live) -> None:
        serving, staged = _versions(live.models), _versions(live.staged)
        said = ServerState(
            os.getpid(),
            port,
            live.order,
            serving,
            live.error,
            live.attempted,
            staged,
            live.staged_error,
        )
        write_state(state, said)
        log(
            "deployment_refused" if live.error else "serving",
            order=live.order,
            serving=serving,
            staged=staged,
            error=live.error or live.staged_error,
        )

    follower = DeploymentFollower(layout.deployment(environment), tell)
    threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="infer")
    application = Application(lambda: follower.live, threads, log)
    follower.start()
    try:
        _run(application, listener)
    finally:
        follower.stop(timeout=1.0)
        threads.shutdown(wait=False, cancel_futures=True)
        log("stopped", environment=environment)


def _versions(models: Mapping[str, LoadedModel]) -> dict[str, int]:
    return {name: loaded.deployed.version for name, loaded in models.items()}


def _run(application: Application, listener: socket.socket) -> None:
    """Uvicorn on our socket, until a signal asks it to finish.

    Its own handlers begin with its loop, and when it is done it raises the signal once more for
    those from before: ours, which cover the time until then and let the process end well.
    """
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    logging.basicConfig(handlers=[_LogLines()], level=logging.WARNING)
    server = uvicorn.Server(config)

    def finish(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, finish)
    server.run(sockets=[listener])


def _port(layout: Layout, environment: str, port: int | None) -> int:
    if port is not None:
        return port
    deployment = read_deployment(layout.deployment(environment))
    if deployment is None:
        raise UsageError(
            f"{environment}: no port is known, for nothing is deployed there; give one with --port"
        )
    return deployment.port


@contextlib.contextmanager
def _environment_lock(layout: Layout, environment: str) -> Iterator[None]:
    """Be the environment's one server; whoever only looks at the lock holds it for an instant."""
    lock = FileLock(layout.server_lock(environment))
    if not until(lock.try_acquire, _LOCK_SECONDS):
        state = read_state(layout.server_state(environment))
        where = f" at http://{HOST}:{state.port} by process {state.pid}" if state else ""
        raise ServingError(f"{environment}: is served already{where}; stop that server first")
    try:
        yield
    finally:
        lock.release()
