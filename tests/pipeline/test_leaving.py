"""A build that leaves its stage running: another process goes on with it, and it keeps off."""

from __future__ import annotations

import threading

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult
from tests.pipeline.lab import HALF, OLD, Lab, Meeting, is_clean, outs_of


@pytest.fixture
def waiting(half: Lab, meeting: Meeting) -> Lab:
    half.write("half.py", HALF.format(middle=meeting.code))
    return half


def test_it_is_judged_once_and_by_the_next(waiting: Lab, meeting: Meeting) -> None:
    results: list[BuildResult] = []
    build = waiting.start("half")
    thread = threading.Thread(target=lambda: results.append(build.run()))
    thread.start()
    meeting.wait()
    assert build.leave()
    other = Lab(waiting.root)
    (launch,) = other.workspace.unfinished()
    adopted = Build.adopt(other.workspace, other.project, launch, logged=lambda folder: {})
    meeting.go_on()
    thread.join()
    assert results[0].outcome is StageOutcome.CANCELLED
    assert adopted.run().outcome is StageOutcome.RAN
    assert outs_of(other) == OLD
    assert is_clean(other)
    assert other.not_fresh() == set()


def test_what_has_not_begun_does_not_begin(waiting: Lab) -> None:
    build = waiting.start("half")
    assert not build.leave()
    assert build.run().outcome is StageOutcome.CANCELLED
    assert outs_of(waiting) == OLD
    assert is_clean(waiting)
