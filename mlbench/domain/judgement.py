"""Whether an expression holds, and by how much: what a gate's verdict rests on."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Sequence

from mlbench.domain.expression import (
    COMPARISONS,
    ExpressionError,
    Facts,
    MissingFactError,
    evaluate,
    is_number,
)
from mlbench.domain.records import dataclass

# How far apart chance alone may put the two sides of a comparison; None where nobody can tell.
Leeway = Callable[[ast.expr, ast.expr], float | None]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A whole expression's truth and, of the comparison that decides, both sides and the margin.

    The margin says how far the value lies on the good side, negative where it lies on the bad one.
    `noise` is the leeway that this comparison had, and `excused` says that it holds by it alone.
    """

    holds: bool
    value: float | None = None
    threshold: float | None = None
    margin: float | None = None
    noise: float | None = None
    excused: bool = False


def no_leeway(_left: ast.expr, _right: ast.expr) -> None:
    """Each comparison counts as it stands."""


def judge(tree: ast.expr, facts: Facts, leeway: Leeway = no_leeway) -> Judgement:
    """The truth of the expression; it is that of `evaluate` where there is no leeway.

    Of an `and` and of a chain of comparisons the smallest margin counts, of an `or` the largest;
    parts that are no comparisons of numbers have none. MissingFactError where a name that decides
    has no value; ExpressionError where types don't fit, and where a part is neither a comparison
    nor true or false, for `accuracy` alone would nearly always hold.
    """
    return _Judge(facts, leeway).judge(tree, wanted=True)


@dataclass(frozen=True, slots=True)
class _Judge:
    facts: Facts
    leeway: Leeway

    def judge(self, node: ast.expr, *, wanted: bool) -> Judgement:
        """`wanted` is the truth of this part that lets the whole expression hold."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return _denied(self.judge(node.operand, wanted=not wanted))
        if isinstance(node, ast.BoolOp):
            parts = [lambda item=item: self.judge(item, wanted=wanted) for item in node.values]
            return _together(parts, decisive=isinstance(node.op, ast.Or))
        if isinstance(node, ast.Compare):
            lefts = [node.left, *node.comparators[:-1]]
            pairs = zip(lefts, node.ops, node.comparators, strict=True)
            parts = [lambda pair=pair: self._compare(*pair, wanted=wanted) for pair in pairs]
            return parts[0]() if len(parts) == 1 else _together(parts, decisive=False)
        value = evaluate(node, self.facts)
        if value not in (True, False):
            shown = f"{value:.4g}" if isinstance(value, float) else repr(value)
            raise ExpressionError(
                f"{ast.unparse(node)} is {shown}, which is neither true nor false: compare it"
            )
        return Judgement(holds=bool(value))

    def _compare(
        self, left: ast.expr, sign: ast.cmpop, right: ast.expr, *, wanted: bool
    ) -> Judgement:
        value, threshold = evaluate(left, self.facts), evaluate(right, self.facts)
        try:
            holds = bool(COMPARISONS[type(sign)](value, threshold))
        except TypeError:
            raise ExpressionError(
                f"{ast.unparse(left)} is {value!r}, which is neither more nor less than "
                f"{threshold!r}"
            ) from None
        if not (is_number(value) and is_number(threshold)):
            return Judgement(holds)
        try:
            value, threshold = float(value), float(threshold)
        except OverflowError as error:
            raise ExpressionError(str(error)) from None
        margin = _margin(sign, value - threshold) + 0.0  # no -0.0
        is_order = not isinstance(sign, (ast.Eq, ast.NotEq))
        noise = self.leeway(left, right) if is_order and math.isfinite(margin) else None
        excused = bool(noise) and holds is not wanted and abs(margin) <= (noise or 0.0)
        return Judgement(wanted if excused else holds, value, threshold, margin, noise, excused)


def _margin(sign: ast.cmpop, difference: float) -> float:
    if isinstance(sign, (ast.Gt, ast.GtE)):
        return difference
    if isinstance(sign, (ast.Lt, ast.LtE)):
        return -difference
    return abs(difference) if isinstance(sign, ast.NotEq) else -abs(difference)


def _denied(judged: Judgement) -> Judgement:
    return Judgement(
        not judged.holds,
        judged.value,
        judged.threshold,
        None if judged.margin is None else -judged.margin,
        judged.noise,
        judged.excused,
    )


def _together(parts: Iterable[Callable[[], Judgement]], *, decisive: bool) -> Judgement:
    """Parts of an `or`, where a true one is decisive, or of an `and`, where a false one is.

    What stands behind the part that decides is judged for its margin alone.
    """
    judged: list[Judgement] = []
    is_decided = False
    for part in parts:
        try:
            judged.append(part())
        except (ExpressionError, MissingFactError):
            if not is_decided:
                raise
        else:
            is_decided = is_decided or judged[-1].holds is decisive
    holds = decisive if is_decided else not decisive
    deciding = [one for one in judged if one.holds is decisive] if is_decided else judged
    nearest = _nearest(deciding, largest=decisive)
    if nearest is None:
        return Judgement(holds)
    return Judgement(
        holds, nearest.value, nearest.threshold, nearest.margin, nearest.noise, nearest.excused
    )


def _nearest(judged: Sequence[Judgement], *, largest: bool) -> Judgement | None:
    """The part whose margin is that of all; a NaN, where there is one."""
    margins = [(one.margin, one) for one in judged if one.margin is not None]
    for margin, one in margins:
        if math.isnan(margin):
            return one
    choose = max if largest else min
    return choose(margins, key=lambda pair: pair[0])[1] if margins else None
