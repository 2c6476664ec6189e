"""The laws that every history is held to; nothing here asks the decision core."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.stages import Stage
from mlbench.pipeline.job import BuildResult
from mlbench.system.content import hash_bytes
from tests.model.oracle import PARAMS, ROOT, Clean, params_under, source_tree
from tests.model.scripts import FOLDER_OUTS, ScriptError
from tests.model.world import STATE, World

Files = Mapping[str, str | None]
_STAND = (StageOutcome.RAN, StageOutcome.UNCHANGED, StageOutcome.RESTORED)


class Violation(AssertionError):
    """A law is broken."""


@dataclass(frozen=True)
class Begun:
    """How a stage stood when its build began; `edits` is the count since which all is quiet."""

    stage: Stage
    before: Files
    clean: Clean
    edits: int
    settled: frozenset[str]
    tampers: int
    is_forced: bool
    is_kept: bool


class Laws:
    """What was made so far, and what must hold at each look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[str, dict[tuple[str, ...], Files]] = {}
        self._on_the_way: dict[str, Begun] = {}
        self._ran: set[str] = set()
        self.is_unhurried = False
        self._is_meddled = False
        self._must_not_start: tuple[str, int] | None = None

    def meddled(self) -> None:
        """Something is done to what runs: outcomes are not those of a quiet build."""
        self._is_meddled = True

    def calm(self) -> None:
        self._is_meddled = False

    # At each look.

    def fresh(self, stage: Stage) -> None:
        """No false fresh: what stands is what a clean build gives."""
        self._check_clean(stage, self._world.oracle.clean(stage.name), "is called fresh")

    def begin(self, stage: Stage, edits: int, settled: frozenset[str], *, is_forced: bool) -> Begun:
        world = self._world
        clean = world.oracle.clean(stage.name)
        self._ran.discard(stage.name)
        begun = Begun(
            stage,
            world.outs_of(_rolled_back(stage)),
            clean,
            edits,
            settled,
            world.tampers[stage.name],
            is_forced,
            self._is_kept(stage, clean),
        )
        self._on_the_way[stage.name] = begun
        return begun

    def taken_over(self, stage: Stage) -> Begun:
        """Another process goes on with a stage, whatever was edited since it began."""
        begun = self._on_the_way.get(stage.name)
        if begun is None:
            return self.begin(stage, -1, frozenset(), is_forced=False)
        return replace(begun, edits=-1)

    def written_down(self) -> None:
        """A launch is written down: what began before it is another matter."""
        self._must_not_start = None

    def edit_before_look(self, name: str, edit: Callable[..., str]) -> None:
        """Do an edit before the last look: that of a declared input keeps it from starting."""
        before = self._declared(name)
        edit(meanwhile=True)
        is_changed = before != self._declared(name)
        self._must_not_start = (name, self._world.edits) if is_changed else None

    def _declared(self, name: str) -> list[list[tuple[str, str]]]:
        """What the sources that a stage declares hold now."""
        disk, oracle = self._world.disk, self._world.oracle
        stage = self._world.project.stage(name)
        found = [source_tree(disk, dep) for dep in stage.deps if oracle.maker(dep) is None]
        for wanted in stage.params:
            with contextlib.suppress(ScriptError):
                found.append(params_under(disk.text(PARAMS), wanted.keys))
        return found

    def started(self, stage: Stage) -> None:
        if self._must_not_start == (stage.name, self._world.edits):
            raise Violation(f"{stage.name} was started though an input had changed before")
        self._ran.add(stage.name)

    def ended(self, begun: Begun, result: BuildResult) -> None:
        """What a build says of a stage is so."""
        stage, outcome = begun.stage, result.outcome
        self._on_the_way.pop(stage.name, None)
        self._check_persisted()
        if outcome not in _STAND:
            self._check_nothing_lost(begun, outcome.word)
        is_quiet = self._world.edits == begun.edits and not self._is_meddled
        if not is_quiet or not begun.clean.needs <= begun.settled:
            return
        if outcome in _STAND:
            self._check_clean(stage, begun.clean, f"is called {outcome.word}")
            if outcome is StageOutcome.RESTORED and begun.clean.rewrites:
                raise Violation(f"{stage.name} was restored, though it rewrites its input")
            self._check_replaced_is_kept(begun)
        elif outcome is StageOutcome.FAILED and begun.clean.outs is not None:
            raise Violation(f"{stage.name} failed, and need not: {result.message}")
        elif outcome is StageOutcome.OVERTAKEN and self._is_by_nothing(result):
            raise Violation(f"{stage.name} was overtaken by nothing: {result.message}")
        self._check_needed(begun)
        if outcome is StageOutcome.RAN and begun.clean.outs is not None:
            made = self._made.setdefault(stage.name, {})
            made[begun.clean.inputs] = dict(begun.clean.outs)

    def recovered(self) -> None:
        """After a crash: old outs or new ones, whole; no intent, and nothing aside."""
        for begun in self._on_the_way.values():
            self._check_nothing_lost(begun, "a crash")
        self._on_the_way.clear()
        self._check_persisted()
        disk = self._world.disk
        for place in ("intents", "aside"):
            left = list(disk.files(str(STATE / place)))
            if left:
                raise Violation(f"after recovery there still is {left}")

    def _is_by_nothing(self, result: BuildResult) -> bool:
        """In a quiet and unhurried build only bytecode that was stale before can overtake."""
        return self.is_unhurried and not (result.moved or "").endswith(".py")

    # The laws.

    def _check_clean(self, stage: Stage, clean: Clean, what: str) -> None:
        found = self._world.outs_of(_rolled_back(stage))
        if clean.outs is None:
            raise Violation(f"{stage.name} {what}, and a clean build of it fails")
        if found != clean.outs:
            raise Violation(f"{stage.name} {what} with {found}, and should be {clean.outs}")

    def _check_nothing_lost(self, begun: Begun, after: str) -> None:
        world, stage = self._world, begun.stage
        if world.tampers[stage.name] != begun.tampers:
            return
        found = world.outs_of(_rolled_back(stage))
        whole = world.machine.whole.get(stage.name, set())
        if found == begun.before:
            return
        if after != "a crash" or tuple(sorted(found.items())) not in whole:
            raise Violation(f"{stage.name}: after {after} there is {found}, was {begun.before}")

    def _check_replaced_is_kept(self, begun: Begun) -> None:
        """What a restore took the place of is in the store."""
        if begun.stage.name in self._ran:
            return
        now = self._world.outs_of(_rolled_back(begun.stage))
        for path, text in begun.before.items():
            is_replaced = text not in (None, "folder", now.get(path))
            if is_replaced and hash_bytes((text or "").encode()) not in self._world.objects:
                raise Violation(f"{begun.stage.name}: {path} ({text}) was replaced and is lost")

    def _check_needed(self, begun: Begun) -> None:
        """Nothing needless: what ran before with these inputs, and is kept, does not run."""
        stage, clean = begun.stage, begun.clean
        if stage.name not in self._ran or begun.is_forced or clean.rewrites:
            return
        made = self._made.get(stage.name, {}).get(clean.inputs)
        if made is None or any(out.persist for out in stage.outs):
            return
        if begun.is_kept or begun.before == made:
            raise Violation(f"{stage.name} ran, and need not: {made} was made from the same")

    def _is_kept(self, stage: Stage, clean: Clean) -> bool:
        made = self._made.get(stage.name, {}).get(clean.inputs)
        if made is None or not all(out.cache for out in stage.outs):
            return False
        return self._has(stage, made)

    def _has(self, stage: Stage, files: Files) -> bool:
        digests = {path: hash_bytes((text or "").encode()) for path, text in files.items()}
        listings = []
        for out in stage.out_paths:
            if out in FOLDER_OUTS:
                inside = {
                    path.removeprefix(f"{out}/"): digest
                    for path, digest in digests.items()
                    if path.startswith(f"{out}/")
                }
                listings.append(hash_bytes(json.dumps(inside, sort_keys=True).encode()))
        return all(digest in self._world.objects for digest in (*digests.values(), *listings))

    def _check_persisted(self) -> None:
        for path, text in self._world.persisted.items():
            found = self._world.disk.text(f"{ROOT}/{path}")
            if found != text:
                raise Violation(f"{path} persists: it was {text}, and is {found}")


def _rolled_back(stage: Stage) -> tuple[str, ...]:
    return tuple(out.path for out in stage.outs if not out.persist)
