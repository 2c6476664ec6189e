"""Writes what MLflow is told into the stage's folder; it never raises into the user's script."""

from __future__ import annotations

import os
import sys

from mlbench.inside.artifacts import artifact_path, keep_copy
from mlbench.inside.logged import LoggedWriter
from mlbench.inside.mlflow import MLFLOW_NAME
from mlbench.inside.mlflow.names import RunNames
from mlbench.inside.mlflow.values import (
    NAME_TAG,
    PARENT_TAG,
    is_small_copy,
    own_tags,
    picture_of,
    scalar_of,
)
from mlbench.inside.stepwriter import StepWriter

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

LARGEST_COPY = 1_000_000_000
"""In bytes: a larger artifact is left to the store that the script sends it to."""


class Recorder:
    """Records for one stage, in one process, and after a fork in its child."""

    def __init__(self, folder: str) -> None:
        """`folder` is the stage's; nothing is written yet."""
        self.folder = folder
        self._names = RunNames(os.path.join(folder, MLFLOW_NAME, "names"))
        self._steps = StepWriter(folder)
        self._logged = LoggedWriter(folder)
        self._runs: dict[str, str] = {}
        self._model_places: dict[str, str] = {}
        self._models: dict[str, str] = {}
        self._has_warned = False
        os.register_at_fork(after_in_child=self._start_over_in_child)

    def _start_over_in_child(self) -> None:
        self._steps.start_over_in_child()
        self._logged.start_over_in_child()

    def begin(self, run_id: str, name: str | None, tags: Iterable[Any]) -> str:
        """Give a run that begins here its place; gives what its names begin with."""
        own = {tag.key: tag.value for tag in tags}
        return self._names.claim(run_id, name or own.get(NAME_TAG), own.get(PARENT_TAG))

    def metrics(self, run_id: str, metrics: Iterable[Any]) -> None:
        """Record points: MLflow's metrics, with their steps, and times in milliseconds."""
        prefix = self._names.prefix(run_id)
        for metric in metrics:
            value, at = float(metric.value), metric.timestamp / 1000
            self._steps.add(prefix + metric.key, value, int(metric.step), at)

    def params(self, run_id: str, params: Iterable[Any]) -> None:
        """Record parameters, as what they were before MLflow made them texts."""
        prefix = self._names.prefix(run_id)
        values = {prefix + param.key: scalar_of(str(param.value)) for param in params}
        if values:
            self._logged.params(values)

    def tags(self, run_id: str, tags: Iterable[Any]) -> None:
        """Record what people and scripts set, as `key=value`; MLflow's own tags say nothing new."""
        own = own_tags((tag.key, str(tag.value)) for tag in tags)
        if own:
            prefix = self._names.prefix(run_id)
            self._logged.tags(**{prefix + name: value for name, value in own.items()})

    def know_run(self, run_id: str, artifact_uri: str) -> None:
        """Remember where the store keeps the artifacts of a run, which may be an old one."""
        self._runs[artifact_uri] = run_id

    def know_model(self, model_id: str, name: str, artifact_uri: str) -> None:
        """Remember where the store keeps a logged model."""
        self._model_places[artifact_uri] = place = f"models/{model_id}/"
        self._models[place.rstrip("/")] = name

    def knows(self, artifact_uri: str) -> bool:
        """Whether artifacts that go there may be this stage's."""
        return artifact_uri in self._runs or artifact_uri in self._model_places

    def place(self, artifact_uri: str) -> str:
        """What stands before the names of the artifacts that go there; KeyError if unknown."""
        if artifact_uri in self._model_places:
            return self._model_places[artifact_uri]
        return self._names.prefix(self._runs[artifact_uri])

    def is_model(self, place: str) -> bool:
        """Whether the place is a logged model's: all that lies there is one thing."""
        return place.rstrip("/") in self._models

    def artifact(self, source: str, place: str, kept_in: str | None) -> None:
        """Record a file or folder; `kept_in` is a local folder that may hold it already.

        ValueError where it is too large to be copied, OSError where it can't be.
        """
        if is_small_copy(place):
            return
        name = self._models.get(place, place)
        path = artifact_path(place)
        target = os.path.join(self.folder, path)
        if kept_in is not None and os.path.exists(target) and _is_within(target, kept_in):
            size = _size(target)
        else:
            size = _size(source)
            if size > LARGEST_COPY:
                raise ValueError(f"{name} has {size:,} bytes; the store that it went to has it")
            path, size = keep_copy(self.folder, source, place)
        picture = picture_of(name)
        if picture is None:
            self._logged.write("artifact", name=name, path=path, size=size)
        else:
            name, step = picture
            self._logged.write("figure", name=name, path=path, size=size, step=step)

    def safely(self, record: Callable[[], object]) -> None:
        """Record something; where that fails, say so on standard error, once a process."""
        try:
            record()
        except Exception as error:
            self._warn(f"{error}")

    def _warn(self, problem: str) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        try:
            sys.stderr.write(
                f"mlbench: not all that MLflow is told can be recorded in {self.folder} "
                f"({problem:.500}). The script goes on; this is said once.\n"
            )
            sys.stderr.flush()
        except Exception:
            return


def _is_within(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)


def _size(path: str) -> int:
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
        if os.path.isfile(os.path.join(folder, name))
    )
