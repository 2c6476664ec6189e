"""What a run was made in: machine, interpreter, packages, and the variables that matter."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path

from mlbench.domain.plain import to_plain
from mlbench.domain.records import dataclass
from mlbench.inside.secrets import HIDDEN, is_secret, secret_values, without_secrets
from mlbench.project.installed import (
    Interpreter,
    installed_in,
    interpreter_of,
    without_credentials,
)
from mlbench.system.content import hash_bytes
from mlbench.system.files import write_atomically
from mlbench.tracking.folder import ENVIRONMENT_NAME

RECORDED = (
    "CONDA_DEFAULT_ENV KERAS_BACKEND LANG LC_ALL LD_LIBRARY_PATH LD_PRELOAD TZ VIRTUAL_ENV"
).split()
"""The environment variables that are recorded, apart from those that stages declare."""

RECORDED_PREFIXES = tuple(
    "CUBLAS_ CUDA_ CUDNN_ DVC_ GOMP_ HIP_ HF_ JAX_ JOBLIB_ KMP_ MALLOC_ MKL_ MLFLOW_ NCCL_ NUMBA_ "
    "NUMEXPR_ NVIDIA_ OMP_ OPENBLAS_ ORT_ PYTHON PYTORCH_ RAY_ ROCR_ SLURM_ TF_ TOKENIZERS_ TORCH_ "
    "TRANSFORMERS_ VECLIB_ XLA_".split()
)
"""And those of libraries and launchers, by how their names begin."""

_GPU_QUERY = (
    "nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits"
).split()
_GPU_SECONDS = 20
_MIB = 1024 * 1024
_TORCH_CUDA = re.compile(r"^cuda\b[^=]*= *['\"]([^'\"]+)['\"]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card; its memory is in bytes."""

    name: str
    memory: int
    driver: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What a run was made in; `memory` is in bytes, and what can't be told is empty or 0.

    `python` is the project's interpreter, `packages` are those that it finds, by normalised name
    with their versions. `variables` are those of RECORDED, and those that stages declare, with
    secrets hidden.
    """

    host: str
    system: str
    cpu: str
    cores: int
    memory: int
    gpus: tuple[Gpu, ...]
    python: str
    python_version: str
    implementation: str
    cuda: str
    packages: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    mlbench_python: str = ""


@dataclass(frozen=True, slots=True)
class _Hardware:
    host: str
    system: str
    cpu: str
    cores: int
    memory: int
    gpus: tuple[Gpu, ...]


class Surroundings:
    """Describes environments; what does not change while this process lives is looked at once."""

    def __init__(self, memory: Path) -> None:
        """`memory` is the file that keeps what the project's interpreter said of itself."""
        self._memory = memory
        self._hardware: _Hardware | None = None
        self._installed: dict[str, tuple[int, dict[str, str]]] = {}

    def describe(
        self,
        python: str,
        declared: Iterable[str] = (),
        environment: Mapping[str, str] = os.environ,
    ) -> Environment:
        """The environment of stages that run with this interpreter and declare these variables."""
        if self._hardware is None:
            self._hardware = _look_at_hardware()
        machine, interpreter = self._hardware, interpreter_of(python, self._memory)
        packages: dict[str, str] = {}
        # Of two of a name the one on the earlier folder is imported.
        for site in reversed(interpreter.sites):
            packages |= self._packages(site)
        return Environment(
            host=machine.host,
            system=machine.system,
            cpu=machine.cpu,
            cores=machine.cores,
            memory=machine.memory,
            gpus=machine.gpus,
            python=python,
            python_version=interpreter.version,
            implementation=interpreter.implementation,
            cuda=_cuda(interpreter, packages),
            packages=dict(sorted(packages.items())),
            variables=recorded_variables(environment, declared),
            mlbench_python=sys.version.split()[0],
        )

    def _packages(self, site: str) -> dict[str, str]:
        try:
            moved = os.stat(site).st_mtime_ns
        except OSError:
            return {}
        known = self._installed.get(site)
        if known is None or known[0] != moved:
            known = self._installed[site] = (moved, installed_in(site))
        return known[1]


def keep_environment(environments: Path, folder: Path, environment: Environment) -> None:
    """Give a run's folder its environment, which it shares with all runs that had the same."""
    body = json.dumps(to_plain(environment), indent=1, ensure_ascii=False) + "\n"
    data = body.encode("utf-8", "surrogatepass")
    kept, own = environments / f"{hash_bytes(data)[:32]}.json", folder / ENVIRONMENT_NAME
    folder.mkdir(parents=True, exist_ok=True)
    if own.exists():
        return
    if not kept.exists():
        environments.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, data)
    try:
        os.link(kept, own)
    except OSError:
        # A file system without hard links, or one of which a file has as many as it may.
        write_atomically(own, data)


def recorded_variables(environment: Mapping[str, str], declared: Iterable[str]) -> dict[str, str]:
    """Of these variables those that belong into the record, with secrets hidden; pure."""
    declared, secrets = frozenset(declared), secret_values(environment)
    found = {}
    for name, value in sorted(environment.items()):
        if name in declared or name in RECORDED or name.startswith(RECORDED_PREFIXES):
            shown = without_secrets(without_credentials(value), secrets)
            found[name] = HIDDEN if is_secret(name) else shown
    return found


def _look_at_hardware() -> _Hardware:
    told = os.uname()
    distribution = _quoted("/etc/os-release", "PRETTY_NAME=")
    system = f"{told.sysname} {told.release} {told.machine}"
    return _Hardware(
        host=told.nodename,
        system=f"{distribution}, {system}" if distribution else system,
        cpu=_cpu_model() or told.machine,
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=_gpus(),
    )


def _quoted(file: str, key: str) -> str:
    for line in _text(file).splitlines():
        if line.startswith(key):
            return line.removeprefix(key).strip('"')
    return ""


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return _printed("sysctl", "-n", "machdep.cpu.brand_string").strip()
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""


def _gpus() -> tuple[Gpu, ...]:
    """By nvidia-smi, where it is installed and finds a driver."""
    if shutil.which(_GPU_QUERY[0]) is None:
        return ()
    found = []
    for line in _printed(*_GPU_QUERY).splitlines():
        fields = [each.strip() for each in line.split(",")]
        if len(fields) == 3:
            memory = int(fields[1]) * _MIB if fields[1].isdigit() else 0
            found.append(Gpu(fields[0], memory, fields[2]))
    return tuple(found)


def _cuda(interpreter: Interpreter, packages: Mapping[str, str]) -> str:
    """The CUDA that PyTorch was built with, or the runtime among the packages."""
    if "torch" in packages:
        for site in interpreter.sites:
            match = _TORCH_CUDA.search(_text(f"{site}/torch/version.py"))
            if match is not None:
                return match[1]
    found = (name for name in packages if name.startswith("nvidia-cuda-runtime"))
    return next((packages[name] for name in found), "")


def _printed(*words: str) -> str:
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GPU_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""
