"""Models of trees, whoever grew them.

A framework's file reads its trees into a `Forest`; from there thresholds, missing values and sums
are the same for all. Where the rows are float32, each threshold becomes the float32 that sends
every float32 value the same way as the original's float64 one does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from refusal import require

_NUMBERS = ("nodes_values", "target_weights", "base_values")


class Tree(NamedTuple):
    """A tree of n nodes, the root first, as arrays of n; `left` is -1 at a leaf.

    A value goes left where it is <= `threshold` (float64), or < it in a `strict` tree; a missing
    one where `missing_left`. `values` (n x len(targets)) are what its leaves add to `targets`.
    A `wide` tree compares float64; others cast their rows to float32 before.
    """

    feature: Any
    threshold: Any
    left: Any
    right: Any
    missing_left: Any
    values: Any
    targets: tuple[int, ...]
    strict: bool = False
    wide: bool = False


class Forest(NamedTuple):
    """Trees whose leaves are summed onto `base` (k floats), and what becomes of the sums.

    `link` is identity, exp, logistic (of `slope` times the sum; a single sum gives two classes),
    each (logistic, every sum for itself) or softmax.
    """

    trees: list[Tree]
    base: list[float]
    link: str = "identity"
    slope: float = 1.0


def narrowed(forest: Forest) -> Forest:
    """A forest for rows of float32: what they are compared with may be float32 too."""
    return forest._replace(trees=[tree._replace(wide=False) for tree in forest.trees])


def is_wide(forest: Forest) -> bool:
    """Whether a forest compares float64; its trees are alike, for one library grew them."""
    return any(tree.wide for tree in forest.trees)


def largest_left(tree: Tree) -> Any:
    """The largest number that goes left at each node: of float64 in a wide tree, else float32."""
    np = require("numpy")
    cut = exact_threshold(tree)
    return np.nextafter(cut, cut.dtype.type(-np.inf)) if tree.strict else cut


def exact_threshold(tree: Tree) -> Any:
    """The float32 thresholds that send each float32 value as the float64 ones do.

    The largest float32 <= t does so for `<=`, the smallest float32 >= t for `<`. A wide tree has
    its own, float64.
    """
    np = require("numpy")
    if tree.wide:
        return tree.threshold.astype(np.float64)
    with np.errstate(over="ignore"):
        near = tree.threshold.astype(np.float32)
    wide = near.astype(np.float64)
    off = wide < tree.threshold if tree.strict else wide > tree.threshold
    away = np.float32(np.inf if tree.strict else -np.inf)
    return np.where(off, np.nextafter(near, away), near)


def ensemble(forest: Forest) -> dict[str, Any]:
    """The attributes of the TreeEnsembleRegressor that sums a forest's leaves.

    A wide forest's numbers are tensors of float64, which only version 3 of the operator has.
    """
    np = require("numpy")
    columns: dict[str, list[Any]] = {}

    def add(**arrays: Any) -> None:
        for name, array in arrays.items():
            columns.setdefault(name, []).append(np.asarray(array))

    for number, tree in enumerate(forest.trees):
        leaf = tree.left < 0
        leaves, width = np.flatnonzero(leaf), len(tree.targets)
        modes = np.where(leaf, "LEAF", "BRANCH_LT" if tree.strict else "BRANCH_LEQ")
        add(
            nodes_treeids=np.full(len(leaf), number),
            nodes_nodeids=np.arange(len(leaf)),
            nodes_featureids=np.where(leaf, 0, tree.feature),
            nodes_modes=modes,
            nodes_values=np.where(leaf, 0, exact_threshold(tree)),
            nodes_truenodeids=np.where(leaf, 0, tree.left),
            nodes_falsenodeids=np.where(leaf, 0, tree.right),
            nodes_missing_value_tracks_true=np.where(leaf, 0, tree.missing_left).astype(int),
            target_treeids=np.full(len(leaves) * width, number),
            target_nodeids=np.repeat(leaves, width),
            target_ids=np.tile(tree.targets, len(leaves)),
            target_weights=tree.values[leaves].ravel(),
        )
    if any(forest.base):
        add(base_values=forest.base)
    attributes = {name: np.concatenate(parts) for name, parts in columns.items()}
    numbers = {name: attributes.pop(name) for name in _NUMBERS if name in attributes}
    return {
        **{name: array.tolist() for name, array in attributes.items()},
        **(_tensors(numbers) if is_wide(forest) else _floats(np, numbers)),
        "n_targets": len(forest.base),
    }


def _floats(np: Any, numbers: dict[str, Any]) -> dict[str, Any]:
    """Attributes as lists of float32."""
    return {name: array.astype(np.float32).tolist() for name, array in numbers.items()}


def _tensors(numbers: dict[str, Any]) -> dict[str, Any]:
    """The same as tensors of float64."""
    onnx = require("onnx")
    return {
        f"{name}_as_tensor": onnx.helper.make_tensor(
            name, onnx.TensorProto.DOUBLE, [len(array)], array.astype("float64").tolist()
        )
        for name, array in numbers.items()
    }
