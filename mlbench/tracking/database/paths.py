"""Where the files of a database lie: all beside its snapshot."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Paths:
    """The files of a database, all beside its snapshot."""

    def __init__(self, snapshot: Path) -> None:
        """Name them after the snapshot."""
        stem = snapshot.with_suffix("").name
        self.snapshot = snapshot
        self.journal = snapshot.with_name(f"{stem}.journal")
        self.lock = snapshot.with_name(f"{stem}.lock")
        # A lock of its own: a checkpoint takes a while, and must not keep writers waiting.
        self.checkpoint_lock = snapshot.with_name(f"{stem}.checkpoint.lock")
        self.new = snapshot.with_name(f"{stem}.new")
        self._stem = stem

    def sealed(self, number: int) -> Path:
        """Where a journal lies that is on its way into the snapshot."""
        return self.snapshot.with_name(f"{self._stem}.journal-{number}")

    def all_sealed(self) -> list[int]:
        """The numbers of such journals, rising."""
        prefix = f"{self._stem}.journal-"
        try:
            names = os.listdir(self.snapshot.parent)
        except FileNotFoundError:
            return []
        ends = [name[len(prefix) :] for name in names if name.startswith(prefix)]
        return sorted(int(end) for end in ends if end.isdecimal())

    def damaged(self, suffix: str) -> Path:
        """A name for a damaged file that is set aside, not taken yet."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (
            f"{self._stem}.damaged-{stamp}{more}{suffix}" for more in ("", *range(-2, -99, -1))
        )
        return next(path for name in names if not (path := self.snapshot.with_name(name)).exists())
