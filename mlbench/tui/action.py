"""What an action is: key, label, `mlbench …` twin, where it works, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlbench.tui.situation import Situation

Why = Callable[[Situation], str]
"""Why an action can't work here and now, in one sentence; empty where it can."""


def _always(_: Situation) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a user can do.

    `blocked` says why a key does nothing here; `doubted` why the loop will probably refuse,
    which it then says itself. `key` is Textual's name, `shown` what the key bar prints.
    """

    id: str
    key: str
    shown: str
    label: str
    help: str
    twin: str = ""
    screens: tuple[str, ...] = ()
    blocked: Why = _always
    doubted: Why = _always
    rank: int = 5

    def works_on(self, screen: str) -> bool:
        """Whether it belongs to this screen."""
        return not self.screens or screen in self.screens
