"""Every input of a stage as it is in a tree now, also those that it was only found to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.workspace import Workspace

Parts = Mapping[str, Mapping[str, str]]
"""The inputs of stages: stage → kind and name → value or hash."""


def parts_now(
    space: Workspace, found: Iterable[str], stage: Stage, project: Project
) -> dict[str, str]:
    """The inputs of a stage by kind and name: those known before it runs, and these `found`."""
    known = space.fingerprint(stage, project).parts
    return {**space.found.values((name for name in found if name not in known), stage), **known}
