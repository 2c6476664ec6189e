"""Telling the world outside what is live, by the project's own command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.errors import MlbenchError
from mlbench.domain.outside import filled
from mlbench.domain.phrases import duration
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.records import dataclass
from mlbench.project.layout import Layout
from mlbench.system.files import read_json, write_json

_TIMEOUT_SECONDS = 600.0
_GRACE_SECONDS = 5.0
_TICK_SECONDS = 0.1
_LAST_LETTERS = 200


class OutsideNotToldError(MlbenchError):
    """The version is live, but the command that tells the world outside failed."""


@dataclass(frozen=True, slots=True)
class Told:
    """How `on_promote` ended; `exit_status` is negative for a signal, as subprocess has it.

    `is_broken_off` where it was stopped because the loop ended.
    """

    command: str
    at: str
    seconds: float
    exit_status: int
    is_timed_out: bool = False
    is_broken_off: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the world knows."""
        return self.exit_status == 0 and not (self.is_timed_out or self.is_broken_off)


def told_before(layout: Layout, sequence: int) -> Told | None:
    """How the command ended for this entry of the ledger; None where it has not."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        return from_plain(Told, read_json(layout.told_outside(sequence)))
    return None


def tell_outside(
    layout: Layout,
    command: str,
    values: Mapping[str, str],
    sequence: int,
    timeout: float = _TIMEOUT_SECONDS,
    ending: threading.Event | None = None,
) -> Told:
    """Run the command in the project's folder; what it prints is kept by the ledger's entry.

    After `timeout` seconds, or once `ending` is set, its whole group is stopped. Raises nothing
    where it fails: that is told.
    """
    record = layout.told_outside(sequence)
    record.parent.mkdir(parents=True, exist_ok=True)
    line = filled(command, values)
    began, started = utc(), time.monotonic()
    with record.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", line],
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        is_timed_out = is_broken_off = False
        while (status := _status_soon(process)) is None:
            is_broken_off = ending is not None and ending.is_set()
            is_timed_out = not is_broken_off and time.monotonic() - started > timeout
            if is_timed_out or is_broken_off:
                status = _stop(process)
                break
    took = time.monotonic() - started
    told = Told(line, began, took, status, is_timed_out, is_broken_off)
    write_json(record, to_plain(told))
    return told


def failure_words(layout: Layout, told: Told, sequence: int) -> str:
    """`on_promote failed with exit status 3 (no such host); its output is in …`."""
    log = layout.told_outside(sequence).with_suffix(".log")
    how = f"failed with exit status {told.exit_status}"
    if told.exit_status < 0:
        how = f"was ended by signal {-told.exit_status}"
    if told.is_timed_out:
        how = f"took longer than {duration(told.seconds)} and was stopped"
    if told.is_broken_off:
        how = f"was stopped after {duration(told.seconds)}, for the loop was ended"
    last = _last_line(log)
    shown = log.relative_to(layout.home) if log.is_relative_to(layout.home) else log
    return f"on_promote {how}{f' ({last})' if last else ''}; its output is in {shown}"


def _status_soon(process: subprocess.Popen[bytes]) -> int | None:
    """The exit status where the command ends within a tick."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_TICK_SECONDS)
    return None


def _stop(process: subprocess.Popen[bytes]) -> int:
    """End the command's whole group, gently first; gives its exit status."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    return process.wait()


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:_LAST_LETTERS]
    return ""
