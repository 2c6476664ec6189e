"""Setting parameters back: exactly those that differ, whatever the file, in their places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.runs import Scalar
from mlbench.engine.restored_params import ParamChange, changes_in, compared, set_back
from mlbench.pipeline.fingerprint import param_value
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from tests.support import SmallProject

scalars = st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text("ab*", max_size=3)
values = scalars | st.lists(scalars, max_size=2)
keys = st.sampled_from(["a", "b", "t.c", "t.d"])
files = st.dictionaries(st.sampled_from(["one", "two"]), st.dictionaries(keys, values, min_size=1))


@given(now=files, then=files, traced=st.sets(st.tuples(st.sampled_from(["one", "two"]), keys)))
def test_with_the_changes_made_nothing_is_left_to_change(
    now: dict[str, dict[str, Any]],
    then: dict[str, dict[str, Any]],
    traced: set[tuple[str, str]],
) -> None:
    recorded = {
        key: value if isinstance(value, (str, int, float)) else str(value)
        for values in then.values()
        for key, value in values.items()
    }
    parts = {
        file: {key: json.dumps(value) for key, value in values.items() if (file, key) in traced}
        for file, values in then.items()
    }
    found = compared(now, parts, recorded)
    after = {file: dict(values) for file, values in now.items()}
    for change in found.changes:
        assert repr(after[change.file][change.key]) == repr(change.before)
        after[change.file][change.key] = change.after
    assert compared(after, parts, recorded).changes == ()
    for file, exact in parts.items():
        for key, text in exact.items():
            if key in now.get(file, {}):
                assert json.dumps(after[file][key]) == text


def test_params_are_set_back_in_every_file_with_what_stands_beside_them(tmp_path: Path) -> None:
    project = SmallProject(tmp_path.resolve())
    project.write(
        "mlbench.toml",
        '[stages.one]\ncmd = "true"\nouts = ["out"]\n'
        'params = ["rate", {"more.yaml" = ["deep"]}, {"code.py" = ["SIZES"]}]\n',
    )
    project.write("params.toml", "rate = 0.7  # the rate\nother = [1, 2]\nkey = 'x'\n")
    project.write("more.yaml", "# deep\ndeep:\n  words: [a, b]  # two\n")
    project.write("code.py", "SIZES = (1, 2)\n")
    layout = Layout(project.root)
    parts = {
        "param:rate": "0.5",
        "param:more.yaml:deep.words": '["c"]',
        "param:code.py:SIZES": "[3]",
        "param:gone": "1",
    }
    recorded: dict[str, Scalar] = {"other": "[3, 4]", "key": "***", "rate": 0.5}
    found = changes_in(project.root, load_project(layout), [parts], recorded)
    assert found.notes == ("params.toml: gone is not there any more; it was 1",)
    assert ParamChange("params.toml", "rate", 0.7, 0.5) in found.changes
    set_back(project.root, found.changes)
    assert project.read("params.toml") == "rate = 0.5  # the rate\nother = [3, 4]\nkey = 'x'\n"
    assert project.read("more.yaml") == '# deep\ndeep:\n  words: ["c"]  # two\n'
    assert project.read("code.py") == "SIZES = (3,)\n"


def test_what_is_secret_is_named_and_neither_kept_nor_shown() -> None:
    old = param_value("api_key", "old")
    assert "old" not in old
    traced = {"p": {"api_key": old, "token": param_value("token", "x")}}
    found = compared({"p": {"api_key": "new"}}, traced, {})
    assert found.changes == ()
    assert found.notes == (
        "p: api_key was another; it is not on record, so set it by hand",
        "p: token is not there any more; it was ***",
    )
    assert compared({"p": {"api_key": "old", "token": "x"}}, traced, {}).notes == ()
