"""What a build is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Reason
from mlbench.domain.runs import TestCounts
from mlbench.pipeline.fingerprint import files_in, params_in
from mlbench.pipeline.traces import Trace
from mlbench.system.processes import StageExit


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What became of one stage; `trace` is what its outs now stand for, where they stand.

    `key` tells the state that it was made from from any other, `parts` are its inputs by kind and
    name, known before or found, with the values that it ran with. `moved` is the input that
    overtook it, `advice` what it should declare, one sentence each. `cpu_seconds` are those of all
    its processes, `peak_memory` (bytes) that of the largest; None where no command ran. `counted`
    are the single tests of a stage that failed, for then no trace has them.
    """

    stage: str
    outcome: StageOutcome
    seconds: float
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    key: str | None = None
    trace: Trace | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    moved: str | None = None
    moved_by_itself: bool = False
    advice: tuple[str, ...] = ()
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    counted: TestCounts | None = None

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters that it ran with, by dotted name."""
        return params_in(self.parts)

    @property
    def inputs(self) -> Mapping[str, str]:
        """The content hash of each file or folder that it read; code counts by what it says."""
        return files_in(self.parts)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The stage's metrics, its own or those that stand."""
        return self.trace.metrics if self.trace else {}

    @property
    def tests(self) -> TestCounts | None:
        """The stage's test results, its own or those that stand."""
        return self.trace.tests if self.trace else self.counted


@dataclass(frozen=True, slots=True)
class Job:
    """What a build is asked for: which run it belongs to, where its files go, and how.

    `gpus` are the ids given to it; without `is_recorded` it leaves no trace, so that nothing is
    ever restored from it; `in_tree` says whether its outs stand in the project's own folder.
    """

    run: str
    folder: Path
    force: bool = False
    gpus: tuple[str, ...] = ()
    is_recorded: bool = True
    in_tree: bool = True


def with_cost(result: BuildResult, ending: StageExit) -> BuildResult:
    """The result with what the stage's commands have used."""
    return replace(result, cpu_seconds=ending.cpu_seconds, peak_memory=ending.peak_memory)
