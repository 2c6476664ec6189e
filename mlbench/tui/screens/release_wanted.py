"""How the pages of screen 4 ask for what has to be read in the background."""

from __future__ import annotations

from textual.message import Message

from mlbench.tui.release_reading import ReleaseAsk


class ReleaseWanted(Message):
    """A page has to know more about a version or the ledger."""

    def __init__(self, question: ReleaseAsk) -> None:
        """Carry what is asked."""
        self.question = question
        super().__init__()
