"""One loop a folder and many faces: attach, hand over, take over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mlbench.domain.commands import RunStages
from mlbench.domain.events import Event, LoopStarted, StageStarted
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
