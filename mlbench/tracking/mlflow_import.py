"""Brings MLflow's runs into the record, each once: its id is made of theirs."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.curves import Summary
from mlbench.domain.errors import UsageError
from mlbench.domain.imports import ImportReport
from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.records import dataclass
from mlbench.domain.runs import CodeState, Marks, Run, Scalar, StageRecord
from mlbench.inside.artifacts import keep_copy
from mlbench.inside.identity import run_id_of
from mlbench.inside.logged import LoggedWriter, flat_params, tag_of
from mlbench.inside.mlflow.values import NAME_TAG, PARENT_TAG, own_tags, scalar_of
from mlbench.inside.stepwriter import StepWriter
from mlbench.project.layout import Layout
from mlbench.system.files import remove
from mlbench.tracking.folder import read_run, write_run
from mlbench.tracking.mlflow.database import RunDatabase
from mlbench.tracking.mlflow.files import RunFolders, is_run_folder
from mlbench.tracking.mlflow.records import MlflowRun, Point, Source
from mlbench.tracking.pyramid import build_pyramid, summary_of
from mlbench.tracking.store import ExperimentStore

STAGE = "mlflow"
"""The one stage of a run that was brought in."""

ORIGIN = "manual"
EXPERIMENT_TAG = "experiment"
_SOURCE = "mlflow:"
_DATABASE_NAME, _FOLDER_NAME = "mlflow.db", "mlruns"
_SQLITE, _FILE = "sqlite:///", "file://"
_PATIENCE_SECONDS = 86400.0
# Of this project's disk, and not of what is to be copied.
_OUR_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_OUTCOMES = {
    "FINISHED": (RunOutcome.PASSED, StageOutcome.RAN),
    "FAILED": (RunOutcome.FAILED, StageOutcome.FAILED),
    "KILLED": (RunOutcome.CANCELLED, StageOutcome.CANCELLED),
}
_NEVER_ENDED = "MLflow never heard of its end"
_NOTE_TAG = "mlflow.note.content"
_USER_TAG = "mlflow.user"
_COMMIT_TAG, _BRANCH_TAG = "mlflow.source.git.commit", "mlflow.source.git.branch"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a source is to come in; `now` tells runs that go on from such that died."""

    now: float
    deleted: bool = False
    artifacts: bool = True


def open_source(place: str) -> Source:
    """The runs at a path, or at a `sqlite:///` or `file://` address; UsageError if there are none.

    A folder may be `mlruns` itself, or one that holds it or `mlflow.db`.
    """
    if place.startswith(_SQLITE):
        return RunDatabase(_there(Path(place.removeprefix(_SQLITE))))
    if "://" in place and not place.startswith(_FILE):
        raise UsageError(
            f"{place}: runs come in from a folder mlruns or from an SQLite database; "
            "name the one that this server works on"
        )
    path = _there(Path(place.removeprefix(_FILE)))
    if path.is_file():
        return RunDatabase(path)
    if is_run_folder(path):
        return RunFolders(path)
    if (path / _DATABASE_NAME).is_file():
        return RunDatabase(path / _DATABASE_NAME)
    if is_run_folder(path / _FOLDER_NAME):
        return RunFolders(path / _FOLDER_NAME)
    raise UsageError(f"{place}: holds neither {_FOLDER_NAME} with runs nor {_DATABASE_NAME}")


