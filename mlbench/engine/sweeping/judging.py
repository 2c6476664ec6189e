"""Gates over what a trial gave, judged beside the trials so that none of them waits."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Set
from dataclasses import replace

from mlbench.domain.expression import names_in, parse
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run
from mlbench.domain.stages import GateSpec, Project
from mlbench.engine.release_desk import ReleaseDesk
from mlbench.engine.sweeping.trial_run import Workplace
from mlbench.pipeline.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether the gates over a trial hold that would refuse a promotion."""

    number: int
    holds: bool


class Judge:
    """One run after the other, in a thread of its own; nothing is exported."""

    def __init__(
        self, place: Workplace, workspace: Workspace, tell: Callable[[Judged], None]
    ) -> None:
        """`tell` is called with what was judged, from that thread."""
        self._tell = tell
        self._asked: queue.SimpleQueue[tuple[int, Run] | None] = queue.SimpleQueue()
        self._project = with_gates_over(place.project, {stage.name for stage in place.stages})
        self._has_gates = any(model.gates for model in self._project.models)
        store = place.recording.store
        self._desk = ReleaseDesk(place.layout, workspace, store, lambda _: None)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, number: int, run: Run) -> None:
        """Judge a run some time."""
        if self._has_gates:
            self._asked.put((number, run))

    def close(self) -> None:
        """Wait until all that was asked for is judged."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            number, run = asked
            try:
                gates = self._desk.judge(self._project, run, exports=False)
                self._tell(Judged(number, not any(gate.refuses for gate in gates)))
            except Exception:
                # Without a verdict a trial is worth as much, and the next one has its own.
                traceback.print_exc()


def with_gates_over(project: Project, made: Set[str]) -> Project:
    """The project with those gates alone that a trial can answer for, which makes these stages.

    Whether the tests pass is asked when the best trial's parameters are applied.
    """
    others = {stage.name for stage in project.stages} - made

    def answers(gate: GateSpec) -> bool:
        names = names_in(parse(gate.check, slices=True))
        stages = {name.removeprefix("stages.").partition(".")[0] for name in names}
        return stages.isdisjoint(others)

    return replace(
        project,
        models=tuple(
            replace(model, gates=tuple(filter(answers, model.gates)))
            for model in project.models
            if model.stage in made
        ),
    )
