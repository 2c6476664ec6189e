"""The command that tells the world outside: a real shell reads back what was filled in."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.outside import NAMES, filled, problem_in


def read_back(command: str, value: str) -> list[str]:
    """The words that a shell makes of a filled command which prints each on a line of its own."""
    line = filled(command, dict.fromkeys(NAMES, value))
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True)
    return done.stdout.decode().split("\x1e")[:-1]


PRINT = r"printf '%s\036' "


@pytest.mark.parametrize(
    "value",
    ["plain", "", "two words", "$(touch evil) `id` $HOME", 'it\'s "quoted"', "-n", "a;b|c&d", "*"],
)
def test_nothing_in_a_value_is_evaluated(value: str) -> None:
    assert read_back(PRINT + "{path} MODEL={model}", value) == [value, f"MODEL={value}"]


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1e")))
def test_any_text_is_one_word(value: str) -> None:
    assert read_back(PRINT + "{path}", value) == [value]


def test_braces_of_the_shell_stay() -> None:
    command = "echo ${HOME} {{path}} {a,b} ${model} {version}"
    assert problem_in(command) is None
    assert filled(command, {"version": "3"}) == "echo ${HOME} {path} {a,b} ${model} 3"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("deploy {modle}", '(did you mean "model"?); write {{modle}} for the braces themselves'),
        ("deploy {x}", "{x} is none of {path}, {version}, {model}, {environment}, {run}, {digest}"),
        ('deploy "{path}"', "{path} stands in quotes; leave them out"),
        ("deploy 'a {path}'", "{path} stands in quotes"),
        ("deploy `echo {path}`", "{path} stands in quotes"),
        (r"deploy \{path}", "{path} stands in quotes"),
    ],
)
def test_what_could_not_be_filled_in_safely_is_refused(command: str, problem: str) -> None:
    found = problem_in(command)
    assert found is not None
    assert problem in found


@pytest.mark.parametrize("command", ["make deploy", "echo 'done' {path}", 'echo "a\\"" {path}'])
def test_what_is_well_written_has_no_problem(command: str) -> None:
    assert problem_in(command) is None
