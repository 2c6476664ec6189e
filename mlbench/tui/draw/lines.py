"""Styled text in columns: the few helpers that every drawing uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content

Part = str | Content | tuple[str, str]
"""Plain text, styled text, or text with a style such as `$ok` or `bold $fail`."""

EMPTY = Content("")
QUIET = "$quiet"


def line(*parts: Part) -> Content:
    """Parts one after the other."""
    return Content.assemble(*parts)


def cell(content: Part, width: int, *, right: bool = False) -> Content:
    """A part cut or padded to exactly this many cells."""
    text = line(content)
    if text.cell_length > width:
        return text.truncate(max(0, width), ellipsis=width > 1)
    return text.pad_left(width - text.cell_length) if right else text.truncate(width, pad=True)


def length(part: Part) -> int:
    """How many cells a part takes."""
    text = part if isinstance(part, str) else part[0] if isinstance(part, tuple) else None
    if text is not None and _is_simple(text):
        return len(text)
    return line(part).cell_length


def fitted(part: Part, width: int, *, right: bool = False) -> Part:
    """As `cell`, but quicker for plain text, of which a table has many cells."""
    text, style = part if isinstance(part, tuple) else (part, "")
    if not isinstance(text, str) or not _is_simple(text):
        return cell(part, width, right=right)
    if len(text) > width:
        text = text[: width - 1] + "…" if width > 1 else text[: max(0, width)]
    text = text.rjust(width) if right else text.ljust(width)
    return (text, style) if style else text


def _is_simple(text: str) -> bool:
    """Whether each character is one cell."""
    return text.isascii() and text.isprintable()


def spread(left: Content, right: Content, width: int) -> Content:
    """Left text and right text at both ends of a line; the left one gives way."""
    room = width - right.cell_length
    if room < 1 or not right.plain:
        return cell(left, width)
    return cell(left, room) + right


def ruled(left: Content, right: Content, width: int) -> Content:
    """Left and right text with a rule between."""
    rule = max(0, width - left.cell_length - right.cell_length)
    return cell(line(left, ("─" * rule, "$frame"), right), width)


def joined(parts: Iterable[Content], separator: Part) -> Content:
    """Parts with a separator between."""
    whole: list[Part] = []
    for part in parts:
        if part.plain:
            whole += [part] if not whole else [line(separator), part]
    return line(*whole)


def stacked(lines: Sequence[Content]) -> Content:
    """Several lines as one text."""
    return Content("\n").join(lines)


def widest(texts: Iterable[str], least: int = 0) -> int:
    """The number of cells of the widest text."""
    return max((Content(text).cell_length for text in texts), default=least)
