"""Judging a model's gates as of today: over its run, its export, and what is live now."""

from __future__ import annotations

import threading

from mlbench.domain.release import Candidate, GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec, Project
from mlbench.engine.evaluation import asked_of
from mlbench.engine.facts import gate_facts
from mlbench.engine.gate_evidence import BASELINE, Live, baseline_of, evidence_of
from mlbench.engine.releases import Releases
from mlbench.engine.remarks import Today, remarked
from mlbench.engine.rescoring import Rescoring, Subject, Tell
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.gates import OWN, judge_gates
from mlbench.system.content import ContentStore
from mlbench.tracking.store import ExperimentStore


class Gating:
    """Brings together what gates are judged over; whoever judges at run, promotion or query."""

    def __init__(
        self,
        layout: Layout,
        releases: Releases,
        workspace: Workspace,
        store: ExperimentStore,
        ending: threading.Event | None = None,
    ) -> None:
        """Use what is open; once `ending` is set, what is being scored is stopped."""
        self._layout = layout
        self._releases = releases
        self._workspace = workspace
        self._store = store
        self._ending = ending or threading.Event()

    def judge(
        self,
        project: Project,
        model: ModelSpec,
        run: Run,
        candidate: Candidate | None,
        tell: Tell,
    ) -> tuple[GateResult, ...]:
        """Every gate of a model over a run and what it was exported to, against what is live.

        What is live is scored again where it was measured on other evaluation data; where that
        fails, the gates that compare with it fail and say why. Without a candidate gates over
        `onnx.` are left out.
        """
        live_now = self._releases.live_now(model.name, self._store)
        live = live_now.serving
        baseline = baseline_of(model, self._store)
        today = self._today(project, model, run, live, baseline, tell)
        now = {name: (today.runs.get(name, of), item) for name, (of, item) in live.items()}
        this = today.runs.get(OWN, run)
        baseline = today.runs.get(BASELINE, baseline)
        facts = gate_facts(project, model, this, candidate, now, baseline)
        evidence = evidence_of(
            model,
            this,
            candidate,
            now,
            baseline=baseline,
            store=self._store,
            cache=ContentStore(self._layout.cache),
            registry=self._releases.registry,
            lost=live_now.lost,
        )
        gates = judge_gates(model, facts, exported=candidate is not None, evidence=evidence)
        return remarked(model, gates, today.remarks)

    def _today(
        self,
        project: Project,
        model: ModelSpec,
        run: Run,
        live: Live,
        baseline: Run | None,
        tell: Tell,
    ) -> Today:
        """What the runs are to be judged by, where they were not measured on the same."""
        others = [
            Subject(root, f"{root} v{item.version}", of, item.source_digest)
            for root, (of, item) in live.items()
        ]
        if baseline is not None:
            label = f"baseline {baseline.name}"
            others.append(Subject(BASELINE, label, baseline, _source(model, baseline)))
        asked = _asked(model)
        others = [other for other in others if other.root in asked]
        if not others:
            return Today()
        this = Subject(OWN, f"run {run.name}", run, _source(model, run))
        names = frozenset[str]().union(*(asked[other.root] for other in others))
        rescoring = Rescoring(self._layout, self._workspace, project, model, self._ending)
        return rescoring.today(this, others, names, tell)


def _asked(model: ModelSpec) -> dict[str, frozenset[str]]:
    """The names that gates ask of each root but their own run's."""
    asked: dict[str, frozenset[str]] = {}
    for gate in model.gates:
        for root, names in asked_of(model, gate.check).items():
            asked[root] = asked.get(root, frozenset()) | names
    return asked


def _source(model: ModelSpec, run: Run) -> str:
    """The model's file as a run gave it; empty where its record is lost."""
    record = run.stages.get(model.stage)
    return record.outs.get(model.path, "") if record is not None else ""
