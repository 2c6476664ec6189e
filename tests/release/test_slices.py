"""Gates by slice beside fairlearn's MetricFrame, on real data and on tables at random."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import palmerpenguins
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB

from mlbench.domain.slices import SliceCall, parse_gate, slice_calls
from mlbench.release.slices import MOST_SLICES, Predictions, SliceError, measure
from mlbench.release.weighing import NotComparableError, Weighed, weigh

Metric = Callable[[Any, Any], float]


def recall(truth: Any, predicted: Any) -> float:
    return float(sklearn.recall_score(truth, predicted, pos_label="1", zero_division=np.nan))


def precision(truth: Any, predicted: Any) -> float:
    return float(sklearn.precision_score(truth, predicted, pos_label="1", zero_division=np.nan))


def f1(truth: Any, predicted: Any) -> float:
    return float(sklearn.f1_score(truth, predicted, pos_label="1", zero_division=np.nan))


def selection_rate(_truth: Any, predicted: Any) -> float:
    return float(np.mean(predicted == "1"))


def of_numbers(metric: Metric) -> Metric:
    return lambda truth, predicted: metric(truth.astype(float), predicted.astype(float))


BINARY: Mapping[str, Metric] = {
    "accuracy": sklearn.accuracy_score,
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "selection_rate": selection_rate,
}


def call(text: str) -> SliceCall:
    (found,) = slice_calls(parse_gate(text))
    return found


def weighed(text: str, own: Predictions, live: Predictions | None = None, rows: int = 1) -> Weighed:
    return weigh(call(text), own, live, rows)


def table(truth: Any, predicted: Any, **columns: Any) -> Predictions:
    texts = {name: np.asarray(column).astype(np.str_) for name, column in columns.items()}
    return Predictions(
        np.asarray(truth).astype(np.str_), np.asarray(predicted).astype(np.str_), texts
    )


@pytest.fixture(scope="module")
def penguins() -> Predictions:
    """Sex told from bill and weight; by species, island and year, one of them unknown."""
    frame = palmerpenguins.load_penguins().dropna(subset=["bill_length_mm", "sex"])
    x = frame[["bill_length_mm", "bill_depth_mm", "body_mass_g"]].to_numpy()
    y = (frame["sex"] == "male").to_numpy().astype(int)
    predicted = GaussianNB().fit(x[::2], y[::2]).predict(x)
    return table(y, predicted, species=frame["species"], island=frame["island"], year=frame["year"])


@pytest.fixture(scope="module")
def tumours() -> Predictions:
    """Breast cancer, by how large and how smooth the tumour is."""
    x, y = load_breast_cancer(return_X_y=True)
    predicted = GaussianNB().fit(x[::3, 1:3], y[::3]).predict(x[:, 1:3])
    size = np.where(x[:, 3] > np.median(x[:, 3]), "large", "small")
    smooth = np.digitize(x[:, 4], np.quantile(x[:, 4], [0.3, 0.8]))
    return table(y, predicted, size=size, smooth=smooth)


def frame_of(
    own: Predictions, metric: Metric, columns: list[str], within: str | None = None
) -> Any:
    """fairlearn's view of the same table."""
    return MetricFrame(
        metrics=metric,
        y_true=own.truth,
        y_pred=own.predicted,
        sensitive_features=pd.DataFrame({name: own.columns[name] for name in columns}),
        control_features=None if within is None else pd.DataFrame({within: own.columns[within]}),
    )


def agrees(own: Predictions, name: str, metric: Metric, columns: list[str]) -> None:
    """Every aggregate of one metric is what fairlearn makes of it."""
    frame = frame_of(own, metric, columns)
    written = ", ".join(f'"{column}"' for column in columns)
    found = measure(own, call(f"gap({name}, {written}) < 1"))
    by_group = frame.by_group.dropna()
    defined = {one.key: one.value for one in found if not math.isnan(one.value)}
    expected = {key if isinstance(key, tuple) else (key,): by_group[key] for key in by_group.index}
    assert defined == pytest.approx(expected)
    if len(defined) > 1:
        gap = weighed(f"gap({name}, {written}) < 1", own).value
        assert gap == pytest.approx(frame.difference(method="between_groups"))
        low, high = frame.group_min(), frame.group_max()
        ratio = weighed(f"ratio({name}, {written}) < 1", own).value
        assert ratio == pytest.approx(low / high if high else 1.0)
    if defined and name != "selection_rate":
        worst = weighed(f"worst({name}, {written}) > 0", own).value
        assert worst == pytest.approx(frame.group_min())


@pytest.mark.parametrize("name", list(BINARY))
@pytest.mark.parametrize("columns", [["species"], ["island"], ["species", "island"], ["year"]])
def test_penguins_by_slice_agree_with_fairlearn(
    penguins: Predictions, name: str, columns: list[str]
) -> None:
    agrees(penguins, name, BINARY[name], columns)


