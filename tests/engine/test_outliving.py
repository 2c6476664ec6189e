"""Stages outlive the screen: what runs goes on without its holder, and the next goes on with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.commands import RunStages, StopStages
from mlbench.domain.events import LoopStarted, Notice, RunFinished, RunStarted, StageStarted
from mlbench.domain.outcomes import RunOutcome
from mlbench.engine.queries import Queries
from mlbench.system.locks import is_held
from tests.support import Follower, SmallProject, finished, outcomes, until

Follow = Callable[[Path], Follower]
GATED_TRAIN = """\
import os, pathlib, time
pathlib.Path("starts").open("a").write("x")
pathlib.Path("pid").write_text(str(os.getpid()))
while not pathlib.Path("go").exists():
    time.sleep(0.01)
pathlib.Path("build/model.txt").write_text("model")
pathlib.Path("build/metrics.json").write_text("{}")
"""


@pytest.fixture
def gated(small: SmallProject) -> Iterator[SmallProject]:
    """`train` counts its starts, writes down its pid and waits for the file `go`."""
    small.write("train.py", GATED_TRAIN)
    yield small
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(small.read("pid")), signal.SIGKILL)


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlbench", *words],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_until_train(project: SmallProject, *words: str) -> subprocess.Popen[str]:
    process = start(project.root, *words)
    pid_file = project.root / "pid"
    until(lambda: pid_file.exists() and pid_file.read_text() != "")
    return process


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, complaints = process.communicate(timeout=60)
    return process.returncode, complaints


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(project: SmallProject) -> int:
    return int(project.read("pid"))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGHUP, 129)], ids=["killed", "hung up"]
)
def test_a_stage_goes_on_without_its_terminal_and_its_run_is_finished_by_the_next(
    gated: SmallProject, follow: Follow, number: signal.Signals, status: int
) -> None:
    ended, complaints = end(start_until_train(gated, "run"), number)
    assert ended == status
    assert "Traceback" not in complaints
    assert is_alive(pid_of(gated))
    (flight,) = (gated.root / ".mlbench" / "flights").glob("*.flight.json")
    run = flight.name.removesuffix(".flight.json")
    follower = follow(gated.root)
    again = follower.wait_for(lambda e: isinstance(e, StageStarted) and e.stage == "train")
    assert isinstance(again, StageStarted)
    assert again.run == run
    assert again.since < again.at
    (started,) = [event for event in follower.events if isinstance(event, RunStarted)]
    assert (started.run, started.origin) == (run, "manual")
    assert started.since < started.at
    gated.write("go", "")
    done = finished(follower)
    assert done.run == run
    assert done.outcome is RunOutcome.PASSED
    assert outcomes(done) == {"prepare": "ran", "train": "ran", "report": "ran"}
    assert gated.read("starts") == "x"
    (recorded,) = Queries.of(gated.root).runs()
    assert recorded.id == run
    assert recorded.params == {"train.rate": 0.5}
    assert list((gated.root / ".mlbench" / "flights").iterdir()) == []


def test_a_stage_that_ended_while_nobody_looked_is_taken_in(
    gated: SmallProject, follow: Follow
) -> None:
    end(start_until_train(gated, "run"), signal.SIGKILL)
    gated.write("go", "")
    until(lambda: not is_alive(pid_of(gated)))
    done = finished(follow(gated.root))
    assert outcomes(done)["train"] == "ran"
    assert gated.read("build/model.txt") == "model"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_stop_end_what_the_terminal_started(
    gated: SmallProject, number: signal.Signals
) -> None:
    ended, _ = end(start_until_train(gated, "run"), number)
    assert ended == 130
    assert not is_alive(pid_of(gated))
    (run,) = Queries.of(gated.root).runs(everything=True)
    assert run.outcome is RunOutcome.CANCELLED


def test_stop_ends_what_a_holder_has_left(gated: SmallProject) -> None:
    end(start_until_train(gated, "run"), signal.SIGHUP)
    done = gated.cli("stop")
    assert done.returncode == 0
    assert "train" in done.stderr
    assert not is_alive(pid_of(gated))
    assert gated.cli("stop").stderr.strip() == "nothing is running"


def test_stop_ends_it_also_where_the_configuration_is_broken(gated: SmallProject) -> None:
    end(start_until_train(gated, "run"), signal.SIGHUP)
    gated.write("mlbench.toml", "[stages")
    gated.cli("stop")
    assert not is_alive(pid_of(gated))


def test_a_stage_that_the_project_has_no_more_is_stopped(
    gated: SmallProject, follow: Follow
) -> None:
    end(start_until_train(gated, "run"), signal.SIGHUP)
    config = gated.read("mlbench.toml")
    gated.write("mlbench.toml", config[: config.index("[stages.train]")])
    follow(gated.root)
    until(lambda: not is_alive(pid_of(gated)))


def test_a_short_command_that_takes_the_loop_leaves_running_what_it_found(
    gated: SmallProject,
) -> None:
    end(start_until_train(gated, "run"), signal.SIGHUP)
    done = gated.cli("run", "report", "--json")
    assert done.returncode == 0, done.stderr
    assert "goes on without this terminal: train" in done.stderr
    assert is_alive(pid_of(gated))
    assert last(done.stdout)["stages"] == {"prepare": "unchanged", "report": "unchanged"}
    assert gated.read("starts") == "x"


def last(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert found["event"] == "run_finished"
    return found


def test_tests_finish_in_a_second_terminal_while_it_trains(gated: SmallProject) -> None:
    with start_until_train(gated, "run", "--json") as first:
        done = gated.cli("run", "report", "--force", "--json")
        assert done.returncode == 0, done.stderr
        assert last(done.stdout)["stages"] == {"prepare": "unchanged", "report": "ran"}
        assert first.poll() is None
        gated.write("go", "")
        output, _ = first.communicate(timeout=60)
    assert last(output)["stages"]["train"] == "ran"


@pytest.mark.parametrize("ending", ["is over", "is interrupted", "is killed", "is hung up"])
def test_a_run_of_another_terminal_goes_on_when_the_holder_goes(
    gated: SmallProject, ending: str
) -> None:
    gated.write(
        "report.py",
        "import pathlib, time\nwhile not pathlib.Path('go1').exists():\n"
        "    time.sleep(0.01)\npathlib.Path('build/report.txt').write_text('r')\n",
    )
    with start(gated.root, "run", "report", "--json") as holder:
        until((gated.root / ".mlbench" / "flights").exists)
        with start_until_train(gated, "run", "train", "--json") as second:
            before = pid_of(gated)
            match ending:
                case "is over":
                    gated.write("go1", "")
                case "is interrupted":
                    holder.send_signal(signal.SIGINT)
                case "is killed":
                    holder.kill()
                case "is hung up":
                    holder.send_signal(signal.SIGHUP)
            holder.communicate(timeout=60)
            gated.write("go1", "")
            gated.write("go", "")
            output, complaints = second.communicate(timeout=60)
    statuses = {"is over": 0, "is interrupted": 130, "is killed": -9, "is hung up": 129}
    assert holder.returncode == statuses[ending]
    assert second.returncode == 0, complaints
    assert last(output)["stages"] == {"prepare": last(output)["stages"]["prepare"], "train": "ran"}
    assert gated.read("starts") == "x", "it was gone on with, not begun anew"
    assert pid_of(gated) == before


def test_ctrl_c_in_an_attached_terminal_stops_its_own_run_alone(gated: SmallProject) -> None:
    waits = "import pathlib, time\npathlib.Path('two').touch()\ntime.sleep(600)\n"
    gated.write("report.py", waits)
    with start_until_train(gated, "run", "train", "--json") as holder:
        with start(gated.root, "run", "report", "--json") as second:
            until((gated.root / "two").exists)
            second.send_signal(signal.SIGINT)
            output, _ = second.communicate(timeout=60)
        assert second.returncode == 130
        assert last(output)["stages"]["report"] == "cancelled"
        assert is_alive(pid_of(gated))
        gated.write("go", "")
        output, _ = holder.communicate(timeout=60)
    assert last(output)["outcome"] == "passed"


def test_a_watch_that_is_stopped_leaves_the_run_of_another_terminal(gated: SmallProject) -> None:
    gated.write("mlbench.toml", gated.read("mlbench.toml").replace("jobs = 2", "jobs = 1"))
    with start(gated.root, "watch", "--json") as watch:
        assert watch.stdout is not None
        for line in watch.stdout:
            if json.loads(line)["event"] == "stage_started":
                break
        with start(gated.root, "run", "--json") as second:
            until((gated.root / "pid").exists)
            watch.send_signal(signal.SIGINT)
            watch.communicate(timeout=60)
            gated.write("go", "")
            output, complaints = second.communicate(timeout=60)
    assert watch.returncode == 130
    assert second.returncode == 0, complaints
    assert last(output)["stages"]["train"] == "ran"


def test_the_second_holder_can_be_killed_as_well(gated: SmallProject, follow: Follow) -> None:
    end(start_until_train(gated, "run"), signal.SIGKILL)
    second = start(gated.root, "watch", "--json")
    assert second.stdout is not None
    for line in second.stdout:
        if json.loads(line)["event"] == "stage_started":
            break
    end(second, signal.SIGKILL)
    assert is_alive(pid_of(gated))
    follower = follow(gated.root)
    follower.wait_for(lambda e: isinstance(e, StageStarted) and e.stage == "train")
    gated.write("go", "")
    assert outcomes(finished(follower))["train"] == "ran"
    assert gated.read("starts") == "x"


def test_an_edit_while_nobody_looks_makes_the_result_overtaken(
    gated: SmallProject, follow: Follow
) -> None:
    end(start_until_train(gated, "run"), signal.SIGKILL)
    gated.write("params.toml", "[train]\nrate = 0.25\n")
    follower = follow(gated.root)
    follower.wait_for(lambda e: isinstance(e, StageStarted) and e.stage == "train")
    gated.write("go", "")
    assert outcomes(finished(follower))["train"] == "overtaken"


def test_what_failed_before_the_holder_went_is_not_repeated_by_the_next(
    gated: SmallProject, follow: Follow
) -> None:
    gated.write("report.py", "open('reports', 'a').write('x')\nraise SystemExit(1)\n")
    process = start_until_train(gated, "run", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "stage_finished" and event["stage"] == "report":
            break
    end(process, signal.SIGKILL)
    follower = follow(gated.root)
    follower.wait_for(lambda e: isinstance(e, StageStarted) and e.stage == "train")
    gated.write("go", "")
    done = finished(follower)
    assert outcomes(done) == {"prepare": "ran", "train": "ran", "report": "failed"}
    assert gated.read("reports") == "x"
    report = Queries.of(gated.root).run(done.name).stages["report"]
    assert report.message.startswith("python report.py: exit status 1")
    assert [reason.kind.word for reason in report.reasons] == ["new"]
    assert (report.ran_in, report.cpu_seconds is None) == (done.run, False)


def test_a_reopened_loop_stops_what_it_adopted_when_asked(
    gated: SmallProject, follow: Follow
) -> None:
    end(start_until_train(gated, "run"), signal.SIGHUP)
    follower = follow(gated.root)
    assert "train" in follower.carry_out(StopStages()).message
    assert outcomes(finished(follower))["train"] == "cancelled"
    assert not is_alive(pid_of(gated))


def test_where_the_supervisor_is_killed_too_the_old_outs_come_back(
    small: SmallProject, follow: Follow
) -> None:
    first = follow(small.root)
    first.carry_out(RunStages())
    model = small.read("build/model.txt")
    first.session.close()
    small.write(
        "train.py",
        "import pathlib\npathlib.Path('build/model.txt').write_text('half')\n" + GATED_TRAIN,
    )
    process = start_until_train(small, "run")
    records = (small.root / ".mlbench" / "runs").glob("*/stages/train/process.json")
    # By time, for two runs of one second are in no order by name.
    record = max(records, key=lambda path: path.stat().st_mtime_ns)
    end(process, signal.SIGKILL)
    os.kill(json.loads(record.read_text())["supervisor"][0], signal.SIGKILL)
    lock = small.root / ".mlbench" / "state" / "locks" / "train.lock"
    until(lambda: not is_held(lock))
    follower = follow(small.root)
    notice = follower.wait_for(lambda e: isinstance(e, Notice) and e.level == "warn")
    assert isinstance(notice, Notice)
    assert notice.message.startswith("train was interrupted")
    assert not is_alive(pid_of(small))
    assert small.read("build/model.txt") == model
    assert not [e for e in follower.events if isinstance(e, RunFinished)]
    (loop,) = [e for e in follower.events if isinstance(e, LoopStarted)]
    assert loop.resumed == ()
