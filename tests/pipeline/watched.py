"""A folder under watch, and the calls that came of it."""

from __future__ import annotations

import queue
from collections.abc import Iterable
from pathlib import Path

from mlbench.pipeline.watching.ignored import Ignored
from mlbench.pipeline.watching.mounts import Mounts
from mlbench.pipeline.watching.watch import Watch

BOUND_SECONDS = 30.0
Call = tuple[str, ...]


class Watched:
    """A watch that runs; each wait is for a call, and fails after a bound no machine needs."""

    def __init__(
        self,
        root: Path,
        names: Iterable[str] = (),
        mounts: Mounts | None = None,
        ignored: Ignored | None = None,
    ) -> None:
        self.root = root
        self._calls: queue.Queue[Call] = queue.Queue()
        self.notices: queue.Queue[str] = queue.Queue()
        ignored = Ignored(root, names) if ignored is None else ignored
        self.watch = Watch(root, ignored, self._calls.put, self.notices.put, mounts)
        self.watch.start()
        self._marks = 0

    def until(self, path: str) -> list[Call]:
        """The calls up to the one that names this path; `()` stands for the whole tree."""
        calls: list[Call] = []
        while not calls or path not in (calls[-1] or (path,)):
            calls.append(self.next_call())
        return calls

    def next_call(self) -> Call:
        """The next call, waited for."""
        return self._calls.get(timeout=BOUND_SECONDS)

    def until_everything(self) -> None:
        """Wait for the call that says to look at the whole tree."""
        while self.next_call():
            pass

    def write_until_told(self, name: str) -> None:
        """Write a file until it is named itself, and not the whole tree or a folder that came.

        Were nobody watching, nothing would be told at all.
        """
        for number in range(20):
            (self.root / name).write_text(str(number))
            top = name.partition("/")[0]
            told: Call = ("",)
            while told and not {name, top} & set(told):
                told = self.next_call()
            if name in told:
                return
        raise AssertionError(f"{name} was never named")

    def so_far(self) -> set[str]:
        """The paths of all calls up to now: a file that is written last shows that all is told."""
        self._marks += 1
        mark = f"mark{self._marks}"
        (self.root / mark).write_text("x")
        return {path for call in self.until(mark) for path in call} - {mark}

    def is_silent_for(self, seconds: float) -> bool:
        try:
            self._calls.get(timeout=seconds)
        except queue.Empty:
            return True
        return False
