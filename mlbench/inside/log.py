"""`mlbench.log`: records metrics as a script trains, and never raises into it or stops it."""

from __future__ import annotations

from time import time

from mlbench.inside.place import here, warn, whole_step

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import SupportsFloat, SupportsInt

    from mlbench.inside.stepwriter import StepWriter


def log(
    metrics: Mapping[str, SupportsFloat] | None = None,
    /,
    *,
    step: SupportsInt | None = None,
    **values: SupportsFloat,
) -> None:
    """Record metrics by name: `log(loss=0.3, step=2)` or `log({"val/loss": 0.3}, step=2)`.

    Values are whatever `float()` takes; without `step` each name counts on from its last one, from
    0. Outside a stage of mlbench and without `run()` the first call begins a run of the script's
    own. Nothing is raised: what can't be recorded is left out, and the first time in a process a
    sentence on standard error says so.
    """
    try:
        steps = here.steps or _begun()
        if steps is None:
            return
        at = time()
        whole = step if step is None or type(step) is int else whole_step(step)
        if metrics is not None:
            values = {**metrics, **values}
        for name, value in values.items():
            # One that can't be recorded leaves the others of its call.
            try:
                steps.add(str(name), float(value), whole, at)
            except Exception as error:
                _warn_of(steps, name, error)
    except Exception as error:
        warn("log", f"left a call out ({error})")


def _warn_of(steps: StepWriter, name: str, error: Exception) -> None:
    if isinstance(error, OSError):
        warn("log", f"can't write in {steps.folder} ({error}); make room or make it writable")
    else:
        warn("log", f'left "{name}" out ({error}); pass a number')


def _begun() -> StepWriter | None:
    """The writer of a run that begins now; None where none can."""
    # Late: inside a stage nobody needs it.
    from mlbench.inside.scripts import current

    place = current()
    return None if place is None else place.steps
