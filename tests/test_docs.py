"""Every command, option, key and event is documented, and nothing that is not there is."""

from __future__ import annotations

import argparse
import re

import pytest

from mlbench.cli.main import COMMANDS, build_parser
from mlbench.domain.events import EVENTS
from mlbench.domain.outcomes import ReasonKind, RunOutcome, StageOutcome, StageState
from mlbench.project import keys
from mlbench.tui.action import Action
from mlbench.tui.actions import ACTIONS
from tests.support import REPOSITORY

COMMAND_PAGE = (REPOSITORY / "docs/commands.md").read_text(encoding="utf-8")
KEY_PAGE = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def subparsers() -> dict[str, argparse.ArgumentParser]:
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the parser has no commands")


def row_of(command: str) -> str:
    rows = re.findall(rf"^\| `mlbench {command}[ `].*$", COMMAND_PAGE, re.MULTILINE)
    assert len(rows) == 1, f"{command} has no row, or several"
    return str(rows[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_row_that_names_its_options(command: str) -> None:
    usage = row_of(command).split("|")[1]
    for action in subparsers()[command]._actions:
        if action.option_strings and "--help" not in action.option_strings:
            assert any(option in usage for option in action.option_strings), action.option_strings
        elif not action.option_strings:
            assert str(action.metavar).split("[")[0] in usage, action.metavar


def test_no_command_or_option_is_documented_that_is_not_there() -> None:
    documented = re.findall(r"^\| `mlbench (\w+)([^|]*)`", COMMAND_PAGE, re.MULTILINE)
    assert {command for command, _ in documented} == set(COMMANDS)
    for command, usage in documented:
        options = {
            name for action in subparsers()[command]._actions for name in action.option_strings
        }
        assert set(re.findall(r"--[a-z-]+", usage)) <= options, command


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("## `[project]`", keys.PROJECT),
        ("## `[stages.NAME]`", keys.STAGE),
        ("## `[models.NAME]`", keys.MODEL),
        ("## `[environments.NAME]`", keys.ENVIRONMENT),
        ("## `[sweeps.NAME]`", keys.SWEEP),
    ],
)
def test_every_key_has_a_row_and_every_row_a_key(heading: str, known: tuple[str, ...]) -> None:
    section = KEY_PAGE.split(heading)[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == known


@pytest.mark.parametrize(
    ("table", "known"),
    [
        ("outs", keys.OUT),
        ("plots", keys.PLOT),
        ("gates", keys.GATE),
        ("canary", keys.CANARY),
        ("shadow", keys.SHADOW),
        ("space", keys.DIMENSION),
    ],
)
def test_every_key_of_an_inner_table_has_a_row(table: str, known: tuple[str, ...]) -> None:
    assert tuple(re.findall(rf"^\| `{table}` · `(\w+)` \|", KEY_PAGE, re.MULTILINE)) == known


def test_every_table_of_the_configuration_has_a_section() -> None:
    headings = re.findall(r"^## `\[(\w+)", KEY_PAGE, re.MULTILINE)
    assert tuple(headings) == keys.TOP


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_named(event: str) -> None:
    assert event in COMMAND_PAGE


@pytest.mark.parametrize(
    "word",
    [member.word for kind in (StageOutcome, RunOutcome, ReasonKind, StageState) for member in kind],
)
def test_every_word_of_the_vocabulary_is_named(word: str) -> None:
    assert f"`{word}`" in COMMAND_PAGE


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) < 100
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / target).exists(), target


@pytest.mark.parametrize(
    "action", [action for action in ACTIONS if action.twin], ids=lambda a: a.id
)
def test_every_twin_of_an_action_is_a_command_that_is_there(action: Action) -> None:
    program, word = action.twin.split()[:2]
    if program == "mlbench":
        assert word in COMMANDS or word.startswith("-")
    else:
        assert program == "$EDITOR"
