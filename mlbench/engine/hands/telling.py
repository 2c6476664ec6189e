"""How a hand tells of what happens while it works."""

from __future__ import annotations

from collections.abc import Callable

from mlbench.domain.events import Event

Tell = Callable[[Event], None]
