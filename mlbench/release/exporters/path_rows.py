"""Rows that reach each split of a forest, with the values around its threshold.

Two go left and two go right, so that a graph whose threshold is off by one step changes its answer
between two rows where the original does not, however little that is. Values are float32, or, for
trees that compare float64 and a graph that takes it, float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from framework import Probe, Rows
from matrices import one_matrix
from refusal import require
from trees import Forest, Tree, largest_left, narrowed

MOST_ROWS = 200_000
MOST_VALUES = 16_000_000
"""64 MB of float32, twice that of float64."""

_VALUES = 4  # around each threshold
_STARTS = 8
_LEAVES = 64  # on each side of a split, to look for two that differ
_TELLING = 0.5  # of a tree's range of values: as different as two branches need be


Path = dict[int, tuple[float, float]]
"""What a path through a tree asks of a row: feature -> (above, at most)."""


class Split(NamedTuple):
    """One split: its tree, its node, and what its path asks."""

    tree: int
    node: int
    path: Path


class Walk(NamedTuple):
    """A tree as lists, walked ten times as fast as arrays; `kind` is the type that it compares."""

    feature: list[int]
    cut: list[float]
    left: list[int]
    right: list[int]
    missing_left: list[bool]
    values: list[list[float]]
    spread: float
    kind: Any


def around(forest: Forest, rows: Rows) -> Probe:
    """The rows around every split of a forest that takes the held-out rows as they are."""
    np = require("numpy")
    # float32 to start from, also in float64: a tree that casts to it then sees what is there.
    table = one_matrix(rows.X)["input"].astype(np.float64 if rows.double else np.float32)
    starts = table[np.linspace(0, len(table) - 1, min(_STARTS, len(table))).astype(int)]
    grown = forest if rows.double else narrowed(forest)
    walks = [_walk(tree) for tree in grown.trees]
    found = [split for number, walk in enumerate(walks) for split in splits(number, walk)]
    if not found:
        return Probe(None, "the trees have no splits")
    limit = max(1, min(MOST_ROWS, MOST_VALUES // table.shape[1]) // _VALUES)
    chosen, why = sample(found, limit)
    made = np.empty((len(chosen) * _VALUES, table.shape[1]), table.dtype)
    count = 0
    for index, split in enumerate(chosen):
        walk = walks[split.tree]
        row = _telling_row(
            np, walk, split, [*starts[index % len(starts) :], *starts[: index % len(starts)]]
        )
        for value in steps(np, walk, split):
            made[count] = row
            made[count, walk.feature[split.node]] = value
            count += 1
    return Probe(made[:count], why)


def sample(found: list[Split], limit: int) -> tuple[list[Split], str]:
    """At most `limit` splits, evenly spread over the trees, and what that leaves out."""
    if len(found) <= limit:
        return found, ""
    chosen = [found[index * len(found) // limit] for index in range(limit)]
    return chosen, f"{limit} of {len(found)} splits, evenly spread"


def _walk(tree: Tree) -> Walk:
    """A tree as lists."""
    np = require("numpy")
    leaves, cuts = tree.values[tree.left < 0], largest_left(tree)
    return Walk(
        tree.feature.tolist(),
        cuts.astype(np.float64).tolist(),
        tree.left.tolist(),
        tree.right.tolist(),
        tree.missing_left.astype(bool).tolist(),
        tree.values.tolist(),
        float(np.ptp(leaves, axis=0).max()) if len(leaves) else 0.0,
        cuts.dtype.type,
    )


def splits(number: int, walk: Walk) -> list[Split]:
    """A tree's splits that some row of numbers reaches, each with what its path asks."""
    found = []
    infinite = float("inf")
    waiting: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        if walk.left[node] < 0:
            continue
        feature, cut = walk.feature[node], walk.cut[node]
        above, most = path.get(feature, (-infinite, infinite))
        if above < cut < most:
            found.append(Split(number, node, path))
        if cut > above:
            waiting.append((walk.left[node], {**path, feature: (above, min(most, cut))}))
        if cut < most and cut != infinite:
            waiting.append((walk.right[node], {**path, feature: (max(above, cut), most)}))
    return found


