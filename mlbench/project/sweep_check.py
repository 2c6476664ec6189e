"""What must hold between sweeps and stages: the stage is there, and it reads what is varied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn

from mlbench.domain.errors import nearest
from mlbench.domain.graph import needs_of, with_ancestors
from mlbench.domain.spaces import names_in_condition
from mlbench.domain.stages import Stage
from mlbench.domain.sweeps import Dimension, Sweep
from mlbench.project.source_file import SourceFile
from mlbench.project.stage_table import DEFAULT_PARAMS


def check_sweeps(file: SourceFile, sweeps: Iterable[Sweep], stages: tuple[Stage, ...]) -> None:
    """ProjectFileError for the first fault between sweeps and stages, naming the key."""
    needs = needs_of(stages)
    for sweep in sweeps:
        where = f"sweeps.{sweep.name}"
        if sweep.stage not in needs:
            near = nearest(sweep.stage, needs)
            file.fail(f"{where}.stage", f'there is no stage "{sweep.stage}"{near}')
        wanted = with_ancestors((sweep.stage,), needs)
        # Stages that need one that is swept never run before it. Of others a trace may tell that
        # they do, so that the study itself has to refuse these.
        after = {name for name in needs if sweep.stage in with_ancestors((name,), needs) - {name}}
        for dimension in sweep.space:
            readers = {stage.name for stage in stages if reads(stage, dimension.name)}
            if not readers - after:
                _refuse(file, f"{where}.space", dimension, sweep, stages, wanted)
        _check_conditions(file, f"{where}.space", sweep, stages)
        for seed in sweep.seeds:
            if not any(reads(stage, seed) for stage in stages):
                file.fail(f"{where}.seed", f"no stage reads a parameter {seed}")


def reads(stage: Stage, parameter: str) -> bool:
    """Whether a stage declares a parameter, by its dotted key, after its file and a colon."""
    file, _, key = parameter.rpartition(":")
    return any(
        wanted.file == (file or DEFAULT_PARAMS)
        and (not wanted.keys or any(_covers(one, key) for one in wanted.keys))
        for wanted in stage.params
    )


def _covers(declared: str, key: str) -> bool:
    return key == declared or key.startswith(f"{declared}.")


def _refuse(
    file: SourceFile,
    where: str,
    dimension: Dimension,
    sweep: Sweep,
    stages: tuple[Stage, ...],
    wanted: frozenset[str],
) -> NoReturn:
    """Say who reads which parameters, for whoever declared too few or misspelled one."""
    known = [stage for stage in stages if stage.name in wanted and stage.params]
    told = "; ".join(f"{stage.name} reads {', '.join(_declared(stage))}" for stage in known)
    near = nearest(dimension.name, (key for stage in known for key in _declared(stage)))
    of = "no stage that it runs reads this parameter"
    others = [stage.name for stage in stages if reads(stage, dimension.name)]
    if others:
        of = f"{' and '.join(others)} alone read it, which a trial of {sweep.stage} does not run"
    file.fail(f"{where}.{dimension.name}", f"{of}{near}; {told or 'none of them has params'}")


def _declared(stage: Stage) -> Iterator[str]:
    for wanted in stage.params:
        place = "" if wanted.file == DEFAULT_PARAMS else f"{wanted.file}:"
        yield from (f"{place}{key}" for key in wanted.keys or ("…",))


def _check_conditions(
    file: SourceFile, where: str, sweep: Sweep, stages: tuple[Stage, ...]
) -> None:
    names = {dimension.name for dimension in sweep.space}
    for dimension in sweep.space:
        for name in sorted(names_in_condition(dimension.when) - names):
            if not any(reads(stage, name) for stage in stages):
                file.fail(
                    f"{where}.{dimension.name}.when",
                    f"there is no parameter {name}{nearest(name, names)}",
                )
