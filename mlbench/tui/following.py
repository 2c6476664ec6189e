"""Following what one stage writes: its log from the tail on, and the curves that it logs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.curves import Curve
from mlbench.domain.errors import MlbenchError
from mlbench.domain.runs import Run, TestResult
from mlbench.tui.draw.ansi import tidy
from mlbench.tui.draw.curve import MOST_COLUMNS
from mlbench.tui.draw.single_tests import failures_first

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries

KEPT_LINES = 5000
_TAIL = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogText:
    """The last lines of a log.

    `first` is the number of the first one, counted from where the reader began, and `is_cut` says
    that there is more before.
    """

    first: int = 0
    lines: tuple[str, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class StageQuestion:
    """Which stage to look at: in the run that runs it, else as a recorded run has it."""

    stage: str
    live_run: str | None = None
    recorded_run: str | None = None


@dataclass(frozen=True, slots=True)
class StageDetail:
    """A stage's log, curves and single tests (failures first) as of now."""

    question: StageQuestion
    log: LogText = LogText()
    curves: tuple[Curve, ...] = ()
    tests: tuple[TestResult, ...] = ()


class LogTail:
    """Reads what a log has grown by, never more than its tail, and keeps the last lines."""

    def __init__(self, path: Path, kept: int = KEPT_LINES) -> None:
        """Begin near the end of the file, which may come into being later."""
        self._path = path
        self._offset = 0
        self._kept = kept
        self._lines: deque[str] = deque(maxlen=kept)
        self._count = 0
        self._rest = b""
        self._is_cut = False
        self._text = LogText()

    def read(self) -> LogText:
        """The last lines as of now; the same object where nothing was added."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._offset:
                    self._begin_again()
                if size - self._offset > _TAIL:
                    self._skip_to(size - _TAIL)
                if size == self._offset:
                    return self._text
                file.seek(self._offset)
                data = file.read(size - self._offset)
        except OSError:
            return self._text
        self._offset += len(data)
        self._add(data)
        return self._text

    def _begin_again(self) -> None:
        self._offset, self._rest = 0, b""
        self._lines.clear()
        self._count, self._is_cut = 0, False

    def _skip_to(self, offset: int) -> None:
        self._offset, self._rest = offset, b""
        self._is_cut = True

    def _add(self, data: bytes) -> None:
        is_begun_midway = self._is_cut and not self._rest and not self._lines
        *whole, self._rest = (self._rest + data).split(b"\n")
        # A program that never ends its line must not fill the memory.
        self._rest = self._rest[-_TAIL:]
        whole = whole[1:] if is_begun_midway else whole
        self._count += len(whole)
        for line in whole[-self._kept :]:
            self._lines.append(tidy(line.decode("utf-8", errors="replace")))
        shown = list(self._lines)
        if self._rest:
            shown.append(tidy(self._rest.decode("utf-8", errors="replace")))
        first = self._count - len(self._lines)
        self._text = LogText(first, tuple(shown), self._is_cut or first > 0)


class StageFollower:
    """Answers what a stage wrote; keeps its place in the files of the stage it looked at last."""

    def __init__(self, queries: Queries) -> None:
        """Look into this project."""
        self._queries = queries
        self._question: StageQuestion | None = None
        self._folder: Path | None = None
        self._records: dict[str, Run] = {}
        self._tests: tuple[TestResult, ...] = ()
        self._tests_stamp: int | None = None

    def look(self, question: StageQuestion) -> StageDetail:
        """The stage's log, curves and single tests as of now."""
        if question != self._question:
            self._question = question
            folder = self._folder_of(question)
            if folder != self._folder:
                self._folder = folder
                if folder is not None:
                    self._tail = LogTail(folder / "log")
                    running = question.stage if question.live_run is not None else None
                    self._curves = self._queries.curves(folder, running)
                    self._tests, self._tests_stamp = (), None
        if self._folder is None:
            return StageDetail(question)
        curves = tuple(
            curve
            for curve in self._curves.curves(MOST_COLUMNS)
            if curve.last_step > curve.first_step
        )
        return StageDetail(question, self._tail.read(), curves, self._read_tests(self._folder))

    def _read_tests(self, folder: Path) -> tuple[TestResult, ...]:
        """The single tests, read anew only where pytest wrote them anew."""
        stamp = self._queries.tests_stamp(folder)
        if stamp != self._tests_stamp:
            self._tests_stamp = stamp
            self._tests = failures_first(self._queries.tests(folder))
        return self._tests

    def _folder_of(self, question: StageQuestion) -> Path | None:
        if question.live_run is not None:
            return self._queries.live_stage_folder(question.live_run, question.stage)
        if question.recorded_run is None:
            return None
        try:
            run = self._records.get(question.recorded_run)
            run = run or self._queries.run(question.recorded_run)
            self._records[question.recorded_run] = run
            return self._queries.stage_folder(run, question.stage)
        except MlbenchError:
            return None
