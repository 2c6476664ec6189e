"""Why a stage runs, phrased: in three words for a row, in one line each for the pane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from textual.content import Content

from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.plan import Reason
from mlbench.tui.draw.lines import line

_MOST_TELLING = (
    ReasonKind.FORCED,
    ReasonKind.PARAM,
    ReasonKind.CODE,
    ReasonKind.COMMAND,
    ReasonKind.ENV,
    ReasonKind.PACKAGE,
    ReasonKind.PYTHON,
    ReasonKind.FILE,
    ReasonKind.OUTPUT,
    ReasonKind.ALWAYS,
    ReasonKind.NEW,
    ReasonKind.UPSTREAM,
)


def main_reason(reasons: Sequence[Reason]) -> Reason | None:
    """The reason that tells most: what a person did comes before what follows from it."""
    return min(reasons, key=lambda reason: _MOST_TELLING.index(reason.kind), default=None)


def in_short(reasons: Sequence[Reason]) -> str:
    """`alpha 0.1 → 0.2`, `train.py changed`; `+2` where there are more."""
    main = main_reason(reasons)
    if main is None:
        return ""
    alike = [reason for reason in reasons if reason.kind is not ReasonKind.UPSTREAM]
    more = len(alike) - 1
    return _words(main) + (f"  +{more}" if more > 0 and main in alike else "")


def in_full(reasons: Sequence[Reason]) -> list[Content]:
    """One line a reason, the most telling first: what, and how it moved."""
    ordered = sorted(reasons, key=lambda reason: _MOST_TELLING.index(reason.kind))
    return [_full(reason) for reason in ordered]


def _words(reason: Reason) -> str:
    name = PurePosixPath(reason.what).name
    match reason.kind:
        case ReasonKind.PARAM:
            return f"{reason.what.rpartition('.')[2]} {reason.detail}"
        case ReasonKind.CODE | ReasonKind.FILE:
            return f"{name} {reason.detail.partition(' ')[0]}"
        case ReasonKind.UPSTREAM:
            return f"after {reason.what}"
        case ReasonKind.OUTPUT:
            return f"{name} {reason.detail.split(' ')[-1]}"
        case ReasonKind.NEW:
            return "never built"
        case ReasonKind.ALWAYS:
            return "every time"
        case ReasonKind.FORCED:
            return "forced"
        case ReasonKind.COMMAND | ReasonKind.PYTHON:
            return f"{reason.kind.word} changed"
        case _:
            return f"{reason.what} {reason.detail}".strip()


def _full(reason: Reason) -> Content:
    sign = (f"{reason.kind.glyph} ", f"${reason.kind.colour}")
    match reason.kind:
        case ReasonKind.NEW:
            return line(sign, "was never built here")
        case ReasonKind.FORCED:
            return line(sign, "forced by hand")
        case ReasonKind.ALWAYS:
            return line(sign, "runs every time")
        case ReasonKind.UPSTREAM:
            return line(sign, (reason.detail or f"after {reason.what}", "$quiet"))
        case ReasonKind.COMMAND | ReasonKind.PYTHON:
            return line(sign, (reason.kind.word, "bold"), f"  {reason.detail}")
        case _:
            return line(sign, (reason.what, "bold"), f"  {reason.detail}")
