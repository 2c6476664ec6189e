"""What the stages of a sweep are made from: parameters to lay others over, and all the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NoReturn

from mlbench.domain.errors import SweepError, WrongSweepError
from mlbench.domain.graph import Needs, PathIndex, in_order, with_ancestors, with_descendants
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.records import dataclass
from mlbench.domain.spaces import is_within, leaves, seeds_among
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
    params |= _tables(sweep, params)
    for name in _varied(sweep):
        if name not in params:
            named = " and ".join(stage.name for stage in stages)
            raise WrongSweepError(f"the sweep {sweep.name}: {named} read no parameter {name}")
        if isinstance(params[name], Mapping):
            raise WrongSweepError(
                f"the sweep {sweep.name}: {name} is a table; its choices must be tables, too"
            )
    seeds = _seeds(sweep, params)
    swept = {dimension.name for dimension in sweep.space} | set(seeds)
    made = PathIndex.of_outs(project.stages)
    others = {
        name: value
        for known in parts.values()
        for name, value in known.items()
        if not is_within(name.removeprefix(of_params), swept) and not _is_made(name, made)
    }
    reads = {name: _params_in(known, of_params) for name, known in parts.items()}
    for dimension in sweep.space:
        if sweep.stage not in _touched({dimension.name}, stages, reads, needs):
            _refuse_frozen(sweep, dimension.name, stages, reads, needs)
    touched = _touched(swept, stages, reads, needs)
    shared = tuple(stage for stage in stages if stage.name not in touched)
    return SweepInputs(stages, shared, params, others, seeds)


def _varied(sweep: Sweep) -> Iterator[str]:
    """Every parameter that a trial may set, those in tables one by one."""
    for dimension in sweep.space:
        tables = [choice for choice in dimension.choices if isinstance(choice, Mapping)]
        yield from (name for table in tables for name, _ in leaves(dimension.name, table))
        if len(tables) < len(dimension.choices) or not tables:
            yield dimension.name


def _tables(sweep: Sweep, params: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of the params files that choices are tables for."""
    tables: dict[str, Any] = {}
    for dimension in sweep.space:
        for name in params:
            if name != dimension.name and is_within(name, (dimension.name,)):
                table = tables.setdefault(dimension.name, {})
                *above, last = name.removeprefix(f"{dimension.name}.").split(".")
                for key in above:
                    table = table.setdefault(key, {})
                table[last] = params[name]
    return tables


def _reads_one(read: Set[str], params: Set[str]) -> bool:
    return any(is_within(name, params) for name in read)


def _params_in(known: Iterable[str], prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in known if name.startswith(prefix)}


def _touched(
    params: Set[str], stages: Sequence[Stage], reads: Mapping[str, Set[str]], needs: Needs
) -> frozenset[str]:
    """The stages that run anew where these parameters change: readers and what is built from them.

    What is frozen does not, nor what follows from its outs alone.
    """
    frozen = {stage.name for stage in stages if stage.frozen}
    readers = {name for name, read in reads.items() if _reads_one(read, params)} - frozen
    moving = {name: wanted for name, wanted in needs.items() if name in reads}
    return with_descendants(readers, {**moving, **dict.fromkeys(frozen, frozenset())})


def _refuse_frozen(
    sweep: Sweep,
    param: str,
    stages: Sequence[Stage],
    reads: Mapping[str, Set[str]],
    needs: Needs,
) -> NoReturn:
    """Say which frozen stages keep a parameter from making any difference."""
    readers = {name for name, read in reads.items() if _reads_one(read, {param})}
    after = with_descendants(readers, {name: needs[name] for name in reads})
    frozen = [stage.name for stage in stages if stage.frozen and stage.name in after]
    raise WrongSweepError(
        f"the sweep {sweep.name}: {param} changes nothing in {sweep.stage}, "
        f"for {' and '.join(frozen)} {'are' if len(frozen) > 1 else 'is'} frozen"
    )


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
