"""The tiny process between the loop and a stage: starts it, keeps its log, writes down its end.

The fork server makes it, with its standard input on the stage's lock: the flock is free when this
process has ended, in whatever way. Nobody has to be there while it runs. In the stage's folder it
writes `log`, `process.json` (what another process needs to stop the stage) and `exit.json`; a file
`stop` there, followed by SIGTERM or SIGINT, is the order to stop.

Nothing is imported late, for mlbench or Python may be replaced while a stage runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from mlbench.system.proctable import Process, adopt_orphans, group_lives, of_stage, start_time
from mlbench.system.sampling import Sampler
from mlbench.system.stopping import KILL_STEPS, Steps, gentle_steps, stop_in_turn

_ORDERS = (signal.SIGTERM, signal.SIGINT)
_AWAITED = (*_ORDERS, signal.SIGCHLD, signal.SIGALRM)
# As a login shell has them: Python ignores some itself, and nohup or a shell's `&` others.
_BY_DEFAULT = (*_AWAITED, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
_FIRST_LOOK, _LONGEST_BETWEEN_LOOKS, _SAY_SO_AFTER = 0.005, 0.1, 2.0
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND
# What waits until it is asked for; a hang-up, whose terminal is not the stage's, waits for ever.
HELD_BACK = (*_AWAITED, signal.SIGHUP)


def supervise(arguments: list[str], env: Mapping[bytes, bytes], lock: int) -> NoReturn:
    """Run every command in turn until one fails or the stage is stopped, and end the process.

    The arguments: the stage's folder, its working folder, seconds until its timeout or nothing,
    seconds after SIGINT, seconds after SIGTERM, how many words to put before each command, these
    words, and the commands. The signals of HELD_BACK are blocked.
    """
    folder, cwd, timeout, interrupted, terminated, count, *words = arguments
    os.setsid()
    _keep_only(lock, folder)
    for number in _AWAITED:
        # Never called, for they are blocked: but what is ignored can't be waited for.
        signal.signal(number, lambda *_: None)
    # Where a launcher is looked for; commands have the whole environment.
    os.environ["PATH"] = os.fsdecode(env.get(b"PATH", os.defpath.encode()))
    started = time.time()
    supervision = Supervision(folder, env, timeout, (float(interrupted), float(terminated)))
    ending = supervision.run(cwd, words[: int(count)], words[int(count) :])
    ending["seconds"] = time.time() - started
    ending |= _usage()
    supervision.sampler.end()
    _write(f"{folder}/exit.json", ending)
    # The interpreter's own clearing up would hold the lock for another millisecond.
    os._exit(0)


class Supervision:
    """One stage on its way, from its first command to the end of the last process of it."""

    def __init__(
        self, folder: str, env: Mapping[bytes, bytes], timeout: str, grace: tuple[float, float]
    ) -> None:
        """The timeout, for all commands together, begins now."""
        self._folder = folder
        self._env = env
        self._deadline = time.monotonic() + float(timeout) if timeout else None
        self._grace = grace
        self._stopped = self._timed_out = False
        self._pid = 0
        self._supervisor = _identity(os.getpid())
        self.sampler = Sampler(folder)
        self._write_down(None)

    def run(self, cwd: str, launch: list[str], commands: list[str]) -> dict[str, Any]:
        """The commands one after the other; how the last that was begun has ended."""
        code, command = 0, ""
        for command in commands:
            # Ordered before this process could be signalled, or while the last command ended.
            if os.path.exists(f"{self._folder}/stop") or _ordered():
                self._stopped = True
                break
            try:
                os.chdir(cwd)
                self._start([*launch, "/bin/sh", "-c", command])
            except OSError as error:
                self._log(f"can't start: {error}")
                code = 127
                break
            code = self._await_end()
            if code or self._stopped or self._timed_out:
                break
        ending = {"code": code, "command": command}
        return ending | {"stopped": self._stopped, "timed_out": self._timed_out}

    def _start(self, words: list[str]) -> None:
        self._pid = os.posix_spawnp(
            words[0],
            words,
            self._env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, f"{self._folder}/log", _APPENDING, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_BY_DEFAULT,
        )
        self._write_down(_identity(self._pid))

    def _await_end(self) -> int:
        """Wait for the end of the command and of all its group, a stop or the deadline."""
        status = None
        while status is None and not self._over():
            self._await_signal(_AWAITED, self.sampler.seconds_until_due())
            status = self._status(os.WNOHANG)
            if status is None:
                self.sampler.start_if_due()
        if self._over():
            # Mostly not reaped yet: so its id, the group's too, can't go over to anybody else.
            self._stop(gentle_steps(self._grace))
        if status is None:
            status = self._status(0)
        code = os.waitstatus_to_exitcode(status or 0)
        if code:
            # What a failed stage left must not go on writing behind its back.
            self._stop(KILL_STEPS)
        elif not self._over():
            self._outlast_group()
        return code

    def _outlast_group(self) -> None:
        """A command has ended well; what it left running in its group may still write its outs."""
        waited, look = 0.0, _FIRST_LOOK
        while group_lives(self._pid):
            if waited < _SAY_SO_AFTER <= waited + look:
                self._log("the command has ended; waiting for what it started and left running")
            # Not for children: to look is to start one where there is no /proc.
            self._await_signal((*_ORDERS, signal.SIGALRM), look)
            waited += look
            look = min(2 * look, _LONGEST_BETWEEN_LOOKS)
            if self._over():
                self._stop(gentle_steps(self._grace))

    def _await_signal(self, awaited: tuple[int, ...], seconds: float | None = None) -> None:
        """Wait for one of these signals, of which SIGALRM is the deadline or after `seconds`."""
        if self._deadline is not None:
            left = max(0.0, self._deadline - time.monotonic())
            seconds = left if seconds is None else min(left, seconds)
        if seconds is not None:
            # Zero would be no alarm at all.
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
        if signal.sigwait(awaited) in _ORDERS:
            self._stopped = True
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            self._timed_out = True

    def _status(self, how: int) -> int | None:
        pid, status = os.waitpid(self._pid, how)
        return status if pid else None

    def _over(self) -> bool:
        return self._stopped or self._timed_out

    def _stop(self, steps: Steps) -> None:
        adopt_orphans()
        leader = _identity(self._pid)
        stop_in_turn(lambda: of_stage(self._folder, self._pid, os.getpid()), leader, steps)

    def _write_down(self, group: Process | None) -> None:
        _write(f"{self._folder}/process.json", {"supervisor": self._supervisor, "group": group})

    def _log(self, sentence: str) -> None:
        descriptor = os.open(f"{self._folder}/log", _APPENDING, 0o644)
        os.write(descriptor, f"mlbench: {sentence}\n".encode("utf-8", "surrogateescape"))
        os.close(descriptor)


def _keep_only(lock: int, folder: str) -> None:
    """Standard input is the lock, and complaints go to the log; nothing else stays open.

    The loop may have been given descriptors that its own parent forgot to close.
    """
    os.dup2(lock, 0)
    log = os.open(f"{folder}/log", _APPENDING, 0o644)
    os.dup2(log, 2)
    for name in os.listdir("/dev/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _ordered() -> bool:
    return not signal.sigpending().isdisjoint(_ORDERS)


def _identity(pid: int) -> Process:
    return pid, start_time(pid) or ""


def _usage() -> dict[str, Any]:
    _reap_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory": used.ru_maxrss * unit}


def _reap_orphans() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _write(path: str, value: Mapping[str, Any]) -> None:
    """Replace a file as a whole; not durably, for after a power cut no stage runs any more."""
    with open(f"{path}.new", "wb") as file:
        file.write(json.dumps(value).encode())
    os.replace(f"{path}.new", path)
