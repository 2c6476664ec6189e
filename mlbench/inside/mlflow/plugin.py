"""MLflow's entry points: it loads this module when a script of a stage imports mlflow.

From then on every store that MLflow makes, for whatever address, is recorded as well. Where the
user names none, and has no database where MLflow would look for one, the stage's folder is it.
Whatever goes wrong here, MLflow works as without it.
"""

from __future__ import annotations

import os

from mlflow.tracking._tracking_service import utils

from mlbench.inside.mlflow.recorder import Recorder
from mlbench.inside.steplog import FOLDER_VARIABLE

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SCHEME = "mlbench"
_ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
_DEFAULT_DATABASE = "mlflow.db"


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:  # noqa: ARG001
    """The store for `mlbench:` addresses: this stage's folder."""
    from mlbench.inside.mlflow.store import StageStore

    return StageStore(_of_this_stage())


def registry_store(store_uri: str) -> Any:  # noqa: ARG001
    """The registry of models for `mlbench:` addresses."""
    from mlbench.inside.mlflow import store

    return store.registry_store(_of_this_stage().folder)


def _of_this_stage() -> Recorder:
    if _recorder is None:
        raise ImportError(f"{SCHEME}: addresses are for stages of mlbench; set {_ADDRESS_VARIABLE}")
    return _recorder


def _listen(recorder: Recorder) -> None:
    """Record with every store that MLflow makes from now on, and with every artifact repository."""
    stores: Any = utils._tracking_store_registry
    stores.__class__ = _recording(type(stores), recorder)
    if not os.environ.get(_ADDRESS_VARIABLE) and not os.path.exists(_DEFAULT_DATABASE):
        os.environ[_ADDRESS_VARIABLE] = f"{SCHEME}://{recorder.folder}"


def _recording(registry: type, recorder: Recorder) -> type:
    """MLflow's registry of tracking stores, which gives builders of recorded ones."""

    class _Recording(registry):  # type: ignore[misc]
        def get_store_builder(self, store_uri: str) -> Callable[..., Any]:
            build = super().get_store_builder(store_uri)

            def build_recorded(**options: Any) -> Any:
                store = build(**options)
                recorder.safely(lambda: _record(store, recorder))
                return store

            return build_recorded

    return _Recording


def _record(store: Any, recorder: Recorder) -> None:
    # Not before: MLflow is still being imported when this module is.
    from mlbench.inside.mlflow.recording import record_store

    record_store(store, recorder)
    _listen_for_artifacts(recorder)


def _listen_for_artifacts(recorder: Recorder) -> None:
    from mlflow.store.artifact import artifact_repository_registry as module

    from mlbench.inside.mlflow.recording import record_repository

    repositories: Any = module._artifact_repository_registry
    known: type = type(repositories)
    if known.__module__ == __name__:
        return

    class _Recording(known):  # type: ignore[misc]
        def get_artifact_repository(self, artifact_uri: str, *args: Any, **options: Any) -> Any:
            repository = super().get_artifact_repository(artifact_uri, *args, **options)
            if recorder.knows(artifact_uri):
                recorder.safely(lambda: record_repository(repository, artifact_uri, recorder))
            return repository

    repositories.__class__ = _Recording


_folder = os.environ.get(FOLDER_VARIABLE)
_recorder = Recorder(os.path.abspath(_folder)) if _folder else None
if _recorder is not None:
    _listen(_recorder)
