"""A stage's outs on disk: set aside while it runs, kept by content, brought back when it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.stages import Out, Stage
from mlbench.pipeline.digests import Digests
from mlbench.system.content import ContentStore
from mlbench.system.files import move, read_json, remove, write_json
from mlbench.system.locks import locked


class Outs:
    """The outs of one project's stages; everything that moves them goes through here."""

    def __init__(
        self, root: Path, aside: Path, intents: Path, store: ContentStore, digests: Digests
    ) -> None:
        """`aside` holds old outs while their stage runs, `intents` says for which stages."""
        self._root = root
        self._aside = aside
        self._intents = intents
        self._store = store
        self._digests = digests

    def now(self, stage: Stage) -> dict[str, str | None]:
        """The digest of each out on disk, None where it is missing."""
        return {out.path: self._digests.content(self._root / out.path) for out in stage.outs}

    def set_aside(self, stage: Stage, run: str) -> None:
        """Write down the intent, then rename the old outs away; what persists stays in place."""
        self._recover(self._intent(stage.name), None)
        # Before the intent: what a crash left here must not be taken for this stage's old outs.
        remove(self._aside / stage.name)
        moved = [out.path for out in _rolled_back(stage) if (self._root / out.path).exists()]
        self._intents.mkdir(parents=True, exist_ok=True)
        write_json(
            self._intent(stage.name),
            {
                "stage": stage.name,
                "run": run,
                "outs": [out.path for out in _rolled_back(stage)],
                "moved": moved,
            },
        )
        for path in moved:
            move(self._root / path, self._aside / stage.name / path)
        for out in stage.outs:
            (self._root / out.path).parent.mkdir(parents=True, exist_ok=True)

    def keep(self, stage: Stage, outs: Mapping[str, str]) -> None:
        """Put what the stage gave into the store."""
        for out in stage.outs:
            if out.cache:
                self._store.put(self._root / out.path, outs[out.path])

    def forget_aside(self, stage: Stage) -> None:
        """Drop the old outs for good, once what the stage gave is on record."""
        self._forget(stage.name)

    def put_back(self, stage: Stage, keep_in: Path | None = None) -> None:
        """Bring the old outs back; what the run left goes to `keep_in`, or away."""
        self._recover(self._intent(stage.name), keep_in)

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

        They come whole: a full disk is met before anything was taken away.
        """
        now = self.now(stage)
        incoming = self._aside / ".incoming" / stage.name
        remove(incoming)
        changed = {path: digest for path, digest in outs.items() if now.get(path) != digest}
        for path, digest in changed.items():
            self._store.restore(digest, incoming / path)
            current = now.get(path)
            if current is not None:
                self._store.put(self._root / path, current)
        for path in changed:
            remove(self._root / path)
            move(incoming / path, self._root / path)
        remove(incoming)

    def lock(self, stage: Stage) -> Path:
        """The file whose flock the stage's supervisor holds: while it is held, the stage writes."""
        return self._lock(stage.name)

    def recover(self) -> list[str]:
        """After a crash: bring back what every unfinished stage had set aside; names the stages.

        Waits for a stage that is still being stopped, so that it can't write over the old outs.
        """
        recovered = []
        for intent in sorted(self._intents.glob("*.json")):
            recovered.append(intent.stem)
            with locked(self._lock(intent.stem)):
                self._recover(intent, None)
        return recovered

    def _recover(self, intent: Path, keep_in: Path | None) -> None:
        written = read_json(intent)
        if written is None:
            return
        stage = written["stage"]
        for path in written["outs"]:
            saved, current = self._aside / stage / path, self._root / path
            # An out that was to be moved but is not aside was never moved: it is the old one.
            if path in written["moved"] and not saved.exists():
                continue
            if current.exists() and keep_in is not None:
                move(current, keep_in / path)
            remove(current)
            if saved.exists():
                move(saved, current)
        self._forget(stage)

    def _forget(self, stage: str) -> None:
        self._intent(stage).unlink(missing_ok=True)
        remove(self._aside / stage)

    def _lock(self, stage: str) -> Path:
        return self._intents.parent / "locks" / f"{stage}.lock"

    def _intent(self, stage: str) -> Path:
        return self._intents / f"{stage}.json"


def _rolled_back(stage: Stage) -> list[Out]:
    return [out for out in stage.outs if not out.persist]
