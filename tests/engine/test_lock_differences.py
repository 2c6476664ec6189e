"""How a lock and the present differ: names that hold on every machine, and one sentence."""

from __future__ import annotations

import pytest

from mlbench.domain.outcomes import ReasonKind, StageState
from mlbench.domain.plan import Plan, Reason, StageStatus
from mlbench.engine.lock_differences import (
    Difference,
    Portable,
    differences,
    sentence,
    unlockable,
)

HERE = Portable("/home/me/.venv", "CPython 3.12.1")
THERE = Portable("/ci/venv", "CPython 3.12.1")


def test_what_only_one_machine_knows_is_not_in_the_lock() -> None:
    mine = HERE.named(
        {
            "python:python": "/home/me/.venv/bin (/usr/bin/python3.12) ab12",
            "package:numpy@/home/me/.venv/lib/python3.12/site-packages": "2.1.0",
            "file:/home/me/.venv.csv": "cd34",
        }
    )
    theirs = THERE.named(
        {
            "python:python": "/ci/venv/bin (/usr/bin/python3.12) ef56",
            "package:numpy@/ci/venv/lib/python3.12/site-packages": "2.1.0",
            "file:/home/me/.venv.csv": "cd34",
        }
    )
    assert mine == theirs
    assert mine["python:python"] == "CPython 3.12.1"


@pytest.mark.parametrize("portable", [HERE, THERE, Portable("/", "x")])
def test_a_name_of_the_lock_is_found_again_here(portable: Portable) -> None:
    names = [
        f"package:numpy@{portable.environment}/lib/site-packages",
        "package:six@/usr/lib/python3/dist-packages",
        "file:data/x.csv",
    ]
    assert [portable.own(name) for name in portable.named(dict.fromkeys(names, "1"))] == names


def test_differences_are_those_of_either_side() -> None:
    locked, now = {"file:a": "1", "file:b": "1", "file:c": "1"}, {"file:a": "1", "file:c": "2"}
    assert differences("s", locked, now | {"file:d": "3"}) == (
        Difference("s", "file:b", "1", None),
        Difference("s", "file:c", "1", "2"),
        Difference("s", "file:d", None, "3"),
    )


def test_another_python_is_told_before_what_follows_from_it() -> None:
    locked, now = {"code:a.py": "1", "python:python": "3.11"}, {"code:a.py": "2"}
    assert [item.name for item in differences("s", locked, now)] == ["python:python", "code:a.py"]


@pytest.mark.parametrize(
    ("name", "locked", "now", "words"),
    [
        ("param:train.rate", "0.5", "0.25", "param train.rate is 0.25, locked is 0.5;"),
        ("param:train.kind", '"svm"', '"tree"', "param train.kind is tree, locked is svm;"),
        ("param:train.new", None, "1", "param train.new is 1, locked is none;"),
        ("param:train.bad", "oops", "1", "param train.bad is 1, locked is oops;"),
        ("package:numpy@x", "2.1", "2.2", "package numpy is 2.2, locked is 2.1;"),
        ("command:cmd", "a\nb", "a", "command cmd is a, locked is a && b;"),
        ("file:data.csv", "1", "2", "file data.csv is not what is locked;"),
        ("file:data.csv", "1", "missing", "file data.csv is locked, but not there;"),
        ("code:x.py", "1", None, "code x.py is no input any more;"),
        ("code:x.py", None, "1", "code x.py is not among the locked inputs;"),
        ("env:ROOT", "1", "2", "env ROOT is not what is locked;"),
    ],
)
def test_one_sentence_says_what_differs_and_what_to_do(
    name: str, locked: str | None, now: str | None, words: str
) -> None:
    said = sentence(Difference("train", name, locked, now))
    assert said.startswith(f"mlbench.lock: train: {words}")
    assert said.endswith("or write the lock anew with `mlbench lock`")


def status(name: str, *reasons: Reason) -> StageStatus:
    return StageStatus(name, StageState.STALE if reasons else StageState.FRESH, reasons)


def test_what_runs_every_time_does_not_keep_others_from_being_locked() -> None:
    always = Reason(ReasonKind.ALWAYS, "clock")
    after = Reason(ReasonKind.UPSTREAM, "clock")
    edited = Reason(ReasonKind.FILE, "data.csv")
    stages = (
        status("clock", always),
        status("train", after),
        status("other", edited),
        status("report", Reason(ReasonKind.UPSTREAM, "other")),
        status("fine"),
    )
    assert unlockable(Plan(stages, {})) == ["other", "report"]
