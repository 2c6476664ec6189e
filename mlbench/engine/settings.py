"""Parameters that are set for one run alone: read from what somebody types, tried, planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mlbench.domain.errors import UsageError
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.plan import Plan, Reason, StageStatus
from mlbench.domain.stages import Project
from mlbench.pipeline.snapshots.variant import Variant
from mlbench.pipeline.workspace import Workspace
from mlbench.project.assignments import parse_assignment, plain, value_like
from mlbench.project.config import load_project
from mlbench.project.edit_params import value_at, with_values
from mlbench.project.layout import Layout
from mlbench.project.params import name_on_disk, parse_params
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.project.toml_file import read_text
from mlbench.system.files import writable


def read_settings(layout: Layout, texts: Iterable[str]) -> dict[str, Any]:
    """What `[FILE:]KEY=VALUE` says, as RunStages takes it: values of the type that stands there.

    UsageError for what sets nothing or is of another type; ProjectFileError for a key that the
    file does not have, or a value that it can't hold.
    """
    params: dict[str, Any] = {}
    for text in texts:
        assignment = parse_assignment(text)
        own = _name(layout, DEFAULT_PARAMS)
        name = own if assignment.file is None else _name(layout, assignment.file)
        body = read_text(layout.root / name, name)
        present = value_at(parse_params(name, body), assignment.key, name)
        value = value_like(present, assignment)
        with_values(name, body, {assignment.key: value})
        place = assignment.key if name == own else f"{name}:{assignment.key}"
        params[place] = plain(value)
    return params


def plan_with(layout: Layout, stages: tuple[str, ...], params: Mapping[str, Any]) -> Plan:
    """How these stages, or all, and what they need would stand with these parameters.

    What the cache has is brought into a snapshot for it, so that only what has to run is stale.
    """
    with writable(layout.root):
        workspace = Workspace.open(layout)
        variant = Variant.make(layout, workspace, load_project(layout), stages, params)
        try:
            variant.bring_in()
            return _without_outs_to_come(variant.plan(), variant.wanted)
        finally:
            variant.release()


def _without_outs_to_come(plan: Plan, project: Project) -> Plan:
    """The plan without what it says of files that another stage has to make first."""
    moving = {status.name for status in plan.stale}
    coming = {out for stage in project.stages if stage.name in moving for out in stage.out_paths}

    def is_to_come(reason: Reason) -> bool:
        return reason.kind is ReasonKind.FILE and reason.what in coming

    def told(status: StageStatus) -> StageStatus:
        reasons = tuple(reason for reason in status.reasons if not is_to_come(reason))
        return replace(status, reasons=reasons)

    return replace(plan, stages=tuple(map(told, plan.stages)))


def _name(layout: Layout, file: str) -> str:
    name = name_on_disk(file, lambda name: (layout.root / name).is_file())
    if not (layout.root / name).resolve().is_relative_to(layout.root.resolve()):
        raise UsageError(f"{file} lies outside the project, so that a run can't have another")
    return name
