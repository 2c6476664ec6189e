"""Log lines as they are safe to show: colours kept, all else that steers a terminal dropped."""

from __future__ import annotations

import re

from rich.text import Text
from textual.content import Content

from mlbench.tui.draw.lines import line

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
# OSC strings, CSI sequences other than colours, other escapes, and bare control characters.
_STEERING = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b\[[0-9;:?<=>!]*[ -/]*[@-ln-~]"
    r"|\x1b[^\[\]]"
    r"|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]"
    r"|\x1b(?!\[[0-9;:]*m)"
)
_TROUBLE = re.compile(r"\b(error|exception|traceback|failed|fatal)\b", re.IGNORECASE)
_DOUBT = re.compile(r"\bwarn(ing)?\b", re.IGNORECASE)
LONGEST = 4000


def tidy(raw: str) -> str:
    """One line without what steers the terminal; of a progress bar's states the last."""
    return _STEERING.sub("", raw.rstrip("\r").rsplit("\r", 1)[-1][:LONGEST]).expandtabs(8)


def plain(text: str) -> str:
    """A tidy line without its colours."""
    return _SGR.sub("", text)


def safe(text: str) -> str:
    """What a program said, as a message: neither colours nor anything else that steers."""
    return "\n".join(plain(tidy(line_of)) for line_of in text.splitlines())


def styled(text: str) -> Content:
    """A tidy line with its colours; without any, errors and warnings stand out. Never markup."""
    if "\x1b" in text:
        return Content.from_rich_text(Text.from_ansi(text))
    if _TROUBLE.search(text):
        return line((text, "$fail"))
    return line((text, "$warn")) if _DOUBT.search(text) else line(text)
