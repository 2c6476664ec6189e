"""How the loop starts supervisors: through a small process that forks them.

Forking one costs 1 ms of processor time, where starting an interpreter costs 10 and forking the
loop itself, big and with threads, would be neither quick nor safe.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from errno import EAGAIN, EINVAL
from pathlib import Path

_PROGRAM = (
    f"import sys; sys.path.append({str(Path(__file__).parents[2])!r}); "
    "from mlbench.system.forkserver import serve; serve()"
)


class ForkServer:
    """Started with the first stage, ended with this process; supervisors depend on neither."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._pid = self._owner = 0

    def warm(self) -> None:
        """Let the server start while something else is done; returns at once."""
        with self._lock, contextlib.suppress(OSError):
            self._connected()

    def start(self, arguments: Iterable[str], env: Mapping[str, str], lock: int) -> int | None:
        """Fork a supervisor that holds this locked descriptor; gives its process id.

        None where the server ended before it could say: then a supervisor has the lock, or nobody.
        OSError where the system has no process left, or a word can't be one of a command's.
        """
        message = _message(arguments, env)
        with self._lock:
            for attempt in range(2):
                with contextlib.suppress(OSError):
                    connection = self._connected()
                    _send(connection, message, lock)
                    break
                # It was killed, before it had all of the message: nothing was started.
                self._close()
                if attempt:
                    raise OSError(EAGAIN, "the process that starts stages can't be started")
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = connection.recv(8, socket.MSG_WAITALL)
            if len(answer) < 8:
                self._close()
                return None
        pid = int.from_bytes(answer, "little")
        if pid == 0:
            raise OSError(EAGAIN, os.strerror(EAGAIN))
        return pid

    def close(self) -> None:
        """End the server; the supervisors go on."""
        with self._lock:
            self._close()

    def _connected(self) -> socket.socket:
        if self._owner != os.getpid():
            # In a fork of the process that it belongs to, it is not ours to share.
            self._close()
        if self._socket is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._pid = _spawn(theirs.fileno())
            self._socket, self._owner = ours, os.getpid()
        return self._socket

    def _close(self) -> None:
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        if self._owner == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)


FORK_SERVER = ForkServer()
atexit.register(FORK_SERVER.close)


def _spawn(connection: int) -> int:
    """Start the server, isolated from the user's Python; posix_spawn copies nothing of the loop."""
    null = os.devnull
    return os.posix_spawn(
        sys.executable,
        (sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, connection, 0),
            (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
        ],
        setsid=True,
        setsigmask=(),
    )


def _message(arguments: Iterable[str], env: Mapping[str, str]) -> bytes:
    """The number of arguments, these, and the environment: words with NUL between."""
    words = [os.fsencode(word) for word in arguments]
    words = [b"%d" % len(words), *words]
    words += [os.fsencode(f"{name}={value}") for name, value in env.items()]
    if any(b"\0" in word for word in words):
        raise OSError(EINVAL, "a command and its environment can't hold a NUL character")
    return b"\0".join(words)


def _send(connection: socket.socket, message: bytes, descriptor: int) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
    connection.sendmsg([len(message).to_bytes(8, "little")], [rights])
    connection.sendall(message)
