"""The tiny process between the loop and a stage: starts it, keeps its log, writes down its end.

Run by path as `python -I -S supervisor.py`, with a JSON object on its first line of standard
input: {"commands": [...], "cwd": …, "log": …, "exit": …, "timeout": seconds or null,
"grace": [seconds after SIGINT, seconds after SIGTERM]}. A further line `stop`, or the end of
standard input (the holder of the loop is gone), stops the stage's process group. Standard library
only, for it runs without site-packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
_TICK = 0.05
_SWEEP_SECONDS = 2.0
_SWEEP_TICK = 0.005
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run every command in turn until one fails or the stage is stopped."""
    # Unbuffered, so that a `stop` behind the first line stays in the pipe for select to see.
    with open(0, "rb", buffering=0, closefd=False) as orders:
        spec = json.loads(orders.readline())
    started = time.time()
    with open(spec["log"], "ab", buffering=0) as log:
        ending = _run_all(spec, log)
    ending["seconds"] = time.time() - started
    ending |= _usage()
    temporary = spec["exit"] + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(ending, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, spec["exit"])
    return 0


def _run_all(spec: dict[str, Any], log: Any) -> dict[str, Any]:
    deadline = time.monotonic() + spec["timeout"] if spec["timeout"] else None
    ending: dict[str, Any] = {"code": 0, "stopped": False, "timed_out": False, "command": ""}
    for command in spec["commands"]:
        ending["command"] = command
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=spec["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            log.write(f"mlbench: can't start: {error}\n".encode())
            return ending | {"code": 127}
        ending |= _wait(process, deadline, spec["grace"])
        if ending["code"] or ending["stopped"] or ending["timed_out"]:
            break
    return ending


def _wait(
    process: subprocess.Popen[bytes], deadline: float | None, grace: list[float]
) -> dict[str, Any]:
    """Wait for the end of one command, a stop or the deadline, whichever comes first."""
    exit_pipe = _exit_pipe(process)
    stopped = timed_out = False
    while process.poll() is None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([0, exit_pipe], [], [], left)
        if 0 in ready:
            stopped = True
        elif not ready:
            timed_out = True
        if stopped or timed_out:
            _stop_group(process, grace)
            break
    code = process.wait()
    if stopped or timed_out or code:
        _sweep_group(process.pid)
    return {"code": code, "stopped": stopped, "timed_out": timed_out}


def _exit_pipe(process: subprocess.Popen[bytes]) -> int:
    """A descriptor that becomes readable when the command ends, without polling for it."""
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            return os.pidfd_open(process.pid)
    import threading

    reader, writer = os.pipe()

    def close_at_end() -> None:
        process.wait()
        os.close(writer)

    threading.Thread(target=close_at_end, daemon=True).start()
    return reader


def _stop_group(process: subprocess.Popen[bytes], grace: list[float]) -> None:
    """SIGINT, then SIGTERM, then SIGKILL to the group, with time between."""
    _adopt_orphans()
    for number, seconds in zip(_SIGNALS, (*grace, 0.0), strict=True):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if process.poll() is not None:
                return
            time.sleep(_TICK)


def _sweep_group(group: int) -> None:
    """Nothing that a stopped or failed stage started goes on writing behind its back.

    Waits until the last of the group is gone: whoever waits for this process takes it for that.
    """
    until = time.monotonic() + _SWEEP_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
        while time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-group, os.WNOHANG)
            os.killpg(group, 0)
            time.sleep(_SWEEP_TICK)


def _adopt_orphans() -> None:
    """Become the parent of what a dying stage leaves, so that its end can be waited for.

    Linux alone has this; elsewhere the system's first process takes them.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _usage() -> dict[str, float]:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory": used.ru_maxrss * unit}


if __name__ == "__main__":
    sys.exit(main())
