"""A sweep that stands in no file: put together from what somebody typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.objectives import read_objective
from mlbench.domain.spaces import in_order
from mlbench.domain.stages import Project
from mlbench.domain.sweeps import USUAL_TRIALS, Objective, Sweep
from mlbench.project.over import parse_over


def sweep_on_the_spot(
    project: Project,
    *,
    stage: str,
    over: Sequence[str],
    objectives: Sequence[str],
    trials: int | None = None,
    jobs: int | None = None,
) -> Sweep:
    """A sweep of a stage over such as `train.alpha=log(1e-5,1e-1)`; objectives as in mlbench.toml.

    It is called by what it tries. UsageError where a part can't be understood.
    """
    names = [item.name for item in project.stages]
    if stage not in names:
        raise UsageError(f'there is no stage "{stage}"{nearest(stage, names)}')
    tried = tuple(parse_over(text) for text in over)
    _refuse_twice((one.name for one in tried), "varied")
    space = in_order(tried)
    name = "-".join(dict.fromkeys(item.name.rpartition(".")[2] for item in space))
    read = tuple(map(_objective, objectives))
    _refuse_twice((one.metric for one in read), "an objective")
    return Sweep(name, stage, read, space, trials or USUAL_TRIALS, jobs)


def _refuse_twice(names: Iterable[str], what: str) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(f"{name} is {what} twice; give it once")


def _objective(text: str) -> Objective:
    objective = read_objective(text)
    if objective is None:
        raise UsageError(f'"{text}" is no objective: write maximize METRIC or minimize METRIC')
    return objective
