"""How far two versions' predictions lie apart, and how far they may by chance: pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from mlbench.domain.records import dataclass
from mlbench.serving.traffic.bounds import chi_square_quantile, normal_quantile

_BINS = 10
# Below this many in a bin, chi-square's approximation fails (Cochran, Some methods for
# strengthening the common chi-square tests, Biometrics 10, 1954).
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Shift:
    """The population stability index, and what it stays under by chance where nothing shifted.

    `beyond` is the index less what chance alone makes it on average, which is much where few rows
    were seen; `least` is what it lies over surely.
    """

    index: float
    chance: float
    beyond: float = 0.0
    least: float = 0.0


def shift_of(
    live: Sequence[float],
    other: Sequence[float],
    alarm: float,
    classes: tuple[Sequence[str], Sequence[str]] = ((), ()),
    clusters: tuple[float, float] = (1.0, 1.0),
) -> Shift:
    """Compare predictions of two versions, each with one at least.

    Where both have `classes`, predictions are places among them and counted by class; else they are
    numbers, in bins of a tenth of the live version's each. `alarm` is the probability with which
    the index exceeds `chance` where both come from one distribution, and `least` the true index
    where they don't. `clusters` are how many rows
    each had a request: such rows may all be alike, and then tell no more than one. Sources: Kish,
    Survey Sampling (1965), for that, and Yurdakul and Naranjo, Statistical properties of the
    population stability index, Journal of Risk Model Validation 14 (2020), for the distribution.
    """
    if classes[0] and classes[1]:
        counts = _by_class(live, classes[0]), _by_class(other, classes[1])
    else:
        cuts = _cuts(live)
        counts = _by_bin(live, cuts), _by_bin(other, cuts)
    sizes = len(live) / max(clusters[0], 1.0), len(other) / max(clusters[1], 1.0)
    pairs = _merged(*counts, len(other) / len(live), sizes[1] / len(other))
    degrees = len(pairs) - 1
    if not degrees:
        return Shift(0.0, 0.0)
    chance = chi_square_quantile(1 - alarm, degrees) * (1 / sizes[0] + 1 / sizes[1])
    return _shift(pairs, sizes, alarm, chance)


def _by_class(places: Sequence[float], classes: Sequence[str]) -> Mapping[object, int]:
    """How often each class was predicted; what is none of them counts as one more."""
    return {
        classes[int(place)] if 0 <= place < len(classes) else None: count
        for place, count in Counter(places).items()
    }


def _by_bin(values: Sequence[float], cuts: Sequence[float]) -> Mapping[object, int]:
    return Counter(bisect_right(cuts, value) for value in values)


def _cuts(values: Sequence[float]) -> list[float]:
    """Where tenths of these values end, halfway to the next larger value.

    Halfway, so that a value that many rows have and the other version's, which is a trifle larger,
    are in one bin.
    """
    ordered = sorted(values)
    cuts = set()
    for part in range(1, _BINS):
        at = ordered[part * len(ordered) // _BINS]
        above = bisect_right(ordered, at)
        if above < len(ordered):
            cuts.add((at + ordered[above]) / 2)
    return sorted(cuts)


def _merged(
    live: Mapping[object, int], other: Mapping[object, int], ratio: float, independent: float
) -> list[tuple[int, int]]:
    """Counts of both by bin, those that hold too few joined into one.

    What a bin would hold of the smaller sample is what both hold, by the samples' sizes.
    """
    few, pairs = (0, 0), []
    smaller = min(ratio, 1.0) / (1 + ratio) * min(independent, 1.0)
    for name in sorted(live.keys() | other.keys(), key=lambda name: (str(type(name)), str(name))):
        pair = (live.get(name, 0), other.get(name, 0))
        if sum(pair) * smaller < _FEWEST:
            few = (few[0] + pair[0], few[1] + pair[1])
        else:
            pairs.append(pair)
    if sum(few) * smaller >= _FEWEST or not pairs:
        pairs.append(few)
    elif sum(few):
        least = min(range(len(pairs)), key=lambda place: sum(pairs[place]))
        pairs[least] = (pairs[least][0] + few[0], pairs[least][1] + few[1])
    return pairs


def _shift(
    pairs: Sequence[tuple[int, int]], sizes: tuple[float, float], alarm: float, chance: float
) -> Shift:
    """The index, and below it what its own spread allows, by the delta method.

    Half a row more in each bin, for an empty one would make it infinite. Chance alone makes it as
    large as the degrees of freedom by the sizes, on average.
    """
    totals = [sum(column) + len(pairs) / 2 for column in zip(*pairs, strict=True)]
    shares = [((a + 0.5) / totals[0], (b + 0.5) / totals[1]) for a, b in pairs]
    index = sum((after - before) * math.log(after / before) for before, after in shares)
    spreads = (
        _spread([(p, -math.log(q / p) + 1 - q / p) for p, q in shares]) / sizes[0],
        _spread([(q, math.log(q / p) + 1 - p / q) for p, q in shares]) / sizes[1],
    )
    by_chance = (len(pairs) - 1) * (1 / sizes[0] + 1 / sizes[1])
    beyond = index - by_chance
    spread = normal_quantile(1 - alarm) * math.sqrt(sum(spreads))
    return Shift(index, chance, max(beyond, 0.0), max(beyond - spread, 0.0))


def _spread(slopes: Sequence[tuple[float, float]]) -> float:
    """The variance of a slope that is seen with these shares."""
    mean = sum(share * slope for share, slope in slopes)
    return sum(share * (slope - mean) ** 2 for share, slope in slopes)
