"""The line that an error message names is the line on which the key stands."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.project.source_file import nearest_line
from mlbench.project.toml_lines import lines_of_keys

# Values, comments and blank space that hold every sign which could be taken for a key.
VALUES = (
    "1",
    "-0.5e3",
    "true",
    "2026-11-23T09:15:02Z",
    '""',
    "''",
    '"a = b # no [comment]"',
    r'"quote \" and \\"',
    "'C:\\dir = ['",
    '"""\nmany\n[lines] = 1 # none\na "" b\\\n"""',
    '"""ends with quotes"""""',
    "'''\n# raw\n[x]\n'''",
    '["a", "b"]',
    '[\n  "a = 1", # why = [\n  [1, 2],\n]',
    '{ inner = 1, deep.er = "x = y", list = [{ a = 1 }] }',
    "[ # open\n]",
)
COMMENTS = ("", " # note", "\t# key = [value] \"'''", "  ")
BLANKS = ("", "\n", "# [table]\n", '# x = """\n', "   \n\t\n")

bare = st.text(st.sampled_from("abcd-_1"), min_size=1, max_size=4)
quoted = st.text(st.sampled_from("ab =#[]'\""), min_size=1, max_size=4)


@dataclass
class Written:
    """A TOML text under way, and the line of every key that it has."""

    text: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1


@st.composite
def tables(draw: st.DrawFn) -> Written:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    written = Written()
    for number in range(draw(st.integers(0, 3))):
        table = f"t{number}"
        if number or draw(st.booleans()):
            written.text += draw(st.sampled_from(BLANKS))
            style = draw(st.sampled_from(["[{}]", "[ {} ]", "  [{}]", "[[{}]]", '["{}"]']))
            written.lines[table] = written.line
            written.text += style.format(table) + draw(st.sampled_from(COMMENTS)) + "\n"
        else:
            table = ""
        _write_keys(draw, written, table)
    written.text += draw(st.sampled_from(["", "# the end"]))
    written.text = written.text.replace("\n", end)
    return written


def _write_keys(draw: st.DrawFn, written: Written, table: str) -> None:
    names = draw(st.lists(bare | quoted, max_size=4, unique=True))
    for number, drawn in enumerate(names):
        is_bare = all(sign.isalnum() or sign in "-_" for sign in drawn)
        key, name = (drawn, drawn) if is_bare else (json.dumps(drawn), drawn)
        if is_bare and number % 2:
            key, name = f"{drawn} . x{number}", f"{drawn}.x{number}"
        written.text += draw(st.sampled_from(BLANKS)) + draw(st.sampled_from(["", "  "]))
        written.lines.setdefault(f"{table}.{name}" if table else name, written.line)
        equals = draw(st.sampled_from(["=", " = ", "\t="]))
        value = draw(st.sampled_from(VALUES))
        written.text += f"{key}{equals}{value}{draw(st.sampled_from(COMMENTS))}\n"


@given(tables())
def test_every_key_and_table_has_its_line(written: Written) -> None:
    tomllib.loads(written.text)
    found = lines_of_keys(written.text)
    assert {key: found.get(key) for key in written.lines} == written.lines


@given(st.sampled_from(VALUES), st.sampled_from(VALUES))
def test_nothing_inside_a_value_is_a_key(first: str, second: str) -> None:
    text = f"a = {first}\nb = {second}\n"
    assert lines_of_keys(text) == {"a": 1, "b": 2 + first.count("\n")}


@pytest.mark.parametrize(
    ("key", "line"),
    [("a", 1), ("a.b", 2), ("a.b.c", 2), ("a.x", 1), ("z", None), ("", None)],
)
def test_a_key_that_is_not_there_is_looked_for_around_it(key: str, line: int | None) -> None:
    assert nearest_line(lines_of_keys("[a]\nb = 1\n"), key) == line


def test_a_table_inside_others_begins_where_it_is_first_named() -> None:
    text = '[a.b]\nc = 1\n[a]\nd = 2\n[a."e.f"]\n'
    assert lines_of_keys(text) == {"a": 1, "a.b": 1, "a.b.c": 2, "a.d": 4, "a.e": 5, "a.e.f": 5}
