"""The one small, safe expression language of gates, filters and triggers.

Comparison, arithmetic and boolean operators and a few named functions over dotted names, parsed
by Python's own `ast` and held to an allow-list; nothing is ever passed to `eval`.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar

from mlbench.domain.errors import nearest
from mlbench.domain.syntax import parse_expression

Value = float | int | str | bool | None
Facts = Mapping[str, Any]
Subject = TypeVar("Subject")
# What an expression, or a name in it, is worth for one subject: a mapping of facts, or a run.
Read = Callable[[Subject], Any]
SLICES = "slices"
ROOTS = (
    *("metrics", "params", "stages", "onnx", "production", "staging", "baseline", "run"),
    SLICES,
)
_BARE_ROOTS = ("metrics", "params", "stages")
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "log": math.log}
# Over the rows of a predictions table rather than over values: what a gate alone has.
SLICE_FUNCTIONS = ("worst", "gap", "ratio", "drop")
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


def parse(text: str, *, slices: bool = False) -> ast.expr:
    """The expression's syntax tree; ExpressionError where it uses anything not allowed.

    With `slices` it may call the functions over slices, whose arguments `domain/slices.py` checks.
    """
    if len(text) > _LIMIT:
        raise ExpressionError(f"longer than {_LIMIT} characters")
    try:
        tree = parse_expression(text.strip())
    except SyntaxError:
        raise ExpressionError(f"not an expression: {text.strip()}") from None
    if _is_deep(tree):
        raise ExpressionError(f"more than {_DEEPEST} operators inside each other")
    _check(tree, slices=slices)
    return tree


def names_in(tree: ast.expr) -> frozenset[str]:
    """Every dotted name that the expression reads; a call over slices is a name of that root."""
    found: set[str] = set()
    _collect(tree, found)
    return frozenset(found)


def evaluate(tree: ast.expr, facts: Facts) -> Any:
    """The expression's value over `facts`, flat dotted names under their roots.

    `facts` maps each root to a flat mapping: {"metrics": {"val/loss": 0.2}, …}.
    MissingFactError where a name has no value; ExpressionError where types don't fit.
    """

    def find(name: str) -> Read[Facts]:
        return lambda known: look_up(name, known)

    return compiled(tree, find)(facts)


def compiled(tree: ast.expr, find: Callable[[str], Read[Subject]]) -> Read[Subject]:
    """What gives the expression's value for a subject, at a fraction of walking the tree each time.

    `find` is asked once for each name, and what it gives is called for each subject. Names are
    looked at only as far as the logic reaches. ExpressionError where types don't fit.
    """
    value_of = _compiled(tree, find)

    def value(subject: Subject) -> Any:
        try:
            return value_of(subject)
        except (TypeError, ValueError, ArithmeticError) as error:
            if isinstance(error, ExpressionError):
                raise
            raise ExpressionError(f"{ast.unparse(tree)}: {error}") from None

    return value


def is_number(value: object) -> bool:
    """Whether it can be reckoned with: True and False can't."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_deep(tree: ast.expr) -> bool:
    layer: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        layer = [child for node in layer for child in ast.iter_child_nodes(node)]
    return bool(layer)


def _check(tree: ast.expr, *, slices: bool) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            _check_call(node, slices=slices)
            continue
        allowed = (
            isinstance(node, (ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Name, ast.Load))
            or (
                isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.UAdd))
            )
            or (isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC)
            or (isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)))
            or (isinstance(node, (ast.Attribute, ast.Subscript)) and _dotted(node) is not None)
            or isinstance(node, (ast.operator, ast.unaryop, ast.keyword))
            or type(node) in COMPARISONS
        )
        if not allowed:
            shown = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ExpressionError(f"not allowed here: {shown}")


def _check_call(node: ast.Call, *, slices: bool) -> None:
    shown = ast.unparse(node)
    if not isinstance(node.func, ast.Name):
        raise ExpressionError(f"not allowed here: {shown}")
    name = node.func.id
    known = (*_FUNCTIONS, *(SLICE_FUNCTIONS if slices else ()))
    if name in SLICE_FUNCTIONS and not slices:
        raise ExpressionError(f"{name}(…) compares slices of predictions, which gates alone have")
    if name not in known:
        raise ExpressionError(
            f"there is no function {name}{nearest(name, known)}; there are {', '.join(known)}"
        )
    if node.keywords and name in _FUNCTIONS:
        raise ExpressionError(f"not allowed here: {shown}")


def is_slice_call(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether it calls a function over slices."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in SLICE_FUNCTIONS
    )


def slices_name(node: ast.Call) -> str:
    """The dotted name that stands for a call over slices among the facts."""
    return f"{SLICES}.{ast.unparse(node)}"


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
    if is_slice_call(node):
        found.add(slices_name(node))
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Call) and child is node.func:
            continue
        _collect(child, found)


def _compiled(node: ast.expr, find: Callable[[str], Read[Subject]]) -> Read[Subject]:
    if isinstance(node, ast.Constant):
        constant = node.value
        return lambda _: constant
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        return find(_dotted(node) or "")
    if isinstance(node, ast.UnaryOp):
        operand, change = _compiled(node.operand, find), _UNARY[type(node.op)]
        return lambda subject: change(operand(subject))
    if isinstance(node, ast.BinOp):
        return _compiled_arithmetic(node, find)
    if isinstance(node, ast.BoolOp):
        return _compiled_logic(node, find)
    if isinstance(node, ast.Compare):
        return _compiled_comparison(node, find)
    if is_slice_call(node):
        return find(slices_name(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        function = _FUNCTIONS[node.func.id]
        arguments = [_compiled(item, find) for item in node.args]
        return lambda subject: function(*(argument(subject) for argument in arguments))
    raise ExpressionError(f"not allowed here: {ast.unparse(node)}")


def _compiled_arithmetic(node: ast.BinOp, find: Callable[[str], Read[Subject]]) -> Read[Subject]:
    left_of, right_of = _compiled(node.left, find), _compiled(node.right, find)
    reckon = _ARITHMETIC[type(node.op)]

    def value(subject: Subject) -> Any:
        left, right = left_of(subject), right_of(subject)
        if not (is_number(left) and is_number(right)):
            raise ExpressionError(f"{ast.unparse(node)}: arithmetic needs numbers")
        return reckon(left, right)

    return value


def _compiled_logic(node: ast.BoolOp, find: Callable[[str], Read[Subject]]) -> Read[Subject]:
    parts = [_compiled(item, find) for item in node.values]
    decisive = isinstance(node.op, ast.Or)

    def value(subject: Subject) -> bool:
        for part in parts:
            if bool(part(subject)) is decisive:
                return decisive
        return not decisive

    return value


def _compiled_comparison(node: ast.Compare, find: Callable[[str], Read[Subject]]) -> Read[Subject]:
    first = _compiled(node.left, find)
    rest = [
        (COMPARISONS[type(sign)], _compiled(item, find))
        for sign, item in zip(node.ops, node.comparators, strict=True)
    ]
    if len(rest) == 1:
        compare, second = rest[0]
        return lambda subject: compare(first(subject), second(subject))

    def value(subject: Subject) -> bool:
        left = first(subject)
        for compare, item in rest:
            right = item(subject)
            if not compare(left, right):
                return False
            left = right
        return True

    return value


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
