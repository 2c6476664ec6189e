"""Setting parameters in a params file: the value is another, and everything else is as it was."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.errors import ProjectFileError
from mlbench.project.edit_params import with_values
from mlbench.project.params import flatten, parse_params

FORMATS = ("params.toml", "params.yaml", "params.json", "params.py")
TOML = """\
# what the model is made with
seed = 7                  # of the split

[train]
hidden = [128, 64]        # neurons
alpha = 0.1
solver = 'adam'
schedule = { warmup = 5, decay = 0.9 } # both

[train.early_stop]
patience = 3

[[blocks]]
width = 1

[prepare]
"by.name" = true
since = 2024-05-01
"""
YAML = """\
# what the model is made with
seed: 7                  # of the split
train:
    hidden: [128,  64]   # neurons
    alpha: 0.1
    solver: 'adam'
    layers:
      - 3   # first
      - 5
    early_stop: {patience: 3,  margin: 0.1}
    note: >
      over
      several lines
    nothing:
  # the end
"""
PYTHON = """\
\"\"\"What the model is made with.\"\"\"
import os

seed: int = 7  # of the split, é
HERE = os.getcwd()


class train:
    hidden = (128, 64)  # neurons
    alpha = (0.1)
    early_stop = {"patience": 3, "märgin": 0.1}
