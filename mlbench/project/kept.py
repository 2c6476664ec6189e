"""A plain value that was dear to make, kept in a file under the mark of what it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlbench.system.content import hash_bytes
from mlbench.system.files import write_atomically


def kept_value(path: Path, mark: str) -> Any:
    """The value kept under this mark; None where the file is missing, torn or of another mark."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return json.loads(body) if head == _head(mark, body) else None


def keep_value(path: Path, mark: str, value: Any) -> None:
    """Keep a value for the next process; where it can't be written, that is no reason to fail."""
    try:
        body = json.dumps(value, separators=(",", ":")).encode()
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, _head(mark, body) + b"\n" + body)
    except (TypeError, ValueError, OSError):
        return


def _head(mark: str, body: bytes) -> bytes:
    return f"{mark} {hash_bytes(body)}".encode()
