"""What a killed engine leaves, and how the old outs come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult
from mlbench.pipeline.launch import Launch
from mlbench.system.locks import is_held
from tests.pipeline.lab import (
    HALF,
    OLD,
    WHOLE,
    Lab,
    Meeting,
    is_clean,
    outs_of,
    set_aside,
)
from tests.support import until

_ENGINE = """
import sys
from pathlib import Path
from tests.pipeline.lab import Lab
lab = Lab(Path(sys.argv[1]))
lab.build("half")
"""


class Killed:
    """A stage that waits half way, and whose engine is gone."""

    def __init__(self, lab: Lab, meeting: Meeting) -> None:
        self.lab = lab
        self.meeting = meeting
        lab.write("half.py", HALF.format(middle=meeting.code))
        command = [sys.executable, "-c", _ENGINE, str(lab.root)]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as engine:
            meeting.wait()
            engine.kill()
        assert engine.returncode == -signal.SIGKILL
        lab.reopen()

    @property
    def launch(self) -> Launch:
        launch = self.lab.workspace.intents.get("half")
        assert launch is not None
        return launch

    def adopt(self) -> BuildResult:
        """What becomes of the stage in the hands of the next engine."""
        project, space = self.lab.project, self.lab.workspace
        (launch,) = space.unfinished()
        return Build.adopt(space, project, launch, logged=lambda folder: {}).run()

    def kill_supervisor(self) -> None:
        record = json.loads((Path(self.launch.folder) / "process.json").read_text())
        os.kill(record["supervisor"][0], signal.SIGKILL)

    def until_free(self) -> None:
        lock = self.lab.layout.state / "locks" / "half.lock"
        until(lambda: not is_held(lock))


@pytest.fixture
def killed(half: Lab, meeting: Meeting) -> Killed:
    return Killed(half, meeting)


def test_a_stage_outlives_its_engine_and_the_next_one_keeps_what_it_gives(killed: Killed) -> None:
    assert killed.lab.workspace.recover() == []
    killed.meeting.go_on()
    result = killed.adopt()
    assert result.outcome is StageOutcome.RAN
    assert outs_of(killed.lab) == OLD
    assert is_clean(killed.lab)
    assert killed.lab.run() == {"half": "unchanged"}


def test_a_stage_that_ended_while_nobody_looked_is_judged_by_the_next_engine(
    killed: Killed,
) -> None:
    killed.meeting.go_on()
    killed.until_free()
    assert killed.adopt().outcome is StageOutcome.RAN
    assert is_clean(killed.lab)


def test_an_edit_while_nobody_looked_overtakes_the_stage(killed: Killed) -> None:
    killed.lab.write("in.txt", "second")
    killed.lab.write("in.txt", "first")
    killed.meeting.go_on()
    result = killed.adopt()
    assert (result.outcome, result.moved) == (StageOutcome.OVERTAKEN, "in.txt")
    assert outs_of(killed.lab) == OLD
    assert is_clean(killed.lab)


def test_an_adopted_stage_can_be_stopped(killed: Killed) -> None:
    project, space = killed.lab.project, killed.lab.workspace
    (launch,) = space.unfinished()
    build = Build.adopt(space, project, launch, logged=lambda folder: {})
    build.stop()
    assert build.run().outcome is StageOutcome.CANCELLED
    assert outs_of(killed.lab) == OLD
    assert is_clean(killed.lab)


def test_after_a_kill_of_both_the_old_outs_come_back_once_and_for_all(killed: Killed) -> None:
    lab = killed.lab
    killed.kill_supervisor()
    killed.until_free()
    assert lab.workspace.recover() == ["half"]
    assert outs_of(lab) == OLD
    assert is_clean(lab)
    for _ in range(2):
        assert lab.reopen().workspace.recover() == []
        assert outs_of(lab) == OLD
    assert lab.not_fresh() == {"half"}
    lab.write("half.py", WHOLE)
    assert lab.run() == {"half": "unchanged"}


def test_a_recovery_that_was_killed_itself_is_finished_by_the_next(killed: Killed) -> None:
    lab = killed.lab
    killed.kill_supervisor()
    killed.until_free()
    lab.workspace.runner.stop_leftover(Path(killed.launch.folder))
    aside = lab.layout.aside / "half"
    (lab.root / "one.txt").unlink()
    (aside / "one.txt").rename(lab.root / "one.txt")
    assert lab.workspace.recover() == ["half"]
    assert outs_of(lab) == OLD


def test_what_was_to_be_put_back_is_put_back_also_where_the_exit_was_good(killed: Killed) -> None:
    lab = killed.lab
    killed.meeting.go_on()
    killed.until_free()
    lab.workspace.intents.lose(killed.launch)
    assert lab.reopen().workspace.unfinished() == ()
    assert lab.workspace.recover() == ["half"]
    assert outs_of(lab) == OLD


def test_a_build_after_a_kill_needs_no_recovery_before(killed: Killed) -> None:
    lab = killed.lab
    killed.kill_supervisor()
    killed.until_free()
    lab.write("half.py", WHOLE)
    lab.write("in.txt", "second")
    assert lab.run() == {"half": "ran"}
    assert outs_of(lab) == {**OLD, "many/b.txt": b"second"}
    assert is_clean(lab)


def test_a_kill_after_the_intent_and_before_the_renames_loses_nothing(half: Lab) -> None:
    set_aside(half, "half")
    # As if it had been killed before a single rename.
    for path in sorted((half.layout.aside / "half").iterdir()):
        path.rename(half.root / path.name)
    assert half.reopen().workspace.recover() == ["half"]
    assert outs_of(half) == OLD


def test_what_an_earlier_crash_left_aside_is_never_taken_for_the_old_outs(half: Lab) -> None:
    (half.layout.aside / "half").mkdir(parents=True)
    (half.layout.aside / "half" / "one.txt").write_text("from long ago")
    half.write("half.py", HALF.format(middle="sys.exit(1)\n"))
    assert half.run() == {"half": "failed"}
    assert outs_of(half) == OLD


def test_a_trace_that_can_t_be_written_leaves_the_old_outs(half: Lab) -> None:
    half.write("in.txt", "second")
    traces = half.layout.state / "traces.jsonl"
    saved = traces.read_bytes()
    traces.unlink()
    traces.mkdir()
    result = half.build("half")
    assert result.outcome is StageOutcome.FAILED
    assert "traces.jsonl" in result.message
    assert outs_of(half) == OLD
    assert is_clean(half)
    traces.rmdir()
    traces.write_bytes(saved)
    assert half.reopen().not_fresh() == {"half"}
