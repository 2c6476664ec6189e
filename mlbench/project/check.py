"""What must hold between stages: no circle, no out made twice, every dep there or made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from mlbench.domain.graph import PathIndex, StageCycleError, in_order, overlaps
from mlbench.domain.stages import Stage
from mlbench.project.source_file import SourceFile


def check_project(
    file: SourceFile, stages: tuple[Stage, ...], root: Path, *, may_lack_deps: bool = False
) -> None:
    """ProjectFileError for the first fault between stages, naming the stage and key."""
    made = _index_outs(file, stages)
    needs: dict[str, frozenset[str]] = {}
    unmade: list[tuple[Stage, str]] = []
    for stage in stages:
        makers: set[str] = set()
        for dep in stage.deps:
            owners = made.owners_of(dep)
            if not owners:
                unmade.append((stage, dep))
            elif stage.name in owners:
                _refuse_own_cycle(file, stage, dep)
            makers.update(owners)
        needs[stage.name] = frozenset(makers)
    try:
        in_order(needs)
    except StageCycleError as error:
        first = error.names[0]
        file.fail(f"stages.{first}.deps", f"stages need each other in a circle: {error}")
    for stage, dep in () if may_lack_deps else unmade:
        if not os.path.exists(os.path.join(root, dep)):
            _refuse_dep(file, stage, dep, stages, root)


def _index_outs(file: SourceFile, stages: tuple[Stage, ...]) -> PathIndex:
    """The outs of all stages, none of which overlaps another."""
    made = PathIndex()
    for stage in stages:
        for out in stage.out_paths:
            owners = made.add(out, stage.name)
            if owners:
                _refuse_out(file, stage, out, owners[0], stages)
    return made


def _refuse_out(
    file: SourceFile, stage: Stage, out: str, owner: str, stages: tuple[Stage, ...]
) -> NoReturn:
    owners_outs = next(other.out_paths for other in stages if other.name == owner)
    earlier = next(path for path in owners_outs if overlaps(path, out))
    which = f'"{out}"' if out == earlier else f'"{out}", which overlaps "{earlier}",'
    file.fail(f"stages.{stage.name}.outs", f'{which} is an out of stage "{owner}" already')


def _refuse_own_cycle(file: SourceFile, stage: Stage, dep: str) -> NoReturn:
    out = next(out for out in stage.out_paths if overlaps(dep, out))
    file.fail(
        f"stages.{stage.name}.deps",
        f'stages need each other in a circle: "{dep}" is also its out "{out}"',
    )


def _refuse_dep(
    file: SourceFile, stage: Stage, dep: str, stages: tuple[Stage, ...], root: Path
) -> NoReturn:
    import difflib

    made = [out for other in stages for out in other.out_paths]
    siblings = (root / dep).parent
    near = [path.name for path in siblings.iterdir()] if siblings.is_dir() else []
    folder = dep.rpartition("/")[0]
    known = made + [f"{folder}/{name}" if folder else name for name in near]
    close = difflib.get_close_matches(dep, known, n=1, cutoff=0.6)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    file.fail(
        f"stages.{stage.name}.deps",
        f'"{dep}" does not exist and no stage makes it{hint}; '
        "correct the path, or add the stage that has it among its outs",
    )
