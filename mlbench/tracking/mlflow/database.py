"""Reads MLflow's SQLite database, without writing a byte of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlbench.domain.errors import UsageError
from mlbench.tracking.mlflow.records import MlflowRun, Model, Point, local_path, moment_of

_RUNS = """\
select run_uuid, experiments.name, runs.name, user_id, status, start_time, end_time,
       runs.lifecycle_stage, experiments.lifecycle_stage, artifact_uri, experiment_id
from runs left join experiments using (experiment_id) order by start_time, run_uuid"""
_MODELS = """\
select source_run_id, model_id, name, artifact_location from logged_models
where source_run_id is not null and lifecycle_stage is not 'deleted'"""
_LARGEST = 1.7976931348623157e308
"""What MLflow writes for infinity."""
_SERVED, _KEPT_BY_SERVER = "mlflow-artifacts:", "mlartifacts"


class RunDatabase:
    """The runs of one database."""

    def __init__(self, path: Path) -> None:
        """Open it; UsageError where it is none of MLflow's."""
        self.faults: list[str] = []
        self._path = path
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        try:
            self._database = sqlite3.connect(address, uri=True)
            self._database.text_factory = lambda data: data.decode("utf-8", "replace")
            self._database.execute("select run_uuid from runs limit 1").fetchall()
        except sqlite3.Error as error:
            raise UsageError(f"{path}: is no database of MLflow's ({error})") from None

    def runs(self) -> Iterator[MlflowRun]:
        """Every run that can be read, oldest first."""
        models = self._models()
        for row in self._rows("runs", _RUNS):
            try:
                yield self._run(row, models)
            except (TypeError, ValueError) as error:
                self.faults.append(f"{self._path}: run {row[0]} is not whole ({error})")

    def points(self, run: MlflowRun) -> Iterator[Point]:
        """All points of a run, metric by metric."""
        query = "select key, step, value, timestamp, is_nan from metrics where run_uuid = ?"
        for key, step, value, at, is_nan in self._rows(f"metrics of run {run.id}", query, run.id):
            try:
                yield str(key), int(step), _value(value, is_nan), moment_of(at)
            except (TypeError, ValueError) as error:
                self.faults.append(f"{self._path}: run {run.id}: {key} is no metric ({error})")

    def folders_of(self, uri: str, run: MlflowRun) -> tuple[Path, ...]:  # noqa: ARG002
        """Where the address says; what a server kept for its clients lies beside its database."""
        base = self._path.absolute().parent
        if uri.startswith(_SERVED):
            return (base / _KEPT_BY_SERVER / uri.removeprefix(_SERVED).strip("/"),)
        said = local_path(uri, base)
        return () if said is None else (said,)

    def _run(self, row: tuple[Any, ...], models: dict[str, list[Model]]) -> MlflowRun:
        run_id, experiment, name, user, status, started, ended, own, whole, uri, number = row
        base = self._path.absolute().parent
        said = local_path(uri or "", base)
        tail = (str(number), run_id, "artifacts")
        # A server's clients have its address for them, and it has them in a folder.
        is_kept_here = str(uri).startswith(_SERVED) and (base / _KEPT_BY_SERVER).is_dir()
        return MlflowRun(
            id=str(run_id),
            experiment="" if experiment in (None, "Default") else str(experiment),
            name=str(name or ""),
            user=str(user or ""),
            status=str(status),
            started=moment_of(started),
            ended=moment_of(ended or 0),
            is_deleted="deleted" in (own, whole),
            params=self._pairs("params", run_id),
            tags=self._pairs("tags", run_id),
            artifacts=(
                *((said,) if uri and said is not None else ()),
                base.joinpath("mlruns", *tail),
                base.joinpath(_KEPT_BY_SERVER, *tail),
            ),
            elsewhere=str(uri) if uri and said is None and not is_kept_here else "",
            models=tuple(models.get(run_id, ())),
        )

    def _pairs(self, table: str, run_id: str) -> dict[str, str]:
        query = f"select key, value from {table} where run_uuid = ?"
        rows = self._rows(f"{table} of run {run_id}", query, run_id)
        return {str(key): "" if value is None else str(value) for key, value in rows}

    def _models(self) -> dict[str, list[Model]]:
        known = "select name from sqlite_master where name = 'logged_models'"
        models: dict[str, list[Model]] = {}
        if list(self._rows("tables", known)):
            for run, model, name, place in self._rows("models", _MODELS):
                models.setdefault(str(run), []).append(Model(str(model), str(name), str(place)))
        return models

    def _rows(self, what: str, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, as far as they can be read."""
        try:
            yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            self.faults.append(f"{self._path}: not all {what} can be read ({error})")


def _value(value: Any, is_nan: Any) -> float:
    if is_nan:
        return float("nan")
    number = float(value)
    if abs(number) >= _LARGEST:
        return float("inf") if number > 0 else float("-inf")
    return number
