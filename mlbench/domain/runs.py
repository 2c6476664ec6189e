"""A run: one state of all the stages, with what it was made from and what it gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from mlbench.domain.outcomes import RunOutcome, StageOutcome, TestOutcome
from mlbench.domain.plan import Reason
from mlbench.domain.records import dataclass

Scalar = str | int | float | bool | None
_CODE_ENDINGS = (".py", ".ipynb")


@dataclass(frozen=True, slots=True)
class TestCounts:
    """How a test stage's single tests came out."""

    passed: int
    failed: int
    skipped: int

    @property
    def total(self) -> int:
        """All tests that pytest reported."""
        return self.passed + self.failed + self.skipped


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of a test stage: pytest's id for it, how it came out, and why where it is bad."""

    id: str
    outcome: TestOutcome
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The least and the greatest value of a metric over its steps, and where it took them first.

    NaN counts for neither.
    """

    min: float
    min_step: int
    max: float
    max_step: int


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What became of one stage in a run; `ran_in` names the run that has its log and series.

    `outcome` is None while it runs. `inputs` and `outs` map paths to content hashes; `peak_memory`
    is in bytes, `cpu_seconds` counts all its processes, and both are None where it did not run.
    """

    outcome: StageOutcome | None
    seconds: float
    key: str | None
    ran_in: str | None
    outs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    cpu_seconds: float | None = None
    peak_memory: int | None = None

    @property
    def stands(self) -> bool:
        """Whether the stage's outputs were those of its inputs when the run ended."""
        return self.outcome is not None and self.outcome.stands


@dataclass(frozen=True, slots=True)
class CodeState:
    """Where the code stood: None and False where the project is no git repository.

    `left_out` are changed files that the run's diff does not hold, for their size, or for what may
    be in them; of many the first ones, and then how many more.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    changed_files: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marks:
    """What people say of a run; a tag is a word, or `key=value` as trackers have it.

    `baseline_since` is when it was made the project's baseline, or nothing; the latest is it.
    """

    tags: tuple[str, ...] = ()
    note: str = ""
    star: bool = False
    baseline_since: str = ""
    archived: bool = False

    @property
    def keeps(self) -> bool:
        """Whether they say that the run is worth keeping with all that it gave."""
        return bool(self.tags or self.note or self.star or self.baseline_since)


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded run; `outcome` is None while it runs; times are ISO 8601 in UTC.

    `metrics` are last values, `extremes` those of metrics that were logged by step. `data` is a
    hash over what its stages read as data; `source` says where a run that was not made here came
    from, `parent` is the run that it is nested in, `study` the study of which it is a trial, by id,
    and `trial` that trial's number.
    """

    id: str
    name: str
    outcome: RunOutcome | None
    origin: str
    by: str
    started: str
    seconds: float
    code: CodeState
    params: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    stages: Mapping[str, StageRecord]
    extremes: Mapping[str, Extremes] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    data: str = ""
    source: str = ""
    parent: str = ""
    study: str = ""
    trial: int | None = None

    @property
    def state(self) -> Mapping[str, str | None]:
        """The tuple of fingerprints that this run is one state of."""
        return {name: stage.key for name, stage in self.stages.items()}

    def has(self, stage: str) -> bool:
        """Whether what a stage gave stands in this run."""
        record = self.stages.get(stage)
        return record is not None and record.stands


def data_read(stages: Mapping[str, StageRecord], of: Iterable[str]) -> dict[str, str]:
    """The hashes, by path, of the files that some stages read: none is code, or made by a stage."""
    made = {path for record in stages.values() for path in record.outs}
    return {
        path: value
        for name in of
        if name in stages
        for path, value in stages[name].inputs.items()
        if path not in made and not path.endswith(_CODE_ENDINGS)
    }
