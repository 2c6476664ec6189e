"""What supervisors and workers log: one JSON object a line, in a file that stays bounded."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from mlbench.domain.clock import utc

LOG_BYTES = 8 * 1024 * 1024
_OUTPUTS = (1, 2)


def log(event: str, **details: object) -> None:
    """Print one happening as a JSON line; a reader that went away stops nothing."""
    line = json.dumps({"at": utc(), "event": event, **details}, ensure_ascii=False, default=str)
    pass_on(line)


def pass_on(line: str) -> None:
    """Print a line that is JSON already."""
    # One write: lines of several threads never mix. A lone surrogate can't be encoded otherwise.
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    with contextlib.suppress(OSError):
        os.write(1, data)


def keep_bounded(path: Path, limit: int = LOG_BYTES) -> bool:
    """Begin the log anew where it has grown beyond `limit` bytes; the one before is kept beside it.

    Only where standard output goes into this very file. True where it was begun anew.
    """
    try:
        ours = os.fstat(1)
        if ours.st_size <= limit or not os.path.samestat(ours, os.stat(path)):
            return False
        os.replace(path, previous(path))
        fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError:
        return False
    for descriptor in _OUTPUTS:
        os.dup2(fresh, descriptor)
    os.close(fresh)
    return True


def previous(path: Path) -> Path:
    """Where the log before this one is kept."""
    return path.with_name(f"{path.name}.1")
