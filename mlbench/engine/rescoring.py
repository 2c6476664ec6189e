"""Models scored again where they were measured on other evaluation data than what is judged.

The stages after a model's stage are run on the project as it stands, with the outs of that stage
as another run gave them. Record, project and traces are left as they are.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mlbench.domain.clock import utc
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import Event, Notice
from mlbench.domain.phrases import number
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec, Project, Stage
from mlbench.engine.evaluation import (
    Evaluation,
    Reading,
    beside,
    data_that_differs,
    differing,
    evaluation_of,
    reading_of,
    recorded_reading,
)
from mlbench.engine.inputs_now import Parts, parts_now
from mlbench.engine.kept_scores import KeptScores, NotScoredError, Scores, with_scores
from mlbench.engine.remarks import Remark, Today
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.system.content import hash_bytes

Tell = Callable[[Event], None]
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that was measured: its root, what a sentence calls it, its run, and its file.

    `source` is the digest of that file in the cache.
    """

    root: str
    label: str
    run: Run
    source: str


class Rescoring:
    """Looks what the models of one project were measured on, and measures them again."""

    def __init__(
        self,
        layout: Layout,
        workspace: Workspace,
        project: Project,
        model: ModelSpec,
        ending: threading.Event,
    ) -> None:
        """For one model; once `ending` is set, what runs is stopped and nothing is started."""
        self._layout = layout
        self._workspace = workspace
        self._project = project
        self._model = model
        self._ending = ending
        self._needs = workspace.needs(project)

    def today(
        self, this: Subject, others: Sequence[Subject], names: Iterable[str], tell: Tell
    ) -> Today:
        """What to judge a run by against others that are live, where gates ask for these names.

        Where all were measured on the same, by what they gave. Else those that were not measured on
        what lies there now are scored again; what stands in the way of that is remarked.
        """
        evaluation = evaluation_of(self._project, self._model, self._needs, this.run, names)
        remarks = list(self._measured_in_training(evaluation, this, others))
        moved = {other.root: self._changed(evaluation, this, other) for other in others}
        if not any(moved.values()):
            return Today({}, tuple(remarks))
        try:
            parts = self._parts(evaluation)
        except MlbenchError as error:
            remarks.append(_failure(evaluation, this, error))
            return Today({}, tuple(remarks))
        if not evaluation.reads(self._model.path, _names(parts)):
            remarks += self._blind(evaluation, [other for other in others if moved[other.root]])
            return Today({}, tuple(remarks))
        runs: dict[str, Run] = {}
        for subject in (this, *others):
            if self._is_of_today(evaluation, parts, subject.run):
                continue
            try:
                runs[subject.root] = self._scored(evaluation, parts, subject, tell)
                remarks += _again(evaluation, subject)
            except MlbenchError as error:
                remarks.append(_failure(evaluation, subject, error))
        return Today(runs, tuple(remarks))

    def _measured_in_training(
        self, evaluation: Evaluation, this: Subject, others: Iterable[Subject]
    ) -> Iterator[Remark]:
        """What to say of metrics that come from where the model is made, where the data changed."""
        for other in others:
            moved = data_that_differs(self._model, self._needs, this.run, other.run)
            if evaluation.others and moved:
                yield Remark(
                    other.root,
                    evaluation.others,
                    f"{other.label} was measured on other data ({_listed(moved)}), and can't be "
                    f"scored again: a stage after {self._model.stage} has to give the metric",
                )

    def _blind(self, evaluation: Evaluation, others: Iterable[Subject]) -> Iterator[Remark]:
        stages = ", ".join(stage.name for stage in evaluation.stages)
        for other in others:
            yield Remark(
                other.root,
                evaluation.measured,
                f"{other.label} was measured on other data, and can't be scored again: "
                f"{stages} does not read {self._model.path}",
            )

    def _changed(self, evaluation: Evaluation, one: Subject, other: Subject) -> list[str]:
        """What differs in the data and the code that two runs were measured on."""
        found: list[str] = []
        for stage in evaluation.stages:
            found += differing(
                self._reading(evaluation, stage, one.run),
                self._reading(evaluation, stage, other.run),
            )
        return found

    def _parts(self, evaluation: Evaluation) -> Parts:
        """Every input of the stages that evaluate, as it is now."""
        return {
            stage.name: parts_now(self._workspace, self._found(stage), stage, self._project)
            for stage in evaluation.stages
        }

    def _is_of_today(self, evaluation: Evaluation, parts: Parts, run: Run) -> bool:
        """Whether a run was measured on what lies there now."""
        return not any(
            differing(
                reading_of(parts[stage.name], evaluation.own),
                self._reading(evaluation, stage, run),
            )
            for stage in evaluation.stages
        )

    def _scored(self, evaluation: Evaluation, parts: Parts, subject: Subject, tell: Tell) -> Run:
        """The subject's run with what its model gives today in place of what it gave then.

        What was found out once is looked up. NotScoredError where it can't be found out.
        """
        store, kept = self._workspace.store, KeptScores(self._layout.scores)
        files = self._model_files(evaluation, parts, subject)
        inputs = {stage: beside(of_stage, evaluation.own) for stage, of_stage in parts.items()}
        key = hash_bytes(json.dumps([inputs, files], sort_keys=True).encode())
        scores = kept.get(key)
        if scores is None or not all(map(store.has, scores.outs.values())):
            scores = self._score(evaluation, parts, files, subject, tell)
            # What can't be kept is worked out again.
            with contextlib.suppress(OSError):
                kept.put(key, scores)
        return with_scores(subject.run, scores)

    def _score(
        self,
        evaluation: Evaluation,
        parts: Parts,
        files: Mapping[str, str],
        subject: Subject,
        tell: Tell,
    ) -> Scores:
        if self._ending.is_set():
            raise NotScoredError("the loop is ending; judge again")
        names = ", ".join(stage.name for stage in evaluation.stages)
        told = f"{subject.label} is scored on today's evaluation data ({names})"
        tell(Notice(utc(), "info", told))
        # Late: mostly everything was measured on the same, or is known.
        from mlbench.engine.scoring import score

        return score(
            self._layout,
            self._workspace,
            self._project,
            evaluation,
            parts,
            files,
            wanted=self._model.predictions,
            ending=self._ending,
        )

    def _reading(self, evaluation: Evaluation, stage: Stage, run: Run) -> Reading:
        """What a stage read in a run: by its trace while that is known, else by the record."""
        record = run.stages.get(stage.name)
        if record is None:
            return Reading({})
        for trace in self._workspace.traces.of(stage.name):
            if trace.run == record.ran_in and dict(trace.outs) == dict(record.outs):
                return reading_of({**trace.parts, **trace.found}, evaluation.own)
        return recorded_reading(record, evaluation.own)

    def _found(self, stage: Stage) -> tuple[str, ...]:
        latest = self._workspace.traces.latest(stage.name)
        return tuple(latest.found) if latest is not None else ()

    def _model_files(
        self, evaluation: Evaluation, parts: Parts, subject: Subject
    ) -> dict[str, str]:
        """The outs of the model's stage that the evaluation reads, as digests of the subject's."""
        run, model = subject.run, self._model
        record = run.stages.get(model.stage)
        outs = {**(record.outs if record is not None else {}), model.path: subject.source}
        read = _names(parts)
        files = {
            path: outs.get(path, "")
            for path in self._project.stage(model.stage).out_paths
            if path != model.sample and evaluation.reads(path, read)
        }
        for path, digest in files.items():
            if not digest or not self._workspace.store.has(digest):
                raise NotScoredError(f"the cache has {path} of run {run.name} no more")
        return files


def _names(parts: Parts) -> list[str]:
    return [name for of_stage in parts.values() for name in of_stage]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _again(evaluation: Evaluation, subject: Subject) -> Iterator[Remark]:
    """What is said of each metric of a model that was scored again."""
    for name in sorted(evaluation.measured):
        old = subject.run.metrics.get(name)
        was = "" if old is None else f", where {name} was {number(old)} before"
        sentence = f"{subject.label} was scored again on today's evaluation data{was}"
        yield Remark(subject.root, frozenset({name}), sentence)


def _failure(evaluation: Evaluation, subject: Subject, error: MlbenchError) -> Remark:
    sentence = f"{subject.label} can't be scored on today's evaluation data: {error}"
    return Remark(subject.root, evaluation.measured, sentence, fails=True)
