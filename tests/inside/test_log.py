"""What a training script may do to `mlbench.log`, and what it must never do to the script."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inside.conftest import Finish
from tests.series import series_in


def _points(stage: Path, name: str) -> list[tuple[int, float]]:
    series = series_in(stage)[name]
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def test_keywords_and_mappings_with_and_without_steps(finish: Finish, stage: Path) -> None:
    script = """
        import mlbench
        mlbench.log(loss=0.5)
        mlbench.log({"val/loss": 0.75, "loss": 0.25}, accuracy=1)
        mlbench.log(loss=0.125, step=7)
        mlbench.log({"loss": 0.0625})
    """
    assert finish(script, stage).stderr == ""
    assert _points(stage, "loss") == [(0, 0.5), (1, 0.25), (7, 0.125), (8, 0.0625)]
    assert _points(stage, "val/loss") == [(0, 0.75)]
    assert _points(stage, "accuracy") == [(0, 1.0)]


def test_whatever_float_takes_is_a_value(finish: Finish, stage: Path) -> None:
    script = """
        import numpy, mlbench
        mlbench.log(loss=numpy.float32(0.5), step=numpy.int64(3))
        mlbench.log(loss=numpy.array(0.25), step=4.0)
        mlbench.log(loss=float("nan"))
    """
    assert finish(script, stage).stderr == ""
    points = _points(stage, "loss")
    assert points[:2] == [(3, 0.5), (4, 0.25)]
    assert points[2][0] == 5
    assert points[2][1] != points[2][1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('mlbench.log(label="cat")', 'left "label" out'),
        ("mlbench.log(weights=[1, 2])", 'left "weights" out'),
        ("mlbench.log(huge=10**400)", 'left "huge" out'),
        ("mlbench.log(loss=1, step=0.5)", "step must be a whole number, not 0.5"),
        ("mlbench.log(loss=1, step=2**63)", 'left "loss" out'),
        ("mlbench.log(0.5)", "left a call out"),
    ],
)
def test_what_is_no_number_is_said_once_and_left_out(
    finish: Finish, stage: Path, call: str, said: str
) -> None:
    script = f"""
        import mlbench
        for epoch in range(3):
            {call}
            mlbench.log({{"good": epoch}})
    """
    errors = finish(script, stage).stderr
    assert errors.count("mlbench: log()") == errors.count("\n") == 1
    assert said in errors
    assert _points(stage, "good") == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_a_bad_value_leaves_the_others_of_its_call(finish: Finish, stage: Path) -> None:
    finish("import mlbench; mlbench.log(label='cat', loss=0.5)", stage)
    assert _points(stage, "loss") == [(0, 0.5)]


@pytest.mark.parametrize("is_file", [True, False])
def test_a_folder_that_cannot_be_written_is_said_once(
    finish: Finish, tmp_path: Path, is_file: bool
) -> None:
    folder = tmp_path / "gone"
    if is_file:
        folder.write_text("in the way")
    script = """
        import mlbench
        import mlbench.inside.stepwriter as stepwriter
        stepwriter.RETRY_SECONDS = 0
        for epoch in range(3):
            mlbench.log(loss=epoch)
        print("trained")
    """
    done = finish(script, folder)
    assert done.stdout == "trained\n"
    assert done.stderr.count("\n") == 1
    assert f"can't write in {folder}" in done.stderr


def test_a_folder_that_vanishes_is_said_once(finish: Finish, stage: Path) -> None:
    script = """
        import os, shutil, mlbench
        for epoch in range(5000):
            mlbench.log(loss=epoch)
            if epoch == 10:
                shutil.rmtree(os.environ["MLBENCH_STAGE_DIR"])
        print("trained")
    """
    done = finish(script, stage)
    assert done.stdout == "trained\n"
    assert done.stderr.count("\n") == 1
    assert "the folder was removed" in done.stderr


def test_a_full_disk_stops_nothing_and_logging_goes_on_when_there_is_room(
    finish: Finish, stage: Path
) -> None:
    script = """
        import resource, mlbench
        import mlbench.inside.stepwriter as stepwriter
        stepwriter.RETRY_SECONDS = 0
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (stepwriter.SMALLEST_CHUNK, hard))
        for epoch in range(3000):
            mlbench.log(loss=epoch, step=epoch)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        mlbench.log(loss=-1, step=3000)
        print("trained")
    """
    done = finish(script, stage)
    assert done.stdout == "trained\n"
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    before = [(epoch, float(epoch)) for epoch in range(2048)]
    assert _points(stage, "loss") == [*before, (3000, -1.0)]


def test_a_name_torn_by_a_full_disk_is_written_over(finish: Finish, stage: Path) -> None:
    script = """
        import resource, mlbench
        import mlbench.inside.stepwriter as stepwriter
        stepwriter.RETRY_SECONDS = 0
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (stepwriter.SMALLEST_CHUNK, hard))
        mlbench.log(loss=1)
        mlbench.log({"n" * stepwriter.SMALLEST_CHUNK: 2})
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        mlbench.log(a=3)
        mlbench.log(accuracy=4)
    """
    finish(script, stage)
    last = {name: series.last for name, series in series_in(stage).items()}
    assert last == {"loss": 1.0, "a": 3.0, "accuracy": 4.0}


def test_a_closed_standard_error_is_no_error(finish: Finish, stage: Path) -> None:
    script = """
        import sys, mlbench
        sys.stderr.close()
        mlbench.log(label="cat")
        sys.stderr = None
        mlbench.log(label="cat", loss=0.5)
        print("trained")
    """
    assert finish(script, stage).stdout == "trained\n"
    assert _points(stage, "loss") == [(0, 0.5)]


def test_a_signal_handler_may_log_in_the_middle_of_log(finish: Finish, stage: Path) -> None:
    script = """
        import itertools, signal, mlbench
        rungs, rung = itertools.count(), 0

        def on_alarm(number, frame):
            global rung
            rung = next(rungs)
            mlbench.log(rung=rung)

        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        steps = 0
        while rung < 300 or steps < 20_000:
            mlbench.log(steps=steps)
            steps += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        mlbench.log(steps=steps)
        print(next(rungs), steps + 1)
    """
    rungs, steps = map(int, finish(script, stage).stdout.split())
    # A handler interrupted by the next one logs after it.
    assert sorted(value for _, value in _points(stage, "rung")) == list(map(float, range(rungs)))
    assert _points(stage, "steps") == [(step, float(step)) for step in range(steps)]


def test_an_exception_from_a_signal_handler_costs_at_most_the_point_it_came_in(
    finish: Finish, stage: Path
) -> None:
    script = """
        import signal, mlbench

        class Alarm(BaseException):
            pass

        def on_alarm(number, frame):
            raise Alarm

        signal.signal(signal.SIGALRM, on_alarm)
        step = alarms = 0
        while alarms < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002)
                while True:
                    mlbench.log(loss=step, step=step)
                    step += 1
            except Alarm:
                alarms += 1
        mlbench.log(loss=step, step=step)
        print(step)
    """
    last = int(finish(script, stage).stdout)
    points = _points(stage, "loss")
    assert sorted({step for step, _ in points}) == list(range(last + 1))
    assert all(value == step for step, value in points)
