"""The try-it form: what is filled in comes back as it was, and what does not fit is named."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.release import Signature, TensorSpec
from mlbench.tui.draw.bitmap import bitmap_lines
from mlbench.tui.form import MOST_FIELDS, form_of, image_shape, inputs_with, numbers_of, texts_in

_SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FP32": _SINGLES,
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "BOOL": st.booleans(),
    "BYTES": st.text(),
}


def tensor(datatype: str, data: list[Any], name: str = "X") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [1, len(data)], "data": data}


def signature(*columns: str) -> Signature:
    return Signature((TensorSpec("X", "FP32", (-1, max(1, len(columns)))),), (), (), columns)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_value_comes_back_as_it_was(data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(sorted(_VALUES)))
    values = data.draw(st.lists(_VALUES[datatype], min_size=1, max_size=MOST_FIELDS))
    form = form_of([tensor(datatype, values)], signature())
    (found,) = inputs_with(form, [field.text for field in form.fields])
    if datatype == "FP32":
        # A float32 is told by as few digits as tell it from every other one.
        assert [struct.pack("f", value) for value in found["data"]] == [
            struct.pack("f", value) for value in values
        ]
    else:
        assert found["data"] == values


@settings(max_examples=25, deadline=None)
@given(st.lists(_SINGLES, min_size=MOST_FIELDS + 1, max_size=30), st.booleans())
def test_a_row_in_one_text_comes_back_as_it_was(values: list[float], is_named: bool) -> None:
    columns = [f"column {chr(65 + at)} of x" for at in range(len(values))] if is_named else []
    form = form_of([tensor("FP32", values)], signature(*columns))
    assert form.is_one_text
    (found,) = inputs_with(form, texts_in(form, form.text))
    assert [struct.pack("f", item) for item in found["data"]] == [
        struct.pack("f", item) for item in values
    ]


def test_values_are_named_as_training_named_them() -> None:
    form = form_of([tensor("FP32", [49.1, 220.0])], signature("bill", "flipper"))
    assert [field.name for field in form.fields] == ["bill", "flipper"]
    several = [tensor("FP32", [49.1], "bill"), tensor("BYTES", ["Biscoe"], "island")]
    assert [field.name for field in form_of(several, signature()).fields] == ["bill", "island"]


def test_only_the_first_row_is_filled_in() -> None:
    rows = {"name": "X", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
    (first,) = form_of([rows], signature()).inputs
    assert (first["shape"], first["data"]) == ([1, 2], [1.0, 2.0])


@pytest.mark.parametrize(
    ("datatype", "text", "said"),
    [
        ("FP32", "four", 'bill: "four" is no number'),
        ("FP32", "nan", "no number that JSON can say"),
        ("INT64", "1.5", "no whole number"),
        ("BOOL", "maybe", "neither true nor false"),
    ],
)
def test_what_does_not_fit_is_named(datatype: str, text: str, said: str) -> None:
    form = form_of([tensor(datatype, [1])], signature("bill"))
    with pytest.raises(ValueError, match=said):
        inputs_with(form, [text])


def test_a_text_with_too_few_values_or_a_wrong_name_is_refused() -> None:
    numbers = form_of([tensor("FP32", [0.0] * 20)], signature())
    with pytest.raises(ValueError, match="there are 3 values, the model takes 20"):
        texts_in(numbers, "1 2 3")
    names = [f"column {chr(65 + at)}" for at in range(20)]
    named = form_of([tensor("FP32", [0.0] * 20)], signature(*names))
    with pytest.raises(ValueError, match="with a column of the model"):
        texts_in(named, named.text.replace("column A", "colum A"))
    with pytest.raises(ValueError, match="column B is missing"):
        texts_in(
            named, "\n".join(part for part in named.text.split("\n") if "column B" not in part)
        )


@pytest.mark.parametrize(
    ("shape", "columns", "expected"),
    [
        ([1, 64], [], (8, 8)),
        ([1, 64], [f"pixel_{at // 8}{at % 8}" for at in range(64)], (8, 8)),
        ([1, 64], [f"{'abcdefgh'[at % 8]}{at}" for at in range(64)], None),
        ([1, 1, 28, 28], [], (28, 28)),
        ([1, 8, 8, 1], [], (8, 8)),
        ([1, 3, 28, 28], [], None),
        ([1, 30], [], None),
    ],
)
def test_a_picture_of_one_channel_is_known_by_its_shape(
    shape: list[int], columns: list[str], expected: tuple[int, int] | None
) -> None:
    count = 1
    for side in shape:
        count *= side
    inputs = [{"name": "X", "datatype": "FP32", "shape": shape, "data": [0.0] * count}]
    assert image_shape(inputs, columns) == expected
    texts = [{**inputs[0], "datatype": "BYTES"}]
    assert image_shape(texts, columns) is None


def test_a_picture_is_as_bright_as_its_values() -> None:
    values = [0.0] * 64
    values[0] = 16.0
    lines = bitmap_lines(numbers_of([tensor("FP32", values)]), 8, 8, room=40)
    assert len(lines) == 8
    assert {line.cell_length for line in lines} == {16}
    first, second = lines[0].spans[:2]
    assert "#f4f4f4 on #f4f4f4" in str(first.style), "the corner is two cells of light"
    assert "#181818" in str(second.style)
    wide = bitmap_lines([1.0] * 784, 28, 28, room=20)
    assert len(wide) == 14
