"""Gates by slices of predictions: which slice they name, and when they do not apply."""

from __future__ import annotations

import pytest

from mlbench.domain.errors import UsageError
from mlbench.domain.stages import GateSpec
from mlbench.release.gates import Evidence, needs_export
from mlbench.release.slices import Predictions
from tests.release.judged import LIVE, SLICED, judged


def test_a_gate_by_slice_names_the_slice_also_where_it_holds() -> None:
    worst = judged('worst(accuracy, "region") >= 0.7', evidence=SLICED)
    assert (worst.passed, worst.value, worst.threshold) == (True, 0.75, 0.7)
    assert worst.why == "accuracy is worst at region=n: 0.75 of 4 rows"
    gap = judged('gap(accuracy, "region") < 0.05', evidence=SLICED)
    assert gap.passed is False
    assert gap.margin == pytest.approx(-0.2)
    assert gap.why.startswith("missed by 0.2; accuracy goes from 0.75 at region=n")


def test_slices_stand_anywhere_in_an_expression() -> None:
    check = 'accuracy > 0.8 and worst(accuracy, "region") >= accuracy - gap(accuracy, "region")'
    result = judged(check, evidence=SLICED, metrics={"accuracy": 0.9})
    assert result.passed is True
    assert result.margin == pytest.approx(0.1)
    assert result.why.count("region=n") == 2
    assert not needs_export(GateSpec(check))


def test_a_drop_is_against_what_production_predicted() -> None:
    check = 'drop(accuracy, "region") < 0.01'
    result = judged(check, evidence=SLICED, production=LIVE)
    assert (result.passed, result.value) == (False, 0.25)
    assert "region=n loses most: accuracy 1 in production, 0.75 here" in result.why
    nothing = judged(check, evidence=SLICED)
    assert (nothing.passed, nothing.why) == (None, "nothing is live in production yet")
    bare = judged(check, evidence=Evidence({"": SLICED.predictions[""]}), production=LIVE)
    assert (bare.passed, "has no predictions" in bare.why) == (None, True)


def test_slices_that_are_all_too_small_do_not_apply() -> None:
    result = judged('worst(accuracy, "region") >= 0.7', evidence=SLICED, min_rows=5)
    assert result.passed is None
    assert result.why == ("every slice by region has fewer than 5 rows; region=n has most, 4")


def test_what_can_not_be_sliced_fails_with_a_sentence() -> None:
    unknown = judged('worst(accuracy, "site") >= 0.7', evidence=SLICED)
    assert (unknown.passed, "no column site" in unknown.why) == (False, True)
    none = judged('worst(accuracy, "region") >= 0.7')
    assert (none.passed, "no predictions to slice" in none.why) == (False, True)

    def broken() -> Predictions:
        raise UsageError("build/p.csv:7: has 1 values for 2 columns")

    result = judged('worst(accuracy, "region") > 0', evidence=Evidence({"": broken}))
    assert (result.passed, result.why) == (False, "build/p.csv:7: has 1 values for 2 columns")


def test_a_drop_that_does_not_apply_leaves_the_rest_of_a_gate_in_force() -> None:
    check = 'worst(accuracy, "region") >= 0.8 and drop(accuracy, "region") < 0.01'
    first = judged(check, evidence=SLICED)
    assert (first.passed, first.value) == (False, 0.75)
    assert "nothing is live in production yet" in first.why
    without = Evidence({"": SLICED.predictions[""]})
    assert judged(check, evidence=without, production=LIVE).passed is False
