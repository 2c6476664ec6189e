"""A model run through the stages that evaluate it, in a snapshot of the project as it stands."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path

from mlbench.domain.stages import Project, Stage
from mlbench.engine.evaluation import Evaluation, differing, reading_of
from mlbench.engine.inputs_now import Parts, parts_now
from mlbench.engine.kept_scores import NotScoredError, Scores
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.launch import file_name
from mlbench.pipeline.snapshots.isolated import inside
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.wanted import inputs_among
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.system.files import remove
from mlbench.tracking.pyramid import last_values

_PURPOSE = "score"
_LOOK_SECONDS = 0.1


def score(
    layout: Layout,
    workspace: Workspace,
    project: Project,
    evaluation: Evaluation,
    parts: Parts,
    model_files: Mapping[str, str],
    *,
    wanted: str | None,
    ending: threading.Event,
) -> Scores:
    """Evaluate the model of these files, digests by path, with the inputs that `parts` name.

    `wanted` is an out of these stages that goes into the cache too. Once `ending` is set, what runs
    is stopped. NotScoredError where a stage fails, or its inputs change meanwhile.
    """
    try:
        snapshot = Snapshot.take_free(layout, _PURPOSE, with_leftover=True)
        try:
            scoring = _Scoring(workspace, project, snapshot, ending)
            scoring.prepare(evaluation, parts, model_files)
            scores = scoring.run(evaluation, wanted)
            for path, digest in scores.outs.items():
                workspace.store.put(snapshot.tree / path, digest)
            return scores
        finally:
            snapshot.release()
    except OSError as error:
        what = error.filename or layout.snapshots
        raise NotScoredError(f"{what}: {error.strerror or error}") from None


class _Scoring:
    """One model on its way through the stages that evaluate it, in a snapshot that is held."""

    def __init__(
        self,
        workspace: Workspace,
        project: Project,
        snapshot: Snapshot,
        ending: threading.Event,
    ) -> None:
        """Stop and take back what a killed user of the snapshot left."""
        self._workspace = workspace
        self._project = project
        self._snapshot = snapshot
        self._ending = ending
        self._space = inside(workspace, snapshot)
        self._folders = snapshot.folder / "stages"
        self._space.stop_all()
        remove(self._folders)

    def prepare(self, evaluation: Evaluation, parts: Parts, model_files: Mapping[str, str]) -> None:
        """Bring in what the stages read, and the model in the place of the project's own."""
        stages = evaluation.stages
        outs = [out for stage in stages for out in stage.outs]
        kept = [*model_files, *(out.path for out in outs if not out.persist)]
        inputs = inputs_among(name for of_stage in parts.values() for name in of_stage)
        also = [*inputs, *(out.path for out in outs if out.persist)]
        self._snapshot.bring_up_to_date(stages, self._project, also, kept)
        for path in kept:
            remove(self._snapshot.tree / path)
        for path, digest in model_files.items():
            self._space.store.restore(digest, self._snapshot.tree / path)
        for stage in stages:
            copied = parts_now(self._space, parts[stage.name], stage, self._project)
            here = reading_of(copied, evaluation.own)
            there = reading_of(parts[stage.name], evaluation.own)
            moved = [name for name in differing(here, there) if not name.endswith("/")]
            if moved:
                raise NotScoredError(f"{moved[0]} changed meanwhile; judge again")

    def run(self, evaluation: Evaluation, wanted: str | None) -> Scores:
        """Run the stages one after the other; `wanted` is the out of which the digest is told."""
        metrics: dict[str, Mapping[str, float]] = {}
        outs: dict[str, str] = {}
        for stage in evaluation.stages:
            result = self._built(stage)
            if result.trace is None:
                log = os.path.relpath(self._folder(stage) / "log", self._workspace.root)
                why = result.message or f"was {result.outcome.word}"
                raise NotScoredError(f"stage {stage.name}: {why}; its log is {log}")
            metrics[stage.name] = dict(result.metrics)
            if wanted is not None and wanted in result.trace.outs:
                outs[wanted] = result.trace.outs[wanted]
        self._space.digests.save()
        return Scores(metrics, outs)

    def _folder(self, stage: Stage) -> Path:
        return self._folders / file_name(stage.name)

    def _built(self, stage: Stage) -> BuildResult:
        """Run one stage in a thread, so that Ctrl-C and the loop's end reach it from this one."""
        job = Job(_PURPOSE, self._folder(stage), force=True, is_recorded=False, in_tree=False)
        build = Build(
            self._space,
            self._project,
            stage,
            job,
            on_start=lambda _: None,
            logged=last_values,
        )
        with ThreadPoolExecutor(1) as pool:
            try:
                future: Future[BuildResult] = pool.submit(build.run)
                while not wait_for([future], _LOOK_SECONDS).done:
                    if self._ending.is_set():
                        build.stop()
                return future.result()
            except BaseException:
                build.stop()
                raise
