"""The mapping of facts that gates are judged over, from values of several rooms: pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from mlbench.domain.graph import needs_of, with_ancestors, with_descendants
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec, Project
from mlbench.release.facts import onnx_facts
from mlbench.tracking.query import facts_of


def gate_facts(
    project: Project,
    model: ModelSpec,
    run: Run,
    candidate: Candidate | None,
    live: Mapping[str, tuple[Run, Candidate]],
    baseline: Run | None = None,
) -> dict[str, dict[str, Any]]:
    """What a model's gates may name: its run, its export, what each environment serves, a baseline.

    Metrics come from the model's stage, the stages before it and those built from it, and, of an
    older run, from stages that the project has no more: one of these may have had another name.
    """
    facts = facts_of(run)
    needs = needs_of(project.stages)
    seen = with_ancestors([model.stage], needs) | with_descendants([model.stage], needs)
    unseen = needs.keys() - seen
    facts["metrics"] = _metrics(run, seen, unseen)
    facts["onnx"] = onnx_facts(candidate) if candidate else {}
    for environment, (live_run, live_candidate) in live.items():
        exported = {f"onnx.{name}": value for name, value in onnx_facts(live_candidate).items()}
        facts[environment] = {**_metrics(live_run, seen, unseen), **exported}
    if baseline is not None:
        facts["baseline"] = dict(_metrics(baseline, seen, unseen))
    return facts


def _metrics(run: Run, seen: Set[str], unseen: Set[str]) -> dict[str, float]:
    """The metrics of these stages; all of them where the run's details are lost."""
    if not any(record.metrics for record in run.stages.values()):
        return dict(run.metrics)
    known = [stage for stage in run.stages if stage in seen]
    gone = [stage for stage in run.stages if stage not in seen | unseen]
    return {
        name: value
        for stage in (*gone, *known)
        for name, value in run.stages[stage].metrics.items()
    }
