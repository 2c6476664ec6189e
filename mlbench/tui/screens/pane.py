"""What every screen can do for the frame."""

from __future__ import annotations

from textual.containers import Vertical

from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.situation import Situation


class Pane(Vertical):
    """One screen below the top line; it draws what it is handed and keeps where the user is."""

    filter_hint = ""

    def situated(self, known: Situation) -> Situation:
        """What is known, with what is under this screen's cursor."""
        raise NotImplementedError

    def draw(self, known: Situation, now: float) -> None:
        """Draw what is known; called several times a second while the screen is seen."""
        raise NotImplementedError

    def take_focus(self) -> None:
        """Give the focus to the list that the screen is about."""
        raise NotImplementedError

    def act(self, action: str) -> bool:  # noqa: ARG002
        """Do what belongs to this screen alone; False where the action is not its own."""
        return False

    def filter(self, text: str) -> None:
        """Filter the list that has the focus, as the user types."""

    @property
    def filter_text(self) -> str:
        """The filter of the list that has the focus."""
        return ""

    def goes_on(self, known: Situation) -> bool:
        """Whether what the screen shows may change at any moment."""
        return known.board.is_busy

    def tick(self) -> None:
        """Ask for what changes without anybody's saying so; called several times a second."""

    def stage_question(self, known: Situation) -> StageQuestion | None:  # noqa: ARG002
        """Which stage's log and curves this screen shows, None for none."""
        return None

    def show_detail(self, detail: StageDetail) -> None:
        """Show the log and curves of the stage that was asked for."""
