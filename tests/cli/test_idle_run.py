"""A run that finds nothing to do is told without a loop, and in the same words as with one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlbench.domain.commands import SetWatch
from mlbench.engine import inbox
from mlbench.project.layout import Layout
from tests.support import SmallProject, commit_all

# What differs from one telling to the next.
_VOLATILE = ("at", "seconds", "requests", "flight")


@pytest.fixture
def built(tiny: SmallProject) -> SmallProject:
    commit_all(tiny.root)
    done = tiny.cli("run")
    assert done.returncode == 0, done.stderr
    return tiny


def _loops(project: SmallProject) -> set[str]:
    """The event files: one for each loop that was held here."""
    return {path.name for path in Layout(project.root).events.iterdir()}


def _told(project: SmallProject, *words: str) -> tuple[list[dict[str, Any]], bool]:
    """What `run --json` prints, less what always differs, and whether it took a loop."""
    before = _loops(project)
    done = project.cli("run", "--json", *words)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for event in events:
        if event["event"] != "run_finished":
            # The flight's own id, and the name that follows from it.
            event.pop("run"), event.pop("name", None)
        for key in _VOLATILE:
            event.pop(key, None)
    return events, _loops(project) != before


def _ask_for_a_loop(project: SmallProject) -> None:
    """Leave something that a loop alone can answer."""
    inbox.put(Layout(project.root).inbox, SetWatch(False))


@pytest.mark.parametrize("words", [(), ("train",)])
def test_it_is_told_as_by_a_loop(built: SmallProject, words: tuple[str, ...]) -> None:
    alone, took_loop = _told(built, *words)
    assert not took_loop
    _ask_for_a_loop(built)
    by_loop, took_loop = _told(built, *words)
    assert took_loop
    assert alone == by_loop
    assert {event["outcome"] for event in alone if "outcome" in event} == {"unchanged", "passed"}


def test_gates_are_judged_and_checked_as_ever(built: SmallProject) -> None:
    config = built.read("mlbench.toml")
    built.write("mlbench.toml", config.replace("accuracy >= 0.8", "accuracy >= 0.999"))
    before = _loops(built)
    done = built.cli("run", "--check")
    assert done.returncode == 3
    assert "accuracy >= 0.999" in done.stderr
    assert _loops(built) == before


def _alter_an_out(project: SmallProject) -> None:
    next((project.root / "build").iterdir()).write_bytes(b"altered")


def _edit_a_stage(project: SmallProject) -> None:
    project.write("params.toml", "[train]\nc = 0.25\n")


def _lose_the_record(project: SmallProject) -> None:
    for path in Layout(project.root).runs.glob("*/run.json"):
        path.unlink()
    for path in Layout(project.root).own.glob("experiments.*"):
        path.unlink()


@pytest.mark.parametrize(
    "change", [_ask_for_a_loop, _alter_an_out, _edit_a_stage, _lose_the_record]
)
def test_what_needs_a_loop_gets_one(built: SmallProject, change: Any) -> None:
    change(built)
    before = _loops(built)
    assert built.cli("run").returncode == 0
    assert _loops(built) != before


def test_the_lock_is_free_again(built: SmallProject) -> None:
    for _ in range(2):
        assert _told(built)[1] is False
