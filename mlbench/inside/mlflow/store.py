"""Where MLflow keeps what it reads back itself, in a stage whose user names no store: a folder.

It is MLflow's own file store in the stage's folder, and needs neither database nor server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path

from mlflow.store.model_registry.file_store import FileStore as RegistryFileStore
from mlflow.store.tracking.file_store import FileStore

from mlbench.inside.artifacts import artifact_path
from mlbench.inside.logged import ARTIFACTS_NAME
from mlbench.inside.mlflow import MLFLOW_NAME
from mlbench.inside.mlflow.recorder import Recorder

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ALLOWED = "MLFLOW_ALLOW_FILE_STORE"


class StageStore(FileStore):  # type: ignore[misc]
    """MLflow's file store in a stage's folder; artifacts go straight to the stage's."""

    def __init__(self, recorder: Recorder) -> None:
        """Open it; the first process of a stage makes it."""
        self._recorder = recorder
        self._opening = threading.local()
        with _first_of_many(recorder.folder) as root:
            super().__init__(Path(root).as_uri())

    def create_run(
        self,
        experiment_id: str | None,
        user_id: str,
        start_time: int,
        tags: list[Any] | None,
        run_name: str | None,
    ) -> Any:
        """Create a run, whose artifacts lie where its names say."""
        self._opening.names = (run_name, list(tags or ()))
        return super().create_run(experiment_id, user_id, start_time, tags, run_name)

    def _get_artifact_dir(self, _experiment_id: str, run_uuid: str) -> str:
        place = self._recorder.begin(run_uuid, *self._opening.names)
        return self._artifact_uri(place)

    def _get_model_artifact_dir(self, _experiment_id: str, model_id: str) -> str:
        return self._artifact_uri(f"models/{model_id}")

    def _artifact_uri(self, place: str) -> str:
        path = artifact_path(place) if place else ARTIFACTS_NAME
        return Path(self._recorder.folder, path).as_uri()


def registry_store(folder: str) -> Any:
    """MLflow's registry of models, for the models that a stage registers."""
    with _first_of_many(folder) as root:
        return RegistryFileStore(Path(root).as_uri())


@contextlib.contextmanager
def _first_of_many(folder: str) -> Iterator[str]:
    """The store's folder, while no other process of the stage makes it; MLflow takes no lock."""
    own = os.path.join(folder, MLFLOW_NAME)
    os.makedirs(own, exist_ok=True)
    with open(os.path.join(own, "lock"), "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = os.environ.get(_ALLOWED)
        # MLflow asks for it since its file store gets no new features; a stage needs none of them.
        os.environ[_ALLOWED] = "true"
        try:
            yield os.path.join(own, "store")
        finally:
            if before is None:
                del os.environ[_ALLOWED]
            else:
                os.environ[_ALLOWED] = before
