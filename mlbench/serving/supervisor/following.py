"""Sees that an environment's Deployment, or a file of its models, was changed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from mlbench.domain.errors import ServingError
from mlbench.domain.records import dataclass
from mlbench.domain.release import Deployment
from mlbench.serving.control import needed
from mlbench.serving.state import read_deployment

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What is new: a Deployment, or the `error` that keeps it from being read; files of models.

    `error` is None where only such files have changed.
    """

    deployment: Deployment | None = None
    error: str | None = None
    changed: frozenset[str] = frozenset()


class Follower:
    """Looks at the files; each stamp is taken before what it stands for is read."""

    def __init__(self, path: Path) -> None:
        """Follow this Deployment; its first look reads it."""
        self._path = path
        self._seen: _Stamp = (0, 0, 0)
        self._files: dict[str, _Stamp] = {}
        self._ever = False

    def look(self, also: Collection[str] = ()) -> Sight | None:
        """What is new since the last look, or None; costs a stat a file.

        `also` are files that are looked at on, though a new Deployment names them no more.
        """
        stamp = _stamp(self._path)
        changed = frozenset(path for path, was in self._files.items() if _stamp(path) != was)
        self.watch(changed)
        if stamp != self._seen:
            self._seen = stamp
            return self._read(changed, also)
        return Sight(changed=changed) if changed else None

    def watch(self, paths: Iterable[str]) -> None:
        """Look at these files too, from what they are now on."""
        self._files.update((path, _stamp(path)) for path in paths)

    def _read(self, changed: frozenset[str], also: Collection[str]) -> Sight:
        try:
            deployment = read_deployment(self._path)
        except (ServingError, OSError) as error:
            return Sight(error=str(error), changed=changed)
        if deployment is None:
            gone = f"{self._path}: is gone; promote again to write it anew"
            return Sight(error=gone if self._ever else "", changed=changed)
        self._ever = True
        self._files = {path: was for path, was in self._files.items() if path in also}
        named = {model.path for model in needed(deployment, ())}
        self.watch(named - self._files.keys())
        return Sight(deployment, "", changed)


def _stamp(path: str | Path) -> _Stamp:
    """What changes whenever a file does; None where it can't be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
