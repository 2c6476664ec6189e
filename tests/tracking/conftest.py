"""Runs to record, in a project's real folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import CodeState, Run, Scalar, StageRecord, TestCounts
from mlbench.project.layout import Layout
from mlbench.tracking.folder import write_run
from mlbench.tracking.store import ExperimentStore


def made(
    number: int,
    *,
    outcome: RunOutcome | None = RunOutcome.PASSED,
    origin: str = "manual",
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, Scalar] | None = None,
    key: str = "",
    **others: Any,
) -> Run:
    """Run `number`, the later the higher; equal keys are equal fingerprints."""
    record = StageRecord(
        StageOutcome.RAN,
        1.5,
        key or f"key-{number}",
        f"20261123-0915{number:02d}-{number:08x}",
        outs={"build/model": "digest"},
        metrics=dict(metrics or {}),
        tests=TestCounts(3, 1, 0),
    )
    return Run(
        id=f"20261123-0915{number:02d}-{number:08x}",
        name=f"brave-{number}",
        outcome=outcome,
        origin=origin,
        by="ada",
        started=f"2026-11-23T09:15:{number:02d}.000Z",
        seconds=float(number),
        code=CodeState("4f3a1c", "main", dirty=True, changed_files=2),
        params=dict(params or {}),
        metrics=dict(metrics or {}),
        stages={"train": record},
        **others,
    )


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.own.mkdir()
    return layout


def record(layout: Layout, *runs: Run) -> ExperimentStore:
    """Record runs as the engine does: each in its folder, then in the index."""
    store = ExperimentStore(layout)
    for run in runs:
        write_run(layout.run_folder(run.id), run)
        store.add(run)
    return store
