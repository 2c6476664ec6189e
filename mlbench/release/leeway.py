"""What repeats of runs tell of a metric: its mean over equal runs, and how far chance moves it."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from mlbench.domain.comparison import Noise, Repeats
from mlbench.domain.expression import (
    ExpressionError,
    Facts,
    MissingFactError,
    evaluate,
    is_number,
    names_in,
)
from mlbench.domain.judgement import Leeway
from mlbench.domain.records import dataclass

METRICS = "metrics"
LIVE_ROOTS = ("production", "staging", "baseline")


@dataclass(frozen=True, slots=True)
class Scatter:
    """The noise of each metric, and its repeats under the root of the run that has them.

    Of a metric whose fact is not the run's own, since it was measured again, repeats tell nothing.
    """

    noise: Mapping[str, Noise] = field(default_factory=dict)
    repeats: Mapping[str, Mapping[str, Repeats]] = field(default_factory=dict)

    def means(self, facts: Facts) -> Facts:
        """The facts with the mean over equal runs in place of what one of them gave."""
        return {
            root: {name: self._mean(root, name, value) for name, value in known.items()}
            if root in self.repeats
            else known
            for root, known in facts.items()
        }

    def leeway(self, facts: Facts) -> Leeway:
        """How far apart chance alone puts the sides of a comparison of a run with what is live.

        That is so where both sides together name one metric of the run and of what is live:
        t · √(Σ (∂difference/∂metric · s)² / n), over these names, each the mean of n runs; t is
        Student's for 95%, two-sided, with the degrees of freedom of the pooled deviation s. For
        `accuracy >= production.accuracy` and single runs it is Noise.least_change.
        """
        means = self.means(facts)

        def width(left: ast.expr, right: ast.expr) -> float | None:
            shared = self._shared(ast.BoolOp(ast.And(), [left, right]), facts)
            if not shared:
                return None
            try:
                moved = [self._moved(left, right, means, root, name) for root, name in shared]
            except (ExpressionError, MissingFactError, ArithmeticError):
                return None
            of_live = [m for (root, _), m in zip(shared, moved, strict=True) if root != METRICS]
            if any(moved) and not any(of_live):
                # As of max(0.9, production.accuracy): here it is the number that decides.
                return None
            squares = [
                self.noise[name].quantile ** 2 * move**2 / self._count(root, name, facts)
                for (root, name), move in zip(shared, moved, strict=True)
            ]
            whole = math.sqrt(math.fsum(squares))
            return whole if math.isfinite(whole) else None

        return width

    def phrase(self, width: float | None, tree: ast.expr, facts: Facts) -> str:
        """A width in words, with the repeats that it rests on."""
        degrees = min(
            (self.noise[name].degrees for _, name in self._shared(tree, facts)), default=0
        )
        return f"±{width or 0.0:.4g} of {degrees} {'repeat' if degrees == 1 else 'repeats'}"

    def remarks(self, tree: ast.expr, facts: Facts) -> tuple[str, ...]:
        """Of which metrics in an expression the mean counted, in words."""
        return tuple(
            f"{name if root == METRICS else f'{root}.{name}'} is the mean of {one.count} equal "
            f"runs, {one.value:.4g} in {'this' if root == METRICS else 'that'} one"
            for root, name in metrics_in(tree, facts)
            if (one := self._repeats(root, name, facts[root][name])) is not None
        )

    def _shared(self, tree: ast.expr, facts: Facts) -> list[tuple[str, str]]:
        """Where an expression names a metric of the run as well as of what is live."""
        found = list(metrics_in(tree, facts))
        own = {name for root, name in found if root == METRICS}
        live = {name for root, name in found if root != METRICS}
        return [pair for pair in found if pair[1] in own & live & self.noise.keys()]

    def _moved(self, left: ast.expr, right: ast.expr, facts: Facts, root: str, name: str) -> float:
        """How far the difference moves with a metric that moves by its deviation."""
        step = self.noise[name].deviation
        ends = []
        for moved in (facts[root][name] - step, facts[root][name] + step):
            changed = {**facts, root: {**facts[root], name: moved}}
            ends.append(evaluate(left, changed) - evaluate(right, changed))
        return float(ends[1] - ends[0]) / 2

    def _mean(self, root: str, name: str, value: Any) -> Any:
        one = self._repeats(root, name, value)
        return value if one is None else one.mean

    def _count(self, root: str, name: str, facts: Facts) -> int:
        one = self._repeats(root, name, facts[root][name])
        return 1 if one is None else one.count

    def _repeats(self, root: str, name: str, value: Any) -> Repeats | None:
        one = self.repeats.get(root, {}).get(name)
        return one if one is not None and one.count > 1 and one.value == value else None


def metrics_in(tree: ast.expr, facts: Facts) -> Iterator[tuple[str, str]]:
    """Root and name of every metric that an expression names, and that is a number."""
    for dotted in sorted(names_in(tree)):
        root, _, rest = dotted.partition(".")
        if root not in (METRICS, *LIVE_ROOTS) or not rest:
            root, rest = METRICS, dotted
        if is_number(facts.get(root, {}).get(rest)):
            yield root, rest
