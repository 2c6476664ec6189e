"""What tells runs apart that are drawn over each other: a letter and a colour each."""

from __future__ import annotations

_STYLES = ("$info", "$warn", "$ok", "$accent", "$fail", "$secondary")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letter(index: int) -> str:
    """A, B, C …: the sign that no colour is needed for."""
    return _LETTERS[index % len(_LETTERS)]


def style_of(index: int) -> str:
    """The colour of the run at this place."""
    return _STYLES[index % len(_STYLES)]
