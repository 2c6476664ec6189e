"""One worker process: started with its sockets, talked to without waiting, and buried."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from mlbench.serving.control import Message, read, written
from mlbench.serving.python_path import variables
from mlbench.serving.supervisor.happenings import Death

WORKER = (sys.executable, "-P", "-m", "mlbench.serving.worker")
_CHUNK = 1 << 18
_LAST_WORDS = 5
_BURIAL_SECONDS = 0.2


class WorkerProcess:
    """A worker as its supervisor holds it; nothing here waits for the worker but `end`."""

    def __init__(
        self, command: Sequence[str], folder: Path, listener: socket.socket, index: int
    ) -> None:
        """Start it with `--listen FD --control FD` after this command."""
        self.index = index
        self.unanswered = 0
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.hung = ""
        """Why it was given up, if it was."""
        self.control, theirs = socket.socketpair()
        self.output, their_output = os.pipe()
        sockets = ["--listen", str(listener.fileno()), "--control", str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                [*command, *sockets],
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                cwd=folder,
                env=variables(),
                pass_fds=(listener.fileno(), theirs.fileno()),
            )
        except BaseException:
            self.control.close()
            os.close(self.output)
            raise
        finally:
            theirs.close()
            os.close(their_output)
        self.control.setblocking(False)
        os.set_blocking(self.output, False)
        self._in = b""
        self._out = b""
        self._said = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_more_to_send(self) -> bool:
        """Whether `flush` is to be called once the control socket can be written."""
        return bool(self._out)

    def send(self, message: Message) -> None:
        """Send a message, as much of it as goes now."""
        self._out += written(message)
        self.flush()

    def flush(self) -> None:
        """Send what did not go before; who is gone hears nothing, and `receive` tells of it."""
        try:
            while self._out:
                self._out = self._out[self.control.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError:
            self._out = b""

    def receive(self) -> tuple[list[Message], bool]:
        """The messages that came, and whether it is still there. ValueError for what is none."""
        try:
            data = self.control.recv(_CHUNK)
        except BlockingIOError:
            return [], True
        except OSError:
            data = b""
        *lines, self._in = (self._in + data).split(b"\n")
        return [read(line) for line in lines if line], bool(data)

    def said(self) -> tuple[list[str], bool]:
        """The lines that it printed since, and whether it may print more."""
        try:
            data = os.read(self.output, _CHUNK)
        except BlockingIOError:
            return [], True
        except OSError:
            data = b""
        ends = b"" if data else b"\n"
        *lines, self._said = (self._said + data + ends).split(b"\n")
        texts = [text for line in lines if (text := line.decode("utf-8", "replace").strip())]
        self.last_words.extend(texts)
        return texts, bool(data)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def end(self) -> None:
        """Wait until it is dead, which it is but for an instant; one that lingers is killed."""
        try:
            self._process.wait(_BURIAL_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def bury(self) -> Death:
        """How it ended; nothing can be heard of it afterwards."""
        self.control.close()
        os.close(self.output)
        code = self._process.wait()
        if self.hung:
            return Death(self.hung, was_hung=True)
        if code >= 0:
            return Death(f"exit status {code}")
        return Death(f"signal {-code}, {_name(-code)}", code == -signal.SIGKILL)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
