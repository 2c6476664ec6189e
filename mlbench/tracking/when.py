"""Times and lengths of time in a filter: `started > '2026-11-01'`, `age < '7d'`."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta

from mlbench.domain.clock import utc
from mlbench.domain.expression import ExpressionError

_TIMES = frozenset(("started", "run.started"))
_LENGTHS = frozenset(("age", "seconds", "cpu_seconds"))
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def with_times(tree: ast.expr) -> ast.expr:
    """The filter with each text that is compared with a time, or a length of it, as one.

    Times are in UTC unless they say otherwise; `started == '2026-11-01'` means that day.
    ExpressionError for a text that is no time.
    """
    changed = _Times().visit(tree)
    assert isinstance(changed, ast.expr)
    return changed


class _Times(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        sides = [node.left, *node.comparators]
        if len(sides) == 2 and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            day = _on_day(*sides) or _on_day(*reversed(sides))
            if day is not None:
                return day if isinstance(node.ops[0], ast.Eq) else ast.UnaryOp(ast.Not(), day)
        known = [
            _as_time(side, [other for at in (place - 1, place + 1) if (other := _at(sides, at))])
            for place, side in enumerate(sides)
        ]
        return ast.Compare(known[0], node.ops, known[1:])


def _at(sides: list[ast.expr], place: int) -> ast.expr | None:
    return sides[place] if 0 <= place < len(sides) else None


def _as_time(side: ast.expr, beside: list[ast.expr]) -> ast.expr:
    if not (isinstance(side, ast.Constant) and isinstance(side.value, str)):
        return side
    names = [ast.unparse(other) for other in beside]
    if _TIMES.intersection(names):
        return ast.Constant(utc(_moment(side.value).timestamp()))
    length = _LENGTH.fullmatch(side.value)
    if length and any(name.rpartition(".")[2] in _LENGTHS for name in names):
        return ast.Constant(float(length[1]) * _UNITS[length[2]])
    return side


def _on_day(name: ast.expr, text: ast.expr) -> ast.expr | None:
    """Whether a time lies on a day, where a name of a time is compared with a bare date."""
    if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
        return None
    if ast.unparse(name) not in _TIMES or not _DATE.fullmatch(text.value):
        return None
    day = _moment(text.value)
    first, after = utc(day.timestamp()), utc((day + timedelta(days=1)).timestamp())
    return ast.Compare(ast.Constant(first), [ast.LtE(), ast.Lt()], [name, ast.Constant(after)])


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ExpressionError(
            f"'{text}' is no time such as 2026-11-23 or 2026-11-23T09:15:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
