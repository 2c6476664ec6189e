"""How the pages of screen 5 ask for what has to be read or asked in the background."""

from __future__ import annotations

from textual.message import Message

from mlbench.domain.release import DeployedModel
from mlbench.tui.serving_reading import Inputs, ServingAsk


class ServingWanted(Message):
    """A page has to know more about servers and what they answer."""

    def __init__(self, question: ServingAsk) -> None:
        """Carry what is asked."""
        self.question = question
        super().__init__()


class CopyWanted(Message):
    """A held-out row of a version was read to be copied as a request."""

    def __init__(self, deployed: DeployedModel, inputs: Inputs) -> None:
        """Carry the row."""
        self.deployed, self.inputs = deployed, inputs
        super().__init__()
