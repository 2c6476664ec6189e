"""Whether the installation and the project are well, as a list of findings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlbench.domain.errors import MlbenchError
from mlbench.domain.phrases import plural
from mlbench.domain.stages import ModelSpec, Project
from mlbench.engine.releases import Releases
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.git import missing_because
from mlbench.project.layout import Layout
from mlbench.project.sample import is_free
from mlbench.release.registry import Registry
from mlbench.serving.supervise import status
from mlbench.system.locks import FileLock
from mlbench.tracking.store import ExperimentStore

_CONVERTERS = ("onnx", "skl2onnx")
_OTHER_ENDINGS = (".onnx", ".pt", ".pth", ".pt2")
_PROBE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `level` is ok, warn or fail; `remedy` says what to do."""

    what: str
    level: str
    detail: str
    remedy: str = ""


def examine(layout: Layout, *, fix: bool = False) -> list[Finding]:
    """Look at everything; with `fix`, repair what can be repaired without loss first."""
    return list(_examine(layout, fix))


def _examine(layout: Layout, fix: bool) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{sys.version.split()[0]} runs mlbench")
    git = shutil.which("git")
    yield (
        Finding("git", "ok", git)
        if git
        else Finding("git", "warn", "is not installed", "runs are recorded without commits")
    )
    project: Project | None = None
    try:
        project = load_project(layout)
        stages, models = len(project.stages), len(project.models)
        counted = f"{plural(stages, 'stage')}, {plural(models, 'model')}"
        yield Finding("mlbench.toml", "ok", counted)
    except MlbenchError as error:
        yield _without_project(layout, error)
    yield _repository(layout)
    if layout.home != layout.root:
        yield Finding("worktree", "ok", f"has its record in {layout.shared}")
    yield _folder(layout)
    if project is not None:
        yield from _interpreter(project)
    for check in (_record, _unfinished):
        yield _guarded(check, layout, fix)
    yield _guarded(lambda where, _: _models(where), layout, fix)
    yield _guarded(lambda where, _: _ledger(where), layout, fix)
    for environment in project.environments if project is not None else ():
        server = status(layout, environment)
        if server.pid is None and not is_free(environment.port):
            yield Finding(
                environment.name,
                "fail",
                f"port {environment.port} is taken by another program",
                f"set another port under [environments.{environment.name}] in mlbench.toml",
            )
        else:
            up = "is up" if server.pid else "is down"
            yield Finding(environment.name, "ok", f"{up}, port {environment.port}")


def _without_project(layout: Layout, error: MlbenchError) -> Finding:
    """A folder of scripts that record runs of their own needs no configuration."""
    if not layout.config.exists() and layout.runs.is_dir():
        return Finding("mlbench.toml", "warn", str(error), "scripts record their runs without it")
    return Finding("mlbench.toml", "fail", str(error), "mend it; nothing runs until then")


def _guarded(check: Callable[[Layout, bool], Finding], layout: Layout, fix: bool) -> Finding:
    try:
        return check(layout, fix)
    except (MlbenchError, OSError) as error:
        return Finding(check.__name__.strip("_"), "fail", str(error))


def _repository(layout: Layout) -> Finding:
    missing = missing_because(layout.root)
    if missing is None:
        return Finding("repository", "ok", "runs are recorded with their commit")
    return Finding("repository", "warn", missing)


def _folder(layout: Layout) -> Finding:
    folder = layout.own if layout.own.exists() else layout.root
    if os.access(folder, os.W_OK):
        return Finding("folder", "ok", "can be written")
    return Finding("folder", "fail", f"{folder} can't be written", "make it writable")


def _interpreter(project: Project) -> Iterator[Finding]:
    """The project's interpreter has to start, and to have the converters if a model is released."""
    probe = (
        "import importlib.util as u, sys; print(sys.version.split()[0], "
        f"*[name for name in {_CONVERTERS!r} if u.find_spec(name) is None])"
    )
    try:
        done = subprocess.run(
            [project.python, "-c", probe],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("interpreter", "fail", f"{project.python}: {error}", "set project.python")
        return
    version, *missing = done.stdout.split()
    yield Finding("interpreter", "ok", f"{project.python} ({version})")
    if missing and any(map(_is_converted, project.models)):
        packages = " ".join(missing)
        yield Finding(
            "converters",
            "fail",
            f"{packages} is not installed for the project's interpreter, so no model is exported",
            f"{project.python} -m pip install {packages}",
        )


def _is_converted(model: ModelSpec) -> bool:
    """Whether a model is a pickle that one of the converters turns into ONNX."""
    is_another = PurePosixPath(model.path).suffix.lower() in _OTHER_ENDINGS
    return model.format == "onnx" and model.exporter is None and not is_another


def _models(layout: Layout) -> Finding:
    """Versions are kept for good: one that is not as it was registered can't be promoted."""
    registry = Registry(layout.models)
    damaged = [
        f"{model} v{number} is damaged: {damage}"
        for model in registry.models()
        for number, damage in registry.damaged(model).items()
    ]
    promoted = {(entry.model, entry.version) for entry in Releases(layout).ledger.entries()}
    damaged += [
        f"{model} v{number}, which was promoted, is gone"
        for model, number in sorted(promoted)
        if not (layout.models / model / str(number)).is_dir()
    ]
    if damaged:
        return Finding("models", "fail", "; ".join(damaged), "bring it back from a backup")
    count = sum(len(registry.versions(model)) for model in registry.models())
    return Finding("models", "ok", f"{plural(count, 'version')}, whole")


def _record(layout: Layout, fix: bool) -> Finding:
    store = ExperimentStore(layout)
    said = "; ".join(store.check())
    if fix and layout.runs.is_dir():
        count = store.rebuild()
        return Finding(
            "record",
            "ok",
            f"{said + '; ' if said else ''}index rebuilt with {plural(count, 'run')}",
        )
    if said:
        return Finding("record", "warn", said, "`mlbench doctor --fix` brings back what it can")
    return Finding("record", "ok", plural(len(store.runs()), "run"))


def _unfinished(layout: Layout, fix: bool) -> Finding:
    """Stages that a crash left with their outs set aside; who takes the loop puts them back."""
    intents = sorted((layout.state / "intents").glob("*.json"))
    names = ", ".join(intent.stem for intent in intents)
    lock = FileLock(layout.loop_lock)
    if not intents:
        return Finding("stages", "ok", "none was interrupted")
    if not lock.try_acquire():
        return Finding("stages", "ok", f"{names} running")
    try:
        if fix:
            Workspace.open(layout).recover()
            return Finding("stages", "ok", f"{names}: outs from before are back in place")
    finally:
        lock.release()
    return Finding("stages", "warn", f"{names} was interrupted", "`mlbench doctor --fix`")


def _ledger(layout: Layout) -> Finding:
    releases = Releases(layout)
    fault = releases.ledger_fault()
    if fault is not None:
        problem, _, remedy = fault.partition("; ")
        return Finding("ledger", "fail", problem, remedy)
    entries = plural(len(releases.ledger.entries()), "entry", "entries")
    return Finding("ledger", "ok", f"{entries}, whole")
