"""The programs that mlbench is measured beside, each in a virtual environment of its own."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

from benchmarks.common import ENVIRONMENT, FOLDER, WORK, run
from mlbench.system.locks import locked

_ENVIRONMENTS = FOLDER / ".venvs"

# Stages find the interpreter that has the sample's packages; nothing is sent or asked for.
DVC_ENVIRONMENT = {
    **ENVIRONMENT,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), ENVIRONMENT.get("PATH", "")]),
    "DVC_NO_ANALYTICS": "1",
    "DVC_SITE_CACHE_DIR": str(WORK / "dvc-site-cache"),
}

SAMPLE_AS_DVC_YAML = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [data/digits.csv, prepare.py]
    params: [{params.toml: [seed, prepare]}]
    outs: [build/train.npz, build/test.npz]
  train:
    cmd: python train.py
    deps: [build/train.npz, train.py, model.py]
    params: [{params.toml: [seed, train]}]
    outs: [build/model.joblib]
  evaluate:
    cmd: python evaluate.py
    deps: [build/model.joblib, build/test.npz, evaluate.py, model.py]
    outs: [build/confusion.png]
    metrics: [build/metrics.json]
"""
"""The sample's stages that build, in DVC's words."""


def dvc() -> str:
    """DVC's executable."""
    return _program("dvc")


def snakemake() -> str:
    """Snakemake's executable."""
    return _program("snakemake")


def ninja() -> str:
    """Ninja's executable."""
    return _program("ninja")


def python_with(package: str, *requirements: str) -> str:
    """An interpreter that has this package, installed where it is not there yet.

    `requirements` say what to install, in the words of pip; without any it is the package alone.
    """
    environment = _ENVIRONMENTS / package
    python = environment / "bin" / "python"
    with locked(_ENVIRONMENTS / f"{package}.lock"):
        if not any(environment.glob(f"lib/python*/site-packages/{package}")):
            venv.create(environment, with_pip=True)
            wanted = requirements or (package,)
            run([str(python), "-m", "pip", "install", "--quiet", *wanted], FOLDER)
    return str(python)


def start_dvc(folder: Path) -> None:
    """Make a git repository a project of DVC's."""
    for words in (["init", "--quiet"], ["config", "core.check_update", "false"]):
        run([dvc(), *words], folder, DVC_ENVIRONMENT)


def version(program: str, folder: Path) -> str:
    """What a program says its version is."""
    return run([program, "--version"], folder, DVC_ENVIRONMENT).strip()


def _program(name: str) -> str:
    """The executable of a package of the same name, installed where it is not there yet."""
    executable = _ENVIRONMENTS / name / "bin" / name
    if not executable.exists():
        venv.create(executable.parent.parent, with_pip=True)
        run([str(executable.with_name("pip")), "install", "--quiet", name], FOLDER)
    return str(executable)
