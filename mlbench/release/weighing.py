"""How slices compare: what a gate's call over them is worth, and which of them make it so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlbench.domain.records import dataclass
from mlbench.domain.slices import DROP, RATIO, WORST, SliceCall
from mlbench.release.slices import Predictions, Slice, SliceError, classes_of, measure


class NotComparableError(SliceError):
    """There are no slices, large enough, that could be compared: such a gate does not apply."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a call over slices is worth, and the slices that make it so, in words."""

    value: float
    why: str


def weigh(call: SliceCall, own: Predictions, live: Predictions | None, min_rows: int) -> Weighed:
    """What a call is worth on a model's predictions; `live` are those it is compared with.

    SliceError where the table does not have what it takes; NotComparableError where that of what is
    live does not, and where all slices, or all but one of those that are to be compared, have fewer
    than `min_rows` rows.
    """
    classes = classes_of(call, own, live)
    found = measure(own, call, classes)
    large = [one for one in found if one.rows >= min_rows]
    defined = [one for one in large if not math.isnan(one.value)]
    if not large:
        most = max(found, key=lambda one: one.rows)
        raise NotComparableError(
            f"every slice by {_by(call)} has fewer than {min_rows} rows; "
            f"{_where(call, most)} has most, {most.rows}"
        )
    if not defined:
        raise SliceError(f"{call.metric} is undefined in every slice by {_by(call)}")
    if call.function == DROP and live is not None:
        weighed = _drop(call, defined, _before(call, live, classes, min_rows), min_rows)
    else:
        weighed = _worst(call, defined) if call.function == WORST else _between(call, defined)
    return Weighed(weighed.value, weighed.why + _left_out(call, found, large, defined, min_rows))


def _worst(call: SliceCall, found: Sequence[Slice]) -> Weighed:
    one = min(found, key=lambda one: call.direction * one.value)
    why = f"{call.metric} is worst at {_where(call, one)}: {one.value:.4g} of {one.rows} rows"
    return Weighed(one.value, why)


def _between(call: SliceCall, found: Sequence[Slice]) -> Weighed:
    """The gap or ratio of the two slices that lie farthest apart, among those to be compared."""
    levels: dict[str, list[Slice]] = {}
    for one in found:
        levels.setdefault(one.key[0] if call.within else "", []).append(one)
    pairs = [
        (min(level, key=lambda one: one.value), max(level, key=lambda one: one.value))
        for level in levels.values()
        if len(level) > 1
    ]
    if not pairs:
        raise NotComparableError(
            f"{_where(call, found[0])} has nothing to be compared with: no other slice is large "
            f"enough and has a {call.metric}"
        )
    least = min((low for low, _ in pairs), key=lambda one: one.value)
    if call.function == RATIO and least.value < 0:
        raise SliceError(
            f"{call.metric} is {least.value:.4g} at {_where(call, least)}, and a ratio of what is "
            "below 0 says nothing; gap(…) compares it"
        )
    value_of = _ratio if call.function == RATIO else _gap
    choose = min if call.function == RATIO else max
    low, high = choose(pairs, key=lambda pair: value_of(*pair))
    shown = (f"{one.value:.4g} at {_where(call, one)} ({one.rows} rows)" for one in (low, high))
    return Weighed(value_of(low, high), f"{call.metric} goes from {' to '.join(shown)}")


def _gap(low: Slice, high: Slice) -> float:
    return high.value - low.value


def _ratio(low: Slice, high: Slice) -> float:
    """The smaller over the larger; of values that are all 0 it is 1, for none is less."""
    return low.value / high.value if high.value else 1.0


def _before(
    call: SliceCall, live: Predictions, classes: tuple[str, ...], min_rows: int
) -> dict[tuple[str, ...], Slice]:
    """The slices of what is live, whose table may be older than the gate."""
    try:
        found = measure(live, call, classes)
    except SliceError as error:
        raise NotComparableError(f"in production {error}") from None
    return {one.key: one for one in found if one.rows >= min_rows}


def _drop(
    call: SliceCall, found: Sequence[Slice], before: Mapping[tuple[str, ...], Slice], min_rows: int
) -> Weighed:
    """What the slice that loses most loses; less than 0 where every slice gains."""
    pairs = [
        (one, before[one.key])
        for one in found
        if one.key in before and not math.isnan(before[one.key].value)
    ]
    if not pairs:
        raise NotComparableError(
            f"no slice by {_by(call)} has {min_rows} rows in production's predictions, too"
        )
    losses = [(call.direction * (old.value - one.value), one, old) for one, old in pairs]
    loss, one, old = max(losses, key=lambda item: item[0])
    verb = "loses most" if loss > 0 else "gains least"
    why = (
        f"{_where(call, one)} {verb}: {call.metric} {old.value:.4g} in production, "
        f"{one.value:.4g} here, of {one.rows} rows"
    )
    return Weighed(loss, why)


def _left_out(
    call: SliceCall,
    found: Sequence[Slice],
    large: Sequence[Slice],
    defined: Sequence[Slice],
    min_rows: int,
) -> str:
    """What was passed over, in words."""
    small, undefined = len(found) - len(large), len(large) - len(defined)
    parts = [f"; {small} of {len(found)} slices have fewer than {min_rows} rows"] if small else []
    if undefined:
        parts.append(f"; in {undefined} of {len(found)} {call.metric} is undefined")
    return "".join(parts)


def _by(call: SliceCall) -> str:
    columns = " and ".join(call.columns)
    return f"{columns} within {call.within}" if call.within else columns


def _where(call: SliceCall, one: Slice) -> str:
    """The slice in words, as region=north."""
    columns = (*((call.within,) if call.within else ()), *call.columns)
    return ", ".join(f"{name}={value}" for name, value in zip(columns, one.key, strict=True))
