"""Everything that a coordinator has open: the study, its snapshots, the record, the curves."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.spaces import active_values
from mlbench.domain.stages import Project, Stage
from mlbench.domain.sweeps import KnownTrial, Progress, Study, Trial
from mlbench.engine.hands.recording import RecordingHand
from mlbench.engine.machine import this_machine
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.carried_over import refuse_lost_journal
from mlbench.engine.sweeping.cleaning import TrialCleaning
from mlbench.engine.sweeping.inputs import inputs_of
from mlbench.engine.sweeping.live_curves import LiveCurves, Points
from mlbench.engine.sweeping.seats import Seats
from mlbench.engine.sweeping.trial_run import Workplace
from mlbench.pipeline.snapshots.trial_slot import SweepBase, TrialSlot
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.sweeps.study import OptunaStudy


class Opened:
    """Of one study; the project is as it was when the study began, whatever was edited since."""

    def __init__(self, layout: Layout, files: StudyFiles) -> None:
        """Open it; SweepError or another MlbenchError where it can't be gone on with."""
        study = files.study()
        if study is None:
            raise SweepError(f"{files.folder}: its study.json is missing or torn")
        self.workspace = Workspace.open(layout)
        self._layout = layout
        self._files = files
        self._base = SweepBase(layout, study.id)
        project, stages, shared, self.study = self._begun(study)
        self._jobs = study.sweep.jobs or project.jobs
        project = replace(project, jobs=self._jobs)
        recording = RecordingHand(layout)
        opening = recording.look(project, self._base.snapshot.tree)
        seats = Seats(this_machine(with_gpus=any(stage.resources.gpu for stage in stages)))
        untouched = frozenset(stage.name for stage in shared)
        self.place = Workplace(
            layout, study.id, project, stages, untouched, opening, recording, seats
        )
        self.shared = replace(self.place, stages=shared)
        self.optuna = OptunaStudy.open(files.journal, study.sweep, self.study.base)
        self._take_over()
        refuse_lost_journal(files, self.study, self.optuna.known())
        self.cleaning = TrialCleaning(layout, project)
        self.curves = LiveCurves(self.study.sweep, self.optuna)

    def trials(self) -> dict[int, Trial]:
        """Every trial as the study has it, with what the board knows beside."""
        board = self._files.trials()
        known = self.optuna.known()
        runs = self._runs(self._files, known)
        return {
            one.number: _as_told(
                one, board.get(one.number), runs[one.number], self.curves.reported(one)
            )
            for one in known
        }

    def slots(self) -> list[TrialSlot]:
        """The job slots, and those in which a trial is under way from when there were more."""
        slots = []
        number = 1
        while number <= self._jobs or self._base.has_slot(number):
            slot = self._base.slot(number, self.workspace, self.place.project)
            if number <= self._jobs or slot.claim is not None:
                slots.append(slot)
            else:
                slot.release()
            number += 1
        return slots

    def is_needed(self, slot: TrialSlot) -> bool:
        """Whether trials are to begin in a slot."""
        return slot.number <= self._jobs

    def overlays(self) -> tuple[Mapping[str, Any], ...]:
        """The seeds of each repeat: the first has those of the params files."""
        study = self.study
        return tuple(
            {name: study.base[name] + repeat for name in study.sweep.seeds}
            for repeat in range(study.sweep.repeats)
        )

    def why_pruned(self, trial: Trial) -> str:
        """What a pruned trial had come to, in words."""
        sweep = self.study.sweep
        at = f" at step {trial.step}" if trial.step is not None else ""
        return f"{sweep.pruner.name} gave it up{at}"

    def progress(self, phase: str) -> Progress:
        """What the coordinator is about."""
        return Progress(phase, pid=os.getpid())

    def close(self, slots: Iterable[TrialSlot], *, is_done: bool) -> None:
        """Let everything go; slots of a study that is done have served their time."""
        for slot in slots:
            slot.release()
        if is_done:
            self._base.drop_slots()
        self._base.release()
        self.place.recording.join()
        self.cleaning.close()

    def _begun(self, study: Study) -> tuple[Project, tuple[Stage, ...], tuple[Stage, ...], Study]:
        """The project as the study began with it, the study's stages, those that all share."""
        if study.base and not self._base.exists:
            raise SweepError(
                f"the code that study {study.name} began with was cleared away; "
                f"`mlbench sweep {study.name} --restart` begins anew"
            )
        project = load_project(self._layout) if not self._base.exists else None
        if project is not None:
            needed = inputs_of(self.workspace, project, study.sweep)
            project = self._base.take(self.workspace, project, needed.stages)
        else:
            project = self._base.take(self.workspace, Project("", "", 1, ()), ())
        space = self._base.workspace(self.workspace)
        known = inputs_of(space, project, study.sweep)
        sweep = replace(study.sweep, seeds=known.seeds)
        begun = replace(study, sweep=sweep, base=known.params, inputs=known.others)
        if begun != study:
            self._files.write_study(begun)
        return project, known.stages, known.shared, begun

    def _runs(self, files: StudyFiles, known: Collection[KnownTrial]) -> dict[int, tuple[str, ...]]:
        """The runs of each trial; of one that the board has lost, those on record."""
        board = files.trials()
        runs = {one.number: tuple(one.notes.get("runs", ())) for one in known}
        runs |= {number: trial.runs for number, trial in board.items() if trial.runs}
        lost = {
            one.number
            for one in known
            if one.number not in board and one.state.has_ended and not runs[one.number]
        }
        if lost:
            for run in self.place.recording.store.runs():
                if run.study == files.id and run.trial in lost:
                    runs[run.trial] = (*runs[run.trial], run.id)
        return runs

    def _take_over(self) -> None:
        """Have the comparable trials of the study before count here, once."""
        study = self.study
        if not study.before or not study.taken:
            return
        before = StudyFiles(self._layout, study.before)
        of_before = before.study()
        if of_before is None:
            return
        source = OptunaStudy.open(before.journal, of_before.sweep, of_before.base)
        is_watched_alike = of_before.sweep.watched == study.sweep.watched
        wanted = [one for one in source.known() if one.number in study.taken]
        runs = self._runs(before, wanted)
        sampled = [
            replace(
                one,
                params=active_values(study.sweep.space, {**of_before.base, **one.params}),
                intermediate=one.intermediate if is_watched_alike else {},
                notes={**one.notes, "from": study.before, "runs": list(runs[one.number])},
            )
            for one in wanted
        ]
        self.optuna.take_over(sampled)


def _as_told(
    known: KnownTrial, told: Trial | None, runs: tuple[str, ...], reported: Points
) -> Trial:
    """A trial as people see it; what the study says of it decides."""
    trial = told if told is not None else Trial(known.number, known.state)
    state = known.state
    if state is TrialState.FAILED and known.notes.get("lost"):
        state = TrialState.LOST
    return replace(
        trial,
        state=state,
        params=known.params,
        # Of a pruned one Optuna has what it reported last, perhaps of another metric.
        values=() if state is TrialState.PRUNED else known.values or trial.values,
        constraints=known.constraints or trial.constraints,
        runs=runs,
        started=trial.started or known.started,
        ended=trial.ended or known.ended,
        curve=trial.curve or tuple(reported),
        reason=trial.reason or str(known.notes.get("reason", "")),
        is_by_hand=bool(known.notes.get("by_hand", False)),
        from_study=str(known.notes.get("from", "")),
    )
