"""Which processes there are and which of them are a stage's; signals that hit no other process.

A process is known by its id and the time of its start, for ids are used again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

Process = tuple[int, str]
Row = tuple[int, int, int, str]

MARK = "MLBENCH_STAGE_DIR"
_TICK = 0.01
_PATIENCE = 10
_KERNEL = (0, 2)
_PR_SET_CHILD_SUBREAPER = 36
_C = ctypes.CDLL(None)
HAS_PROC = os.path.exists("/proc/self/stat")


def start_time(pid: int) -> str | None:
    """When a process started, in the system's own words; None where it has ended, reaped or not."""
    if not HAS_PROC:
        return next((row[3] for row in rows_of_ps() if row[0] == pid), None)
    row = _proc_row(pid)
    return row[3] if row else None


def lives(process: Process) -> bool:
    """Whether this very process is there still, and not another that got its id."""
    return start_time(process[0]) == process[1]


def send(process: Process, number: int) -> bool:
    """Send a signal to this very process or to none; False where it is not ours to signal."""
    # Opened first and looked at second: the descriptor never goes over to another process.
    descriptor = _pidfd(process[0])
    try:
        if not lives(process):
            return True
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(process[0], number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def _pidfd(pid: int) -> int | None:
    """A descriptor of a process, where Python and the system have such a thing."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def group_lives(group: int) -> bool:
    """Whether a process group has a member that has not ended, as a zombie has."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # There is one: another user's, or on macOS a zombie.
        pass
    return any(row[2] == group for row in table())


def of_stage(folder: str, group: int | None, root: int | None) -> list[Process]:
    """A stage's processes: a group, the descendants of `root`, and all that bear the stage's mark.

    The mark, `folder` in the environment, finds those too that began a session of their own; it
    can be read on Linux alone. The caller and what it descends from are never among them.
    """
    rows = table()
    parents = {pid: parent for pid, parent, _, _ in rows}
    spared = {os.getpid(), *ancestors(os.getpid(), parents)}
    mark = b"\0" + os.fsencode(f"{MARK}={folder}") + b"\0"
    found = []
    for pid, parent, its_group, start in rows:
        if pid in spared:
            continue
        known = its_group == group or pid == root or root in ancestors(pid, parents)
        if known or (HAS_PROC and mark in _environment(pid, parent)):
            found.append((pid, start))
    return found


def now() -> int | None:
    """The present as `start_time` gives it, in ticks of /proc; None where there is no /proc."""
    if not HAS_PROC:
        return None
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def program(pid: int) -> str:
    """The file that a process runs; nothing where that can't be told."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def adopt_orphans() -> None:
    """Become the parent of what a dying child leaves, so that it is found as a descendant.

    By prctl(2), which Linux alone has; elsewhere the system's first process takes them.
    """
    if sys.platform == "linux":
        _C.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def table() -> list[Row]:
    """Every process that has not ended: its id, its parent's, its group and its start."""
    if not HAS_PROC:
        return rows_of_ps()
    rows = (_proc_row(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [row for row in rows if row]


def rows_of_ps() -> list[Row]:
    """The table where there is no /proc: what POSIX's `ps` prints, but for itself."""
    words = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="]
    # In one language and time zone, for who compares may have others than who wrote down.
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(words, env=env, stdin=null, stdout=pipe, text=True) as ps:
        printed, _ = ps.communicate()
    rows = []
    for line in printed.splitlines():
        pid, parent, group, state, *start = line.split()
        if not state.startswith("Z") and int(pid) != ps.pid:
            rows.append((int(pid), int(parent), int(group), " ".join(start)))
    return rows


def _proc_row(pid: int) -> Row | None:
    """One line of the table by proc_pid_stat(5); None for what has ended."""
    fields = stat_fields(pid)
    if len(fields) < 20:
        return None
    # With more than one thread a zombie's main thread alone has ended.
    if fields[0] in (b"Z", b"X") and int(fields[17]) <= 1:
        return None
    return pid, int(fields[1]), int(fields[2]), fields[19].decode()


def _environment(pid: int, parent: int) -> bytes:
    """The environment that a process was started with, by proc_pid_environ(5), NUL around each."""
    for _ in range(_PATIENCE):
        content = read_proc(f"/proc/{pid}/environ")
        # Without either it is the kernel's own, or just changing from one program to the next.
        if content or parent in _KERNEL or read_proc(f"/proc/{pid}/cmdline") or not _proc_row(pid):
            break
        time.sleep(_TICK)
    return b"\0" + content + b"\0"


def stat_fields(pid: int) -> list[bytes]:
    """The fields of proc_pid_stat(5) from the third on, the state; none for what is gone."""
    content = read_proc(f"/proc/{pid}/stat")
    # The program's name comes second, in brackets, and may hold brackets and blanks itself.
    return content[content.rfind(b")") + 2 :].split()


def ancestors(pid: int, parents: Mapping[int, int]) -> list[int]:
    """The ancestors of a process, its parent first, as far as `parents` knows them."""
    line: list[int] = []
    while (pid := parents.get(pid, 0)) and pid not in line:
        line.append(pid)
    return line


def read_proc(path: str) -> bytes:
    """All of a file of /proc; nothing where it is not there, or not ours to read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
