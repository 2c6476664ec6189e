"""Noticing that a canary was decided, by a few looks at the file system."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mlbench.domain.trials import RUNNING
from mlbench.project.layout import Layout
from mlbench.system.files import read_json


class VerdictWatch:
    """Looks at what servers write of their canaries; cheap where nothing has changed."""

    def __init__(self, layout: Layout) -> None:
        """Nothing was looked at yet."""
        self._serving = layout.serving
        self._ledger = layout.ledger
        self._length = _length_of(self._ledger)
        self._seen: dict[Path, int] = {}

    def has_verdict(self) -> bool:
        """Whether since the last call a canary may have been decided.

        A server's own process may have written that down already, and the state is gone then: what
        has come to the ledger may be a verdict too.
        """
        # All of them, so that each is seen as it is now.
        decided = [self._is_decided(path) for path in self._serving.glob("*.canaries/*.json")]
        length, self._length = self._length, _length_of(self._ledger)
        return any(decided) or length != self._length

    def _is_decided(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            stamp = path.stat().st_mtime_ns
            if self._seen.get(path) != stamp:
                self._seen[path] = stamp
                found = read_json(path)
                states = found if isinstance(found, list) else []
                return any(
                    isinstance(one, dict) and one.get("verdict", RUNNING) != RUNNING
                    for one in states
                )
        return False


def _length_of(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
