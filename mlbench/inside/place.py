"""Where this process logs: the folder of its stage, or of a run that it began itself."""

from __future__ import annotations

import atexit
import os
import sys

from mlbench.inside.steplog import FOLDER_VARIABLE
from mlbench.inside.stepwriter import StepWriter

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from typing import SupportsInt

    from mlbench.inside.logged import LoggedWriter


def whole_step(step: SupportsInt) -> int:
    """The step as an int; ValueError where that would change it."""
    whole = int(step)
    if whole != step:
        raise ValueError(f"step must be a whole number, not {step}")
    return whole


class Place:
    """A stage's folder with this process's writers in it."""

    __slots__ = ("_said", "folder", "steps")

    def __init__(self, folder: str) -> None:
        """Remember the folder; nothing is opened yet."""
        self.folder = folder
        self.steps = StepWriter(folder)
        self._said: LoggedWriter | None = None

    @property
    def said(self) -> LoggedWriter:
        """What writes params, tags and artifacts; loaded when first needed."""
        if self._said is None:
            from mlbench.inside.logged import LoggedWriter

            self._said = LoggedWriter(self.folder)
        return self._said

    def close(self) -> None:
        """Let the files go; whoever logs here later starts new ones."""
        self.steps.close()
        if self._said is not None:
            self._said.close()

    def start_over_in_child(self) -> None:
        """After a fork: leave the files to the parent."""
        self.steps.start_over_in_child()
        if self._said is not None:
            self._said.start_over_in_child()


class Here:
    """The places that are open in this process; what is logged goes to the innermost."""

    def __init__(self) -> None:
        """Begin in the stage that the environment names, if any."""
        folder = os.environ.get(FOLDER_VARIABLE)
        self.places: list[Place] = []
        self.steps: StepWriter | None = None
        if folder:
            self.enter(Place(os.path.abspath(folder)))

    def enter(self, place: Place) -> None:
        """Log to this place from now on."""
        self.places.append(place)
        self.steps = place.steps

    def leave(self, place: Place) -> None:
        """Log to the place before it again, whichever was entered since."""
        if place in self.places:
            self.places.remove(place)
        self.steps = self.places[-1].steps if self.places else None
        place.close()

    def close(self) -> None:
        """Let all files go."""
        for place in self.places:
            place.close()

    def start_over_in_child(self) -> None:
        """After a fork: leave all files to the parent."""
        for place in self.places:
            place.start_over_in_child()


here = Here()
# As early as can be, for what is registered last is called first at exit.
atexit.register(here.close)
os.register_at_fork(after_in_child=here.start_over_in_child)
_said: set[str] = set()


def warn(call: str, problem: str) -> None:
    """Say once a process what a function couldn't do, and never fail at that."""
    if call in _said:
        return
    _said.add(call)
    try:
        sys.stderr.write(f"mlbench: {call}() {problem:.500}. Training goes on; said once.\n")
        sys.stderr.flush()
    except Exception:
        return
