"""What this machine has for stages: cores, GPUs, memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from mlbench.domain.records import dataclass

_NVIDIA_PROC = Path("/proc/driver/nvidia/gpus")
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
_SMI_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """Cores, the ids of the GPUs as CUDA_VISIBLE_DEVICES names them, bytes of memory."""

    cores: int
    gpus: tuple[str, ...]
    memory: int


def this_machine(*, with_gpus: bool) -> Machine:
    """What there is here; GPUs are looked for only where somebody wants one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(_cores(), _gpus() if with_gpus else (), memory)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return visible_gpus(visible)
    if _NVIDIA_PROC.is_dir():
        return tuple(str(number) for number in range(len(list(_NVIDIA_PROC.iterdir()))))
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            _NVIDIA_SMI, capture_output=True, text=True, check=True, timeout=_SMI_SECONDS
        )
        return tuple(listed.stdout.split())
    return ()


def visible_gpus(text: str) -> tuple[str, ...]:
    """The ids in a CUDA_VISIBLE_DEVICES: as CUDA reads it, what follows a -1 is hidden."""
    ids: list[str] = []
    for word in text.split(","):
        if word.strip() in ("", "-1"):
            break
        ids.append(word.strip())
    return tuple(ids)
