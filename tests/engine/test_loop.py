"""The loop on a real project: real stages, real files, real second processes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.domain.commands import RunStages, SetWatch, StopStages
from mlbench.domain.events import (
    Notice,
    PlanMade,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.engine.queries import Queries
from tests.support import Follower, SmallProject, finished, outcomes, until

Follow = Callable[[Path], Follower]
SLOW_TRAIN = "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"


def test_a_run_is_recorded_with_everything_and_a_second_is_all_unchanged(
    small: SmallProject, follow: Follow
) -> None:
    follower = follow(small.root)
    assert follower.carry_out(RunStages()).exit_status == 0
    first = finished(follower)
    assert set(outcomes(first).values()) == {"ran"}
    assert first.recorded
    assert first.metrics == {"score": 0.5, "loss": pytest.approx(1 / 3)}
    follower.forget()
    assert follower.carry_out(RunStages()).exit_status == 0
    second = finished(follower)
    assert set(outcomes(second).values()) == {"unchanged"}
    assert not second.recorded
    assert second.run == first.run
    assert second.metrics == first.metrics
    (run,) = Queries.of(small.root).runs()
    assert run.id == first.run
    assert run.params == {"train.rate": 0.5}
    assert run.outcome is RunOutcome.PASSED


def test_an_edit_runs_only_what_it_touches(small: SmallProject, follow: Follow) -> None:
    follower = follow(small.root)
    follower.carry_out(RunStages())
    follower.forget()
    small.write("params.toml", "[train]\nrate = 0.25\n")
    follower.carry_out(RunStages())
    ended = finished(follower)
    assert outcomes(ended) == {"prepare": "unchanged", "train": "ran", "report": "unchanged"}
    (began,) = [event for event in follower.events if isinstance(event, StageStarted)]
    (reason,) = began.reasons
    assert (reason.kind.word, reason.what, reason.detail) == ("param", "train.rate", "0.5 → 0.25")


def test_going_back_restores_from_the_cache_and_names_the_run_that_stands(
    small: SmallProject, follow: Follow
) -> None:
    follower = follow(small.root)
    follower.carry_out(RunStages())
    first = finished(follower)
    model = small.read("build/model.txt")
    small.write("params.toml", "[train]\nrate = 0.25\n")
    follower.carry_out(RunStages())
    small.write("params.toml", "[train]\nrate = 0.5\n")
    follower.forget()
    follower.carry_out(RunStages())
    back = finished(follower)
    assert outcomes(back)["train"] == "restored"
    assert back.run == first.run
    assert back.metrics == first.metrics
    assert small.read("build/model.txt") == model


def test_stages_that_need_nothing_of_each_other_run_at_the_same_time(
    small: SmallProject, follow: Follow
) -> None:
    meet = """\
    import pathlib, sys, time
    mine, other, out = sys.argv[1:]
    pathlib.Path(mine).touch()
    for _ in range(3000):
        if pathlib.Path(other).exists():
            break
        time.sleep(0.01)
    else:
        sys.exit("the other stage never began")
    pathlib.Path(out).write_text("met")
    """
    small.write("meet.py", meet)
    small.write(
        "mlbench.toml",
        """\
        [project]
        jobs = 2
        [stages.one]
        cmd = "python meet.py here.one here.two out.one"
        outs = ["out.one"]
        [stages.two]
        cmd = "python meet.py here.two here.one out.two"
        outs = ["out.two"]
        """,
    )
    follower = follow(small.root)
    assert follower.carry_out(RunStages()).exit_status == 0


def test_a_failing_stage_leaves_the_last_good_outs_and_says_why(
    small: SmallProject, follow: Follow
) -> None:
    follower = follow(small.root)
    follower.carry_out(RunStages())
    follower.forget()
    before = small.read("build/model.txt")
    half_written = 'open("build/model.txt", "w").write("half")\nraise ValueError("no luck")\n'
    small.write("train.py", half_written)
    assert follower.carry_out(RunStages()).exit_status == 1
    (failed,) = [
        event
        for event in follower.events
        if isinstance(event, StageFinished) and event.outcome is StageOutcome.FAILED
    ]
    assert failed.message == "python train.py: exit status 1: ValueError: no luck"
    assert small.read("build/model.txt") == before
    runs = Queries.of(small.root).runs()
    assert [run.outcome for run in runs] == [RunOutcome.FAILED, RunOutcome.PASSED]


def test_force_repeats_a_run_and_records_it(small: SmallProject, follow: Follow) -> None:
    follower = follow(small.root)
    follower.carry_out(RunStages())
    follower.forget()
    follower.carry_out(RunStages(("train",), force=True))
    ended = finished(follower)
    assert outcomes(ended) == {"prepare": "unchanged", "train": "ran"}
    assert ended.recorded
    assert len(Queries.of(small.root).runs()) == 2


def test_the_watch_runs_what_a_save_touches(small: SmallProject, follow: Follow) -> None:
    follower = follow(small.root)
    follower.session.send(SetWatch(True))
    first = finished(follower)
    assert set(outcomes(first).values()) == {"ran"}
    follower.wait_for(lambda event: isinstance(event, PlanMade) and not event.plan.stale)
    follower.forget()
    small.write("rule.py", "def score(rate):\n    return 2 - rate\n")
    ended = finished(follower)
    assert outcomes(ended) == {"prepare": "unchanged", "train": "ran", "report": "unchanged"}
    (began,) = [event for event in follower.events if isinstance(event, StageStarted)]
    assert [(reason.kind.word, reason.what) for reason in began.reasons] == [("code", "rule.py")]
    assert "train.py → rule.py" in began.reasons[0].detail
    assert ended.metrics["score"] == 1.5


def test_the_watch_does_not_run_for_a_comment(small: SmallProject, follow: Follow) -> None:
    follower = follow(small.root)
    follower.session.send(SetWatch(True))
    finished(follower)
    follower.wait_for(lambda event: isinstance(event, PlanMade) and not event.plan.stale)
    follower.forget()
    small.write("rule.py", "# said differently\ndef score(rate):\n    return 1 - rate\n")
    # A real edit behind it: when its run is over, the comment had its chance to start one.
    small.write("report.py", small.read("report.py").replace("len(", "2 * len("))
    ended = finished(follower)
    assert outcomes(ended) == {"prepare": "unchanged", "train": "unchanged", "report": "ran"}


def test_a_save_restarts_the_stage_that_it_makes_pointless(
    small: SmallProject, follow: Follow
) -> None:
    good = small.read("train.py")
    small.write("train.py", SLOW_TRAIN)
    follower = follow(small.root)
    follower.session.send(SetWatch(True))
    began = follower.wait_for(lambda e: isinstance(e, StageStarted) and e.stage == "train")
    assert isinstance(began, StageStarted)
    log = Queries.of(small.root).live_stage_folder(began.run, "train") / "log"
    until(lambda: log.exists() and b"begun" in log.read_bytes())
    small.write("train.py", good)
    overtaken = follower.wait_for(lambda e: isinstance(e, StageFinished) and e.stage == "train")
    assert isinstance(overtaken, StageFinished)
    assert overtaken.outcome is StageOutcome.OVERTAKEN
    passed = follower.wait_for(
        lambda e: isinstance(e, RunFinished) and e.outcome is RunOutcome.PASSED
    )
    assert isinstance(passed, RunFinished)
    assert outcomes(passed)["train"] == "ran"


def test_stop_ends_a_running_stage_and_its_children(small: SmallProject, follow: Follow) -> None:
    small.write("train.py", "import subprocess\nsubprocess.run(['sleep', '987'])\n")
    follower = follow(small.root)
    command_id = follower.session.send(RunStages())
    follower.wait_for(lambda e: isinstance(e, StageStarted) and e.stage == "train")
    until(lambda: sleepers() != [])
    follower.carry_out(StopStages())
    ended = finished(follower)
    assert outcomes(ended)["train"] == "cancelled"
    assert command_id in ended.requests
    until(lambda: sleepers() == [])


def sleepers() -> list[str]:
    done = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in done if line.strip() == "sleep 987"]


def test_a_run_from_outside_git_says_what_is_missing(small: SmallProject, follow: Follow) -> None:
    follower = follow(small.root)
    notice = follower.wait_for(lambda event: isinstance(event, Notice))
    assert isinstance(notice, Notice)
    assert "no git repository" in notice.message
    follower.carry_out(RunStages())
    assert finished(follower).outcome is RunOutcome.PASSED


def test_a_broken_configuration_keeps_the_last_plan_and_recovers_when_mended(
    small: SmallProject, follow: Follow
) -> None:
    good = small.read("mlbench.toml")
    follower = follow(small.root)
    follower.session.send(SetWatch(True))
    finished(follower)
    follower.forget()
    small.write("mlbench.toml", good.replace("cmd = ", "cmdd = ", 1))
    problem = follower.wait_for(lambda e: isinstance(e, Notice) and e.level == "error")
    assert isinstance(problem, Notice)
    assert problem.message.startswith("mlbench.toml:7: stages.prepare.cmdd: unknown key")
    assert not [event for event in follower.events if isinstance(event, RunStarted)]
    small.write("mlbench.toml", good.replace("python report.py", "python -u report.py"))
    assert outcomes(finished(follower))["report"] == "ran"


def test_a_run_is_recorded_with_the_parameters_that_its_stages_ran_with(
    small: SmallProject, follow: Follow
) -> None:
    gated = """\
    import pathlib, time
    pathlib.Path("begun").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    pathlib.Path("build/clean.txt").write_text("clean")
    """
    small.write("prepare.py", gated)
    follower = follow(small.root)
    follower.session.send(RunStages())
    until((small.root / "begun").exists)
    small.write("params.toml", "[train]\nrate = 0.25\n")
    small.write("go", "")
    ended = finished(follower)
    assert ended.metrics["score"] == 0.75
    (run,) = Queries.of(small.root).runs()
    assert run.params == {"train.rate": 0.25}
