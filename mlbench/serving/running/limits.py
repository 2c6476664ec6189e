"""How much memory a worker may take, so that a model that takes too much is refused, no more."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
# What a worker gets at least where many share the machine: one alone may have the large model.
_LEAST = 2 << 30


def memory_bound(total: int, workers: int) -> int:
    """Bytes that one of so many workers may take of `total`: all together three quarters of it.

    Each loads every model, so what is more than its share would not fit beside the others'.
    """
    most = total // 4 * 3
    return max(most // max(workers, 1), min(most, _LEAST))


def limit_memory(workers: int) -> int:
    """Hold this process to its share of memory, for good; gives the bytes.

    It bounds private writable memory (RLIMIT_DATA), which leaves out what is only reserved, as
    CUDA does in terabytes. What asks for more gets an error where the system would otherwise kill
    this process, or another. Call it before models are loaded.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = memory_bound(_total(), workers)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    return bound


def memory_limit() -> int | None:
    """The bytes that this process is held to; None where nothing holds it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if soft == resource.RLIM_INFINITY else soft


def _total() -> int:
    """The machine's memory, or what its control group or a container has of that."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([installed, *group_limits(_GROUPS, _own_group())])


def _own_group() -> PurePosixPath:
    """The control group of this process by version 2's line, the root where there is none."""
    try:
        lines = _OWN_GROUP.read_text().splitlines()
    except OSError:
        return PurePosixPath("/")
    own = (line.removeprefix("0::") for line in lines if line.startswith("0::/"))
    return PurePosixPath(next(own, "/"))


def group_limits(groups: Path, own: PurePosixPath) -> Iterator[int]:
    """The limits in bytes of a control group and of all above it, of both versions of cgroups."""
    folder = groups / own.relative_to("/")
    for level in (folder, *folder.parents):
        if level.is_relative_to(groups):
            yield from _read(level / "memory.max")
    yield from _read(groups / "memory" / "memory.limit_in_bytes")


def _read(path: Path) -> Iterator[int]:
    try:
        yield int(path.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return
