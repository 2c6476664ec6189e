"""The part of the app that has to do with servers: what they are asked, and whether they run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from textual.app import App
from textual.widgets import ContentSwitcher

from mlbench.tui.serving_history import Place, Trail, keep
from mlbench.tui.serving_reading import (
    Asked,
    Pulse,
    ReplayDone,
    Requests,
    Sample,
    Switch,
    Switched,
)
from mlbench.tui.serving_wanted import CopyWanted, ServingWanted

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench
    from mlbench.tui.readers import Readers
    from mlbench.tui.screens.pane import Pane
    from mlbench.tui.screens.serving import ServingPane
    from mlbench.tui.situation import Situation
    from mlbench.tui.toasts import Severity

SERVING_ID = "pane-serving"


class Serving(App[int]):
    """An app with screen 5, made when it is first looked at; the rest is the workbench's."""

    readers: Readers
    known: Situation
    trails: dict[Place, Trail]

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """Show a toast."""
        raise NotImplementedError

    @property
    def pane(self) -> Pane:
        """The screen that is seen."""
        raise NotImplementedError

    @property
    def serving_pane(self) -> ServingPane:
        """Screen 5, once it has been looked at."""
        from mlbench.tui.screens.serving import ServingPane

        return self.query_one(ServingPane)

    def new_serving_pane(self) -> ServingPane:
        """Screen 5, to be mounted; who never looks at it never waits for what it imports."""
        from mlbench.tui.screens.serving import ServingPane

        return ServingPane(self.trails, id=SERVING_ID)

    def make_serving_pane(self) -> None:
        """Mount screen 5, unless it is there."""
        if not self.query(f"#{SERVING_ID}"):
            pane = self.new_serving_pane()
            pane.display = False
            self.query_one("#panes", ContentSwitcher).mount(pane)

    def look_at_servers(self, elapsed: float) -> None:
        """Look at the counters and the request log, as often as the screen needs it."""
        is_shown = self.pane.id == SERVING_ID
        question = self.serving_pane.requests_question if is_shown else None
        self.readers.serving.tick(elapsed, is_shown=is_shown, requests=question)

    def switch(self, environment: str, *, up: bool) -> None:
        """Start or stop an environment's server in the background."""
        switching = (*self.known.switching, environment)
        self.known = replace(self.known, switching=switching)
        self.readers.serving.ask(Switch(environment, up))

    def take_of_serving(self, answer: object) -> None:
        """Take in what a background thread has found about servers; leave all else."""
        match answer:
            case Pulse(problem=problem) if problem:
                # What stands in the way of reading hides nothing that was known before.
                self.known = replace(self.known, pulse=replace(self.known.pulse, problem=problem))
            case Pulse():
                keep(self.trails, answer.points)
                self.known = replace(self.known, pulse=answer)
            case Switched(question, message, is_refused):
                left = [name for name in self.known.switching if name != question.environment]
                self.known = replace(self.known, switching=tuple(left))
                self.readers.surroundings.ask(None)
                self.tell(message, "error" if is_refused else "information")
            case Requests() | Sample() | Asked() | ReplayDone():
                self.serving_pane.take(answer)

    def on_copy_wanted(self, message: CopyWanted) -> None:
        """A held-out row is there to be copied as a request."""
        from mlbench.tui.serving_deeds import copy_request

        copy_request(cast("Workbench", self), message.deployed, message.inputs)

    def on_serving_wanted(self, message: ServingWanted) -> None:
        """A page of screen 5 needs to know more, or asks a server."""
        self.readers.serving.ask(message.question)
