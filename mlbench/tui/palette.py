"""The command palette: every action with its key and its `mlbench` twin, and the themes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from mlbench.tui.action import Action
from mlbench.tui.actions import ACTIONS
from mlbench.tui.draw.keys import why_dimmed
from mlbench.tui.draw.lines import line

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench


class ActionProvider(Provider):
    """Fuzzy search over actions and themes."""

    @property
    def _workbench(self) -> Workbench:
        return cast("Workbench", self.app)

    async def discover(self) -> Hits:
        """Everything, before a letter is typed."""
        for action in ACTIONS:
            yield DiscoveryHit(
                _shown(action, line(action.label)),
                partial(self._workbench.act, action.id),
                action.label,
                self._help(action),
            )
        for name in self._workbench.theme_names:
            text = f"theme {name}"
            yield DiscoveryHit(text, partial(self._workbench.choose_theme, name), text)

    async def search(self, query: str) -> Hits:
        """What matches in label, help or twin."""
        matcher = self.matcher(query)
        for action in ACTIONS:
            texts = (action.label, action.help, action.twin)
            score = max(matcher.match(text) for text in texts)
            if score > 0:
                shown = _shown(action, matcher.highlight(action.label))
                run = partial(self._workbench.act, action.id)
                yield Hit(score, shown, run, action.label, self._help(action))
        for name in self._workbench.theme_names:
            text = f"theme {name}"
            score = matcher.match(text)
            if score > 0:
                choose = partial(self._workbench.choose_theme, name)
                yield Hit(score, matcher.highlight(text), choose, text)

    def _help(self, action: Action) -> str:
        situation = self._workbench.situation
        if not action.works_on(situation.screen):
            return f"{action.help} (on the screen {' or '.join(action.screens)})"
        why = why_dimmed(action, situation)
        return f"not now: {why}" if why else action.help


def _shown(action: Action, label: Content) -> Content:
    twin = f"   {action.twin}" if action.twin else ""
    return line(label, (f"   {action.shown}", "bold $info"), (twin, "$quiet not bold"))
