"""The hand that judges a run's gates and exports what may pass."""

from __future__ import annotations

import dataclasses

from mlbench.domain.clock import utc
from mlbench.domain.errors import ExportError
from mlbench.domain.events import CandidateKept, ExportStarted, Notice
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.release import Candidate, GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec, Project
from mlbench.engine.facts import gate_facts
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.export import ExportJob, export
from mlbench.release.gates import hold, judge_gates
from mlbench.system.content import ContentStore
from mlbench.tracking.store import ExperimentStore


class JudgingHand:
    """Judges and exports; one run at a time, in the order in which they ended."""

    def __init__(
        self, layout: Layout, releases: Releases, workspace: Workspace, store: ExperimentStore
    ) -> None:
        """Use what the loop has open."""
        self._layout = layout
        self._releases = releases
        self._workspace = workspace
        self._cache = ContentStore(layout.cache)
        self._store = store

    def judge(
        self, project: Project, run: Run, tell: Tell, *, exports: bool = True
    ) -> tuple[GateResult, ...]:
        """Judge the gates of every model that a run stands for; `exports` those that may pass."""
        results: list[GateResult] = []
        for model in project.models:
            record = run.stages.get(model.stage)
            if record is not None and record.stands:
                results += self._judge_model(project, model, run, tell, exports=exports)
        return tuple(results)

    def _judge_model(
        self, project: Project, model: ModelSpec, run: Run, tell: Tell, *, exports: bool
    ) -> tuple[GateResult, ...]:
        live_now = self._releases.live_now(model.name, self._store)
        kept = self._releases.registry.find(model.name, run=run.id)
        facts = gate_facts(project, model, run, kept, live_now)
        gates = judge_gates(model, facts, exported=kept is not None)
        if kept is not None:
            self._releases.registry.judged(dataclasses.replace(kept, gates=gates))
            return gates
        may_export = exports and run.outcome is RunOutcome.PASSED and model.sample is not None
        if not may_export or not hold(gates):
            return gates
        try:
            candidate = self._export(project, model, run, tell)
        except ExportError as error:
            tell(Notice(utc(), "error", str(error)))
            return gates
        facts = gate_facts(project, model, run, candidate, live_now)
        gates = judge_gates(model, facts, exported=True)
        self._releases.registry.judged(dataclasses.replace(candidate, gates=gates))
        return gates

    def _export(self, project: Project, model: ModelSpec, run: Run, tell: Tell) -> Candidate:
        digest = run.stages[model.stage].outs.get(model.path)
        if digest is None or not self._cache.has(digest):
            raise ExportError(
                f"models.{model.name}: the cache has {model.path} of run {run.name} no more; "
                f"`mlbench run {model.stage} --force` makes it again"
            )
        tell(ExportStarted(utc(), run.id, model.name))
        sample_digest = self._sample_digest(model, run)
        job = ExportJob(
            model=model,
            run=run.id,
            source=self._cache.path_of(digest),
            source_digest=digest,
            sample=self._cache.path_of(sample_digest),
            sample_digest=sample_digest,
            python=project.python,
            project=self._layout.root,
            log=self._layout.run_folder(run.id) / "export.log",
        )
        candidate = export(job, self._releases.registry)
        tell(CandidateKept(utc(), run.id, model.name, candidate.digest, candidate.parity))
        return candidate

    def _sample_digest(self, model: ModelSpec, run: Run) -> str:
        """The held-out rows as the run had them: a stage's out, else a file of the project."""
        sample = model.sample or ""
        for record in run.stages.values():
            if sample in record.outs:
                return record.outs[sample]
        path = self._layout.root / sample
        digest = self._workspace.digests.content(path)
        if digest is None:
            raise ExportError(
                f"mlbench.toml: models.{model.name}.sample: {sample} does not exist; "
                "name the file that holds the held-out rows"
            )
        self._cache.put(path, digest)
        return digest
