"""mlbench.toml to a checked Project; every fault names file, line and key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError, UsageError, nearest
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project, Stage
from mlbench.project import keys
from mlbench.project.check import check_project
from mlbench.project.fields import Table
from mlbench.project.interpreter import find_python
from mlbench.project.layout import CONFIG_NAME, Layout
from mlbench.project.model_table import read_environment, read_model
from mlbench.project.stage_table import read_stage
from mlbench.project.toml_file import TomlFile


def find_project(folder: Path) -> Layout:
    """The project that a folder belongs to: the nearest mlbench.toml at or above it.

    UsageError where there is none.
    """
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / CONFIG_NAME).is_file():
            return Layout(candidate)
    raise UsageError(
        f"{folder}: there is no {CONFIG_NAME} here or above; "
        "`mlbench init` writes one, `mlbench demo` shows one at work"
    )


def load_project(layout: Layout) -> Project:
    """Read and check the configuration; ProjectFileError names file, line and key."""
    shared = TomlFile.read(layout.config, CONFIG_NAME)
    value = _with_overrides(layout, shared)
    reader = _Reader(shared)
    shared.refuse_unknown(value, keys.TOP, "")
    project = reader.table("project", value.get("project", {}))
    project.file.refuse_unknown(project.value, keys.PROJECT, "project")
    stages = tuple(
        read_stage(reader.table(f"stages.{name}", body), name)
        for name, body in reader.tables("stages", value)
    )
    models = tuple(
        read_model(reader.table(f"models.{name}", body), name)
        for name, body in reader.tables("models", value)
    )
    environments = tuple(
        read_environment(reader.table(f"environments.{name}", body), name)
        for name, body in reader.tables("environments", value)
    )
    _check_references(shared, stages, models, environments)
    check_project(shared, stages, layout.root)
    return Project(
        name=project.text("name") or layout.root.name,
        python=find_python(layout.root, project.text("python"), project),
        jobs=_jobs(project),
        objective=project.text("objective"),
        stages=stages,
        models=models,
        environments=environments,
    )


class _Reader:
    """Hands out the tables of a configuration, each knowing where it stands."""

    def __init__(self, file: TomlFile) -> None:
        self._file = file

    def table(self, where: str, value: Any) -> Table:
        if not isinstance(value, dict):
            self._file.fail(where, f"must be a table: [{where}]")
        return Table(self._file, where, value)

    def tables(self, where: str, value: Mapping[str, Any]) -> list[tuple[str, Any]]:
        return list(self.table(where, value.get(where, {})).value.items())


def _with_overrides(layout: Layout, shared: TomlFile) -> dict[str, Any]:
    """The shared configuration with the user's and this folder's own laid over it."""
    value = shared.value
    for path in (_user_config(), layout.local_config):
        if path is not None and path.is_file():
            override = TomlFile.read(path, path.name if path == layout.local_config else str(path))
            override.refuse_unknown(override.value, keys.TOP, "")
            value = _laid_over(value, override, override.value, "", shared.overrides)
    return value


def _laid_over(
    base: dict[str, Any],
    file: TomlFile,
    override: dict[str, Any],
    where: str,
    overrides: dict[str, TomlFile],
) -> dict[str, Any]:
    """Key by key, table by table; `overrides` learns which keys this file decides."""
    merged = dict(base)
    for key, value in override.items():
        inner = f"{where}.{key}" if where else key
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _laid_over(merged[key], file, value, inner, overrides)
        else:
            merged[key] = value
            overrides[inner] = file
    return merged


def _user_config() -> Path | None:
    """The user's own file, in the platform's configuration folder."""
    base = os.environ.get("MLBENCH_CONFIG_HOME")
    if base is None:
        from platformdirs import user_config_dir

        base = user_config_dir("mlbench")
    return Path(base) / CONFIG_NAME


def _jobs(project: Table) -> int:
    jobs = project.whole("jobs")
    if jobs is None:
        return max(1, (os.cpu_count() or 2) // 2)
    if jobs < 1:
        project.fail("jobs", "must be 1 or more")
    return jobs


def _check_references(
    file: TomlFile,
    stages: tuple[Stage, ...],
    models: tuple[ModelSpec, ...],
    environments: tuple[EnvironmentSpec, ...],
) -> None:
    by_name = {stage.name: stage for stage in stages}
    for model in models:
        where = f"models.{model.name}"
        stage = by_name.get(model.stage)
        if stage is None:
            near = nearest(model.stage, by_name)
            file.fail(f"{where}.stage", f'there is no stage "{model.stage}"{near}')
        if model.path not in stage.out_paths:
            near = nearest(model.path, stage.out_paths)
            file.fail(f"{where}.path", f'"{model.path}" is no out of stage "{stage.name}"{near}')
    known = {environment.name for environment in environments}
    ports: dict[int, str] = {}
    for environment in environments:
        where = f"environments.{environment.name}"
        for required in environment.require:
            if required not in known - {environment.name}:
                near = nearest(required, known)
                file.fail(f"{where}.require", f'there is no other environment "{required}"{near}')
        if environment.port in ports:
            other = ports[environment.port]
            file.fail(f"{where}.port", f"{other} has port {environment.port} too")
        ports[environment.port] = environment.name


__all__ = ["ProjectFileError", "find_project", "load_project"]
