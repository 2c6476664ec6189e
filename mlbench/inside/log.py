"""`mlbench.log`: records metrics as a script trains, and never raises into it or stops it."""

from __future__ import annotations

import os
import sys
import time

from mlbench.inside.steplog import FOLDER_VARIABLE
from mlbench.inside.stepwriter import StepWriter

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import SupportsFloat, SupportsInt

_folder = os.environ.get(FOLDER_VARIABLE)
_writer = StepWriter(os.path.abspath(_folder)) if _folder else None
_said: list[str] = []


def log(
    metrics: Mapping[str, SupportsFloat] | None = None,
    /,
    *,
    step: SupportsInt | None = None,
    **values: SupportsFloat,
) -> None:
    """Record metrics by name: `log(loss=0.3, step=2)` or `log({"val/loss": 0.3}, step=2)`.

    Values are whatever `float()` takes; without `step` each name counts on from its last one, from
    0. Outside a stage of mlbench it does nothing. Nothing is raised: what can't be recorded is
    left out, and the first time in a process a sentence on standard error says so.
    """
    if _writer is None:
        return
    try:
        at = time.time()
        whole = None if step is None else _whole(step)
        if metrics is not None:
            values = {**metrics, **values}
        for name, value in values.items():
            _record(_writer, name, value, whole, at)
    except Exception as error:
        _warn(f"left a call out ({error})")


def _record(
    writer: StepWriter, name: str, value: SupportsFloat, step: int | None, at: float
) -> None:
    """Record one point, or warn; the other metrics of the same call go on."""
    try:
        writer.add(str(name), float(value), step, at)
    except OSError as error:
        _warn(f"can't write in {writer.folder} ({error}); make room or make it writable")
    except Exception as error:
        _warn(f'left "{name}" out ({error}); pass a number')


def _whole(step: SupportsInt) -> int:
    """The step as an int; ValueError where that would change it."""
    whole = int(step)
    if whole != step:
        raise ValueError(f"step must be a whole number, not {step}")
    return whole


def _warn(problem: str) -> None:
    """Say it once a process, and never fail at that."""
    if _said:
        return
    _said.append(problem)
    try:
        sys.stderr.write(f"mlbench: log() {problem:.500}. Training goes on; this is said once.\n")
        sys.stderr.flush()
    except Exception:
        return


if _writer is not None:
    os.register_at_fork(after_in_child=_writer.start_over_in_child)
