"""Notes, tags, stars, the baseline, the archive, deleting and undoing, from the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import SmallProject


@pytest.fixture
def recorded(small: SmallProject) -> SmallProject:
    """A project with one run."""
    done = small.cli("run")
    assert done.returncode == 0, done.stderr
    return small


def listed(project: SmallProject, *words: str) -> list[dict[str, Any]]:
    done = project.cli("runs", "--json", *words)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_what_people_say_of_a_run_is_on_record_and_can_be_taken_back(
    recorded: SmallProject,
) -> None:
    (run,) = listed(recorded)
    steps = (
        ("note", "@last", "looks", "good"),
        ("tag", "@last", "team=x", "first"),
        ("star", run["name"]),
        ("baseline", run["id"]),
    )
    for words in steps:
        done = recorded.cli(*words)
        assert (done.returncode, done.stdout) == (0, "")
        assert run["name"] in done.stderr
    (run,) = listed(recorded)
    assert (run["note"], run["tags"]) == ("looks good", ["team=x", "first"])
    for _ in steps:
        assert recorded.cli("undo").stderr.startswith("undone: ")
    (run,) = listed(recorded)
    assert (run["note"], run["tags"]) == ("", [])
    done = recorded.cli("undo")
    assert (done.returncode, done.stderr) == (2, "mlbench: there is nothing to undo\n")


def test_a_deletion_asks_and_without_a_terminal_is_refused(recorded: SmallProject) -> None:
    done = recorded.cli("delete", "@last")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert len(listed(recorded)) == 1
    assert recorded.cli("delete", "@last", "--yes").returncode == 0
    assert listed(recorded) == []
    assert recorded.cli("undo").returncode == 0
    assert len(listed(recorded)) == 1


def test_an_unknown_run_is_one_sentence(recorded: SmallProject) -> None:
    for words in (("note", "nobody", "x"), ("star", "nobody"), ("delete", "nobody", "--yes")):
        done = recorded.cli(*words)
        assert done.returncode == 2
        assert done.stderr.startswith('mlbench: there is no run "nobody"')
