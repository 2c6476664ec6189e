"""What the stages of a sweep are made from: parameters to lay others over, and all the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mlbench.domain.errors import SweepError, WrongSweepError
from mlbench.domain.graph import PathIndex, in_order, with_ancestors
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.records import dataclass
from mlbench.domain.spaces import seeds_among
from mlbench.domain.stages import Project, Stage
from mlbench.domain.sweeps import Sweep
from mlbench.pipeline.fingerprint import part_name
from mlbench.pipeline.workspace import Workspace

_FILES = (ReasonKind.FILE.word, ReasonKind.CODE.word)


@dataclass(frozen=True, slots=True)
class SweepInputs:
    """The stages of a sweep in their order, their parameters by place, and their other inputs.

    `shared` are the stages that no parameter of a trial touches; `seeds` those that repeats change.
    """

    stages: tuple[Stage, ...]
    shared: tuple[Stage, ...]
    params: Mapping[str, Any]
    others: Mapping[str, str]
    seeds: tuple[str, ...]


def inputs_of(workspace: Workspace, project: Project, sweep: Sweep) -> SweepInputs:
    """What a sweep's stages are made from as the tree stands.

    SweepError where no stage reads a parameter of its space, or repeats have no seed to change.
    """
    needs = workspace.needs(project)
    if sweep.stage not in needs:
        raise SweepError(f'the sweep {sweep.name}: there is no stage "{sweep.stage}"')
    wanted = with_ancestors((sweep.stage,), needs)
    stages = tuple(project.stage(name) for name in in_order(needs) if name in wanted)
    parts = {stage.name: workspace.fingerprint(stage, project).parts for stage in stages}
    of_params = part_name(ReasonKind.PARAM, "")
    params = {
        name.removeprefix(of_params): json.loads(value)
        for known in parts.values()
        for name, value in known.items()
        if name.startswith(of_params)
    }
    for dimension in sweep.space:
        if dimension.name not in params:
            named = " and ".join(stage.name for stage in stages)
            raise WrongSweepError(
                f"the sweep {sweep.name}: {named} read no parameter {dimension.name}"
            )
    seeds = _seeds(sweep, params)
    swept = {dimension.name for dimension in sweep.space} | set(seeds)
    made = PathIndex.of_outs(project.stages)
    others = {
        name: value
        for known in parts.values()
        for name, value in known.items()
        if name.removeprefix(of_params) not in swept and not _is_made(name, made)
    }
    touched = {name for name, known in parts.items() if swept & _params_in(known, of_params)}
    shared = tuple(
        stage for stage in stages if touched.isdisjoint(with_ancestors((stage.name,), needs))
    )
    return SweepInputs(stages, shared, params, others, seeds)


def _params_in(known: Iterable[str], prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in known if name.startswith(prefix)}


def _seeds(sweep: Sweep, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that repeats change, as named, or else those that are called a seed."""
    if sweep.repeats == 1:
        return ()
    named = sweep.seeds or seeds_among(params)
    wrong = [name for name in named if type(params.get(name)) is not int]
    if wrong or not named:
        what = f"{wrong[0]} is no whole number" if wrong else "none of its parameters is a seed"
        raise SweepError(
            f"the sweep {sweep.name}: repeats run each trial with other seeds, and {what}; "
            'name one: seed = "train.seed"'
        )
    return named


def _is_made(part: str, made: PathIndex) -> bool:
    """Whether an input is what a stage writes: with other parameters it is another."""
    kind, _, path = part.partition(":")
    return kind in _FILES and bool(made.owners_of(path))
