"""What must hold between stages: no circle, no out made twice, every dep there or made."""

from __future__ import annotations

import difflib
import itertools
from pathlib import Path

from mlbench.domain.graph import StageCycleError, in_order, needs_of, overlaps
from mlbench.domain.stages import Stage
from mlbench.project.toml_file import TomlFile


def check_project(file: TomlFile, stages: tuple[Stage, ...], root: Path) -> None:
    """ProjectFileError for the first fault between stages, naming the stage and key."""
    _check_outs(file, stages)
    for stage in stages:
        _check_own_cycle(file, stage)
    try:
        in_order(needs_of(stages))
    except StageCycleError as error:
        first = error.names[0]
        file.fail(f"stages.{first}.deps", f"stages need each other in a circle: {error}")
    made = [out for stage in stages for out in stage.out_paths]
    for stage in stages:
        _check_deps(file, stage, made, root)


def _check_outs(file: TomlFile, stages: tuple[Stage, ...]) -> None:
    made = [(out, stage.name) for stage in stages for out in stage.out_paths]
    for (out, stage_name), (other, other_name) in itertools.combinations(made, 2):
        if overlaps(out, other):
            which = f'"{other}"' if out == other else f'"{other}", which overlaps "{out}",'
            file.fail(
                f"stages.{other_name}.outs", f'{which} is an out of stage "{stage_name}" already'
            )


def _check_own_cycle(file: TomlFile, stage: Stage) -> None:
    for dep in stage.deps:
        for out in stage.out_paths:
            if overlaps(dep, out):
                file.fail(
                    f"stages.{stage.name}.deps",
                    f'stages need each other in a circle: "{dep}" is also its out "{out}"',
                )


def _check_deps(file: TomlFile, stage: Stage, made: list[str], root: Path) -> None:
    for dep in stage.deps:
        if (root / dep).exists() or any(overlaps(dep, out) for out in made):
            continue
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
