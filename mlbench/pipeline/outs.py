"""A stage's outs on disk: set aside while it runs, kept by content, brought back when it fails."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from mlbench.domain.stages import Out, Stage
from mlbench.pipeline.digests import Digests
from mlbench.pipeline.large import bytes_of
from mlbench.pipeline.launch import Intents, Launch, file_name
from mlbench.pipeline.tree import StrPath, Tree

_INCOMING = ".incoming"


class Store(Protocol):
    """Files and folders by what they hold."""

    def has(self, digest: str) -> bool:
        """Whether everything that a digest stands for is there."""

    def put(self, path: Path, digest: str) -> None:
        """Keep what `path` holds under its digest, unless it was changed since."""

    def restore(self, digest: str, target: Path) -> None:
        """Bring what a digest stands for back to `target`, which must not exist."""


class Outs:
    """The outs of one tree's stages; everything that moves them goes through here."""

    def __init__(
        self,
        tree: Tree,
        root: Path,
        aside: Path,
        intents: Intents,
        store: Store,
        digests: Digests,
    ) -> None:
        """`aside` holds old outs while their stage runs, `intents` says for which stages."""
        self._tree = tree
        self._root = root
        self._aside = aside
        self._intents = intents
        self._store = store
        self._digests = digests

    def now(self, stage: Stage) -> dict[str, str | None]:
        """The digest of each out on disk, None where it is missing."""
        return {out.path: self._digests.content(self._at(out.path)) for out in stage.outs}

    def missing(self, stage: Stage) -> list[str]:
        """The outs that are not on disk."""
        paths = (out.path for out in stage.outs)
        return [path for path in paths if not self._exists(self._at(path))]

    def to_move(self, stage: Stage) -> tuple[str, ...]:
        """The outs that are on disk and would go aside; what persists stays in place."""
        return tuple(out.path for out in _rolled_back(stage) if self._exists(self._root / out.path))

    def set_aside(self, launch: Launch) -> None:
        """Rename the old outs away, once the launch that says so is written down."""
        for path in launch.moved:
            self._tree.move(self._root / path, self._place(launch.stage.name) / path)
        for out in launch.stage.outs:
            self._tree.make_folder((self._root / out.path).parent)

    def clear_aside(self, stage: Stage) -> None:
        """Drop what a crash left in the place for old outs, so that it is not taken for them."""
        self._tree.remove(self._place(stage.name))

    def sweep(self, under_way: Collection[str]) -> None:
        """Drop what a crash left in the places of stages that are not under way."""
        kept = {file_name(stage) for stage in under_way}
        for name in self._tree.names(self._aside):
            if name not in kept:
                self._tree.remove(self._aside / name)

    def keep(self, stage: Stage, outs: Mapping[str, str]) -> None:
        """Put what the stage gave into the store, but what is too large to be kept unasked."""
        for out in stage.outs:
            path = self._root / out.path
            if out.cache and out.is_cached(bytes_of(self._tree, path)):
                self._store.put(path, outs[out.path])

    def clear(self, stage: Stage) -> None:
        """Remove what a failed try left; what persists stays."""
        for out in _rolled_back(stage):
            self._tree.remove(self._root / out.path)

    def forget(self, stage: Stage) -> None:
        """Drop the old outs for good, once what the stage gave is on record."""
        self._intents.clear(stage.name)
        self._tree.remove(self._place(stage.name))

    def put_back(self, launch: Launch, keep_in: Path | None = None) -> None:
        """Bring the old outs back; what the run left goes to `keep_in`, or away."""
        self._intents.lose(launch)
        place = self._place(launch.stage.name)
        for out in _rolled_back(launch.stage):
            saved, current = place / out.path, self._root / out.path
            # An out that was to be moved but is not aside was never moved: it is the old one.
            if out.path in launch.moved and not self._exists(saved):
                continue
            if keep_in is not None and self._exists(current):
                self._tree.move(current, keep_in / out.path)
            self._tree.remove(current)
            if self._exists(saved):
                self._tree.move(saved, current)
        self.forget(launch.stage)

    def can_restore(self, stage: Stage, outs: Mapping[str, str]) -> bool:
        """Whether the store has all of these outs that differ; what persists must not differ."""
        now = self.now(stage)
        return all(
            not out.persist and self._store.has(outs[out.path])
            for out in stage.outs
            if now[out.path] != outs[out.path]
        )

    def restore(self, stage: Stage, outs: Mapping[str, str]) -> None:
        """Put these outs on disk, keeping in the store what they take the place of.

        They come whole, each and together: a full disk is met before anything was taken away, and
        after a crash in between the old ones come back.
        """
        now = self.now(stage)
        incoming = self._aside / _INCOMING / file_name(stage.name)
        self._tree.remove(incoming)
        changed = {path: digest for path, digest in outs.items() if now.get(path) != digest}
        for path, digest in changed.items():
            self._tree.make_folder((incoming / path).parent)
            self._store.restore(digest, incoming / path)
        leftover = self._intents.get(stage.name)
        if leftover is not None:
            self.put_back(leftover)
        self.clear_aside(stage)
        exchange = self._exchange(stage, changed)
        self._intents.write(exchange)
        try:
            self.set_aside(exchange)
            self._keep_aside(exchange)
            for path in changed:
                self._tree.move(incoming / path, self._root / path)
        except BaseException:
            self.put_back(exchange)
            raise
        self.forget(stage)
        self._tree.remove(incoming)

    def _exchange(self, stage: Stage, paths: Collection[str]) -> Launch:
        """What takes some outs of a stage back to what they were, should a crash come between."""
        changed = replace(stage, outs=tuple(out for out in stage.outs if out.path in paths))
        return Launch(
            stage=changed,
            run="",
            folder=str(self._place(stage.name)),
            key="",
            parts={},
            chains={},
            watched={},
            params_files={},
            seen_before={},
            settled={},
            reasons=(),
            started=0.0,
            moved=self.to_move(changed),
            is_lost=True,
        )

    def _keep_aside(self, launch: Launch) -> None:
        for path in launch.moved:
            saved = self._place(launch.stage.name) / path
            digest = self._digests.content(saved)
            if digest is not None:
                self._store.put(saved, digest)

    def _place(self, stage: str) -> Path:
        return self._aside / file_name(stage)

    def _at(self, path: str) -> str:
        return os.path.join(self._root, path)

    def _exists(self, path: StrPath) -> bool:
        return self._tree.stat(path) is not None


def _rolled_back(stage: Stage) -> list[Out]:
    return [out for out in stage.outs if not out.persist]
