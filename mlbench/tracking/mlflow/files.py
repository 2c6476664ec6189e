"""Reads the folder `mlruns`: a folder for each experiment, in it one for each run.

A run has `meta.yaml`, and a file for each param, tag and metric, whose names may lead to folders.
A line of a metric's file is `<time in ms> <value> [<step>]`, and may say more behind that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError
from mlbench.project.params import parse_tree
from mlbench.tracking.mlflow.records import STATUSES, MlflowRun, Model, Point, local_path, moment_of

META_NAME = "meta.yaml"
_TRASH, _MODELS, _ARTIFACTS = ".trash", "models", "artifacts"
_DEFAULT_EXPERIMENT = "Default"
_LARGEST_STEP = 2**63


class RunFolders:
    """The runs of one `mlruns`."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder of the experiments' folders."""
        self.faults: list[str] = []
        self._root = root
        self._folders: dict[str, Path] = {}

    def runs(self) -> Iterator[MlflowRun]:
        """Every run that can be read, experiment by experiment."""
        for parent in (self._root, self._root / _TRASH):
            for experiment in _folders(parent):
                if (experiment / META_NAME).exists():
                    yield from self._runs_of(experiment, is_deleted=parent.name == _TRASH)

    def points(self, run: MlflowRun) -> Iterator[Point]:
        """All points of a run, metric by metric; what is no point is left out and named."""
        for name, path in _files(self._folders[run.id] / "metrics"):
            bad = 0
            try:
                lines = _text(path).splitlines()
            except OSError as error:
                self.faults.append(f"{path}: can't be read ({error.strerror or error})")
                continue
            for line in lines:
                point = _point(name, line)
                if point is None:
                    bad += 1
                else:
                    yield point
            if bad:
                self.faults.append(f"{path}: {bad} of its lines are no points")

    def folders_of(self, uri: str, run: MlflowRun) -> tuple[Path, ...]:
        """Where the address says, else where `mlruns` would have it: it may have been moved."""
        said = local_path(uri, self._root.parent)
        # Below an experiment's folder, whichever machine that was on.
        parts = Path(uri).parts
        experiment = self._folders[run.id].parent
        moved = [
            experiment.joinpath(*parts[at + 1 :])
            for at, part in enumerate(parts)
            if part == experiment.name
        ]
        return (*((said,) if said is not None else ()), *moved)

    def _runs_of(self, experiment: Path, *, is_deleted: bool) -> Iterator[MlflowRun]:
        meta = self._meta(experiment) or {}
        name = str(meta.get("name", experiment.name))
        models = self._models_of(experiment)
        for folder in _folders(experiment):
            plain = self._meta(folder)
            if plain is None:
                continue
            try:
                run = self._run(folder, plain, name, is_deleted=is_deleted, models=models)
            except (KeyError, TypeError, ValueError, IndexError, OSError) as error:
                self.faults.append(f"{folder}: is no whole run ({_said(error)})")
                continue
            self._folders[run.id] = folder
            yield run

    def _run(
        self,
        folder: Path,
        meta: dict[str, Any],
        experiment: str,
        *,
        is_deleted: bool,
        models: dict[str, list[Model]],
    ) -> MlflowRun:
        run_id = folder.name
        uri = str(meta.get("artifact_uri") or "")
        said = local_path(uri, self._root.parent) if uri else None
        return MlflowRun(
            id=run_id,
            experiment="" if experiment == _DEFAULT_EXPERIMENT else experiment,
            name=str(meta.get("run_name") or meta.get("name") or ""),
            user=str(meta.get("user_id") or ""),
            status=STATUSES[int(meta["status"])],
            started=moment_of(meta["start_time"]),
            ended=moment_of(meta.get("end_time") or 0),
            is_deleted=is_deleted or meta.get("lifecycle_stage") == "deleted",
            params={name: _text(path) for name, path in _files(folder / "params")},
            tags={name: _text(path) for name, path in _files(folder / "tags")},
            artifacts=tuple(path for path in (said, folder / _ARTIFACTS) if path is not None),
            elsewhere=uri if uri and said is None else "",
            models=tuple(models.get(run_id, ())),
        )

    def _models_of(self, experiment: Path) -> dict[str, list[Model]]:
        """The models of an experiment by the run that logged them."""
        models: dict[str, list[Model]] = {}
        for folder in _folders(experiment / _MODELS):
            meta = self._meta(folder) or {}
            run, place = str(meta.get("source_run_id", "")), meta.get("artifact_location")
            if run and place and meta.get("lifecycle_stage") != "deleted":
                model = Model(folder.name, str(meta.get("name") or folder.name), str(place))
                models.setdefault(run, []).append(model)
        return models

    def _meta(self, folder: Path) -> dict[str, Any] | None:
        """What a folder's meta.yaml says; None where there is none, or none that can be read."""
        path = folder / META_NAME
        try:
            plain = parse_tree(str(path), path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ProjectFileError, OSError, UnicodeDecodeError) as error:
            self.faults.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            return None
        if not isinstance(plain, dict):
            self.faults.append(f"{path}: says nothing of a run")
            return None
        return plain


def is_run_folder(root: Path) -> bool:
    """Whether a folder is laid out as `mlruns` is."""
    return any((folder / META_NAME).exists() for folder in _folders(root))


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder, with its name relative to it."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            yield path.relative_to(folder).as_posix(), path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _point(name: str, line: str) -> Point | None:
    try:
        at, value, *rest = line.split(" ")
        step = int(rest[0]) if rest else 0
        return (name, step, float(value), moment_of(at)) if abs(step) < _LARGEST_STEP else None
    except (ValueError, IndexError):
        return None


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
