"""A sweep's space in Optuna's terms: what is suggested, in which order, and how it is told.

Choices that Optuna can't hold, lists and tables, are their JSON text there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlbench.domain.errors import SweepError, nearest
from mlbench.domain.expression import ExpressionError
from mlbench.domain.spaces import contains, described, is_active, is_same, names_in_condition
from mlbench.domain.sweeps import Dimension, Range
from mlbench.sweeps.quiet import optuna

Distribution = optuna.distributions.BaseDistribution


class Space:
    """The dimensions of a sweep, laid over the values of the params files."""

    def __init__(self, dimensions: Sequence[Dimension], base: Mapping[str, Any]) -> None:
        """SweepError where a `when` is no expression, or names what is no parameter before it."""
        self._dimensions = {dimension.name: dimension for dimension in dimensions}
        self._fixed = {name: value for name, value in base.items() if name not in self._dimensions}
        known = set(base)
        for dimension in dimensions:
            _check_condition(dimension, known)
            known.add(dimension.name)

    def suggest(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        """Ask for the value of each dimension that is active, in order; they come decoded.

        SweepError where a `when` can't be reckoned out with these values.
        """
        values: dict[str, Any] = {}
        for name, dimension in self._dimensions.items():
            if self._is_active(dimension, values):
                values[name] = decode(dimension, _suggest(trial, dimension))
        return values

    def missing(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The dimensions that a trial with these values has, and that are not among them."""
        values: dict[str, Any] = {}
        missing = []
        for name, dimension in self._dimensions.items():
            if self._is_active(dimension, values):
                if name in params:
                    values[name] = params[name]
                else:
                    missing.append(name)
        return tuple(missing)

    def distributions(self) -> dict[str, Distribution]:
        """What Optuna draws from, by name."""
        return {name: distribution(one) for name, one in self._dimensions.items()}

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values as Optuna is told them.

        SweepError where one is no parameter of the space, or is outside its dimension.
        """
        return {name: self._encoded(name, value) for name, value in params.items()}

    def decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values as the params files have them; what isn't of this space stays as it is."""
        return {
            name: decode(self._dimensions[name], value) if name in self._dimensions else value
            for name, value in params.items()
        }

    def refuse_change(self, before: Mapping[str, Distribution]) -> None:
        """SweepError where trials under way or done were drawn from what can't be mixed with this.

        Optuna lets a range grow or shrink; choices and kinds have to stay as they are.
        """
        for name, now in self.distributions().items():
            try:
                then = before.get(name, now)
                optuna.distributions.check_distribution_compatibility(then, now)
            except ValueError:
                raise SweepError(
                    f"{name}: this study drew from something else ({_shown(then)}); "
                    "--restart begins a new one"
                ) from None

    def _is_active(self, dimension: Dimension, values: Mapping[str, Any]) -> bool:
        try:
            return is_active(dimension, {**self._fixed, **values})
        except ExpressionError as error:
            raise SweepError(f"{dimension.name}: when: {error}") from None

    def _encoded(self, name: str, value: Any) -> Any:
        dimension = self._dimensions.get(name)
        if dimension is None:
            raise SweepError(
                f"{name} is no parameter of the sweep's space{nearest(name, self._dimensions)}"
            )
        if not contains(dimension, value):
            raise SweepError(f"{name} = {json.dumps(value)} is not in {described(dimension)}")
        return encode(dimension, value)


def distribution(dimension: Dimension) -> Distribution:
    """What Optuna draws a dimension's values from."""
    numbers = dimension.range
    if numbers is None:
        return optuna.distributions.CategoricalDistribution(_encoded_choices(dimension))
    if numbers.is_whole:
        low, high, step = _whole(numbers)
        return optuna.distributions.IntDistribution(low, high, log=numbers.log, step=step)
    return optuna.distributions.FloatDistribution(
        numbers.low, numbers.high, log=numbers.log, step=numbers.step
    )


def encode(dimension: Dimension, value: Any) -> Any:
    """A value of a dimension as Optuna is told it; the reverse of `decode`."""
    if dimension.range is None:
        return as_choice(next(one for one in dimension.choices if is_same(one, value)))
    return int(value) if dimension.range.is_whole else float(value)


def decode(dimension: Dimension, value: Any) -> Any:
    """A value of Optuna's as the params file has it; the reverse of `encode`."""
    if dimension.range is None:
        for choice, encoded in zip(dimension.choices, _encoded_choices(dimension), strict=True):
            if encoded == value:
                return choice
    return value


def as_choice(value: Any) -> Any:
    """A choice as Optuna has it: a list or a table as its JSON text, everything else as it is."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    return value


def _encoded_choices(dimension: Dimension) -> tuple[Any, ...]:
    return tuple(map(as_choice, dimension.choices))


def _suggest(trial: optuna.trial.Trial, dimension: Dimension) -> Any:
    numbers = dimension.range
    if numbers is None:
        return trial.suggest_categorical(dimension.name, _encoded_choices(dimension))
    if numbers.is_whole:
        low, high, step = _whole(numbers)
        return trial.suggest_int(dimension.name, low, high, step=step, log=numbers.log)
    return trial.suggest_float(
        dimension.name, numbers.low, numbers.high, step=numbers.step, log=numbers.log
    )


def _whole(numbers: Range) -> tuple[int, int, int]:
    return int(numbers.low), int(numbers.high), int(numbers.step or 1)


def _check_condition(dimension: Dimension, known: set[str]) -> None:
    try:
        names = names_in_condition(dimension.when)
    except ExpressionError as error:
        raise SweepError(f"{dimension.name}: when: {error}") from None
    for name in sorted(names):
        if name not in known:
            raise SweepError(
                f"{dimension.name}: when: {name} is neither a parameter of the space before it "
                f"nor one of the params file{nearest(name, known)}"
            )


def _shown(drawn: Distribution) -> str:
    if isinstance(drawn, optuna.distributions.CategoricalDistribution):
        return ", ".join(map(str, drawn.choices))
    return "whole numbers" if isinstance(drawn, optuna.distributions.IntDistribution) else "numbers"
