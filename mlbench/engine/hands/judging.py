"""The hand that judges a run's gates and exports what may pass."""

from __future__ import annotations

import dataclasses
import threading

from mlbench.domain.clock import utc
from mlbench.domain.commands import ExportRun
from mlbench.domain.errors import ExportError, UsageError
from mlbench.domain.events import Notice
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.release import Candidate, GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec, Project
from mlbench.engine.gating import Gating
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases, find_model
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.gates import hold
from mlbench.tracking.store import ExperimentStore


class JudgingHand:
    """Judges and exports; one run at a time, in the order in which they ended."""

    def __init__(
        self,
        layout: Layout,
        releases: Releases,
        workspace: Workspace,
        store: ExperimentStore,
        gating: Gating,
        ending: threading.Event | None = None,
    ) -> None:
        """Use what the loop has open; once `ending` is set, what is being exported is stopped."""
        self._layout = layout
        self._releases = releases
        self._workspace = workspace
        self._store = store
        self._gating = gating
        self._ending = ending

    def judge(
        self, project: Project, run: Run, tell: Tell, *, exports: bool = True
    ) -> tuple[GateResult, ...]:
        """Judge the gates of every model that a run stands for; `exports` those that may pass."""
        results: list[GateResult] = []
        for model in project.models:
            if run.has(model.stage):
                results += self._judge_model(project, model, run, tell, exports=exports)
        return tuple(results)

    def export(self, project: Project, command: ExportRun, tell: Tell) -> str:
        """Give a run's models versions, whatever their gates say; gives what to say.

        ExportError where one can't be exported; UsageError where the run gave none.
        """
        run = self._store.get(command.run)
        if run is None:
            raise UsageError(f'there is no run "{command.run}"; `mlbench runs --all` lists them')
        said = []
        for model in _models_of(project, command, run):
            kept = self._releases.registry.find(model.name, run=run.id)
            if kept is not None and self._releases.registry.damage_of(kept):
                kept = None
            made = kept or self._make_candidate(project, model, run, tell)
            version = self._releases.registry.register(made)
            said.append(f"{model.name} v{version.version} of {run.name}{_missed(made.gates)}")
        # Servers may be asked to load it.
        self._releases.write_available()
        return "\n".join(said)

    def _judge_model(
        self, project: Project, model: ModelSpec, run: Run, tell: Tell, *, exports: bool
    ) -> tuple[GateResult, ...]:
        kept = self._releases.registry.find(model.name, run=run.id)
        gates = self._gating.judge(project, model, run, kept, tell)
        if kept is not None:
            # Mostly nothing has changed, and a durable write takes longer than judging.
            if kept.gates != gates:
                self._releases.registry.judged(dataclasses.replace(kept, gates=gates))
            return gates
        is_whole = model.sample is not None or model.format != "onnx"
        may_export = exports and run.outcome is RunOutcome.PASSED and is_whole
        if not may_export or not hold(gates):
            return gates
        try:
            return self._make_candidate(project, model, run, tell).gates
        except ExportError as error:
            tell(Notice(utc(), "error", str(error)))
            return gates

    def _make_candidate(
        self, project: Project, model: ModelSpec, run: Run, tell: Tell
    ) -> Candidate:
        """Export what a run gave, and judge it; ExportError says why it can't be."""
        # Most runs only judge, and should not wait for the import of what exports.
        from mlbench.engine.hands.exporting import ExportingHand

        hand = ExportingHand(self._layout, self._releases.registry, self._workspace, self._ending)
        candidate = hand.export(project, model, run, tell)
        gates = self._gating.judge(project, model, run, candidate, tell)
        judged = dataclasses.replace(candidate, gates=gates)
        self._releases.registry.judged(judged)
        return judged


def _missed(gates: tuple[GateResult, ...]) -> str:
    """Which gates do not hold, in words: they do not stop an export by hand."""
    refusing = [gate.gate for gate in gates if gate.refuses]
    return f"; it misses {', '.join(refusing)}" if refusing else ""


def _models_of(project: Project, command: ExportRun, run: Run) -> tuple[ModelSpec, ...]:
    """The models that a run may be exported for; UsageError where there is none."""
    named = (find_model(project, command.model),) if command.model else project.models
    if not named:
        raise UsageError("there is no model to export; add [models.NAME] to mlbench.toml")
    standing = tuple(model for model in named if run.has(model.stage))
    if not standing:
        stages = ", ".join(dict.fromkeys(model.stage for model in named))
        raise UsageError(
            f"run {run.name} has no model to export: its stage {stages} gave nothing that stands; "
            "`mlbench runs` lists others"
        )
    return standing
