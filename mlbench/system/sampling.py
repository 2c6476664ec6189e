"""Measures now and then what a stage and the machine use, in a process beside the supervisor.

The supervisor forks it when its stage has run for a second, so that short stages pay nothing, and
so that whatever a broken driver of a graphics card does to it, the stage goes on. It appends to
`system-<pid>.jsonl` in the stage's folder, one JSON object a line, times in seconds since the
epoch, memory in bytes:

    {"at": 1795424102.1, "cpu": 153.2, "memory": 812396544, "processes": 5,
     "machine/cpu": 45.1, "machine/memory": 9412395008, "gpu/0/utilization": 87, "gpu/0/memory": …}

`cpu` is in percent of one core, `machine/cpu` in percent of them all. `memory` sums up what each
process has resident, so that what several share counts for each. Both are of the supervisor's
descendants and of the sessions that they began.

The longer a stage runs, the rarer the samples, so that the file stays below a megabyte.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, NoReturn

from mlbench.system.nvml import Gpus
from mlbench.system.proctable import (
    HAS_PROC,
    Process,
    ancestors,
    read_proc,
    send,
    start_time,
    stat_fields,
)

PREFIX, SUFFIX = "system-", ".jsonl"

_FIRST_AFTER = 1.0
_SHORTEST_BETWEEN = 1.0
# A sample for each such part of the stage's time so far; and so many times what a sample costs.
_PART_OF_TIME = 300
_TIMES_ITS_COST = 400
_NICENESS = 10
_PR_SET_PDEATHSIG = 1
_PERCENT = 100.0
_HZ = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024

Row = tuple[int, int, int, float, int]
"""Id, parent's id, session, seconds of processor time with ended children's, bytes resident."""


class Sampler:
    """The process that measures beside one stage, as its supervisor sees it."""

    def __init__(self, folder: str) -> None:
        """The stage with this folder begins now."""
        self._folder = folder
        self._began = time.monotonic()
        self._is_tried = False
        self._process: Process | None = None

    def seconds_until_due(self) -> float | None:
        """How long until it is to be started; None once that was tried."""
        if self._is_tried:
            return None
        return max(0.0, self._began + _FIRST_AFTER - time.monotonic())

    def start_if_due(self) -> None:
        """Fork it, if the stage has run long enough and it isn't there yet."""
        if self.seconds_until_due() != 0.0:
            return
        self._is_tried, supervisor = True, os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return
        if pid == 0:
            _sample_on(self._folder, supervisor, self._began)
        self._process = pid, start_time(pid) or ""

    def end(self) -> None:
        """End it; not waited for, so that what it used is never taken for the stage's."""
        if self._process is not None:
            send(self._process, signal.SIGKILL)


def _sample_on(folder: str, supervisor: int, began: float) -> NoReturn:
    """Measure until the supervisor ends or the file can't be written."""
    try:
        _let_go()
        usage = Usage(supervisor)
        usage.sample()
        pause = _SHORTEST_BETWEEN
        while True:
            time.sleep(pause)
            if os.getppid() != supervisor:
                break
            before = time.thread_time()
            line = json.dumps(usage.sample()).encode() + b"\n"
            _append(f"{folder}/{PREFIX}{os.getpid()}{SUFFIX}", line)
            cost = time.thread_time() - before
            pause = pause_after(time.monotonic() - began, cost)
    finally:
        os._exit(0)


def _append(path: str, line: bytes) -> None:
    """Write a line; opened anew each time, so that a removed folder ends it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(file, line)
    os.close(file)


def pause_after(seconds: float, cost: float) -> float:
    """How long to wait, so long after the stage's start, where a sample costs so much; pure."""
    return max(_SHORTEST_BETWEEN, seconds / _PART_OF_TIME, cost * _TIMES_ITS_COST)


