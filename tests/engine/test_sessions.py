"""One loop a folder and many faces: attach, hand over, take over, recover."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.domain.commands import RunStages
from mlbench.domain.events import (
    Event,
    LoopStarted,
    Notice,
    StageStarted,
)
from mlbench.domain.outcomes import RunOutcome
from mlbench.engine.queries import Queries
from mlbench.engine.session import open_session
from tests.support import Follower, SmallProject, finished, until

Follow = Callable[[Path], Follower]
SLOW_TRAIN = "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"


def test_a_second_session_attaches_and_its_commands_reach_the_holder(
    small: SmallProject, follow: Follow
) -> None:
    holder, second = follow(small.root), follow(small.root)
    assert holder.session.holds_loop
    assert not second.session.holds_loop
    assert second.carry_out(RunStages()).exit_status == 0
    assert finished(second).run == finished(holder).run
    assert len([e for e in holder.events if isinstance(e, LoopStarted)]) == 1


def test_an_attached_session_takes_the_loop_over_when_its_holder_goes(
    small: SmallProject, follow: Follow
) -> None:
    holder = follow(small.root)
    second = follow(small.root)
    holder.session.close()

    def has_taken_over() -> bool:
        second.poll()
        return second.session.holds_loop

    until(has_taken_over)
    assert second.carry_out(RunStages()).exit_status == 0


def test_another_process_can_hold_the_loop_while_this_one_asks(small: SmallProject) -> None:
    command = [sys.executable, "-m", "mlbench", "watch", "--json"]
    with subprocess.Popen(
        command, cwd=small.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "run_finished":
                break
        small.write("params.toml", "[train]\nrate = 0.75\n")
        done = small.cli("run", "--json")
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaints == ""
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "run_finished"
    assert events[-1]["metrics"]["score"] == 0.25


def test_a_killed_holder_leaves_no_stage_and_the_next_one_puts_the_outs_back(
    small: SmallProject, follow: Follow
) -> None:
    follower = follow(small.root)
    follower.carry_out(RunStages())
    follower.session.close()
    model = small.read("build/model.txt")
    small.write(
        "train.py",
        "import os, pathlib, time\n"
        "pathlib.Path('build/model.txt').write_text('half')\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "time.sleep(600)\n",
    )
    stage = kill_the_run_that_reached_its_stage(small.root)
    until(lambda: not is_alive(stage))
    assert small.read("build/model.txt") == "half"
    again = follow(small.root)
    notice = again.wait_for(lambda event: isinstance(event, Notice) and event.level == "warn")
    assert isinstance(notice, Notice)
    assert notice.message.startswith("train was interrupted")
    assert small.read("build/model.txt") == model


def test_what_a_dying_stage_still_writes_does_not_reach_the_outs_that_are_put_back(
    small: SmallProject, follow: Follow
) -> None:
    follower = follow(small.root)
    follower.carry_out(RunStages())
    follower.session.close()
    model = small.read("build/model.txt")
    small.write(
        "train.py",
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "while True:\n"
        "    pathlib.Path('build/model.txt').write_text('half')\n"
        "    time.sleep(0.01)\n",
    )
    stage = kill_the_run_that_reached_its_stage(small.root)
    again = follow(small.root)
    again.wait_for(lambda event: isinstance(event, Notice) and event.level == "warn")
    assert not is_alive(stage), "the loop waits for the end of the stage"
    assert small.read("build/model.txt") == model


def kill_the_run_that_reached_its_stage(root: Path) -> int:
    """Start a run, wait for its stage to write down its pid, kill the run; gives that pid."""
    process = subprocess.Popen([sys.executable, "-m", "mlbench", "run"], cwd=root)
    pid_file = root / "pid"
    until(lambda: pid_file.exists() and pid_file.read_text() != "")
    process.kill()
    process.wait()
    return int(pid_file.read_text())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_closing_a_session_stops_what_it_runs(small: SmallProject) -> None:
    small.write("train.py", SLOW_TRAIN)
    session = open_session(small.root)
    session.send(RunStages())
    events: list[Event] = []

    def train_runs() -> bool:
        events.extend(session.poll())
        return any(isinstance(e, StageStarted) and e.stage == "train" for e in events)

    until(train_runs)
    session.close()
    (run,) = Queries.of(small.root).runs()
    assert run.outcome is RunOutcome.CANCELLED
    assert not Queries.of(small.root).loop_is_held()


GATED_TRAIN = """\
import pathlib, time
pathlib.Path("begun").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.01)
pathlib.Path("build/model.txt").write_text("model")
pathlib.Path("build/metrics.json").write_text("{}")
"""


def start_run(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlbench", "run", "--json"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("ending", ["is over", "is killed"])
def test_a_run_that_waits_for_another_terminal_is_done_when_that_one(
    small: SmallProject, ending: str
) -> None:
    small.write("train.py", GATED_TRAIN)
    with start_run(small.root) as first:
        until((small.root / "begun").exists)
        with start_run(small.root) as second:
            inbox = small.root / ".mlbench" / "inbox"
            until(lambda: inbox.exists() and not list(inbox.iterdir()))
            if ending == "is killed":
                first.kill()
            small.write("go", "")
            output, complaints = second.communicate(timeout=60)
        first.communicate(timeout=60)
    assert second.returncode == 0, complaints
    last = json.loads(output.splitlines()[-1])
    assert last["event"] == "run_finished"
    assert last["outcome"] == "passed"
    assert first.returncode == (-9 if ending == "is killed" else 0)
