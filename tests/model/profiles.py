"""Which events a history has, and how often; the guards' histories have those that need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.model.disk import TICK_NS
from tests.model.runner import Fate

CHANCES = {
    "edit": 20,
    "undo": 20,
    "edit_same_size": 10,
    "edit_keeping_mtime": 6,
    "truncate": 1,
    "there_and_back": 4,
    "touch": 4,
    "branch": 12,
    "param": 8,
    "env": 2,
    "command": 2,
    "outs": 1,
    "wdir": 1,
    "package": 4,
    "python": 1,
    "tamper": 4,
    "counter": 1,
    "lose": 1,
    "noise": 2,
}


@dataclass(frozen=True)
class Profile:
    """How a history goes; `steps` are the chances of edit, time, plan, build and restart.

    Of the builds `meddling` have something done to them: edits `while_it_runs` at that share of
    the script's steps, and before the start; kills and stops as often as `disasters` multiplies
    them; failures at the share `fates`, crashes of the loop at the share `crashes`, at one of the
    next `crash_within` things that it does, and just after
    a stage's end at the share `crashes_at_end`; outs are altered while they are kept at the share
    `tampers`. Without `paths` all sources are edited, with
    `versions` between other ones.
    """

    stages: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    versions: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    chances: Mapping[str, int] = field(default_factory=lambda: CHANCES)
    steps: tuple[int, int, int, int, int] = (62, 18, 9, 9, 2)
    meddling: float = 0.5
    while_it_runs: float = 0.5
    before_start: float = 0.1
    disasters: float = 1.0
    fates: float = 0.1
    crashes: float = 0.25
    crash_within: int = 400
    crashes_at_end: float = 0.05
    tampers: float = 0.02
    kinds_of_fate: tuple[Fate, ...] = (Fate.FAILS_EARLY, Fate.FAILS_LATE, Fate.FORGETS_OUT)
    granularity: int = TICK_NS

    def has(self, path: str) -> bool:
        """Whether a source is edited."""
        return not self.paths or path in self.paths
