"""Names for requests whose clients gave them none."""

from __future__ import annotations

import secrets
from itertools import count


class Ids:
    """Each is the worker's own random beginning and a number: no two workers ever make the same."""

    def __init__(self) -> None:
        """Take a beginning of 48 random bits."""
        self._beginning = secrets.token_hex(6)
        self._numbers = count(1)

    def next(self) -> str:
        """A new one, such as `5f0c9a4be27d-1f`."""
        return f"{self._beginning}-{next(self._numbers):x}"
