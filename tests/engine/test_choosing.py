"""What of the cache goes, as a law over any objects and needs."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from mlbench.engine.collecting import choose
from mlbench.system.content import GRACE_SECONDS, Stored

NOW = time.time()
IN_USE_SINCE = NOW - GRACE_SECONDS
objects = st.lists(
    st.builds(
        Stored,
        digest=st.integers(0, 30).map(lambda number: f"{number:04x}"),
        size=st.integers(0, 100),
        used=st.floats(0, GRACE_SECONDS * 3).map(lambda ago: NOW - ago),
    ),
    unique_by=lambda item: item.digest,
)
needs = st.dictionaries(st.integers(0, 30).map(lambda n: f"{n:04x}"), st.sampled_from("ab"))


@given(items=objects, needed=needs, limit=st.integers(0, 1000))
def test_no_more_goes_than_must_and_the_oldest_first(
    items: list[Stored], needed: dict[str, str], limit: int
) -> None:
    choice = choose(items, needed, limit, IN_USE_SINCE)
    stays = [item for item in items if item not in choice.removed]
    left = sum(item.size for item in stays)
    free = [item for item in items if item.digest not in needed and item.used <= IN_USE_SINCE]
    assert set(choice.removed) <= set(free)
    assert left <= limit or set(choice.removed) == set(free)
    # Without the last of them it would still be over.
    assert not choice.removed or left + choice.removed[-1].size > limit
    spared = [item.used for item in free if item not in choice.removed]
    assert not spared or all(item.used <= min(spared) for item in choice.removed)
    assert sum(choice.kept.values()) == sum(item.size for item in items if item not in free)
