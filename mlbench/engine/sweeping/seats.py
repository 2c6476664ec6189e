"""Places for stages that run side by side: cores, GPUs and memory of this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from mlbench.domain.stages import Stage
from mlbench.engine.machine import Machine

_LOOK_SECONDS = 0.1


class Seats:
    """Hands out what the machine has; whoever finds too little waits."""

    def __init__(self, machine: Machine) -> None:
        """Nothing is taken."""
        self._machine = machine
        self._changed = threading.Condition()
        self._cores = self._memory = 0
        self._gpus: list[str] = list(machine.gpus)

    def hold(self, gpus: Collection[str]) -> None:
        """Give these to nobody else: what was begun before has them, and comes for its place."""
        with self._changed:
            self._gpus = [gpu for gpu in self._gpus if gpu not in gpus]

    @contextmanager
    def taken(
        self, stage: Stage, is_stopping: Callable[[], bool], held: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, ...]]:
        """A place for a stage, as soon as there is one; gives the ids of its GPUs.

        Who is stopping gets none and does not wait. What is launched elsewhere takes nothing here.
        With GPUs that are `held` it runs already.
        """
        wants = stage.resources
        cores, memory, count = wants.cpu or 0, wants.memory or 0, wants.gpu
        if stage.launch or not (cores or memory or count):
            yield ()
            return
        with self._changed:
            while not held and not self._has_room(cores, memory, count):
                if is_stopping():
                    break
                self._changed.wait(_LOOK_SECONDS)
            gpus = held or tuple(self._gpus[:count])
            if not held:
                del self._gpus[:count]
            self._cores += cores
            self._memory += memory
        try:
            yield gpus
        finally:
            with self._changed:
                self._cores -= cores
                self._memory -= memory
                self._gpus += gpus
                self._changed.notify_all()

    def _has_room(self, cores: int, memory: int, gpus: int) -> bool:
        machine = self._machine
        return (
            self._cores + cores <= machine.cores
            and self._memory + memory <= machine.memory
            and len(self._gpus) >= gpus
        )
