"""mlbench.toml to a checked Project; every fault names file, line and key."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError, UsageError, nearest
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project, Stage
from mlbench.domain.sweeps import Sweep
from mlbench.project import keys
from mlbench.project.check import check_project
from mlbench.project.dvc_yaml import DVC_NAME, read_dvc_file
from mlbench.project.environment_table import read_environment
from mlbench.project.fields import Table
from mlbench.project.interpreter import find_python
from mlbench.project.layout import CONFIG_NAME, Layout
from mlbench.project.model_table import read_model
from mlbench.project.source_file import SourceFile
from mlbench.project.stage_table import read_stage
from mlbench.project.toml_file import TomlFile


def find_project(folder: Path) -> Layout:
    """The project that a folder belongs to: the nearest mlbench.toml at or above it, else dvc.yaml.

    Else the nearest folder with runs, which scripts record without any configuration. UsageError
    where there is none of these.
    """
    folder = folder.resolve()
    for name in (CONFIG_NAME, DVC_NAME):
        for candidate in (folder, *folder.parents):
            if (candidate / name).is_file():
                return Layout(candidate)
    for layout in map(Layout, (folder, *folder.parents)):
        if layout.runs.is_dir():
            return layout
    raise UsageError(
        f"{folder}: there is no {CONFIG_NAME} here or above; `mlbench init` writes one, "
        f"`mlbench demo` shows one at work, and a {DVC_NAME} is read as it is"
    )


def load_project(layout: Layout, *, may_lack_deps: bool = False) -> Project:
    """Read and check the configuration; ProjectFileError names file, line and key.

    `may_lack_deps` is for a tree that is given its data only now.
    """
    shared, value = _read_files(layout)
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
    sweeps = _sweeps(reader, shared, value, stages) if "sweeps" in value else ()
    check_project(shared, stages, layout.root, may_lack_deps=may_lack_deps)
    return Project(
        name=project.text("name") or layout.root.name,
        python=find_python(layout, project.text("python"), project),
        jobs=_jobs(project),
        objective=project.text("objective"),
        cache_limit=project.size("cache"),
        stages=stages,
        models=models,
        environments=environments,
        sweeps=sweeps,
    )


def _read_files(layout: Layout) -> tuple[TomlFile, dict[str, Any]]:
    """The shared configuration, and its value with the other files' laid under and over it."""
    with_dvc = (layout.root / DVC_NAME).is_file()
    if with_dvc and not layout.config.exists():
        shared = TomlFile(CONFIG_NAME, "")
    elif not layout.config.exists():
        raise ProjectFileError("there is no such file; `mlbench init` writes one", file=CONFIG_NAME)
    else:
        shared = TomlFile.read(layout.config, CONFIG_NAME)
    value = shared.value
    if with_dvc and "stages" not in value:
        dvc = read_dvc_file(layout)
        shared.overrides["stages"] = dvc
        value = {**value, "stages": dvc.stages}
    return shared, _with_overrides(layout, shared, value)


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


def _with_overrides(layout: Layout, shared: TomlFile, value: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the user's own and this folder's laid over it."""
    for path in (_user_config(), layout.local_config):
        if path.is_file():
            override = TomlFile.read(path, path.name if path == layout.local_config else str(path))
            override.refuse_unknown(override.value, keys.TOP, "")
            value = _laid_over(value, override, override.value, "", shared.overrides)
    return value


def _laid_over(
    base: dict[str, Any],
    file: TomlFile,
    override: dict[str, Any],
    where: str,
    overrides: dict[str, SourceFile],
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


def _user_config() -> Path:
    """The user's own file, in the platform's configuration folder.

    platformdirs says the same, but costs every command 4 ms to import.
    """
    home = os.environ.get("MLBENCH_CONFIG_HOME")
    if home is not None:
        return Path(home) / CONFIG_NAME
    if sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Application Support")
    else:
        base = os.environ.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")
    return Path(base) / "mlbench" / CONFIG_NAME


def _sweeps(
    reader: _Reader, file: TomlFile, value: dict[str, Any], stages: tuple[Stage, ...]
) -> tuple[Sweep, ...]:
    # Late: few projects have one, and every command reads the configuration.
    from mlbench.project.sweep_check import check_sweeps
    from mlbench.project.sweep_table import read_sweep

    usual = reader.table("project", value.get("project", {})).text("objective")
    sweeps = tuple(
        read_sweep(reader.table(f"sweeps.{name}", body), name, usual)
        for name, body in reader.tables("sweeps", value)
    )
    check_sweeps(file, sweeps, stages)
    return sweeps


def _jobs(project: Table) -> int:
    jobs = project.whole("jobs", least=1)
    return max(1, (os.cpu_count() or 2) // 2) if jobs is None else jobs


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
