"""Where the values of parameters and metrics stand between the ends of an axis: pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mlbench.domain.phrases import number
from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import Dimension, Range, Trial


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers from `low` to `high`, or categories side by side where there are any."""

    name: str
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    categories: tuple[Any, ...] = ()

    def place(self, value: Any) -> float | None:
        """Where a value stands, 0 at `low` or the first category, 1 at the other end.

        None for what does not stand on this axis. Where there is one place alone it is 0.5.
        """
        if self.categories:
            keys = [_key(each) for each in self.categories]
            key = _key(value)
            return _share(keys.index(key), 0, len(keys) - 1) if key in keys else None
        if not is_number(value) or (self.is_log and value <= 0):
            return None
        share = _share(self._scaled(value), self._scaled(self.low), self._scaled(self.high))
        return share if 0.0 <= share <= 1.0 else None

    def at(self, place: float) -> Any:
        """The number at a place between 0 and 1, or the category nearest to it."""
        if self.categories:
            return self.categories[round(place * (len(self.categories) - 1))]
        low, high = self._scaled(self.low), self._scaled(self.high)
        scaled = low * (1 - place) + high * place
        value = math.exp(scaled) if self.is_log else scaled
        return min(self.high, max(self.low, value))

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.is_log else float(value)


def axis_of(dimension: Dimension, trials: Iterable[Trial]) -> Axis:
    """A dimension's axis over its whole range, and over what trials by hand have beyond it."""
    name = dimension.name
    seen = [trial.params[name] for trial in trials if name in trial.params]
    if dimension.range is not None and all(map(is_number, seen)):
        return _of_range(name, dimension.range, seen)
    choices = {_key(value): value for value in (*dimension.choices, *seen)}
    return Axis(name, categories=tuple(choices.values()))


def axis_over(name: str, values: Sequence[float]) -> Axis:
    """The axis of a metric over what was seen of it; from 0 to 1 where nothing was."""
    finite = list(filter(math.isfinite, values))
    return Axis(name, min(finite), max(finite)) if finite else Axis(name)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each dotted name, perhaps after a file, by its last part, where no other ends with that."""
    ends = {name: name.rpartition(":")[2].rpartition(".")[2] for name in names}
    found = Counter(ends.values())
    return {name: end if found[end] == 1 else name for name, end in ends.items()}


def value_text(value: Any) -> str:
    """A parameter's value as people read it: `0.0012`, `adam`, `true`, `[64, 64]`."""
    if isinstance(value, str):
        return value
    if is_number(value):
        return number(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def is_number(value: Any) -> bool:
    """Whether it is a finite number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _of_range(name: str, among: Range, seen: Sequence[float]) -> Axis:
    low, high = min([among.low, *seen]), max([among.high, *seen])
    return Axis(name, low, high, is_log=among.log and low > 0)


def _share(value: float, low: float, high: float) -> float:
    # Halved first: the difference of two finite floats may overflow.
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span > 0 else 0.5


def _key(value: Any) -> str:
    """Tells values apart as JSON does: 1 is not true, and not "1"."""
    return json.dumps(value, sort_keys=True, default=str)
