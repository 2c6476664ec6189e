"""A model card as lines: Markdown in the themes' own styles."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import line

if TYPE_CHECKING:
    from rich.segment import Segment

# What a colour of Rich's stands for here: the themes alone know colours.
_TITLE, _CODE = "bright_blue", "bright_green"
_MEANINGS = {_TITLE: "$info", _CODE: "$info"}
_STYLES = {
    **{f"markdown.h{level}": f"bold {_TITLE}" for level in range(1, 7)},
    "markdown.h1.border": "none",
    "markdown.code": _CODE,
    "markdown.link": "underline",
    "markdown.link_url": "underline",
}


def card_lines(markdown: str, width: int) -> tuple[Content, ...]:
    """Markdown in lines of this width; it takes a while, so it is not for the thread that draws."""
    # Late: nobody who reads no card waits for it.
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    console = Console(
        file=io.StringIO(), width=max(20, width), color_system="standard", theme=Theme(_STYLES)
    )
    text = "\n".join(safe(part) for part in markdown.splitlines())
    lines: list[Content] = []
    for segments in console.render_lines(Markdown(text, hyperlinks=False), pad=False):
        drawn = line(*((segment.text, _style(segment)) for segment in segments)).rstrip()
        if any(_TITLE in str(segment.style) for segment in segments):
            drawn = line((drawn.plain.strip(), "bold $info"))  # Rich puts the first in the middle
        if drawn.plain or (lines and lines[-1].plain):
            lines.append(drawn)
    return tuple(lines)


def _style(segment: Segment) -> str:
    style = segment.style
    if style is None:
        return ""
    colour = _MEANINGS.get(style.color.name, "") if style.color else ""
    words = (colour, "bold" if style.bold else "", "italic" if style.italic else "")
    return " ".join(word for word in words if word)
