"""What is read about runs that somebody looks at: one in full, several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.domain.comparison import Comparison
from mlbench.domain.curves import CurveSource, Summary
from mlbench.domain.errors import MlbenchError
from mlbench.domain.runs import Run
from mlbench.tui.draw.code import code_lines
from mlbench.tui.draw.overlay import Overlay, Trace
from mlbench.tui.saved import Saved

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries
    from mlbench.engine.restoring import Restoration


@dataclass(frozen=True, slots=True)
class RunQuestion:
    """Which run to read in full."""

    run: str


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with all that its folder says."""

    question: RunQuestion
    run: Run | None = None
    saved: tuple[Saved, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonQuestion:
    """Which runs to put side by side, what is compared with first."""

    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs side by side, or why that can't be; `code` is the diff from the first to the last."""

    question: ComparisonQuestion
    comparison: Comparison | None = None
    code: tuple[Content, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CurvesQuestion:
    """Which runs' curves to draw, between which steps, and in how many columns."""

    runs: tuple[str, ...]
    columns: int
    first_step: int | None = None
    last_step: int | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """The metrics that the runs logged by step, each over each other."""

    question: CurvesQuestion
    overlays: tuple[Overlay, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoreQuestion:
    """Which run might be brought back."""

    run: str


@dataclass(frozen=True, slots=True)
class Restorable:
    """What bringing a run back would mean, or why that can't be told."""

    run: Run | None = None
    restoration: Restoration | None = None
    problem: str = ""


Question = RunQuestion | ComparisonQuestion | CurvesQuestion | RestoreQuestion
Answer = RunDetail | Compared | Curves


class RunReader:
    """Answers questions about runs; keeps the curves that it looked at last."""

    def __init__(self, queries: Queries) -> None:
        """Look into this project."""
        self._queries = queries
        self._runs: tuple[str, ...] = ()
        self._sources: list[list[CurveSource]] = []
        self._readers: dict[Path, CurveSource] = {}

    def run(self, question: RunQuestion) -> RunDetail:
        """The whole record of a run."""
        try:
            run = self._queries.run(question.run)
            saved = self._queries.saved(run)
        except MlbenchError as error:
            return RunDetail(question, problem=str(error))
        every = tuple(
            Saved(stage, item.name, item.kind, item.path, item.size, item.step)
            for stage, items in saved.items()
            for item in items
        )
        return RunDetail(question, run, every)

    def compare(self, question: ComparisonQuestion) -> Compared:
        """Everything that the runs differ in, and the code between the first and the last."""
        from mlbench.engine.comparing import compare_runs

        try:
            comparison = compare_runs(self._queries, question.runs)
        except MlbenchError as error:
            return Compared(question, problem=str(error))
        code = code_lines(comparison.code.get(comparison.runs[-1].id, ""))
        return Compared(question, comparison, tuple(code))

    def curves(self, question: CurvesQuestion) -> Curves:
        """Every metric that one of the runs logged, over the steps that are asked for."""
        if question.runs != self._runs:
            self._runs = question.runs
            self._sources = [self._sources_of(run) for run in question.runs]
        every = [_newest(sources) for sources in self._sources]
        names = dict.fromkeys(name for found in every for name in found)
        overlays = []
        for name in names:
            sources = {place: found[name] for place, found in enumerate(every) if name in found}
            overlays.append(_overlay(name, sources, question))
        return Curves(question, tuple(overlays))

    def restorable(self, question: RestoreQuestion) -> Restorable:
        """What bringing a run back would change now."""
        from mlbench.engine.restoring import restoration

        try:
            run = self._queries.run(question.run)
            return Restorable(run, restoration(self._queries.layout, run))
        except MlbenchError as error:
            return Restorable(problem=str(error))

    def _sources_of(self, run_id: str) -> list[CurveSource]:
        try:
            run = self._queries.run(run_id)
            folders = [self._queries.stage_folder(run, stage) for stage in run.stages]
        except MlbenchError:
            return []
        return [self._queries.curves(folder) for folder in folders]


Found = tuple[CurveSource, Summary]


def _newest(sources: Sequence[CurveSource]) -> dict[str, Found]:
    """Each metric that was logged at more than one step, with its source: the last stage's."""
    return {
        name: (source, summary)
        for source in sources
        for name, summary in source.summaries().items()
        if summary.last_step > summary.first_step
    }


def _overlay(name: str, found: Mapping[int, Found], question: CurvesQuestion) -> Overlay:
    """The curves of one metric over one window, as far as there are steps."""
    first = min(summary.first_step for _, summary in found.values())
    last = max(summary.last_step for _, summary in found.values())
    if question.first_step is not None and question.last_step is not None:
        first, last = max(first, question.first_step), min(last, question.last_step)
    traces = tuple(
        Trace(place, curve, summary.first_step, summary.last_step)
        for place, (source, summary) in found.items()
        for curve in source.curves(
            question.columns, names=(name,), first_step=first, last_step=max(first, last)
        )
    )
    return Overlay(name, first, max(first, last), traces)
