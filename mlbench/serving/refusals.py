"""A request that is refused."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is refused: the HTTP status, one sentence why, and for 405 what is allowed."""

    def __init__(self, status: int, sentence: str, allow: str = "") -> None:
        """Keep the status beside the sentence, which becomes the body's `error`."""
        super().__init__(sentence)
        self.status = status
        self.allow = allow
