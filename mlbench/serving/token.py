"""The secret that a client brings where more than asking a model is at stake."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

VARIABLE = "MLBENCH_TOKEN"
_BYTES = 32


def read_token(path: Path) -> str:
    """The token, from the environment variable before the file; empty where there is none."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return given
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def ensure_token(path: Path) -> str:
    """The token, made and kept for the owner alone where there is none yet."""
    found = read_token(path)
    if found:
        _close_to_others(path)
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    made = os.urandom(_BYTES).hex()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{made}\n")
        # Never replaced: another environment's server may have made it in the meantime.
        os.link(temporary, path)
    except FileExistsError:
        return read_token(path) or _renewed(temporary, path, made)
    finally:
        temporary.unlink(missing_ok=True)
    return made


def _close_to_others(path: Path) -> None:
    """Let nobody else read a file that was copied, or put there by hand."""
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _renewed(temporary: Path, path: Path, made: str) -> str:
    """Take the place of a file that holds no token."""
    os.replace(temporary, path)
    return made