def _let_go() -> None:
    """Hold nothing of the supervisor's, its lock least of all, and end when it ends."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for order in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(order, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.nice(_NICENESS)


class Usage:
    """What the descendants of one process and the machine use, from one sample to the next."""

    def __init__(self, root: int) -> None:
        """`root` itself does not count, nor does the process that this is in."""
        self._root = root
        self._sessions: set[int] = set()
        self._seconds = 0.0
        self._at = time.monotonic()
        self._machine: tuple[int, int] | None = None
        self._gpus = Gpus()

    def sample(self) -> dict[str, Any]:
        """Everything as of now; percentages are averages since the call before."""
        rows = self._own(rows_of_proc() if HAS_PROC else rows_of_ps())
        now, seconds = time.monotonic(), sum(row[3] for row in rows)
        spent = max(0.0, seconds - self._seconds) / max(now - self._at, 1e-9)
        self._seconds, self._at = seconds, now
        sample: dict[str, Any] = {
            "at": round(time.time(), 3),
            "cpu": round(_PERCENT * spent, 1),
            "memory": sum(row[4] for row in rows),
            "processes": sum(1 for row in rows if row[0] != self._root),
        }
        return sample | self._machine_use() | self._gpus.sample()

    def _own(self, rows: list[Row]) -> list[Row]:
        """The rows of the stage; of the root's what its ended children used."""
        parents = {pid: parent for pid, parent, _, _, _ in rows}
        own = []
        for row in rows:
            pid, _, session, _, _ = row
            line = ancestors(pid, parents)
            if os.getpid() in (pid, *line):
                continue
            if self._root in line:
                self._sessions.add(session)
            elif session not in self._sessions and pid != self._root:
                continue
            own.append((*row[:4], 0) if pid == self._root else row)
        return own

    def _machine_use(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        ticks = _machine_ticks()
        if ticks is not None:
            if self._machine is not None and ticks[1] > self._machine[1]:
                busy, total = ticks[0] - self._machine[0], ticks[1] - self._machine[1]
                found["machine/cpu"] = round(_PERCENT * busy / total, 1)
            self._machine = ticks
        memory = _machine_memory()
        if memory is not None:
            found["machine/memory"] = memory
        return found


def rows_of_proc() -> list[Row]:
    """Every process by proc_pid_stat(5)."""
    rows = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(int(name))
            if len(fields) > 21:
                ticks = sum(map(int, fields[11:15]))
                pages = int(fields[21])
                rows.append((int(name), int(fields[1]), int(fields[3]), ticks / _HZ, pages * _PAGE))
    return rows


def rows_of_ps() -> list[Row]:
    """Every process where there is no /proc, by POSIX's `ps`, with its group for its session."""
    words = ["ps", "-A", "-o", "pid=,ppid=,pgid=,time=,rss="]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    rows = []
    for line in done.stdout.decode(errors="replace").splitlines():
        pid, parent, group, used, resident = line.split()
        seconds = _seconds(used)
        rows.append((int(pid), int(parent), int(group), seconds, int(resident) * _KIB))
    return rows


def _seconds(used: str) -> float:
    """Processor time as ps prints it, `[[dd-]hh:]mm:ss[.ss]`."""
    days, _, rest = used.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86400 * int(days or 0)


def _machine_ticks() -> tuple[int, int] | None:
    """Busy and all ticks of all cores since the machine started, by proc_stat(5)."""
    fields = read_proc("/proc/stat").partition(b"\n")[0].split()[1:9]
    if len(fields) < 8:
        return None
    ticks = [int(field) for field in fields]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _machine_memory() -> int | None:
    """Bytes in use, by proc_meminfo(5): what a new program could not have."""
    found = dict(line.split()[:2] for line in read_proc("/proc/meminfo").splitlines() if line)
    total, available = found.get(b"MemTotal:"), found.get(b"MemAvailable:")
    if total is None or available is None:
        return None
    return (int(total) - int(available)) * _KIB
