"""The one small, safe expression language of gates, filters and triggers.

Comparison, arithmetic and boolean operators and a few named functions over dotted names, parsed
by Python's own `ast` and held to an allow-list; nothing is ever passed to `eval`.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from mlbench.domain.records import dataclass
from mlbench.domain.syntax import parse_expression

Value = float | int | str | bool | None
Facts = Mapping[str, Any]
ROOTS = ("metrics", "params", "stages", "onnx", "production", "staging", "baseline", "run")
_BARE_ROOTS = ("metrics", "params", "stages", "run")
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "log": math.log}
_LIMIT = 2000
# Deeper ones would overflow the stack of whoever walks them.
_DEEPEST = 100


class ExpressionError(ValueError):
    """The text is no expression of this language; says which part and why."""


class MissingFactError(LookupError):
    """A name has no value; `name` is the dotted name, and the message says what to do."""

    def __init__(self, name: str, message: str) -> None:
        """Keep the name, so that a gate can tell a missing metric from an empty environment."""
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Judgement:
    """A whole expression's truth and, for a comparison, both sides and the margin between."""

    holds: bool
    value: float | None = None
    threshold: float | None = None
    margin: float | None = None


def parse(text: str) -> ast.expr:
    """The expression's syntax tree; ExpressionError where it uses anything not allowed."""
    if len(text) > _LIMIT:
        raise ExpressionError(f"longer than {_LIMIT} characters")
    try:
        tree = parse_expression(text.strip())
    except SyntaxError:
        raise ExpressionError(f"not an expression: {text.strip()}") from None
    if _is_deep(tree):
        raise ExpressionError(f"more than {_DEEPEST} operators inside each other")
    _check(tree)
    return tree


def names_in(tree: ast.expr) -> frozenset[str]:
    """Every dotted name that the expression reads."""
    found: set[str] = set()
    _collect(tree, found)
    return frozenset(found)


def evaluate(tree: ast.expr, facts: Facts) -> Any:
    """The expression's value over `facts`, flat dotted names under their roots.

    `facts` maps each root to a flat mapping: {"metrics": {"val/loss": 0.2}, …}.
    MissingFactError where a name has no value; ExpressionError where types don't fit.
    """
    try:
        return _evaluate(tree, facts)
    except ExpressionError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ExpressionError(str(error)) from None


def judge(tree: ast.expr, facts: Facts) -> Judgement:
    """The truth of the expression, with value, threshold and margin of a simple comparison."""
    if not (isinstance(tree, ast.Compare) and len(tree.ops) == 1):
        return Judgement(holds=bool(evaluate(tree, facts)))
    value, threshold = evaluate(tree.left, facts), evaluate(tree.comparators[0], facts)
    try:
        holds = _COMPARISONS[type(tree.ops[0])](value, threshold)
    except TypeError as error:
        raise ExpressionError(str(error)) from None
    if not (_is_number(value) and _is_number(threshold)):
        return Judgement(holds=holds)
    try:
        value, threshold = float(value), float(threshold)
    except OverflowError as error:
        raise ExpressionError(str(error)) from None
    difference = value - threshold
    upward = isinstance(tree.ops[0], (ast.Gt, ast.GtE))
    downward = isinstance(tree.ops[0], (ast.Lt, ast.LtE))
    margin = difference if upward else -difference if downward else -abs(difference)
    return Judgement(holds, value, threshold, margin)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_deep(tree: ast.expr) -> bool:
    layer: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        layer = [child for node in layer for child in ast.iter_child_nodes(node)]
    return bool(layer)


def _check(tree: ast.expr) -> None:
    for node in ast.walk(tree):
        allowed = (
            isinstance(node, (ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Name, ast.Load))
            or (
                isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.UAdd))
            )
            or (isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC)
            or (isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)))
            or (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, (ast.Name, ast.Attribute))
            )
            or (isinstance(node, ast.Subscript) and _dotted(node) is not None)
            or (isinstance(node, ast.Call) and _is_known_call(node))
            or isinstance(node, (ast.operator, ast.unaryop))
            or type(node) in _COMPARISONS
        )
        if not allowed:
            shown = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ExpressionError(f"not allowed here: {shown}")


def _is_known_call(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords


def _dotted(node: ast.expr) -> str | None:
    """`a.b` for an attribute, and the key alone for `m["val/loss"]`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inside = _dotted(node.value)
        return None if inside is None else f"{inside}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        inside = _dotted(node.value)
        root = "metrics" if inside == "m" else inside
        return None if root is None else f"{root}.{node.slice.value!s}"
    return None


def _collect(node: ast.AST, found: set[str]) -> None:
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        name = _dotted(node)
        if name is not None:
            found.add(name)
            return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Call) and child is node.func:
            continue
        _collect(child, found)


def _evaluate(node: ast.expr, facts: Facts) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        return look_up(_dotted(node) or "", facts)
    if isinstance(node, ast.UnaryOp):
        return _evaluate_unary(node, facts)
    if isinstance(node, ast.BinOp):
        return _evaluate_arithmetic(node, facts)
    if isinstance(node, ast.BoolOp):
        return _evaluate_boolean(node, facts)
    if isinstance(node, ast.Compare):
        return _evaluate_comparison(node, facts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _FUNCTIONS[node.func.id](*(_evaluate(item, facts) for item in node.args))
    raise ExpressionError(f"not allowed here: {ast.unparse(node)}")


def _evaluate_arithmetic(node: ast.BinOp, facts: Facts) -> Any:
    left, right = _evaluate(node.left, facts), _evaluate(node.right, facts)
    if not (_is_number(left) and _is_number(right)):
        raise ExpressionError(f"{ast.unparse(node)}: arithmetic needs numbers")
    return _ARITHMETIC[type(node.op)](left, right)


def _evaluate_unary(node: ast.UnaryOp, facts: Facts) -> Any:
    value = _evaluate(node.operand, facts)
    if isinstance(node.op, ast.Not):
        return not value
    return -value if isinstance(node.op, ast.USub) else +value


def _evaluate_boolean(node: ast.BoolOp, facts: Facts) -> bool:
    values = (bool(_evaluate(item, facts)) for item in node.values)
    return all(values) if isinstance(node.op, ast.And) else any(values)


def _evaluate_comparison(node: ast.Compare, facts: Facts) -> bool:
    left = _evaluate(node.left, facts)
    for comparison, item in zip(node.ops, node.comparators, strict=True):
        right = _evaluate(item, facts)
        if not _COMPARISONS[type(comparison)](left, right):
            return False
        left = right
    return True


def look_up(name: str, facts: Facts) -> Any:
    """The value of a dotted name; a bare one is looked up in metrics, params and stages.

    MissingFactError where there is none, ExpressionError where two of them have it.
    """
    root, _, rest = name.partition(".")
    if rest and root in ROOTS:
        known: Mapping[str, Any] = facts.get(root, {})
        if rest in known:
            return known[rest]
        raise MissingFactError(name, f"{name} has no value")
    holders = [root for root in _BARE_ROOTS if name in facts.get(root, {})]
    if len(holders) > 1:
        both = " and ".join(f"{holder}.{name}" for holder in holders)
        raise ExpressionError(f"{name} is ambiguous: write {both.replace(' and ', ' or ')}")
    if not holders:
        raise MissingFactError(name, f"{name} is no metric, param or stage of this run")
    return facts[holders[0]][name]
