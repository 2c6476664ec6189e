"""Whether a model runs in the event loop, in a thread, or in batches: pure, from its timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlbench.domain.release import Signature
from mlbench.domain.serving import ServerSettings

# All in milliseconds, measured on two cores. To hand a call to a thread and its answer back takes
# 0.1 to 0.2; so a call that takes less than INLINE is not worth it, and none that takes longer may
# hold up what else the event loop does.
INLINE = 1.0
HAND_OVER = 0.15
# What a request costs beside its model: read, parsed, written, or put into a batch and split off.
AROUND = 0.06
GATHERING = 0.03
# Batches make more work for the machine and for whoever looks for a fault: they must pay.
_WORTH = 1.15
# Larger batches than the smallest within this of the best rate make their requests wait for little.
_NEAR_BEST = 1.1
_NOTHING = 1e-6  # no call takes less


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests for a model are run.

    Requests of up to `inline_rows` rows run at once in the event loop, 0 for none; all others in
    threads, gathered up to `most_rows` rows a call, 1 where nothing is gathered.
    """

    inline_rows: int = 0
    most_rows: int = 1

    @property
    def is_inline(self) -> bool:
        """Whether a request of one row runs in the event loop."""
        return self.inline_rows > 0


def decide(
    timings: Mapping[str, float], signature: Signature, settings: ServerSettings
) -> Batching:
    """How to run a model whose calls take `timings` milliseconds by their rows, as texts.

    A model without timings goes to the threads, one request a call: nothing is known of it.
    """
    calls = sorted((int(rows), taken) for rows, taken in timings.items())
    if not calls:
        return Batching()
    if settings.batching and has_free_rows(signature):
        most_rows = _knee(calls)
        if most_rows > 1:
            return Batching(0, most_rows)
    return Batching(_inline_rows(calls), 1)


def has_free_rows(signature: Signature) -> bool:
    """Whether the first dimension of every input and output may be of any size."""
    tensors = (*signature.inputs, *signature.outputs)
    return bool(tensors) and all(tensor.shape[:1] == (-1,) for tensor in tensors)


def _knee(calls: Sequence[tuple[int, float]]) -> int:
    """The smallest batch near the best rate; 1 where none is enough better than single rows."""
    (least, alone), *batches = calls
    if least != 1 or not batches:
        return 1
    single = AROUND + alone + (HAND_OVER if alone > INLINE else 0.0)
    each = {rows: AROUND + GATHERING + (HAND_OVER + taken) / rows for rows, taken in batches}
    best = min(each.values())
    if single < _WORTH * best:
        return 1
    return min(rows for rows, cost in each.items() if cost <= _NEAR_BEST * best)


def _inline_rows(calls: Sequence[tuple[int, float]]) -> int:
    """The most rows that take no longer than INLINE, by the largest call that was timed."""
    within = 0
    for rows, taken in calls:
        if taken > INLINE:
            return within
        within = rows
    rows, taken = calls[-1]
    return max(rows, int(rows * INLINE / max(taken, _NOTHING)))
