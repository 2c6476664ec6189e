"""What a killed engine leaves, and how the old outs come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from tests.pipeline.lab import (
    BOUND_SECONDS,
    HALF,
    OLD,
    WHOLE,
    Lab,
    is_clean,
    outs_of,
)

_ENGINE = """
import sys
from pathlib import Path
from tests.pipeline.lab import Lab
lab = Lab(Path(sys.argv[1]))
lab.build("half")
"""


def _kill_engine_mid_stage(lab: Lab, pipe: Path) -> None:
    """Kill the process that builds while its stage has half written; the stage ends by itself."""
    command = [sys.executable, "-c", _ENGINE, str(lab.root)]
    with (
        subprocess.Popen(command, cwd=Path(__file__).parents[2]) as engine,
        pipe.open() as stage,
    ):
        assert stage.readline() == "half way\n"
        engine.kill()
        assert stage.read() == ""
    assert engine.returncode == -signal.SIGKILL


@pytest.fixture
def killed(half: Lab, tmp_path: Path) -> Lab:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    half.write(
        "half.py",
        HALF.format(
            middle=f"import time\npipe = open({str(pipe)!r}, 'w', buffering=1)\n"
            f"print('half way', file=pipe)\ntime.sleep({BOUND_SECONDS})\n"
        ),
    )
    _kill_engine_mid_stage(half, pipe)
    return half.reopen()


def test_after_a_kill_the_old_outs_come_back_once_and_for_all(killed: Lab) -> None:
    assert outs_of(killed) != OLD
    assert killed.workspace.outs.recover() == ["half"]
    assert outs_of(killed) == OLD
    assert is_clean(killed)
    for _ in range(2):
        assert killed.reopen().workspace.outs.recover() == []
        assert outs_of(killed) == OLD
    assert killed.not_fresh() == {"half"}
    killed.write("half.py", WHOLE)
    assert killed.run() == {"half": "unchanged"}


def test_a_recovery_that_was_killed_itself_is_finished_by_the_next(killed: Lab) -> None:
    aside = killed.layout.aside / "half"
    (killed.root / "one.txt").unlink()
    (aside / "one.txt").rename(killed.root / "one.txt")
    assert killed.workspace.outs.recover() == ["half"]
    assert outs_of(killed) == OLD


def test_a_build_after_a_kill_needs_no_recovery_before(killed: Lab) -> None:
    killed.write("half.py", WHOLE)
    killed.write("in.txt", "second")
    assert killed.run() == {"half": "ran"}
    assert outs_of(killed) == {**OLD, "many/b.txt": b"second"}
    assert is_clean(killed)


def test_a_kill_after_the_intent_and_before_the_renames_loses_nothing(half: Lab) -> None:
    stage = half.project.stage("half")
    outs = half.workspace.outs
    outs.set_aside(stage, "run-x")
    # As if it had been killed before a single rename.
    for path in sorted((half.layout.aside / "half").iterdir()):
        path.rename(half.root / path.name)
    assert half.reopen().workspace.outs.recover() == ["half"]
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
