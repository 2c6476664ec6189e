"""Reads the runs that scripts began by themselves (`inside/script.py` has the format)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.plain import from_plain
from mlbench.domain.records import dataclass
from mlbench.domain.runs import CodeState, Extremes, Marks, Run, StageRecord
from mlbench.inside.script import DESCRIPTION_LOCK_NAME, ENDED_NAME, LOCK_NAME, SCRIPT_NAME
from mlbench.system.files import read_json
from mlbench.system.locks import is_held
from mlbench.system.values import read_value
from mlbench.tracking.folder import DIFF_NAME, ENVIRONMENT_NAME, read_marks
from mlbench.tracking.live import latest_values
from mlbench.tracking.logged import read_logged
from mlbench.tracking.pyramid import summary_of

OPENING_NAME = "opening.json"
"""Where the code stood when a script's run began: `{"code": …}`, a CodeState."""

ORIGIN = "script"
DIED = "its process died"

_PATIENCE = 5.0
_PAUSE = 0.02
_STAGE_OUTCOMES = {
    RunOutcome.PASSED: StageOutcome.RAN,
    RunOutcome.FAILED: StageOutcome.FAILED,
    RunOutcome.CANCELLED: StageOutcome.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class _Script:
    """What a script's run began with."""

    id: str
    script: str
    started: float
    name: str = ""
    by: str = ""
    parent: str = ""
    described_in: str = ""


@dataclass(frozen=True, slots=True)
class _Ending:
    """How it ended; `outcome` is a word of RunOutcome."""

    outcome: RunOutcome
    seconds: float
    message: str = ""


def read_script_run(folder: Path) -> Run | None:
    """The run of a script as it is now; None where the folder holds none, or nothing whole.

    Its outcome is None only while its process lives. One that ended in the last moments is waited
    for, until the process that describes its code has ended too.
    """
    script = read_value(_Script, folder / SCRIPT_NAME)
    if script is None:
        return None
    stage_folder = folder / "stages" / script.script.replace("/", "%2F")
    # Before a look for its ending, which is written while the lock is held.
    lives = is_held(folder / LOCK_NAME)
    ending = read_value(_Ending, folder / ENDED_NAME)
    if ending is None and lives:
        return _run(folder, script, None, time.time() - script.started, stage_folder)
    _wait_for_description(folder)
    if ending is None:
        seconds = max(0.0, _last_sign(stage_folder) - script.started)
        ending = _Ending(RunOutcome.FAILED, seconds, DIED)
    return _run(folder, script, ending, ending.seconds, stage_folder)


def complete(folder: Path) -> None:
    """Give a further run of a process the diff and the environment of its first one."""
    script = read_value(_Script, folder / SCRIPT_NAME)
    if script is None or script.described_in in ("", folder.name):
        return
    for name in (DIFF_NAME, ENVIRONMENT_NAME):
        with contextlib.suppress(OSError):
            os.link(folder.parent / script.described_in / name, folder / name)


def _run(
    folder: Path, script: _Script, ending: _Ending | None, seconds: float, stage_folder: Path
) -> Run:
    logged = read_logged(stage_folder)
    metrics, extremes = _metrics(stage_folder, is_live=ending is None)
    stage = StageRecord(
        outcome=None if ending is None else _STAGE_OUTCOMES[ending.outcome],
        seconds=round(seconds, 3),
        key=None,
        ran_in=script.id,
        metrics=metrics,
        message="" if ending is None else ending.message,
    )
    described = folder.parent / script.described_in if script.described_in else folder
    return Run(
        id=script.id,
        name=script.name or friendly_name(script.id),
        outcome=None if ending is None else ending.outcome,
        origin=ORIGIN,
        by=script.by,
        started=utc(script.started),
        seconds=round(seconds, 3),
        code=_code(described),
        params=logged.params,
        metrics=metrics,
        stages={script.script: stage},
        extremes=extremes,
        marks=read_marks(folder) or Marks(tags=logged.tags),
        parent=script.parent,
    )


def _metrics(
    stage_folder: Path, *, is_live: bool
) -> tuple[Mapping[str, float], Mapping[str, Extremes]]:
    """Last values and extremes; of a run that lives the last values alone, at a small cost."""
    if is_live:
        return latest_values(stage_folder), {}
    summaries = summary_of(stage_folder)
    return (
        {name: summary.last for name, summary in summaries.items()},
        {name: summary.extremes for name, summary in summaries.items()},
    )


def _code(folder: Path) -> CodeState:
    plain = read_json(folder / OPENING_NAME)
    try:
        return from_plain(CodeState, plain["code"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return CodeState()


def _wait_for_description(folder: Path) -> None:
    """Wait while a process describes the run, but not for one that hangs."""
    until = time.monotonic() + _PATIENCE
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / DESCRIPTION_LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while time.monotonic() < until:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    time.sleep(_PAUSE)
        finally:
            os.close(descriptor)


def _last_sign(stage_folder: Path) -> float:
    """When the last thing was written there, in seconds since the epoch; 0 where nothing was."""
    latest = 0.0
    with contextlib.suppress(OSError), os.scandir(stage_folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                latest = max(latest, entry.stat().st_mtime)
    return latest
