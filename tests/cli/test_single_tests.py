"""A test stage's single tests on the command line: failures in print, all of them as JSON."""

from __future__ import annotations

import json

import pytest

from tests.support import SmallProject

STAGE = """
[stages.checks]
cmd = "python -m pytest -q -p no:cacheprovider test_model.py"
kind = "test"
deps = ["build/model.txt", "test_model.py"]
"""
TESTS = """\
def test_good(): pass

def test_bad():
    assert 1 == 2, "one is not two"
"""


@pytest.fixture
def tested(small: SmallProject) -> SmallProject:
    small.write("mlbench.toml", small.read("mlbench.toml") + STAGE)
    small.write("test_model.py", TESTS)
    return small


def test_show_names_the_tests_that_failed_and_why(tested: SmallProject) -> None:
    assert tested.cli("run").returncode == 1
    (run,) = json.loads(tested.cli("runs", "--json").stdout)
    shown = tested.cli("show", run["id"]).stdout
    assert "✗ test_model.py::test_bad" in shown
    assert "one is not two" in shown
    assert "test_good" not in shown
    tests = json.loads(tested.cli("show", run["id"], "--json").stdout)["tests"]
    assert [(test["id"], test["outcome"]) for test in tests["checks"]] == [
        ("test_model.py::test_good", "passed"),
        ("test_model.py::test_bad", "failed"),
    ]
    assert "one is not two" in tests["checks"][1]["message"]
    assert tests["checks"][0]["seconds"] >= 0


def test_a_run_that_took_results_over_shows_the_tests_of_the_run_that_ran_them(
    tested: SmallProject,
) -> None:
    tested.write("test_model.py", TESTS.replace("1 == 2", "1 == 1"))
    assert tested.cli("run").returncode == 0
    tested.write("report.py", tested.read("report.py") + "print(1)\n")
    done = tested.cli("run", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["stages"]["checks"] == "unchanged"
    tests = json.loads(tested.cli("show", last["run"], "--json").stdout)["tests"]
    assert len(tests["checks"]) == 2