"""
JSON = '{"seed" : 7,\n\t"train": {"alpha": 1E-1, "hidden": [128,\n 64], "why": "\\u00e9"} }\n'


def tree(name: str, text: str) -> dict[str, Any]:
    return flatten(parse_params(name, text))


@pytest.mark.parametrize(
    ("name", "text", "values", "replaced"),
    [
        ("params.toml", TOML, {"seed": 8}, ("seed = 7", "seed = 8")),
        ("params.toml", TOML, {"train.alpha": 1e-05}, ("alpha = 0.1", "alpha = 1e-05")),
        ("params.toml", TOML, {"train.hidden": [32]}, ("[128, 64]", "[32]")),
        ("params.toml", TOML, {"train.schedule.warmup": 9}, ("warmup = 5", "warmup = 9")),
        ("params.toml", TOML, {"train.early_stop.patience": 9}, ("patience = 3", "patience = 9")),
        ("params.toml", TOML, {"prepare.by.name": False}, ("= true", "= false")),
        (
            "params.toml",
            TOML,
            {"prepare.since": datetime.date(2025, 1, 2)},
            ("2024-05-01", "2025-01-02"),
        ),
        ("params.yaml", YAML, {"seed": 8}, ("seed: 7", "seed: 8")),
        ("params.yml", YAML, {"train.hidden": [32, 1e-5]}, ("[128,  64]", "[32, 1.0e-05]")),
        ("params.yaml", YAML, {"train.solver": "yes"}, ("'adam'", '"yes"')),
        ("params.yaml", YAML, {"train.early_stop.margin": 2}, ("margin: 0.1", "margin: 2")),
        ("params.json", JSON, {"train.alpha": 0.25}, ("1E-1", "0.25")),
        ("params.json", JSON, {"train.hidden": None}, ("[128,\n 64]", "null")),
        ("params.py", PYTHON, {"seed": 8}, ("= 7", "= 8")),
        ("params.py", PYTHON, {"train.alpha": 1e-5}, ("(0.1)", "(1e-05)")),
        ("params.py", PYTHON, {"train.hidden": (1,)}, ("(128, 64)", "(1,)")),
        ("params.py", PYTHON, {"train.early_stop.märgin": "ß"}, ('gin": 0.1', "gin\": 'ß'")),
    ],
)
def test_nothing_but_the_value_changes(
    name: str, text: str, values: Mapping[str, Any], replaced: tuple[str, str]
) -> None:
    edited = with_values(name, text, values)
    assert edited == text.replace(*replaced)
    assert edited != text
    windows = text.replace("\n", "\r\n")
    assert with_values(name, windows, values) == edited.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [("train.layers", [8]), ("train.note", "short"), ("train.nothing", 3), ("train.layers", None)],
)
def test_what_yaml_has_over_several_lines_costs_layout_but_no_comment_elsewhere(
    key: str, value: Any
) -> None:
    edited = with_values("params.yaml", YAML, {key: value})
    assert tree("params.yaml", edited) == {**tree("params.yaml", YAML), key: value}
    for comment in ("# what the model is made with", "# of the split", "# neurons"):
        assert comment in edited


def test_an_anchor_is_not_lost_with_its_value() -> None:
    text = "a: &rate 0.1\nb: *rate\n"
    edited = with_values("params.yaml", text, {"b": 3})
    assert edited == "a: &rate 0.1\nb: 3\n"
    edited = with_values("params.yaml", text, {"a": 3})
    assert tree("params.yaml", edited) == {"a": 3, "b": 0.1}


@pytest.mark.parametrize(
    ("name", "text", "key", "value", "complaint"),
    [
        ("params.toml", TOML, "train.alhpa", 1, 'train.alhpa: there.*mean "train.alpha"'),
        ("params.yaml", YAML, "trian.alpha", 1, 'params.yaml: .*mean "train.alpha"'),
        ("params.json", JSON, "nowhere", 1, "params.json: nowhere: there is no such parameter"),
        ("params.toml", TOML, "train.early_stop", 1, "a table.*set one of.*early_stop.patience"),
        ("params.py", PYTHON, "train", 1, "train.hidden, train.alpha"),
        ("params.py", PYTHON, "HERE", "x", "there is no such parameter"),
        ("params.toml", TOML, "seed", None, "None"),
        ("params.toml", TOML, "seed", object(), "can't be set"),
        ("params.yaml", YAML, "seed", {"a": 1}, "can't be set to a table"),
        ("params.py", PYTHON, "seed", float("nan"), "can't be set to nan"),
        ("params.toml", "seed = ", "seed", 1, "params.toml:1: not valid TOML"),
    ],
)
def test_what_can_not_be_set_is_refused_in_one_sentence(
    name: str, text: str, key: str, value: Any, complaint: str
) -> None:
    with pytest.raises(ProjectFileError, match=complaint) as raised:
        with_values(name, text, {key: value})
    assert "\n" not in str(raised.value)


names = st.from_regex(r"[a-z][a-z_]{0,5}[0-9]", fullmatch=True)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
single = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
)
values = single | st.lists(single, max_size=3)
trees = st.dictionaries(names, st.dictionaries(names, values, min_size=1), min_size=1, max_size=3)


def _as_toml(value: Any) -> str:
    return str(tomlkit.item(value).as_string())


def _as_yaml(value: Any) -> str:
    return _quoted(value) if _has_text(value) else json.dumps(value)


def _has_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(map(_has_text, value)))


def _quoted(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_as_yaml, value))}]"
    return "".join(f"\\U{ord(letter):08x}" for letter in value).join('""')


def lines_of(name: str, parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The line of each parameter, by its key, in the order of the file, and lines between them."""
    layouts: dict[str, tuple[str, str, str, Callable[[Any], str]]] = {
        "params.toml": ("[{}]", "{} =  {} # {}", "", _as_toml),
        "params.yaml": ("{}:", "   {}:  {} # {}", "", _as_yaml),
        "params.py": ("class {}:", "    {} = {}  # {}", "", repr),
    }
    head, body, end, show = layouts[name]
    lines: dict[str, str] = {}
    for number, (group, inner) in enumerate(parameters.items()):
        lines[f"head {group}"] = head.format(group)
        for key, value in inner.items():
            lines[f"{group}.{key}"] = body.format(key, show(value), f"comment {number}")
        lines[f"end {group}"] = end
    return lines


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "params.json"])
@settings(max_examples=40)
@given(trees, st.data())
def test_reading_back_gives_exactly_the_values_and_all_other_lines_stay(
    name: str, parameters: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    lines = lines_of(name, parameters)
    text = "\n".join(lines.values())
    before = tree(name, text)
    chosen = data.draw(st.dictionaries(st.sampled_from(sorted(before)), values, min_size=1))
    edited = with_values(name, text, chosen)
    assert repr(tree(name, edited)) == repr({**before, **chosen})
    for (key, old), new in zip(lines.items(), edited.split("\n"), strict=True):
        assert old == new or key in chosen
        assert old.rpartition("#")[2] == new.rpartition("#")[2], "a comment was lost"
    assert with_values(name, edited, chosen) == edited
    one_by_one = text
    for key in reversed(chosen):
        one_by_one = with_values(name, one_by_one, {key: chosen[key]})
    assert one_by_one == edited


@settings(max_examples=40)
@given(trees, st.sampled_from([None, 0, 3, "\t"]), st.data())
def test_json_keeps_the_layout_that_it_has(
    parameters: dict[str, dict[str, Any]], indent: int | str | None, data: st.DataObject
) -> None:
    text = json.dumps(parameters, indent=indent, ensure_ascii=False)
    before = tree("p.json", text)
    key = data.draw(st.sampled_from(sorted(before)))
    value = data.draw(single)
    edited = with_values("p.json", text, {key: value})
    assert repr(tree("p.json", edited)) == repr({**before, key: value})
    group, _, name = key.partition(".")
    there_and_back = with_values("p.json", edited, {key: "\0"})
    marked = with_values("p.json", text, {key: "\0"})
    assert there_and_back == marked, f"more than {group}.{name} was touched"
    assert with_values("p.json", edited, {key: value}) == edited
