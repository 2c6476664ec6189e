"""Rows around the splits of trees that see their rows only after a pipeline's other steps.

For each split a held-out row that reaches it is taken, and the one column that its feature is made
of is moved until the split just changes sides, found by bisection over float32, or float64 where
the graph takes that. Where the steps before come out the same in the graph to the last bit, these
are the last two numbers on one side and the first two on the other. Where they round otherwise than
in float64, the few around the boundary, where that alone decides, are left out: of the rows at 8,
64 and 512 float32 steps from it on either side, the nearest is taken whose decisions no rounding
can turn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from columns_behind import Table, slopes_of, sources_of, value_range
from float_steps import between, number, ordinal, stepped
from framework import Probe
from prepared import components
from refusal import require
from trees import Tree, largest_left

MOST_SPLITS = 2000
BASE_ROWS = 256
_EXACT = frozenset(
    "Pipeline ColumnTransformer FeatureUnion SimpleImputer MissingIndicator StandardScaler "
    "MinMaxScaler MaxAbsScaler RobustScaler OneHotEncoder OrdinalEncoder VarianceThreshold "
    "SelectKBest SelectPercentile FunctionTransformer".split()
)
_ROUNDED = frozenset(["PolynomialFeatures"])
_STEPS = (8, 64, 512)
_ROUNDINGS = 8  # operations between a column and its feature, each of half a float32 step


class Target(NamedTuple):
    """A split to reach: its feature, the largest that goes left, the row, the column.

    `wide` where that is compared as float64.
    """

    feature: int
    cut: float
    row: int
    column: int
    wide: bool


def around(before: Any, trees: list[Tree], X: Any, *, double: bool = False) -> Probe:
    """The rows around as many splits as the rows of X reach, at most 2,000, evenly spread.

    X holds held-out rows as they are served; with `double`, as float64. Else no tree is wide.
    """
    np = require("numpy")
    names = [type(part).__name__ for part in components(before)]
    odd = [name for name in names if name not in _EXACT and name not in _ROUNDED]
    if odd:
        return Probe(None, f"how {odd[0]} rounds in float32 is not known")
    exact = all(name in _EXACT for name in names)
    table = Table(before, X, double=double)
    if not table.columns:
        return Probe(None, "there are no columns of numbers")
    seen = table.features(table.made(np.arange(len(X)), 0, table.numbers[:, 0]))
    sources = sources_of(np, table)
    targets, count = _targets(np, trees, seen, sources, len(table.columns))
    if not targets:
        return Probe(
            None, "no split compares a feature that comes from one column of numbers alone"
        )
    chosen = targets
    if len(targets) > MOST_SPLITS:
        chosen = [targets[index * len(targets) // MOST_SPLITS] for index in range(MOST_SPLITS)]
    which, values = _around(np, table, trees, chosen, slopes_of(np, table, sources), exact=exact)
    if not len(which):
        return Probe(None, "rounding before the trees decides around each of the splits")
    column, row = (np.array([getattr(one, name) for one in chosen]) for name in ("column", "row"))
    made = table.made(row[which], column[which], values)
    from_ = f"the nearest float{64 if double else 32}" if exact else "8 float32 steps on"
    return Probe(made, f"{len(chosen)} of {count} splits, from {from_}, found by bisection")


def _around(
    np: Any, table: Table, trees: list[Tree], targets: list[Target], slopes: Any, *, exact: bool
) -> tuple[Any, Any]:
    """Which target, and what value of its column, for each row.

    A target's rows follow each other: two on each side where the steps before are exact, else one.
    """
    column, row = (np.array([getattr(one, name) for one in targets]) for name in ("column", "row"))
    boundary = _bisect(np, table, targets)
    if exact:
        which = np.repeat(np.flatnonzero(np.isfinite(boundary)), 4)
        near = np.stack([stepped(np, boundary, step) for step in (-1, 0, 1, 2)], axis=1)
        return which, near[np.isfinite(boundary)].ravel()
    picked: list[tuple[int, int, Any]] = []
    for side in (-1, 1):
        waiting = np.isfinite(boundary)
        for step in _STEPS:
            if not waiting.any():
                break
            values = stepped(np, boundary, side * step * _float32_step(np, table.kind))
            made = table.made(row[waiting], column[waiting], values[waiting])
            kept = np.flatnonzero(waiting)[_sure(np, trees, table.features(made), slopes)]
            picked += [(index, side, values[index]) for index in kept.tolist()]
            waiting[kept] = False
    picked.sort(key=lambda one: one[:2])
    return (
        np.array([index for index, _, _ in picked], int),
        np.array([value for _, _, value in picked], table.kind),
    )


def _targets(
    np: Any, trees: list[Tree], seen: Any, sources: Any, width: int
) -> tuple[list[Target], int]:
    """The splits that a held-out row reaches on a feature of one column, and how many there are."""
    found, count = [], 0
    for tree in trees:
        inner, cuts, compared = tree.left >= 0, largest_left(tree), _compared(np, tree, seen)
        count += int(inner.sum())
        first: dict[int, int] = {}
        node = np.zeros(len(seen), int)
        while inner[node].any():
            for row in np.flatnonzero(inner[node]):
                first.setdefault(int(node[row]), int(row))
            node = np.where(inner[node], _next(np, tree, cuts, node, compared), node)
        for split, row in sorted(first.items()):
            feature = int(tree.feature[split])
            if 0 <= sources[feature] < width and np.isfinite(cuts[split]):
                column = int(sources[feature])
                found.append(Target(feature, float(cuts[split]), row, column, tree.wide))
    return found, count


def _compared(np: Any, tree: Tree, seen: Any) -> Any:
    """Features as a tree compares them."""
    return seen if tree.wide else seen.astype(np.float32)


def _float32_step(np: Any, kind: Any) -> int:
    """How many steps of a kind of number make one of float32."""
    return 1 << int(np.finfo(kind).nmant - np.finfo(np.float32).nmant)


def _next(np: Any, tree: Tree, cuts: Any, node: Any, seen: Any) -> Any:
    """Where each row goes from its node."""
    value = seen[np.arange(len(node)), tree.feature[node]]
    left = np.where(np.isnan(value), tree.missing_left[node], value <= cuts[node])
    return np.where(left, tree.left[node], tree.right[node])


def _bisect(np: Any, table: Table, targets: list[Target]) -> Any:
    """For each split the last number on its column's lower side; NaN where it has no two sides."""
    column, row, feature, cut, wide = (
        np.array([getattr(one, name) for one in targets])
        for name in ("column", "row", "feature", "cut", "wide")
    )

    def is_left(ordinals: Any) -> Any:
        seen = table.features(table.made(row, column, number(np, ordinals, table.kind)))
        value = seen[np.arange(len(row)), feature]
        return np.where(wide, value, value.astype(np.float32)) <= cut

    ranges = [value_range(np, table.numbers[:, index]) for index in range(len(table.columns))]
    low = ordinal(np, np.array([ranges[index][0] for index in column], table.kind))
    high = ordinal(np, np.array([ranges[index][1] for index in column], table.kind))
    at_low = is_left(low)
    crossed = at_low != is_left(high)
    while (low + 1 < high).any():
        middle = between(low, high)
        same = is_left(middle) == at_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.where(crossed, number(np, low, table.kind), table.kind(np.nan))


def _sure(np: Any, trees: list[Tree], seen: Any, slopes: Any) -> Any:
    """Which rows no rounding before the trees can send another way, at any split they meet."""
    eps = np.finfo(np.float32).eps
    slack = _ROUNDINGS * eps * (np.abs(seen.astype(np.float64)) + slopes)
    sure = np.ones(len(seen), bool)
    each = np.arange(len(seen))
    for tree in trees:
        inner, cuts, compared = tree.left >= 0, largest_left(tree), _compared(np, tree, seen)
        node = np.zeros(len(seen), int)
        while inner[node].any():
            met, feature = inner[node], tree.feature[node]
            near = np.abs(compared[each, feature] - cuts[node]) <= slack[each, feature]
            sure &= ~(met & near)
            node = np.where(met, _next(np, tree, cuts, node, compared), node)
    return sure
