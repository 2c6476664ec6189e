"""What holds of every gate, however it is written and whatever is known."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.comparison import Noise, Repeats
from mlbench.domain.slices import DIRECTIONS
from mlbench.release.gates import Evidence
from mlbench.release.leeway import Scatter
from tests.release.judged import SLICED, judged

anything = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.integers()
    | st.integers(10**400, 10**401)
    | st.floats()
    | st.lists(st.integers(), max_size=2)
)
holders = st.dictionaries(
    st.sampled_from(["metrics", "params", "stages", "onnx", "production", "staging", "baseline"]),
    st.dictionaries(st.sampled_from(["a", "b", "onnx.a", "c.passed"]), anything),
)
operands = st.sampled_from(
    ["a", "b", "metrics.a", "production.a", "baseline.b", "onnx.a", "staging.onnx.a", "c.passed"]
    + ["1", "0.5", "'x'", "log(a)", "a / b", "max(a, production.a)", "-b", "a % 0"]
    + [f'{function}({metric}, "region")' for function in ("gap", "ratio") for metric in DIRECTIONS]
    + ['worst(accuracy, "a")', 'drop(recall, "region")', 'gap(f1, "region", positive="z")']
)
parts = st.tuples(operands, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), operands).map(
    " ".join
)
checks = st.recursive(
    parts | operands,
    lambda inner: (
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(
            lambda found: f"({''.join(found)})"
        )
        | inner.map("not ({})".format)
    ),
    max_leaves=4,
)


@given(checks, holders, st.sampled_from([0.0, 0.01, 1e300, math.inf]), st.integers(1, 6))
def test_judging_never_raises_and_its_margin_agrees(
    check: str, facts: dict[str, Any], deviation: float, min_rows: int
) -> None:
    noise = {"a": Noise(deviation, 3)}
    own = Repeats(1.0, 0.9, 3)
    scatter = Scatter(noise, {"metrics": {"a": own}, "production": {"a": own}})
    evidence = Evidence(SLICED.predictions, lambda: scatter)
    result = judged(check, evidence=evidence, min_rows=min_rows, **facts)
    assert result.passed is not None or result.why
    assert result.passed or result.why
    if result.margin is not None:
        least = -(result.noise or 0.0)
        assert result.margin >= least if result.passed else result.margin <= 0


@given(checks)
def test_a_missing_or_nan_metric_fails(check: str) -> None:
    wanted = f"({check}) and a > 0"
    everything = {root: {"b": 1.0, "a": 1.0, "onnx.a": 1.0} for root in ("baseline", "production")}
    common: dict[str, Any] = {**everything, "staging": {"onnx.a": 1.0}, "onnx": {"a": 1.0}}
    for metrics in ({"b": 1.0}, {"a": math.nan, "b": 1.0}):
        result = judged(wanted, evidence=SLICED, metrics=metrics, **common)
        assert result.passed is not True
        if "region" not in check:
            assert result.passed is False
