"""The environment variables that a stage is started with."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.stages import Project
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.running import JUNIT_NAME

# The folder holds nothing but what `import mlbench` needs in the user's interpreter.
_ON_PATH = Path(__file__).parents[1] / "inside" / "onpath"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def stage_environment(
    project: Project,
    launch: Launch,
    root: Path,
    gpus: tuple[str, ...],
    base: Mapping[str, str],
) -> dict[str, str]:
    """The environment of one stage: the project's Python first on PATH, mlbench's words added.

    `gpus` are the ids of those that the stage may use, given out where it asks for some.
    """
    stage = launch.stage
    env = dict(base)
    env.update(
        PATH=os.pathsep.join((os.path.dirname(project.python), base.get("PATH", os.defpath))),
        PYTHONPATH=_joined(str(_ON_PATH), base.get("PYTHONPATH")),
        PYTHONUNBUFFERED="1",
        MLBENCH_RUN=launch.run,
        MLBENCH_STAGE=stage.name,
        MLBENCH_STAGE_DIR=launch.folder,
        MLBENCH_PARAMS_FILES=os.pathsep.join(str(root / name) for name in launch.params_files),
    )
    # As DVC does for its stages: DVCLive then leaves saving the run to who started it. It would
    # commit everything to refs of its own, and read every file in the project for that.
    env.setdefault("DVC_ROOT", str(root))
    # Stages side by side with a thread for every core each would fight over the cores.
    cores = os.cpu_count() or 1
    threads = stage.resources.cpu or max(1, cores // project.jobs)
    for name in _THREADS:
        if stage.resources.cpu:
            env[name] = str(threads)
        env.setdefault(name, str(threads))
    if gpus:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if stage.is_test:
        report = f"--junitxml={shlex.quote(os.path.join(launch.folder, JUNIT_NAME))}"
        env["PYTEST_ADDOPTS"] = " ".join(filter(None, (base.get("PYTEST_ADDOPTS"), report)))
    return env


def snapshot_environment(env: Mapping[str, str], root: Path, tree: Path) -> dict[str, str]:
    """The environment for a stage in a snapshot: modules come from there, not from the project.

    PYTHONPATH has the snapshot's folder and its `src` before anything but mlbench's own, also
    before a project that is installed editable; entries in the project are those of the snapshot.
    """
    roots = [str(tree), *([str(tree / "src")] if (tree / "src").is_dir() else [])]
    given = env.get("PYTHONPATH", "")
    entries = [_mapped(entry, root, tree) for entry in given.split(os.pathsep)] if given else []
    own = [entry for entry in entries if entry == str(_ON_PATH)]
    rest = [entry for entry in entries if entry not in (*own, *roots)]
    return {**env, "PYTHONPATH": os.pathsep.join((*own, *roots, *rest))}


def _mapped(entry: str, root: Path, tree: Path) -> str:
    """A folder of the project as that of the snapshot; relative ones are the stage's own matter."""
    if not os.path.isabs(entry):
        return entry
    for base in (os.path.normpath(root), os.path.realpath(root)):
        inside = os.path.relpath(entry, base)
        if inside == "." or inside.split(os.sep)[0] not in (os.pardir, ".mlbench"):
            return os.path.normpath(tree / inside)
    return entry


def _joined(first: str, rest: str | None) -> str:
    return f"{first}{os.pathsep}{rest}" if rest else first
