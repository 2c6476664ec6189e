"""What a stage gave besides its outs: metrics, and the single tests of pytest."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain import runs
from mlbench.domain.errors import ProjectFileError
from mlbench.domain.stages import Stage
from mlbench.pipeline.results import failed_tests, read_metrics, read_results, read_tests
from mlbench.pipeline.running import JUNIT_NAME


def _read(root: Path, name: str, text: str) -> dict[str, float]:
    (root / name).write_text(text)
    return read_metrics(root, Stage("s", ("x",), metrics=(name,)), math.inf)


def test_metrics_are_flat_numbers(tmp_path: Path) -> None:
    tree = {"accuracy": 0.9, "recall": {"0": 1, "1": 0.5}, "name": "x", "ok": True, "none": None}
    wanted = {"accuracy": 0.9, "recall.0": 1.0, "recall.1": 0.5, "ok": 1.0}
    assert _read(tmp_path, "m.json", json.dumps(tree)) == wanted
    assert _read(tmp_path, "m.yaml", "accuracy: 0.9\nrecall: {'0': 1}\n") == {
        "accuracy": 0.9,
        "recall.0": 1.0,
    }
    assert _read(tmp_path, "m.toml", "[a]\nb = 2\n") == {"a.b": 2.0}


def test_nan_stays_and_what_no_float_holds_is_missing(tmp_path: Path) -> None:
    found = _read(
        tmp_path, "m.json", f'{{"a": NaN, "b": Infinity, "c": -Infinity, "d": {10**400}}}'
    )
    assert list(found) == ["a"]
    assert math.isnan(found["a"])


@given(tree=st.dictionaries(st.text(max_size=3), st.integers() | st.text() | st.none()))
def test_whatever_is_no_number_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    found = _read(tmp_path_factory.getbasetemp(), "metrics.json", json.dumps(tree))
    assert set(found) == {key for key, value in tree.items() if isinstance(value, int) and key}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "m.json: metrics must be a mapping"),
        ('{\n"a": oops}', "m.json:2: not valid JSON"),
    ],
)
def test_a_file_that_is_no_mapping_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProjectFileError) as caught:
        _read(tmp_path, "m.json", text)
    assert str(caught.value).startswith(message)


def test_a_metrics_file_that_is_not_there_gives_none(tmp_path: Path) -> None:
    assert read_metrics(tmp_path, Stage("s", ("x",), metrics=("m.json",)), math.inf) == {}


def test_single_tests_are_counted(tmp_path: Path) -> None:
    (tmp_path / JUNIT_NAME).write_text(
        '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1">'
        '<testcase classname="a" name="good"/><testcase classname="a" name="fine"/>'
        '<testcase classname="a" name="bad"><failure/></testcase>'
        '<testcase classname="b" name="broken"><error/></testcase>'
        '<testcase classname="b" name="not"><skipped/></testcase></testsuite></testsuites>'
    )
    assert read_tests(tmp_path) == runs.TestCounts(passed=2, failed=2, skipped=1)
    assert failed_tests(tmp_path) == ["a.py::bad", "b.py::broken"]


def test_without_a_whole_report_nothing_is_counted(tmp_path: Path) -> None:
    assert read_tests(tmp_path) is None
    assert failed_tests(tmp_path) == []
    assert read_results(tmp_path) == ()
    (tmp_path / JUNIT_NAME).write_text("<testsuites><testsuite")
    assert read_tests(tmp_path) is None
    assert failed_tests(tmp_path) == []


SUITE = """\
import unittest
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no database")

def test_good(): pass

@pytest.mark.parametrize("rate", [0.5, "a.b::c"])
def test_bad(rate): assert rate == 1, f"rate was {rate}"

def test_unready(broken): pass

class TestRates:
    class TestInner:
        def test_deep(self): assert [1, 2] == [1, 3]

@pytest.mark.skip(reason="later")
def test_skipped(): pass

@pytest.mark.xfail
def test_known(): assert False

class Old(unittest.TestCase):
    def test_old(self): self.assertEqual(1, 2)
"""


def test_every_test_of_a_real_suite_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    (folder / "test_rates.py").write_text(SUITE)
    (folder / "test_torn.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    report = f"--junitxml={tmp_path / JUNIT_NAME}"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors", report],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        capture_output=True,
        check=False,
    )
    results = {result.id: result for result in read_results(tmp_path)}
    here = "tests/unit/test_rates.py::"
    words = {name.removeprefix(here): result.outcome.word for name, result in results.items()}
    assert words == {
        "tests/unit/test_torn.py": "error",
        "test_good": "passed",
        "test_bad[0.5]": "failed",
        "test_bad[a.b::c]": "failed",
        "test_unready": "error",
        "TestRates::TestInner::test_deep": "failed",
        "test_skipped": "skipped",
        "test_known": "skipped",
        "Old::test_old": "failed",
    }
    assert "rate was 0.5" in results[f"{here}test_bad[0.5]"].message
    assert "no database" in results[f"{here}test_unready"].message
    assert "nothing_of_that_name" in results["tests/unit/test_torn.py"].message
    assert results[f"{here}test_skipped"].message == "later"
    assert all(result.seconds >= 0 for result in results.values())
    # pytest finds each by the id that it was given.
    chosen = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--collect-only",
            *(set(results) - {"tests/unit/test_torn.py"}),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "8 tests collected" in chosen.stdout
    assert read_tests(tmp_path) == runs.TestCounts(passed=1, failed=6, skipped=2)
