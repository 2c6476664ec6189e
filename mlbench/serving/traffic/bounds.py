"""The few quantiles and confidence bounds that decisions on traffic need: pure, and without SciPy.

A supervisor imports them, which must stay small.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_HALVINGS = 50


def normal_quantile(probability: float) -> float:
    """What a standard normal value stays under with this probability, over 0 and under 1."""
    return _NORMAL.inv_cdf(probability)


def chi_square_quantile(probability: float, degrees: int) -> float:
    """The same for chi-square with so many degrees of freedom, 1 and more.

    Within 2% of the exact one from a probability of 0.9 on, a little less below three degrees.
    Source: Wilson and Hilferty, The distribution of chi-square, PNAS 17 (1931).
    """
    spread = 2 / (9 * degrees)
    root = 1 - spread + normal_quantile(probability) * math.sqrt(spread)
    return degrees * math.pow(root, 3)


def t_quantile(probability: float, degrees: int) -> float:
    """The same for Student's t: within 1% for 0.975 and two degrees of freedom or more.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = normal_quantile(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, start=1))


def share_between(count: float, total: float, alarm: float) -> tuple[float, float]:
    """Between what a share lies of which `count` of `total` were seen.

    Each of the two bounds is wrong with a probability of `alarm` at most, however few were seen:
    bounds by a normal distribution are wrong far more often where it is small. Source: Hoeffding,
    Probability inequalities for sums of bounded random variables, JASA 58 (1963), theorem 1.
    ValueError where nothing was seen.
    """
    if total <= 0:
        raise ValueError("a share needs something that it is a share of")
    seen = min(count / total, 1.0)
    farthest = -math.log(alarm) / total
    return _farthest(seen, 0.0, farthest), _farthest(seen, 1.0, farthest)


def least_increase(
    before: float, total_before: float, after: float, total_after: float, alarm: float
) -> float:
    """How much larger the second share is at least, which is wrong with probability `alarm`.

    Source: Newcombe, Interval estimation for the difference between independent proportions,
    Statistics in Medicine 17 (1998), method 10, with the bounds of `share_between`.
    """
    first, second = before / total_before, after / total_after
    highest = share_between(before, total_before, alarm)[1]
    lowest = share_between(after, total_after, alarm)[0]
    return second - first - math.hypot(second - lowest, highest - first)


def _farthest(seen: float, end: float, divergence: float) -> float:
    """The share farthest from what was seen, towards `end`, that lies no further in divergence."""
    near, far = seen, end
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        if _divergence(seen, middle) <= divergence:
            near = middle
        else:
            far = middle
    return far


def _divergence(seen: float, share: float) -> float:
    """Kullback and Leibler's divergence of two shares."""
    total = 0.0
    for part, whole in ((seen, share), (1 - seen, 1 - share)):
        if part > 0:
            total += part * math.log(part / whole) if whole > 0 else math.inf
    return total
