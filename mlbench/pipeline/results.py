"""What a stage gave besides its outs: metrics from its files, single test results from pytest."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.outcomes import TestOutcome
from mlbench.domain.runs import TestCounts, TestResult
from mlbench.domain.stages import Stage
from mlbench.pipeline.dvclive import METRICS_NAME, live_files
from mlbench.pipeline.running import JUNIT_NAME
from mlbench.project.params import flatten, parse_tree
from mlbench.project.toml_file import read_text

if TYPE_CHECKING:
    from xml.etree import ElementTree

_VERDICTS = (
    ("failure", TestOutcome.FAILED),
    ("error", TestOutcome.ERROR),
    ("skipped", TestOutcome.SKIPPED),
)
_NOT_COLLECTED = "collection failure"
_LONGEST_MESSAGE = 4000


def read_metrics(root: Path, stage: Stage, since: float) -> dict[str, float]:
    """The numbers of the stage's metrics files, flat with dotted names.

    DVCLive's is read undeclared as well, if it was written since then, in seconds since the epoch.
    ProjectFileError where a file does not parse; what is no number is passed over.
    """
    metrics: dict[str, float] = {}
    for name in live_files(root, stage, since, METRICS_NAME):
        # Nobody said that it has to be right.
        with contextlib.suppress(ProjectFileError):
            metrics |= _numbers_in(root / name, name)
    for name in stage.metrics:
        if (root / name).is_file():
            metrics |= _numbers_in(root / name, name)
    return metrics


def read_tests(folder: Path) -> TestCounts | None:
    """How many tests passed, failed and were skipped by pytest's JUnit file, where there is one."""
    # Late, as below: few stages are tests.
    from xml.etree import ElementTree

    try:
        suites = [
            element.attrib
            for _, element in ElementTree.iterparse(folder / JUNIT_NAME)
            if element.tag == "testsuite"
        ]
    except (OSError, ElementTree.ParseError):
        return None
    total, failed, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    failed += errors
    return TestCounts(passed=total - failed - skipped, failed=failed, skipped=skipped)


def read_results(folder: Path) -> tuple[TestResult, ...]:
    """Each test in pytest's order; none where there is no whole JUnit file."""
    from xml.etree import ElementTree

    results = []
    try:
        for _, element in ElementTree.iterparse(folder / JUNIT_NAME):
            if element.tag == "testcase":
                results.append(_result(element))
                # A large suite's tracebacks need not be in memory all at once.
                element.clear()
    except (OSError, ElementTree.ParseError):
        return ()
    return tuple(results)


def failed_tests(folder: Path) -> list[str]:
    """The ids of the tests that failed, in pytest's order."""
    return [result.id for result in read_results(folder) if result.outcome.is_bad]


def _numbers_in(path: Path, name: str) -> dict[str, float]:
    tree = parse_tree(name, read_text(path, name))
    if not isinstance(tree, dict):
        raise ProjectFileError("metrics must be a mapping of names to numbers", file=name)
    numbers = {key: _number(value) for key, value in flatten(tree).items()}
    return {key: value for key, value in numbers.items() if value is not None}


def _result(case: ElementTree.Element) -> TestResult:
    """A test from its element; of several verdicts on one test the worst comes first."""
    outcome, message = TestOutcome.PASSED, ""
    for tag, meaning in _VERDICTS:
        verdict = case.find(tag)
        if verdict is not None:
            outcome, message = meaning, _message(verdict)
            break
    try:
        seconds = float(case.get("time", "0"))
    except ValueError:
        seconds = 0.0
    return TestResult(
        _test_id(case.get("classname", ""), case.get("name", "")), outcome, seconds, message
    )


def _message(verdict: ElementTree.Element) -> str:
    """Why, in pytest's words: its message, else the lines of the traceback that say it."""
    message = verdict.get("message", "")
    text = verdict.text or ""
    if not message or message == _NOT_COLLECTED:
        said = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
        message = "\n".join(said) or message or text
    return message.strip()[:_LONGEST_MESSAGE]


def _test_id(classname: str, name: str) -> str:
    """The id that pytest takes on its command line, as far as its report tells it.

    The report joins file and classes by dots; classes are those at the end that begin with a
    capital, as pytest finds them by default. A module that can't be collected has its name alone.
    """
    if not classname:
        return f"{name.replace('.', '/')}.py" if name.replace(".", "").isidentifier() else name
    parts = classname.split(".")
    classes: list[str] = []
    while len(parts) > 1 and parts[-1][:1].isupper():
        classes.insert(0, parts.pop())
    return "::".join((f"{'/'.join(parts)}.py", *classes, name))


def _number(value: Any) -> float | None:
    """A metric's value; None for what is no number, endless, or too large for a float."""
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isinf(number) else number