def _there(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    return path


class MlflowImport:
    """Takes the runs of a source into one project's record."""

    def __init__(self, layout: Layout, store: ExperimentStore) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout
        self._store = store
        self._left_out: list[str] = []
        self._remote: dict[str, int] = {}

    def take_in(self, source: Source, wanted: Wanted) -> ImportReport:
        """Bring in what isn't here yet, oldest first; OSError where the folder can't be written."""
        found = sorted(source.runs(), key=lambda run: (run.started, run.id))
        known = self._store.ids()
        ids = self._ids(found)
        counts = dict.fromkeys(("imported", "known", "deleted", "going"), 0)
        for run in found:
            if run.is_deleted and not wanted.deleted:
                counts["deleted"] += 1
            elif ids[run.id] in known:
                counts["known"] += 1
            elif _is_going(source, run, wanted.now):
                counts["going"] += 1
            else:
                self._bring(source, run, ids, with_artifacts=wanted.artifacts)
                counts["imported"] += 1
        for scheme, count in sorted(self._remote.items()):
            runs = "1 run" if count == 1 else f"{count} runs"
            self._left_out.append(f"artifacts of {runs} lie at {scheme}: and stay there")
        return ImportReport(**counts, left_out=(*dict.fromkeys(source.faults), *self._left_out))

    def _ids(self, runs: Iterable[MlflowRun]) -> dict[str, str]:
        """The id here of each run: the same in every import, and no other run's."""
        ids: dict[str, str] = {}
        given: set[str] = set()
        for run in runs:
            for candidate in _candidates(run):
                there = read_run(self._layout.run_folder(candidate))
                is_free = there is None or there.source == _SOURCE + run.id
                if is_free and candidate not in given:
                    ids[run.id] = candidate
                    given.add(candidate)
                    break
        return ids

    def _bring(
        self, source: Source, run: MlflowRun, ids: Mapping[str, str], *, with_artifacts: bool
    ) -> None:
        run_id = ids[run.id]
        folder = self._layout.run_folder(run_id)
        # What a killed import has left.
        remove(folder)
        stage_folder = self._layout.stage_folder(run_id, STAGE)
        stage_folder.mkdir(parents=True)
        last = _write_steps(stage_folder, source.points(run))
        logged = LoggedWriter(str(stage_folder))
        params = flat_params({name: scalar_of(text) for name, text in run.params.items()})
        if params:
            logged.params(params)
        if with_artifacts:
            self._copy_artifacts(source, run, stage_folder, logged)
        logged.close()
        build_pyramid(stage_folder)
        parent = ids.get(run.tags.get(PARENT_TAG, ""), "")
        record = _record(run, run_id, parent, params, summary_of(stage_folder), last)
        write_run(folder, record)
        self._store.add(record)

    def _copy_artifacts(
        self, source: Source, run: MlflowRun, stage_folder: Path, logged: LoggedWriter
    ) -> None:
        folder = next((path for path in run.artifacts if path.is_dir()), None)
        if folder is not None:
            for path in sorted(folder.iterdir()):
                self._copy(path, path.name, path.name, stage_folder, logged)
        elif run.elsewhere:
            scheme = run.elsewhere.partition(":")[0]
            self._remote[scheme] = self._remote.get(scheme, 0) + 1
        for model in run.models:
            places = source.folders_of(model.uri, run)
            place = next((path for path in places if path.is_dir()), None)
            if place is not None:
                self._copy(place, f"models/{model.id}", model.name, stage_folder, logged)

    def _copy(
        self, path: Path, place: str, name: str, stage_folder: Path, logged: LoggedWriter
    ) -> None:
        try:
            kept, size = keep_copy(str(stage_folder), str(path), place)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _OUR_FAULTS:
                raise
            self._left_out.append(f"{path}: can't be copied ({error})")
        else:
            logged.write("artifact", name=name, path=kept, size=size)


def _is_going(source: Source, run: MlflowRun, now: float) -> bool:
    """Whether a run may go on; one that said nothing for a day has died."""
    if run.status in _OUTCOMES:
        return False
    last = max((at for _, _, _, at in source.points(run)), default=run.started)
    return now - max(last, run.started) < _PATIENCE_SECONDS


def _candidates(run: MlflowRun) -> Iterator[str]:
    """Ids for a run, which sort by its start; further ones in case that others have the first."""
    digest = hashlib.sha256(run.id.encode()).digest()
    for at in range(0, len(digest), 2):
        yield run_id_of(run.started, digest[at : at + 2])
    raise UsageError(f"run {run.id}: too many runs began with it")


def _write_steps(stage_folder: Path, points: Iterable[Point]) -> float:
    """Write the points as a stage's step log; gives the time of the last one, 0 without any."""
    writer = StepWriter(str(stage_folder))
    last = 0.0
    for name, step, value, at in points:
        writer.add(name, value, step, at)
        last = max(last, at)
    writer.close()
    return last


def _record(
    run: MlflowRun,
    run_id: str,
    parent: str,
    params: Mapping[str, Scalar],
    summaries: Mapping[str, Summary],
    last: float,
) -> Run:
    """The record of a run of MLflow's; pure."""
    outcome, stage_outcome = _OUTCOMES.get(run.status, (RunOutcome.FAILED, StageOutcome.FAILED))
    message = "" if run.status in _OUTCOMES else _NEVER_ENDED
    seconds = round(max(0.0, (run.ended or last) - run.started), 3)
    metrics = {name: summary.last for name, summary in summaries.items()}
    commit = run.tags.get(_COMMIT_TAG) or None
    own = {EXPERIMENT_TAG: run.experiment} if run.experiment else {}
    own |= own_tags(run.tags.items())
    return Run(
        id=run_id,
        name=run.tags.get(NAME_TAG) or run.name or friendly_name(run_id),
        outcome=outcome,
        origin=ORIGIN,
        by=run.tags.get(_USER_TAG) or run.user,
        started=utc(run.started),
        seconds=seconds,
        code=CodeState(commit=commit, branch=run.tags.get(_BRANCH_TAG) or None),
        params=params,
        metrics=metrics,
        stages={
            STAGE: StageRecord(
                stage_outcome, seconds, None, run_id, metrics=metrics, message=message
            )
        },
        extremes={name: summary.extremes for name, summary in summaries.items()},
        marks=Marks(
            tags=tuple(tag for name, value in own.items() if (tag := tag_of(name, "=", value))),
            note=run.tags.get(_NOTE_TAG, ""),
        ),
        source=_SOURCE + run.id,
        parent=parent,
    )
