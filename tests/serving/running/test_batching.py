"""Who is run in the loop, who in a thread, and who in batches, by timings alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.release import Signature, TensorSpec
from mlbench.domain.serving import ServerSettings
from mlbench.serving.running.batching import INLINE, Batching, decide

SIZES = (1, 2, 4, 8, 16, 32, 64)
FREE = Signature((TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", "FP32", (-1,)),))
ON, OFF = ServerSettings(), ServerSettings(batching=False)
# Measured: a linear model, a network of 8 layers with 512 units, ResNet-18 on images of 32 x 32
# and on images of 224 x 224.
LINEAR = dict(zip(SIZES, (0.008, 0.008, 0.008, 0.009, 0.010, 0.011, 0.012), strict=True))
NETWORK = dict(zip(SIZES, (0.280, 0.277, 0.278, 0.346, 0.404, 0.751, 1.389), strict=True))
SMALL_IMAGES = dict(zip(SIZES, (0.98, 1.58, 2.70, 4.87, 9.74, 18.3, 34.8), strict=True))
LARGE_IMAGES = dict(zip(SIZES, (23.7, 46.5, 91.0, 179.0, 354.0), strict=False))
TIMINGS = st.dictionaries(st.sampled_from(SIZES), st.floats(0.0, 1e4))


def texts(timings: Mapping[int, float]) -> dict[str, float]:
    return {str(rows): taken for rows, taken in timings.items()}


def test_what_is_quick_runs_in_the_loop() -> None:
    decided = decide(texts(LINEAR), FREE, ON)
    assert (decided.is_inline, decided.most_rows) == (True, 1)
    # 64 rows take 0.012 ms, so these many would take 1 ms.
    assert decided.inline_rows == 5333


def test_a_network_gains_from_batches() -> None:
    assert decide(texts(NETWORK), FREE, ON) == Batching(0, 16)


def test_small_images_gain_and_large_ones_do_not() -> None:
    assert decide(texts(SMALL_IMAGES), FREE, ON).most_rows > 1
    assert decide(texts(LARGE_IMAGES), FREE, ON) == Batching(0, 1)


def test_batching_may_be_off() -> None:
    assert decide(texts(NETWORK), FREE, OFF) == Batching(32, 1)
    assert decide(texts(SMALL_IMAGES), FREE, OFF) == Batching(1, 1)


@pytest.mark.parametrize(
    "signature",
    [
        Signature((TensorSpec("x", "FP32", (1, 3)),), FREE.outputs),
        Signature((TensorSpec("x", "FP32", (-1, 3)), TensorSpec("k", "INT64", ())), FREE.outputs),
        Signature(FREE.inputs, (*FREE.outputs, TensorSpec("version", "INT64", (1,)))),
        Signature((), ()),
    ],
)
def test_tensors_without_a_free_first_dimension_are_never_gathered(signature: Signature) -> None:
    assert decide(texts(NETWORK), signature, ON).most_rows == 1


@pytest.mark.parametrize("timings", [{}, {"8": 0.9}, {"1": 20.0}])
def test_what_was_not_timed_is_not_gathered(timings: Mapping[str, float]) -> None:
    assert decide(timings, FREE, ON).most_rows == 1


def test_a_model_that_was_never_timed_goes_to_a_thread() -> None:
    assert not decide({}, FREE, ON).is_inline


@given(TIMINGS)
def test_no_decision_holds_up_the_loop(timings: Mapping[int, float]) -> None:
    decided = decide(texts(timings), FREE, ON)
    assert decided.most_rows == 1 or not decided.is_inline
    assert decided.most_rows == 1 or decided.most_rows in timings
    for rows, taken in timings.items():
        if rows <= decided.inline_rows:
            assert taken <= INLINE


@given(TIMINGS)
def test_without_batching_nothing_is_gathered(timings: Mapping[int, float]) -> None:
    assert decide(texts(timings), FREE, OFF).most_rows == 1


@given(st.floats(1e-4, 1e4))
def test_rows_that_cost_the_same_in_a_batch_are_not_gathered(each: float) -> None:
    timings = {rows: rows * each for rows in SIZES}
    assert decide(texts(timings), FREE, ON).most_rows == 1
