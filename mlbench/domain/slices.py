"""The functions of gates that compare slices of a model's predictions: how they are written.

worst(accuracy, "region") >= 0.9           the slice that has it worst
gap(recall, "sex", "age") < 0.05           the largest less the smallest, over intersections
ratio(selection_rate, "sex") >= 0.8        the smallest over the largest
drop(accuracy, "region") < 0.01            what the slice that loses most lost to production
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping

from mlbench.domain.errors import nearest
from mlbench.domain.expression import ExpressionError, is_slice_call, parse, slices_name
from mlbench.domain.records import dataclass

WORST, GAP, RATIO, DROP = "worst", "gap", "ratio", "drop"
# Each metric that slices can be compared by: whether more of it is better, worse, or neither.
DIRECTIONS: Mapping[str, int] = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "precision", "recall", "f1"), 1),
    **dict.fromkeys(("true_positive_rate", "true_negative_rate", "roc_auc", "r2"), 1),
    **dict.fromkeys(("false_positive_rate", "false_negative_rate", "log_loss"), -1),
    **dict.fromkeys(("mae", "mse", "rmse", "mape", "max_error"), -1),
    **dict.fromkeys(("selection_rate", "mean_prediction"), 0),
}


@dataclass(frozen=True, slots=True)
class SliceCall:
    """One call as written; `name` is the dotted name of its value among the facts.

    Slices are the intersections of `columns`; with `within` they are compared only among those
    that agree in that column. `positive` is the class that counts, where one was named.
    """

    name: str
    function: str
    metric: str
    columns: tuple[str, ...]
    within: str | None = None
    positive: str | None = None

    @property
    def direction(self) -> int:
        """1 where more of the metric is better, -1 where it is worse, 0 where it is neither."""
        return DIRECTIONS[self.metric]


@functools.lru_cache(maxsize=512)
def parse_gate(text: str) -> ast.expr:
    """A gate's syntax tree; ExpressionError where it is none, or names no metric over slices.

    It is asked for again and again, and kept: nobody may change the tree.
    """
    tree = parse(text, slices=True)
    slice_calls(tree)
    return tree


def slice_calls(tree: ast.expr) -> tuple[SliceCall, ...]:
    """Every call over slices in an expression; ExpressionError where its arguments are wrong."""
    return tuple(_read(node) for node in ast.walk(tree) if is_slice_call(node))


def label_text(value: object) -> str:
    """A class as text, so that 1, 1.0 and "1" are the same."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _read(node: ast.Call) -> SliceCall:
    shown, function = ast.unparse(node), node.func.id if isinstance(node.func, ast.Name) else ""
    columns = [_text(item) for item in node.args[1:]]
    if not columns or None in columns or not isinstance(node.args[0], ast.Name):
        raise ExpressionError(
            f'{shown}: write a metric and columns of predictions: {function}(accuracy, "region")'
        )
    metric = node.args[0].id
    if metric not in DIRECTIONS:
        raise ExpressionError(
            f"{shown}: slices have no metric {metric}{nearest(metric, DIRECTIONS)}; "
            f"they have {', '.join(DIRECTIONS)}"
        )
    if function in (WORST, DROP) and not DIRECTIONS[metric]:
        raise ExpressionError(
            f"{shown}: neither more nor less {metric} is better; gap(…) or ratio(…) compare it"
        )
    within, positive = _options(node, shown)
    names = tuple(column for column in columns if column is not None)
    return SliceCall(slices_name(node), function, metric, names, within, positive)


def _options(node: ast.Call, shown: str) -> tuple[str | None, str | None]:
    """What `within` and `positive` say."""
    within: str | None = None
    positive: str | None = None
    for option in node.keywords:
        if option.arg == "within":
            within = _text(option.value)
            if within is None:
                raise ExpressionError(f'{shown}: within is a column of predictions: within="age"')
        elif option.arg == "positive" and isinstance(option.value, ast.Constant):
            positive = label_text(option.value.value)
        else:
            raise ExpressionError(f'{shown}: its options are within="column" and positive="class"')
    return within, positive


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
