"""Which parts of a gate can be judged where some of what it names is not there: pure."""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping, Sequence

from mlbench.domain.expression import names_in
from mlbench.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Applying:
    """What is left of an expression; `tree` is None where nothing of it applies.

    `remarks` say of each part that was left out why.
    """

    tree: ast.expr | None
    remarks: tuple[str, ...] = ()


def applying(tree: ast.expr, absent: Mapping[str, str]) -> Applying:
    """The expression without the comparisons that name what is absent, by name with why.

    An `and`, an `or` and a chain of comparisons keep their other parts, so that
    `accuracy >= 0.9 and accuracy >= production.accuracy` holds a first version to 0.9, too.
    """
    if not names_in(tree) & absent.keys():
        return Applying(tree)
    left_out: list[ast.expr] = []
    rest = _rest(tree, absent, left_out)
    whys = {
        part: sorted({absent[name] for name in names_in(part) & absent.keys()}) for part in left_out
    }
    if rest is None:
        return Applying(None, tuple(dict.fromkeys(why for one in whys.values() for why in one)))
    remarks = (
        f"{ast.unparse(part)} does not apply: {' and '.join(why)}" for part, why in whys.items()
    )
    return Applying(rest, tuple(remarks))


def _rest(node: ast.expr, absent: Container[str], left_out: list[ast.expr]) -> ast.expr | None:
    """What is left of a part, if anything; adds what is not to `left_out`."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        operand = _rest(node.operand, absent, left_out)
        return None if operand is None else ast.UnaryOp(node.op, operand)
    if isinstance(node, ast.BoolOp):
        return _together(node.op, node.values, absent, left_out)
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        sides = [node.left, *node.comparators]
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        links = [ast.Compare(left, [sign], [right]) for left, sign, right in pairs]
        return _together(ast.And(), links, absent, left_out)
    if any(name in absent for name in names_in(node)):
        left_out.append(node)
        return None
    return node


def _together(
    sign: ast.boolop, parts: Sequence[ast.expr], absent: Container[str], left_out: list[ast.expr]
) -> ast.expr | None:
    rests = [_rest(part, absent, left_out) for part in parts]
    kept = [rest for rest in rests if rest is not None]
    return ast.BoolOp(sign, kept) if len(kept) > 1 else next(iter(kept), None)
