"""Bodies of all kinds, bent in every way: refused with a sentence, or read as models take them."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.fuzz.bodies import MIXED, RAW, check, dictionary, seeds

SEEDS = list(seeds())
WORDS = list(dictionary())
ROUNDS = 20


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_fuzzer_starts_from_is_valid(seed: bytes) -> None:
    assert check(seed) is not None


@settings(max_examples=400)
@given(st.data())
def test_bent_bodies_are_refused_or_read(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 12)))
        inserted = data.draw(st.sampled_from(WORDS) | st.binary(max_size=4))
        body = body[:start] + inserted + body[end:]
    check(body)


@pytest.mark.parametrize("seed", [seed for seed in SEEDS if seed[1] != RAW])
def test_a_body_cut_short_is_refused(seed: bytes) -> None:
    shortest = 4 if seed[1] == MIXED else 2
    for end in range(shortest, len(seed)):
        assert check(seed[:end]) is None


def test_memory_does_not_grow() -> None:
    bodies = [seed[:end] for seed in SEEDS for end in (len(seed), len(seed) - 1, len(seed) // 2)]

    def read_all() -> int:
        for body in bodies:
            check(body)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        read_all()
        before = read_all()
        for _ in range(ROUNDS):
            after = read_all()
    finally:
        tracemalloc.stop()
    # Less than a byte kept of each body.
    assert after - before < ROUNDS * len(bodies)
