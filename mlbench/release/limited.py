"""A child process that may neither hang, nor fill memory or disk, nor leave anything running."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbench.system.proctable import MARK, of_stage
from mlbench.system.stopping import KILL_STEPS, stop_in_turn

_GB = 1_000_000_000
_TICK = 0.1
_BLOCK = 512
# The shell sets the limits on itself and then becomes the program: code of ours between fork and
# exec could hang in a process with threads, and the user's code could not be held to set them.
# Before, it leaves a watcher in the program's group, not as its child: the shell's standard input
# ends when whoever started it does, also by SIGKILL, and the watcher then kills the group.
_SHELL = (
    "exec 3<&0 </dev/null; ( { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & ); exec 3<&-; "
    'ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; ulimit -S -t "$3"; ulimit -H -t "$4"; '
    'shift 4; exec "$@"'
)
_CPU_SLACK = 5
_SIGNALS = {
    signal.SIGKILL: "was killed, as the system does when memory runs out",
    signal.SIGXCPU: "used more than its share of processor time",
    signal.SIGXFSZ: "wrote a file larger than its share of the disk",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take: seconds of time, bytes of memory of its own and of each file."""

    seconds: float = 600.0
    memory: int = 0
    file_size: int = 8 * _GB
    cpu_seconds: int = 0

    @classmethod
    def of_machine(cls, seconds: float = 600.0) -> Limits:
        """Three quarters of the machine's memory, and all its cores for `seconds`."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(seconds, memory // 4 * 3, cpu_seconds=int(seconds) * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended: `code` is negative for a signal; `why` where it was not let go on."""

    code: int
    why: str = ""

    @property
    def said(self) -> str:
        """What to say of it after its name: "took longer than 600 s", "crashed with SIGSEGV"."""
        if self.why:
            return self.why
        if self.code >= 0:
            return f"ended with exit status {self.code}"
        try:
            number = signal.Signals(-self.code)
        except ValueError:
            return f"was ended by signal {-self.code}"
        return _SIGNALS.get(number, f"crashed with {number.name}")


def run_limited(
    words: list[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    mark: Path,
    limits: Limits,
    stop: threading.Event | None = None,
) -> Ending:
    """Run a program to its end, to the end of its time or until `stop`; what it says goes to `log`.

    It is in a session of its own, and what it leaves running is killed. `mark` is an absolute path
    that no other process has as its mark: on Linux children in sessions of their own are found by
    it. Where this process is killed, the program's own session is killed too. OSError where the
    program can't be started.
    """
    _check_startable(words[0], cwd, env)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, "sh", *_ulimits(limits), *words],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env={**env, MARK: str(mark)},
            start_new_session=True,
        )
    try:
        why = _wait(process, limits.seconds, stop)
    finally:
        # Not before: the watcher takes it for the end of this process.
        if process.stdin is not None:
            process.stdin.close()
        stop_in_turn(lambda: of_stage(str(mark), process.pid, None), None, KILL_STEPS)
    return Ending(process.wait(), why)


def _wait(process: subprocess.Popen[bytes], seconds: float, stop: threading.Event | None) -> str:
    """Wait for a process's end; gives why it has to be ended, or nothing."""
    ended = threading.Event()

    def watch() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=watch, name="limited", daemon=True).start()
    until = time.monotonic() + seconds
    while not ended.wait(min(_TICK, max(0.0, until - time.monotonic()))):
        if stop is not None and stop.is_set():
            return "was stopped"
        if time.monotonic() >= until:
            return f"took longer than {seconds:g} s"
    return ""


def _ulimits(limits: Limits) -> list[str]:
    """Kilobytes, blocks and seconds as POSIX's ulimit takes them; never above what is allowed."""
    memory = _within(limits.memory, resource.RLIMIT_DATA)
    file_size = _within(limits.file_size, resource.RLIMIT_FSIZE)
    cpu = _within(limits.cpu_seconds, resource.RLIMIT_CPU)
    hard_cpu = _within(cpu + _CPU_SLACK if cpu else 0, resource.RLIMIT_CPU)
    amounts = (memory // 1024, file_size // _BLOCK, cpu, hard_cpu)
    return [str(amount) if amount else "unlimited" for amount in amounts]


def _within(amount: int, kind: int) -> int:
    """An amount, or the limit that this process has itself where that is less; 0: no limit."""
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        return amount
    return min(amount or hard, hard)


def _check_startable(program: str, cwd: Path, variables: Mapping[str, str]) -> None:
    """OSError as starting it would give; behind a shell it would be an exit status."""
    found = program if os.sep in program else shutil.which(program, path=variables.get("PATH"))
    path = cwd / (found or program)
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if not path.is_file() or not os.access(path, os.X_OK):
        raise PermissionError(13, "Permission denied", str(path))
