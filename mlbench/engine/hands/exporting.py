"""The hand that makes a run's model a candidate: exported to ONNX and proven, or as it is."""

from __future__ import annotations

import threading
from pathlib import Path, PurePosixPath

from mlbench.domain.clock import utc
from mlbench.domain.errors import ExportError
from mlbench.domain.events import CandidateKept, ExportStarted, Notice
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.domain.stages import ModelSpec, Project
from mlbench.engine.hands.telling import Tell
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.release.as_is import keep_as_is
from mlbench.release.export import ExportJob, export
from mlbench.release.folders import PREDICTIONS
from mlbench.release.metadata import provenance_of
from mlbench.release.registry import Registry
from mlbench.system.content import FOLDER_MARK, ContentStore


class ExportingHand:
    """Exports what the cache has of a run; one model at a time."""

    def __init__(
        self,
        layout: Layout,
        registry: Registry,
        workspace: Workspace,
        ending: threading.Event | None = None,
    ) -> None:
        """Use what the loop has open; once `ending` is set, what is being exported is stopped."""
        self._layout = layout
        self._registry = registry
        self._workspace = workspace
        self._cache = ContentStore(layout.cache)
        self._ending = ending

    def export(self, project: Project, model: ModelSpec, run: Run, tell: Tell) -> Candidate:
        """Make a run's model a candidate, not judged yet; ExportError says why it can't be one."""
        digest = run.stages[model.stage].outs.get(model.path)
        if digest is None or not self._cache.has(digest):
            raise ExportError(
                f"models.{model.name}: the cache has {model.path} of run {run.name} no more; "
                f"`mlbench run {model.stage} --force` makes it again"
            )
        if model.format == "onnx":
            tell(ExportStarted(utc(), run.id, model.name))
            candidate = export(self._job(project, model, run, digest, tell), self._registry)
        else:
            origin, beside = provenance_of(run, model), self._beside(model, run, tell)
            candidate = keep_as_is(model, origin, self._cache, digest, self._registry, beside)
        tell(CandidateKept(utc(), run.id, model.name, candidate.digest, candidate.parity))
        return candidate

    def _job(
        self, project: Project, model: ModelSpec, run: Run, digest: str, tell: Tell
    ) -> ExportJob:
        sample_digest = self._sample_digest(model, run)
        return ExportJob(
            model=model,
            run=run.id,
            source=self._cache.path_of(digest),
            source_digest=digest,
            sample=self._cache.path_of(sample_digest),
            sample_digest=sample_digest,
            python=project.python,
            project=self._layout.root,
            log=self._layout.run_folder(run.id) / "export.log",
            provenance=provenance_of(run, model),
            beside=self._beside(model, run, tell),
            neighbours=self._neighbours(model, run),
            stop=self._ending,
        )

    def _neighbours(self, model: ModelSpec, run: Run) -> dict[str, Path]:
        """Files of its stage in the model's folder: ONNX may keep its tensors in such."""
        if not model.path.lower().endswith(".onnx") and model.exporter is None:
            return {}
        folder = PurePosixPath(model.path).parent
        outs = {
            PurePosixPath(name): digest for name, digest in run.stages[model.stage].outs.items()
        }
        return {
            path.relative_to(folder).as_posix(): self._cache.path_of(digest)
            for path, digest in outs.items()
            if path.is_relative_to(folder)
            and path != PurePosixPath(model.path)
            and not digest.startswith(FOLDER_MARK)
            and self._cache.has(digest)
        }

    def _sample_digest(self, model: ModelSpec, run: Run) -> str:
        """The held-out rows as the run had them: a stage's out, else a file of the project."""
        if model.sample is None:
            raise ExportError(
                f"mlbench.toml: models.{model.name}.sample: is missing; "
                "name the file that holds the held-out rows, for parity is proven on them"
            )
        digest = _out_of(run, model.sample)
        if digest is not None:
            return digest
        path = self._layout.root / model.sample
        found = self._workspace.digests.content(path)
        if found is None:
            raise ExportError(
                f"mlbench.toml: models.{model.name}.sample: {model.sample} does not exist; "
                "name the file that holds the held-out rows"
            )
        self._cache.put(path, found)
        return found

    def _beside(self, model: ModelSpec, run: Run, tell: Tell) -> dict[str, Path]:
        """What is kept with the model: its predictions, so that later ones can be held to them."""
        if model.predictions is None:
            return {}
        digest = _out_of(run, model.predictions)
        if digest is None or digest.startswith(FOLDER_MARK) or not self._cache.has(digest):
            message = (
                f"models.{model.name}.predictions: run {run.name} gave no file "
                f"{model.predictions}, so none is kept with the model; "
                "name it in the outs of the stage that writes it"
            )
            tell(Notice(utc(), "warn", message))
            return {}
        name = PREDICTIONS + PurePosixPath(model.predictions).suffix.lower()
        return {name: self._cache.path_of(digest)}


def _out_of(run: Run, path: str) -> str | None:
    """The digest of an out of any stage of a run that stands."""
    found = (record.outs[path] for record in run.stages.values() if path in record.outs)
    return next(found, None)
