"""A unified diff with the colours of its language, its signs kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.content import Content

from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import EMPTY, line

_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$")
_MOST_LINES = 5000
_SIGNS = {"+": "bold $ok", "-": "bold $fail", " ": "$quiet", "\\": "$quiet"}


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What one file of a diff gained and lost, with its hunks' lines as they stand."""

    path: str
    added: int
    removed: int
    lines: tuple[str, ...]


def files_of(diff: str) -> tuple[FileDiff, ...]:
    """The files of a unified diff as git prints it."""
    parts = re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]
    return tuple(_file(part.splitlines()) for part in parts)


def counted(files: Sequence[FileDiff]) -> str:
    """`2 files +3 −1`."""
    added = sum(file.added for file in files)
    removed = sum(file.removed for file in files)
    word = "file" if len(files) == 1 else "files"
    return f"{len(files)} {word} +{added} −{removed}"


def code_lines(diff: str) -> list[Content]:
    """The diff as lines: a title for each file, the numbers of lines, signs and colours.

    It takes a while for long ones, so it is not for the thread that draws.
    """
    lines: list[Content] = []
    for file in files_of(diff):
        title = line(
            (f"{safe(file.path)}", "bold"),
            (f"  +{file.added}", "$ok"),
            (f" −{file.removed}", "$fail"),
        )
        lines += [*([EMPTY] if lines else []), title, *_coloured(file)]
        if len(lines) > _MOST_LINES:
            return [*lines[:_MOST_LINES], line(("… `mlbench diff` prints the rest", "$quiet"))]
    return lines


def _file(lines: Sequence[str]) -> FileDiff:
    starts = [index for index, text in enumerate(lines) if text.startswith("@@ ")]
    body = tuple(lines[starts[0] :]) if starts else ()
    head = lines[: starts[0]] if starts else lines
    added = sum(text.startswith("+") for text in body)
    removed = sum(text.startswith("-") for text in body)
    return FileDiff(_path(head), added, removed, body or tuple(head[1:]))


def _path(head: Sequence[str]) -> str:
    """The file's name after the change, or before where the change took it away."""
    for start in ("+++ ", "--- "):
        for text in head:
            name = text.removeprefix(start).rstrip("\t")
            if text.startswith(start) and name != "/dev/null":
                return name.removeprefix("a/").removeprefix("b/")
    return head[0].rpartition(" b/")[2] if head else ""


def _coloured(file: FileDiff) -> Iterator[Content]:
    texts = [safe(text) for text in file.lines]
    codes = _highlighted("\n".join(text[1:] for text in texts), file.path)
    codes += [EMPTY] * (len(texts) - len(codes))
    numbers = len(str(_last_number(texts)))
    old = new = 0
    for text, code in zip(texts, codes, strict=True):
        match = _HUNK.match(text)
        if match:
            old, new = int(match.group(1)), int(match.group(2))
            yield line(("⋯", "$quiet"), (f" {match.group(3)}", "$quiet italic"))
            continue
        sign = text[:1] or " "
        if sign not in _SIGNS or sign == "\\":
            yield line((text, "$quiet"))
            continue
        at = old if sign == "-" else new
        old, new = old + (sign != "+"), new + (sign != "-")
        text_shown = code if sign != " " else code.stylize("dim")
        shown = {"-": "−"}.get(sign, sign)
        yield line((f"{at:>{numbers}} ", "$quiet"), (f"{shown} ", _SIGNS[sign]), text_shown)


def _last_number(texts: Sequence[str]) -> int:
    matches = [match for text in texts if (match := _HUNK.match(text))]
    last = matches[-1] if matches else None
    return (max(int(last.group(1)), int(last.group(2))) + len(texts)) if last else 1


def _highlighted(code: str, path: str) -> list[Content]:
    """The code's lines in the theme's colours; plain where the name tells no language."""
    # Late: Pygments is for those who look at code.
    from textual.highlight import highlight

    return list(highlight(code, path=path).split("\n", allow_blank=True))
