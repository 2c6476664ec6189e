"""How a stage is run: again after a failure, behind a launcher, with its share of the machine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.inside import secrets
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.running import SupervisedRunner
from mlbench.system.processes import StageExit
from tests.pipeline.lab import Lab, Meeting, is_clean, run_meeting

_FLAKY = """\
import os, sys
tries = int(open("tries").read()) if os.path.exists("tries") else 0
open("tries", "w").write(str(tries + 1))
left = os.path.exists("out.txt")
open("out.txt", "w").write("half")
print("try", tries, "found half" if left else "found nothing")
if tries < NEEDED:
    sys.exit(1)
open("out.txt", "w").write("whole")
"""


def flaky(lab: Lab, needed: int, retries: int) -> BuildResult:
    lab.write("flaky.py", _FLAKY.replace("NEEDED", str(needed)))
    lab.configure(
        '[stages.flaky]\ncmd = "python -S -E flaky.py"\n'
        f'outs = ["out.txt", {{ "tries" = {{ persist = true }} }}]\nretries = {retries}\n'
    )
    return lab.build("flaky")


def test_a_stage_is_tried_again_with_nothing_of_the_failed_try(empty: Lab) -> None:
    assert flaky(empty, needed=2, retries=2).outcome is StageOutcome.RAN
    assert empty.read("out.txt") == "whole"
    assert empty.log(1, "flaky").splitlines() == [
        "try 0 found nothing",
        "mlbench: retry 1 of 2",
        "try 1 found nothing",
        "mlbench: retry 2 of 2",
        "try 2 found nothing",
    ]
    assert empty.not_fresh() == set()


def test_it_has_failed_after_its_last_try(empty: Lab) -> None:
    assert flaky(empty, needed=2, retries=1).outcome is StageOutcome.FAILED
    assert not (empty.root / "out.txt").exists()
    assert is_clean(empty)


_SHOW = """\
import json, os, sys
names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "LAUNCHED")
json.dump({name: os.environ.get(name) for name in names}, open("out.json", "w"))
"""


def shown(lab: Lab, keys: str, gpus: tuple[str, ...] = ()) -> dict[str, str | None]:
    lab.write("show.py", _SHOW)
    lab.configure(f'[stages.show]\ncmd = "python -S -E show.py"\nouts = ["out.json"]\n{keys}\n')
    project = lab.project
    job = Job("run-x", lab.layout.stage_folder("run-x", "show"), force=True, gpus=gpus)
    build = Build(
        lab.workspace,
        project,
        project.stage("show"),
        job,
        on_start=lambda _: None,
        logged=lambda _: {},
    )
    result = build.run()
    assert result.outcome is StageOutcome.RAN, result.message
    found: dict[str, str | None] = json.loads(lab.read("out.json"))
    return found


def test_gpus_and_threads_are_given_out(empty: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    given = shown(empty, "resources = { cpu = 3, gpu = 2 }", ("1", "5"))
    assert given["CUDA_VISIBLE_DEVICES"] == "1,5"
    assert (given["OMP_NUM_THREADS"], given["MKL_NUM_THREADS"]) == ("3", "3")
    assert shown(empty, "")["CUDA_VISIBLE_DEVICES"] is None


def test_a_launcher_stands_before_the_command_and_makes_nothing_stale(empty: Lab) -> None:
    assert shown(empty, 'launch = "env LAUNCHED=yes"')["LAUNCHED"] == "yes"
    empty.configure(
        '[stages.show]\ncmd = "python -S -E show.py"\nouts = ["out.json"]\n'
        'launch = ["env", "LAUNCHED=also"]\n'
    )
    assert empty.not_fresh() == set()


_POINTS = """\
open("points", "a").write(open("in.txt").read())
open("out.txt", "w").write("half")
{meet}
open("out.txt", "w").write("whole")
"""


@pytest.mark.parametrize("deed", ["stop", "kill"])
def test_what_persists_goes_through_a_stop_and_a_kill(
    empty: Lab, meeting: Meeting, deed: str
) -> None:
    empty.write("in.txt", "a")
    empty.write("work.py", _POINTS.format(meet=""))
    empty.configure(
        '[stages.work]\ncmd = "python -S -E work.py"\ndeps = ["in.txt"]\n'
        'outs = ["out.txt", { "points" = { persist = true } }]\n'
    )
    assert empty.build("work").outcome is StageOutcome.RAN
    empty.write("in.txt", "b")
    empty.write("work.py", _POINTS.format(meet=meeting.code))
    build = empty.start("work")
    record = empty.layout.stage_folder("run-2", "work") / "process.json"
    deeds: dict[str, Callable[[], object]] = {
        "stop": build.stop,
        "kill": lambda: _kill_group(record),
    }
    outcome = run_meeting(build, meeting, deeds[deed]).outcome
    assert outcome is {"stop": StageOutcome.CANCELLED, "kill": StageOutcome.FAILED}[deed]
    assert (empty.read("out.txt"), empty.read("points")) == ("whole", "ab")
    assert is_clean(empty)


def _kill_group(record: Path) -> None:
    os.killpg(json.loads(record.read_text())["group"][0], signal.SIGKILL)


def test_secrets_are_hidden_in_what_a_stage_left_whose_supervisor_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_own", [("sk-1234567890",)])
    log = tmp_path / "stage" / "log"
    log.parent.mkdir()
    log.write_text("with sk-1234567890 and more\n")
    assert not SupervisedRunner(tmp_path / "locks").stop_leftover(log.parent)
    assert log.read_text() == f"with {'*' * 13} and more\n"


def test_the_tries_of_a_stage_have_used_their_sum_of_time_and_the_largest_memory() -> None:
    first = StageExit(1, "a", False, False, 1.0, 2.0, 300)
    second = StageExit(0, "b", False, False, 5.0, 0.5, 200)
    assert second.after(first) == StageExit(0, "b", False, False, 5.0, 2.5, 300)
    assert first.after(None) is first
