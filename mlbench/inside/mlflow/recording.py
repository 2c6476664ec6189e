"""Records beside whatever store MLflow uses: the store does its work first, and as ever.

A store or artifact repository stays the object that MLflow made, of a class that is derived from
its own, so that all that it can do, and all that MLflow asks of its class, is as before.
"""

from __future__ import annotations

import os
import posixpath
import threading
from functools import partial

from mlflow.exceptions import MlflowException
from mlflow.store.tracking.abstract_store import AbstractStore

from mlbench.inside.mlflow.recorder import Recorder

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FIRST_REFUSAL, _FIRST_FAULT = 400, 500
_outer = threading.local()


def record_store(store: Any, recorder: Recorder) -> None:
    """Record what this tracking store is told from now on."""
    if isinstance(store, _RecordedStore):
        return
    store.__class__ = _derived(_RecordedStore, type(store))
    store._mlbench_recorder = recorder
    # It binds the queue of what is logged asynchronously to `log_batch`, as that is by now.
    AbstractStore.__init__(store)


def record_repository(repository: Any, artifact_uri: str, recorder: Recorder) -> None:
    """Record what this artifact repository, the one for that address, is given from now on."""
    if isinstance(repository, _RecordedRepository):
        return
    repository.__class__ = _derived(_RecordedRepository, type(repository))
    repository._mlbench_recorder = recorder
    repository._mlbench_uri = artifact_uri
    repository._mlbench_walking = []


def _derived(mixin: type, base: type) -> type:
    return type(base.__name__, (mixin, base), {"__module__": base.__module__})


class _RecordedStore:
    """What a tracking store is told of runs; arguments are those of MLflow's AbstractStore."""

    _mlbench_recorder: Recorder

    def create_run(
        self, experiment_id: Any, user_id: Any, start_time: Any, tags: Any, run_name: Any
    ) -> Any:
        given = list(tags or ())
        store: Any = super()
        create = partial(store.create_run, experiment_id, user_id, start_time, tags, run_name)
        run = _through(create)
        recorder = self._mlbench_recorder

        def record() -> None:
            recorder.begin(run.info.run_id, run_name, given)
            recorder.know_run(run.info.run_id, run.info.artifact_uri)
            recorder.tags(run.info.run_id, given)

        recorder.safely(record)
        return run

    def get_run(self, run_id: Any) -> Any:
        store: Any = super()
        run = store.get_run(run_id)
        recorder = self._mlbench_recorder
        recorder.safely(lambda: recorder.know_run(run_id, run.info.artifact_uri))
        return run

    def log_metric(self, run_id: Any, metric: Any) -> Any:
        store: Any = super()
        return self._both(partial(store.log_metric, run_id, metric), run_id, metrics=(metric,))

    def log_param(self, run_id: Any, param: Any) -> Any:
        store: Any = super()
        return self._both(partial(store.log_param, run_id, param), run_id, params=(param,))

    def set_tag(self, run_id: Any, tag: Any) -> Any:
        store: Any = super()
        return self._both(partial(store.set_tag, run_id, tag), run_id, tags=(tag,))

    def log_batch(self, run_id: Any, metrics: Any, params: Any, tags: Any) -> Any:
        store: Any = super()
        log = partial(store.log_batch, run_id, metrics, params, tags)
        return self._both(log, run_id, metrics, params, tags)

    def create_logged_model(self, *args: Any, **options: Any) -> Any:
        store: Any = super()
        return self._known(store.create_logged_model(*args, **options))

    def get_logged_model(self, *args: Any, **options: Any) -> Any:
        store: Any = super()
        return self._known(store.get_logged_model(*args, **options))

    def _known(self, model: Any) -> Any:
        recorder = self._mlbench_recorder
        recorder.safely(
            lambda: recorder.know_model(model.model_id, model.name, model.artifact_location)
        )
        return model

    def _both(
        self,
        log: Callable[[], Any],
        run_id: Any,
        metrics: Any = (),
        params: Any = (),
        tags: Any = (),
    ) -> Any:
        recorder = self._mlbench_recorder

        def record() -> None:
            # One after the other: what can't be written of one keeps none of the rest back.
            recorder.safely(lambda: recorder.metrics(run_id, metrics or ()))
            recorder.safely(lambda: recorder.params(run_id, params or ()))
            recorder.safely(lambda: recorder.tags(run_id, tags or ()))

        return _through(log, record)


def _through(log: Callable[[], Any], record: Callable[[], None] | None = None) -> Any:
    """Let the store do its work, then record it, unless the store refuses it.

    What a store that can't be reached didn't get is recorded. A store's calls of its own methods
    are no more than parts of the first one.
    """
    if getattr(_outer, "is_busy", False):
        return log()
    _outer.is_busy = True
    try:
        given = log()
    except Exception as error:
        if record is not None and not _is_refusal(error):
            record()
        raise
    finally:
        _outer.is_busy = False
    if record is not None:
        record()
    return given


def _is_refusal(error: Exception) -> bool:
    if not isinstance(error, MlflowException):
        return False
    return bool(_FIRST_REFUSAL <= error.get_http_status_code() < _FIRST_FAULT)


class _RecordedRepository:
    """What an artifact repository is given; arguments are those of MLflow's ArtifactRepository."""

    _mlbench_recorder: Recorder
    _mlbench_uri: str
    _mlbench_walking: list[str]

    def log_artifact(self, local_file: Any, artifact_path: Any = None) -> Any:
        repository: Any = super()
        source = os.path.abspath(local_file)
        log = partial(repository.log_artifact, local_file, artifact_path)
        if any(source.startswith(folder) for folder in self._mlbench_walking):
            return log()
        return _through(log, lambda: self._put(source, artifact_path))

    def log_artifacts(self, local_dir: Any, artifact_path: Any = None) -> Any:
        repository: Any = super()
        folder = os.path.join(os.path.abspath(local_dir), "")
        self._mlbench_walking.append(folder)  # also for the threads that it is uploaded by
        try:
            log = partial(repository.log_artifacts, local_dir, artifact_path)
            return _through(log, lambda: self._put_all(folder, artifact_path))
        finally:
            self._mlbench_walking.remove(folder)

    def _put_all(self, folder: str, artifact_path: Any) -> None:
        recorder = self._mlbench_recorder

        def record() -> None:
            place = recorder.place(self._mlbench_uri)
            if recorder.is_model(place) and not artifact_path:
                recorder.artifact(folder, place.rstrip("/"), self._kept_in())
                return
            for name in sorted(os.listdir(folder)):
                self._put(os.path.join(folder, name), artifact_path)

        recorder.safely(record)

    def _put(self, source: str, artifact_path: Any) -> None:
        recorder = self._mlbench_recorder

        def record() -> None:
            name = posixpath.join(artifact_path or "", os.path.basename(source))
            recorder.artifact(source, recorder.place(self._mlbench_uri) + name, self._kept_in())

        recorder.safely(record)

    def _kept_in(self) -> Any:
        """The folder of a repository that is one; None for any other."""
        return getattr(self, "artifact_dir", None)