def steps(np: Any, walk: Walk, split: Split) -> list[Any]:
    """The two values on each side of a split's threshold, as far as its path allows."""
    above, most = split.path.get(walk.feature[split.node], (-np.inf, np.inf))
    cut, least, largest = (walk.kind(value) for value in (walk.cut[split.node], -np.inf, np.inf))
    after = np.nextafter(cut, largest)
    near = [np.nextafter(cut, least), cut, after, np.nextafter(after, largest)]
    return [value for value in near if above < value <= most and np.isfinite(value)]


def _telling_row(np: Any, walk: Walk, split: Split, starts: Any) -> Any:
    """A row that reaches a split, of those tried the one whose two branches differ most."""
    best, widest = None, -1.0
    feature, cut = walk.feature[split.node], walk.cut[split.node]
    for start in starts:
        row = _onto_path(np, walk, start, split)
        values = row.tolist()
        values[feature] = cut
        left = walk.values[_leaf(walk, walk.left[split.node], values)]
        values[feature] = float(np.nextafter(walk.kind(cut), walk.kind(np.inf)))
        right = walk.values[_leaf(walk, walk.right[split.node], values)]
        apart = max(abs(one - other) for one, other in zip(left, right))  # noqa: B905 (3.9)
        if apart > widest:
            best, widest = row, apart
        if apart >= _TELLING * walk.spread:
            break
    if widest <= 0.0:
        made = _between_leaves(np, walk, split, starts[0])
        best = best if made is None else made
    return best


def _between_leaves(np: Any, walk: Walk, split: Split, start: Any) -> Any:
    """A row that falls into leaves that differ on both sides of a split; None where none does."""
    feature, cut = walk.feature[split.node], walk.cut[split.node]
    above, most = split.path.get(feature, (-np.inf, np.inf))
    lower = {**split.path, feature: (above, cut)}
    upper = {**split.path, feature: (cut, most)}
    right = leaves(walk, walk.right[split.node], upper)
    for one, path in leaves(walk, walk.left[split.node], lower):
        if path[feature][1] < cut:
            continue
        for other, beside in right:
            if beside[feature][0] > cut or walk.values[one] == walk.values[other]:
                continue
            both = _both({**path, feature: (above, most)}, {**beside, feature: (above, most)})
            if both is not None:
                return _onto_path(np, walk, start, split._replace(path=both))
    return None


def leaves(walk: Walk, node: int, path: Path) -> list[tuple[int, Path]]:
    """The first leaves below a node that some row reaches, each with what its path asks."""
    found: list[tuple[int, Path]] = []
    waiting = [(node, path)]
    while waiting and len(found) < _LEAVES:
        node, path = waiting.pop()
        if walk.left[node] < 0:
            found.append((node, path))
            continue
        feature, cut = walk.feature[node], walk.cut[node]
        above, most = path.get(feature, (-float("inf"), float("inf")))
        if cut > above:
            waiting.append((walk.left[node], {**path, feature: (above, min(most, cut))}))
        if cut < most:
            waiting.append((walk.right[node], {**path, feature: (max(above, cut), most)}))
    return found


def _both(one: Path, other: Path) -> Path | None:
    """What two paths ask together; None where no row can do both."""
    both = dict(one)
    for feature, (above, most) in other.items():
        least, largest = one.get(feature, (above, most))
        both[feature] = (max(above, least), min(most, largest))
        if both[feature][0] >= both[feature][1]:
            return None
    return both


def _onto_path(np: Any, walk: Walk, start: Any, split: Split) -> Any:
    """A held-out row, changed only where the path to a split asks for it."""
    row = start.copy()
    for feature, (above, most) in split.path.items():
        if above < row[feature] <= most:
            continue
        if np.isfinite(most):
            middle = walk.kind((above + most) / 2) if np.isfinite(above) else walk.kind(most)
            row[feature] = middle if above < middle <= most else walk.kind(most)
        else:
            row[feature] = np.nextafter(walk.kind(above), walk.kind(np.inf))
    return row


def _leaf(walk: Walk, node: int, values: list[float]) -> int:
    """The leaf below `node` that a row falls into."""
    while walk.left[node] >= 0:
        value = values[walk.feature[node]]
        left = walk.missing_left[node] if value != value else value <= walk.cut[node]  # noqa: PLR0124 (NaN)
        node = walk.left[node] if left else walk.right[node]
    return node
