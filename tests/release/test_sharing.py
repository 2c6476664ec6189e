"""What stands beside a live version: shares, trials, inputs, and the Deployment that says so."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Candidate, Deployment, LedgerEntry, Signature, TensorSpec
from mlbench.domain.serving import CanarySpec, ServerSettings, ShadowSpec, Traffic
from mlbench.domain.stages import EnvironmentSpec
from mlbench.release.ledger_check import behind
from mlbench.release.promotion import deployment_of
from mlbench.release.sharing import check_trial, other_inputs, shares
from tests.release.conftest import SIGNATURE, entry, versioned

STAGING = EnvironmentSpec(
    "staging",
    8101,
    settings=ServerSettings(workers=3, deadline=2.0),
    canary=CanarySpec(steps=(0.5,)),
    shadow=ShadowSpec(share=0.25),
)
KNOWN = {
    ("digits", number): (
        replace(versioned(number, number), timings={"1": 0.5 * number}),
        f"/models/{number}.onnx",
    )
    for number in (1, 2, 3)
}


def after(*entries: LedgerEntry, lost: int = 0) -> Deployment:
    placed = [replace(item, sequence=place) for place, item in enumerate(entries, start=1)]
    known = {key: value for key, value in KNOWN.items() if key[1] != lost}
    return deployment_of(STAGING, placed, known)


def split(**weights: float) -> LedgerEntry:
    """Shares by versions, as in v1=0.5."""
    by_version = {name.removeprefix("v"): weight for name, weight in weights.items()}
    return replace(entry("traffic", 1), weights=by_version)


def test_a_deployment_brings_what_shares_traffic_and_how_it_serves() -> None:
    found = after(entry("promote", 1), split(v1=0.75, v2=0.25), entry("shadow", 3))
    assert [(one.version, one.path) for one in found.beside] == [
        (2, "/models/2.onnx"),
        (3, "/models/3.onnx"),
    ]
    assert found.traffic == (Traffic("digits", {"1": 0.75, "2": 0.25}, None, 3),)
    assert found.models[0].timings == {"1": 0.5}
    assert (found.settings, found.canary, found.shadow, found.sequence) == (
        STAGING.settings,
        STAGING.canary,
        STAGING.shadow,
        3,
    )
    assert from_plain(Deployment, to_plain(found)) == found


def test_a_version_in_two_roles_is_beside_once_and_a_live_one_never() -> None:
    both = after(entry("promote", 1), entry("shadow", 2), entry("canary", 2))
    assert [one.version for one in both.beside] == [2]
    assert both.traffic == (Traffic("digits", {}, 2, 2, canary_entry=3),)
    promoted = after(entry("promote", 1), entry("shadow", 2), entry("promote", 2))
    assert (promoted.beside, promoted.traffic) == ((), ())
    nobody = after(split(v1=0.5, v2=0.5), entry("shadow", 3))
    assert (nobody.models, nobody.beside, nobody.traffic) == ((), (), ())


@pytest.mark.parametrize(
    ("entries", "lost", "left"),
    [
        ((split(v1=0.6, v2=0.2, v3=0.2),), 2, {"1": 0.75, "3": 0.25}),
        ((split(v1=0.5, v2=0.5),), 2, {}),
        ((entry("canary", 2),), 2, {}),
    ],
)
def test_what_is_lost_leaves_its_share_to_the_others(
    entries: tuple[LedgerEntry, ...], lost: int, left: dict[str, float]
) -> None:
    found = after(entry("promote", 1), *entries, lost=lost)
    assert [one.version for one in found.models] == [1]
    assert lost not in [one.version for one in found.beside]
    weights = found.traffic[0].weights if found.traffic else {}
    assert weights == pytest.approx(left)


def test_a_deployment_that_shares_what_the_ledger_does_not_is_told() -> None:
    entries = [replace(item, sequence=1) for item in (entry("promote", 1), entry("canary", 2))]
    whole = deployment_of(STAGING, entries, KNOWN)
    assert behind(entries, [whole]) is None
    edited = replace(whole, traffic=(Traffic("digits", canary=3),))
    assert behind(entries, [edited]) == (
        ".mlbench/serving/staging.json gives version 3 of digits a part in the traffic, "
        "the ledger says nothing of it; `mlbench serve staging` brings it up to date"
    )


weights = st.dictionaries(st.integers(1, 20).map(str), st.floats(1e-3, 1e6), min_size=1, max_size=5)


@given(weights, st.data())
def test_shares_keep_their_proportions_and_make_one(
    asked: dict[str, float], data: st.DataObject
) -> None:
    live = int(data.draw(st.sampled_from(sorted(asked))))
    found = shares(asked, live)
    if len(asked) == 1:
        assert found == {}
        return
    assert set(found) == set(asked)
    assert math.isclose(sum(found.values()), 1)
    first = next(iter(found))
    for version, share in found.items():
        assert math.isclose(share * asked[first], found[first] * asked[version])
    assert shares({version: weight / 100 for version, weight in asked.items()}, live) == (
        pytest.approx(found)
    )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"1": 80, "2": 0}, "2=0: a share of the requests must be over 0"),
        ({"1": 80, "2": -3}, "2=-3: a share"),
        ({"1": math.nan, "2": 3}, "1=nan: a share"),
        ({"1": math.inf, "2": 3}, "1=inf: a share"),
        ({"2": 100}, "v1 is live and needs a share of its own (1=WEIGHT); `mlbench promote`"),
        ({"1": 1e308, "2": 1e308}, "too unlike"),
        ({"1": 1e300, "2": 1e-300}, "too unlike"),
    ],
)
def test_shares_that_are_none_are_refused(asked: dict[str, float], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        shares(asked, 1)
    assert sentence in str(refused.value)


def taking(*inputs: TensorSpec) -> Candidate:
    return replace(versioned(2, 2), signature=Signature(inputs, SIGNATURE.outputs))


def test_the_same_inputs_are_taken_and_others_named() -> None:
    same = SIGNATURE.inputs[0]
    assert other_inputs(SIGNATURE, taking(same)) == ""
    assert other_inputs(SIGNATURE, taking(replace(same, shape=(-1, -1)))) == ""
    assert other_inputs(SIGNATURE, taking(replace(same, shape=(-1, 5)))) == (
        'takes "input" as FP32 n × 5, the live version as FP32 n × 4'
    )
    assert "as INT64" in other_inputs(SIGNATURE, taking(replace(same, datatype="INT64")))
    renamed = other_inputs(SIGNATURE, taking(replace(same, name="x")))
    assert renamed == 'takes "x", the live version "input"'
    fixed = replace(SIGNATURE, inputs=(replace(same, shape=(-1, -1)),))
    assert other_inputs(fixed, taking(same)) != "", "some requests would be refused"
    assert other_inputs(SIGNATURE, replace(versioned(2, 2), signature=None)) != ""


LIVE = entry("promote", 1)


@pytest.mark.parametrize(
    ("action", "traffic", "sentence"),
    [
        ("canary", Traffic("digits", canary=2), "`mlbench canary digits staging --stop` ends it"),
        ("traffic", Traffic("digits", canary=2), "a canary of digits v2 runs in staging"),
        ("canary", Traffic("digits", {"1": 0.5, "2": 0.5}), "`mlbench traffic staging digits"),
        ("shadow", Traffic("digits", shadow=3), "digits v3 follows as a shadow in staging"),
    ],
)
def test_one_trial_at_a_time(action: str, traffic: Traffic, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_trial(action, traffic, LIVE, "staging", "digits")
    assert sentence in str(refused.value)


def test_trials_of_another_kind_go_beside_each_other() -> None:
    busy = Traffic("digits", canary=2, shadow=3)
    assert check_trial("shadow", replace(busy, shadow=None), LIVE, "staging", "digits") == LIVE
    assert check_trial("canary", replace(busy, canary=None), LIVE, "staging", "digits") == LIVE
    with pytest.raises(UsageError, match="nothing to compare with; `mlbench promote digits"):
        check_trial("canary", Traffic("digits"), None, "staging", "digits")
