"""One run for processes of one program that each begin to log on their own.

torchrun starts a process for each device, and none of them is the others' parent; with
multiprocessing a main process often logs nothing itself. What all of them have the same is the
process that started them: of it the run's id is made, and whoever comes first begins it.
"""

from __future__ import annotations

import os
import sys
import time

from mlbench.inside.identity import run_id_of


def id_among_ranks(ordinal: int, is_implicit: bool) -> str:
    """The run's id that every rank on this machine comes to; empty where this process has none.

    `ordinal` counts the runs that this process began. Workers of multiprocessing share a run only
    where nobody asked for it: one that calls `run()` means one of its own.
    """
    attempt = 0
    if "TORCHELASTIC_RUN_ID" in os.environ and "LOCAL_RANK" in os.environ:
        starter = os.getppid()
        attempt = _number(os.environ.get("TORCHELASTIC_RESTART_COUNT", ""))
    elif is_implicit and (parent := _parent_in_multiprocessing()):
        starter = parent
    else:
        return ""
    began = started_at(starter)
    mixed = (starter + 257 * ordinal + 8191 * attempt) % 65536
    return "" if began is None else run_id_of(began, mixed.to_bytes(2, "big"))


def started_at(pid: int) -> float | None:
    """When a process began, in seconds since the epoch, the same whoever asks; None if unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name, which may hold anything: see proc_pid_stat(5).
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as file:
            times = [int(line.split()[1]) for line in file if line.startswith(b"btime")]
    except OSError:
        times = []
    return times[0] + ticks / os.sysconf("SC_CLK_TCK") if times else _started_by_ps(pid)


def _started_by_ps(pid: int) -> float | None:
    with os.popen(f"LC_ALL=C ps -o lstart= -p {pid}") as said:
        line = said.read().strip()
    return time.mktime(time.strptime(line, "%a %b %d %H:%M:%S %Y")) if line else None


def _parent_in_multiprocessing() -> int:
    """The process whose multiprocessing started this one; 0 in any other."""
    module = sys.modules.get("multiprocessing.process")
    parent = module.parent_process() if module is not None else None
    return 0 if parent is None else int(parent.pid)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
