"""What a stage gave besides its outs: metrics from its files, single test results from pytest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.runs import TestCounts
from mlbench.domain.stages import Stage
from mlbench.project.params import flatten, parse_tree
from mlbench.project.toml_file import read_text

JUNIT_NAME = "tests.xml"


def read_metrics(root: Path, stage: Stage) -> dict[str, float]:
    """The numbers of the stage's metrics files, flat with dotted names.

    ProjectFileError where a file does not parse; what is no number is passed over.
    """
    metrics: dict[str, float] = {}
    for name in stage.metrics:
        path = root / name
        if path.is_file():
            tree = parse_tree(name, read_text(path, name))
            if not isinstance(tree, dict):
                raise ProjectFileError("metrics must be a mapping of names to numbers", file=name)
            numbers = {key: _number(value) for key, value in flatten(tree).items()}
            metrics |= {key: value for key, value in numbers.items() if value is not None}
    return metrics


def read_tests(folder: Path) -> TestCounts | None:
    """How many tests passed, failed and were skipped by pytest's JUnit file, where there is one."""
    path = folder / JUNIT_NAME
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return None
    total, failed, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites)
        for name in ("tests", "failures", "skipped")
    )
    failed += sum(int(suite.get("errors", "0")) for suite in suites)
    return TestCounts(passed=total - failed - skipped, failed=failed, skipped=skipped)


def failed_tests(folder: Path) -> list[str]:
    """The ids of the tests that failed, in pytest's order."""
    try:
        cases = list(ElementTree.parse(folder / JUNIT_NAME).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def _number(value: Any) -> float | None:
    """A metric's value; None for what is no number, endless, or too large for a float."""
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isinf(number) else number
