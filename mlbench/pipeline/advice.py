"""What a stage should declare, in sentences with the line to add to mlbench.toml."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace

from mlbench.domain.graph import PathIndex
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.found import Found
from mlbench.pipeline.large import advice_on_size, too_large
from mlbench.pipeline.workspace import Workspace

_GROUPED_FROM = 3


def advice(space: Workspace, project: Project, stage: Stage, found: Found) -> tuple[str, ...]:
    """On what a stage read and wrote undeclared, and on outs too large to be cached unasked."""
    # What was there for a while only, such as a file that was renamed, is no out.
    gone = {path for path in found.written if not space.tree.is_file(space.root / path)}
    found = replace(found, written=found.written - gone)
    # A dep that isn't there, such as a file that was only looked for, would be refused.
    absent = {path for path in found.files if not space.tree.is_file(space.root / path)}
    return (
        *advice_on(found, stage, space.makers(project), absent),
        *advice_on_size(stage, too_large(space.tree, space.root, stage)),
    )


def advice_on(
    found: Found, stage: Stage, makers: PathIndex, absent: Collection[str]
) -> tuple[str, ...]:
    """What the stage read or wrote without saying so, with the line to add to mlbench.toml.

    `absent` are files that aren't there, about which there is nothing to add.
    """
    where = f"add to [stages.{stage.name}] in mlbench.toml"
    rewritten = found.rewritten
    lines = [
        f"reads and writes {path} undeclared; {where}: "
        f'outs = [{{ "{path}" = {{ persist = true }} }}]'
        for path in sorted(rewritten)
    ]
    for path in _grouped(found.files - rewritten - frozenset(absent)):
        of = "".join(f", an out of {maker}," for maker in makers.owners_of(path)[:1])
        lines.append(f'reads {path}{of} undeclared; {where}: deps = ["{path}"]')
    for path in _grouped(found.written - rewritten):
        if not os.path.isabs(path):
            lines.append(f'writes {path} undeclared; {where}: outs = ["{path}"]')
    return tuple(lines)


def _grouped(paths: Iterable[str]) -> list[str]:
    """The paths, those of a folder with more than a few of them as that folder."""
    by_folder: dict[str, list[str]] = {}
    for path in sorted(paths):
        by_folder.setdefault(os.path.dirname(path), []).append(path)
    return [
        name
        for folder, inside in by_folder.items()
        for name in ([folder] if folder and len(inside) > _GROUPED_FROM else inside)
    ]
