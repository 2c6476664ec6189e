"""What a sweep is to try, and what became of it: the values that Optuna's words stand for here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from mlbench.domain.outcomes import TrialState
from mlbench.domain.records import dataclass

MAXIMIZE, MINIMIZE = "maximize", "minimize"
USUAL_TRIALS = 50


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both among them; `is_whole`: integers alone.

    With `log` they are drawn by their logarithm; `step` is the distance from one to the next.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Dimension:
    """One parameter of a space: a range of numbers, or choices where there is none.

    `name` is its dotted key, after its params file and a colon where that is another than the
    project's own. `when` is an expression over parameters: where it does not hold the trial leaves
    the params file's value alone.
    """

    name: str
    range: Range | None = None
    choices: tuple[Any, ...] = ()
    when: str = ""


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and which way is better: `maximize` or `minimize`."""

    metric: str
    direction: str

    @property
    def text(self) -> str:
        """As it is written in mlbench.toml."""
        return f"{self.direction} {self.metric}"


@dataclass(frozen=True, slots=True)
class Component:
    """A sampler or pruner by Optuna's own name, with Optuna's own options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sweep:
    """`[sweeps.NAME]`: what is to be tried, how, and when to stop.

    `space` is in an order in which each dimension comes after those that its `when` names. A trial
    runs `stage` and all that it needs; `intermediate` is the metric, logged by step, that pruning
    looks at, with a direction of its own: written `minimize loss`, or `val/accuracy` alone for the
    first objective's direction; None: the first objective itself. `seeds` are the parameters that
    repeats change. `timeout` is in seconds, `patience` in trials without a better one; `jobs` None:
    as many as the project has.
    """

    name: str
    stage: str
    objectives: tuple[Objective, ...]
    space: tuple[Dimension, ...]
    trials: int = USUAL_TRIALS
    jobs: int | None = None
    sampler: Component = Component("TPESampler")
    pruner: Component = Component("NopPruner")
    constraints: tuple[str, ...] = ()
    timeout: float | None = None
    patience: int | None = None
    repeats: int = 1
    seeds: tuple[str, ...] = ()
    intermediate: Objective | None = None

    @property
    def watched(self) -> Objective:
        """What pruning looks at by step.

        Where its direction is not the first objective's, Optuna is told its values turned round.
        """
        return self.intermediate or self.objectives[0]


@dataclass(frozen=True, slots=True)
class KnownTrial:
    """A trial as its study has it, values decoded.

    `params` are those that were sampled, `values` one an objective, `intermediate` maps steps to
    what was reported, `constraints` hold where they are 0 or less; `notes` are what mlbench wrote
    beside it. `started` and `ended` are ISO 8601 in UTC, or nothing.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as people see it: a line of a study's board; the last line of a number counts.

    `values` are means over its repeats, one an objective, `spread` their standard deviations;
    `runs` are its runs, one a repeat; `stage` is what runs now; `reason` says why it failed or was
    pruned. `seconds` are those of its stages' own; `step` and `intermediate` what was logged last
    of what pruning looks at, and `curve` all of it, thinned, once the trial has ended. `gates_hold`
    is None where no model of the project has gates over it.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    stage: str = ""
    slot: int = 0
    step: int | None = None
    intermediate: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    reason: str = ""
    gates_hold: bool | None = None
    is_by_hand: bool = False
    from_study: str = ""

    @property
    def is_feasible(self) -> bool:
        """Whether every constraint holds."""
        return all(value <= 0 for value in self.constraints.values())


@dataclass(frozen=True, slots=True)
class Study:
    """One study of a sweep, as it was begun: written once, and again where its limits change.

    `base` maps the names of the space (and of `seeds`) to their values in the params files at its
    beginning; `inputs` are all other known inputs of its stages by name, with what they were.
    `before` is the study from which the comparable trials `taken` are taken over.
    """

    id: str
    sweep: Sweep
    started: str
    base: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    before: str = ""
    taken: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The sweep's name, by which people call it."""
        return self.sweep.name


@dataclass(frozen=True, slots=True)
class Progress:
    """What a study's coordinator says of itself, and leaves behind.

    `phase` is `preparing` (what all trials share is being built), `running`, `finishing` (no new
    trials), or `ended` with `because` saying why in one sentence; `is_done`: its limits are
    reached, rather than that it was stopped; `has_failed`: it could not be gone on with, and
    `exit_status` is what a command that follows it then ends with.
    """

    phase: str
    pid: int = 0
    because: str = ""
    is_done: bool = False
    has_failed: bool = False
    exit_status: int = 1


@dataclass(frozen=True, slots=True)
class StudyView:
    """Everything about one study that a face shows.

    `best` are the numbers of the best trial, or of those on the Pareto front; `is_running` says
    whether its coordinator lives; `moved` are the inputs that changed in the project since.
    """

    study: Study
    trials: tuple[Trial, ...]
    progress: Progress
    is_running: bool
    best: tuple[int, ...] = ()
    moved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopSweep:
    """Begin no more trials; `at_once`: stop those that run, too (they are tried again later)."""

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class EnqueueTrial:
    """Try these values next; parameters that are not named are sampled."""

    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StopTrial:
    """Stop one trial for good; it counts as failed."""

    number: int


SweepCommand = StopSweep | EnqueueTrial | StopTrial