@pytest.mark.parametrize("name", list(BINARY))
@pytest.mark.parametrize("columns", [["size"], ["size", "smooth"]])
def test_tumours_by_slice_agree_with_fairlearn(
    tumours: Predictions, name: str, columns: list[str]
) -> None:
    agrees(tumours, name, BINARY[name], columns)


@pytest.mark.parametrize("name", ["accuracy", "recall", "selection_rate"])
def test_slices_within_a_column_agree_with_fairlearns_control(
    tumours: Predictions, name: str
) -> None:
    frame = frame_of(tumours, BINARY[name], ["smooth"], within="size")
    gaps = frame.difference(method="between_groups")
    gap = weighed(f'gap({name}, "smooth", within="size") < 1', tumours)
    assert gap.value == pytest.approx(gaps.max())
    assert f"size={gaps.idxmax()}" in gap.why
    ratio = weighed(f'ratio({name}, "smooth", within="size") < 1', tumours)
    assert ratio.value == pytest.approx(frame.ratio(method="between_groups").min())


def test_regression_by_slice_agrees_with_fairlearn() -> None:
    x, y = load_diabetes(return_X_y=True)
    own = table(y, LinearRegression().fit(x[::2], y[::2]).predict(x), sex=x[:, 1] > 0)
    for name, metric in (
        ("mae", sklearn.mean_absolute_error),
        ("rmse", sklearn.root_mean_squared_error),
        ("r2", sklearn.r2_score),
    ):
        frame = frame_of(own, of_numbers(metric), ["sex"])
        assert weighed(f'gap({name}, "sex") < 1', own).value == pytest.approx(frame.difference())
        extreme = frame.group_min() if name == "r2" else frame.group_max()
        assert weighed(f'worst({name}, "sex") < 1', own).value == pytest.approx(extreme)


rows = st.lists(
    st.tuples(*(st.sampled_from("01"),) * 2, st.sampled_from("ab"), st.sampled_from("xyz")),
    min_size=1,
    max_size=40,
)


@given(rows, st.sampled_from(list(BINARY)), st.sampled_from([["s"], ["t"], ["s", "t"]]))
def test_tables_at_random_agree_with_fairlearn(
    drawn: list[tuple[str, str, str, str]], name: str, columns: list[str]
) -> None:
    truth, predicted, s, t = zip(*drawn, strict=True)
    # Both classes are known whichever the rows have.
    own = Predictions(
        np.array(truth),
        np.array(predicted),
        {"s": np.array(s), "t": np.array(t)},
        None,
        ("0", "1"),
    )
    agrees(own, name, BINARY[name], columns)


def test_what_counts_is_named_with_its_rows() -> None:
    own = table([*"1111100000"], [*"1111000001"], region=[*"nnnssnnnss"])
    worst = weighed('worst(accuracy, "region") > 0', own)
    assert worst.value == pytest.approx(0.5)
    assert worst.why == "accuracy is worst at region=s: 0.5 of 4 rows"
    gap = weighed('gap(accuracy, "region") > 0', own)
    assert gap.value == pytest.approx(0.5)
    assert gap.why == ("accuracy goes from 0.5 at region=s (4 rows) to 1 at region=n (6 rows)")


def test_small_slices_are_left_out_and_counted() -> None:
    own = table([*"1111111"], [*"1111110"], region=[*"nnnsss", "e"])
    worst = weighed('worst(accuracy, "region") > 0', own, rows=3)
    assert worst.value == 1
    assert worst.why.endswith("; 1 of 3 slices have fewer than 3 rows")
    with pytest.raises(NotComparableError, match="fewer than 30 rows; region=n has most, 3"):
        weighed('worst(accuracy, "region") > 0', own, rows=30)


def test_one_slice_alone_has_no_gap() -> None:
    own = table([*"1100"], [*"1100"], region=[*"nnnn"])
    with pytest.raises(NotComparableError, match="nothing to be compared with"):
        weighed('gap(accuracy, "region") < 1', own)


def test_an_undefined_metric_is_left_out_and_counted_unless_it_is_all() -> None:
    own = table([*"1100"], [*"1000"], region=[*"nnss"])
    worst = weighed('worst(recall, "region") > 0', own)
    assert (worst.value, worst.why[-31:]) == (0.5, "; in 1 of 2 recall is undefined")
    with pytest.raises(SliceError, match="undefined in every slice by region"):
        weighed('worst(roc_auc, "region") > 0', scored(own))


def scored(own: Predictions) -> Predictions:
    share = np.linspace(0.1, 0.9, len(own.truth))
    scores = np.stack([1 - share, share], axis=1)
    return Predictions(own.truth, own.predicted, own.columns, scores, ("0", "1"))


def test_scores_are_found_by_class_and_one_of_two_is_the_rest() -> None:
    own = scored(table([*"0101"], [*"0101"], region=[*"nnss"]))
    assert own.scores is not None
    half = Predictions(own.truth, own.predicted, own.columns, own.scores[:, 1:], ("1",))
    turned = Predictions(own.truth, own.predicted, own.columns, own.scores[:, ::-1], ("1", "0"))
    for metric in ("log_loss", "roc_auc"):
        found = {
            weighed(f'worst({metric}, "region") > 0', each).value for each in (own, half, turned)
        }
        assert found == {weighed(f'worst({metric}, "region") > 0', own).value}
    plain = Predictions(own.truth, own.predicted, own.columns)
    with pytest.raises(SliceError, match="lack score_0, score_1"):
        weighed('worst(log_loss, "region") > 0', plain)


def test_a_drop_is_the_loss_of_the_slice_that_loses_most() -> None:
    truth, region = [*"1111111100"], [*"nnnnssssee"]
    before = table(truth, [*"1111111100"], region=region)
    own = table(truth, [*"1110110000"], region=region)
    drop = weighed('drop(accuracy, "region") < 0.01', own, before)
    assert drop.value == pytest.approx(0.5)
    assert drop.why == ("region=s loses most: accuracy 1 in production, 0.5 here, of 4 rows")
    gain = weighed('drop(accuracy, "region") < 0.01', before, own)
    assert gain.value == 0
    assert gain.why.startswith("region=e gains least")
    worse = weighed('drop(false_negative_rate, "region") < 0.01', own, before)
    assert worse.value == pytest.approx(0.5)
    other = table(truth, truth, region=["w"] * 10)
    with pytest.raises(NotComparableError, match="in production's predictions, too"):
        weighed('drop(accuracy, "region") < 0.01', own, other)


def test_what_is_live_may_have_been_sliced_otherwise() -> None:
    own = table([*"10"], [*"10"], region=[*"nn"], site=[*"ab"])
    before = table([*"10"], [*"10"], region=[*"nn"])
    with pytest.raises(NotComparableError, match="in production predictions have no column site"):
        weighed('drop(accuracy, "site") < 0.01', own, before)


def test_which_class_counts_can_be_said() -> None:
    own = table([*"aabb"], [*"abbb"], region=[*"nnnn"])
    assert weighed('worst(recall, "region") > 0', own).value == 1
    assert weighed('worst(recall, "region", positive="a") > 0', own).value == 0.5
    with pytest.raises(SliceError, match="there are: a, b"):
        weighed('worst(recall, "region", positive="c") > 0', own)
    three = table([*"abc"], [*"abc"], region=[*"nnn"])
    assert weighed('worst(recall, "region") > 0', three).value == 1
    with pytest.raises(SliceError, match='positive="c"'):
        weighed('gap(selection_rate, "region") > 0', three)


def test_classes_that_are_numbers_stand_in_their_order() -> None:
    assert table([*"1", "9", "10"], [*"1", "9", "10"]).classes == ("1", "9", "10")


def test_unknown_columns_and_texts_for_numbers_are_refused_with_what_there_is() -> None:
    own = table([*"aabb"], [*"abbb"], region=[*"nnnn"])
    with pytest.raises(SliceError, match=r'no column regoin \(did you mean "region"\?\)'):
        weighed('worst(accuracy, "regoin") > 0', own)
    with pytest.raises(SliceError, match="mae needs numbers in truth"):
        weighed('worst(mae, "region") > 0', own)
    many = [str(number) for number in range(MOST_SLICES + 1)]
    crowd = table(["1"] * len(many), ["1"] * len(many), region=many)
    with pytest.raises(SliceError, match="1,001 slices, more than 1,000"):
        weighed('worst(accuracy, "region") > 0', crowd)
    with pytest.raises(SliceError, match="1,001 classes; numbers are scored by mae"):
        weighed('worst(accuracy, "one") > 0', table(many, many, one=["1"] * len(many)))


def test_a_ratio_of_what_is_below_zero_is_refused() -> None:
    """-10 over -1 would be 10, and pass every floor."""
    own = table([*"1111"], ["-1", "-1", "-10", "-10"], region=[*"nnss"])
    with pytest.raises(SliceError, match=r"-10 at region=s.*gap\(…\) compares it"):
        weighed('ratio(mean_prediction, "region") >= 0.8', own)
    assert weighed('gap(mean_prediction, "region") < 1', own).value == 9


def test_classes_that_are_written_in_two_ways_are_refused() -> None:
    """No row would be right in any slice, and a gap of 0 would pass."""
    own = table(["yes", "no"], ["1", "0"], region=[*"ns"])
    with pytest.raises(SliceError, match="truth has no, yes and prediction has 0, 1: write the"):
        weighed('gap(accuracy, "region") < 0.05', own)
    wrong = table([*"11"], [*"00"], region=[*"ns"])
    assert weighed('worst(accuracy, "region") > 0', wrong).value == 0


def test_scores_that_are_no_probabilities_have_no_log_loss() -> None:
    own = table([*"0101"], [*"0101"], region=[*"nnss"])
    logits = Predictions(
        own.truth, own.predicted, own.columns, np.eye(2)[[0, 1, 0, 1]] * 7, ("0", "1")
    )
    with pytest.raises(SliceError, match="log_loss needs probabilities"):
        weighed('worst(log_loss, "region") < 1', logits)
    assert weighed('worst(roc_auc, "region") > 0', logits).value == 1
