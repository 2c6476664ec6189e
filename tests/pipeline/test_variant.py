"""A variant of the project: what runs there, what comes from the project, and what is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.errors import ProjectFileError, UsageError
from mlbench.domain.outcomes import StageState
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.snapshots.variant import (
    Variant,
    clear_unclaimed,
    slots_left,
    something_runs_apart,
)
from tests.pipeline.lab import PYTHON, Lab, Meeting, is_clean

CONFIG = f"""\
[stages.make]
cmd = "{PYTHON} make.py"
params = ["size"]
outs = [{{ "big.txt" = {{ cache = false }} }}]

[stages.train]
cmd = "{PYTHON} train.py"
deps = ["big.txt"]
params = ["rate"]
outs = ["model.txt", {{ "checkpoint" = {{ persist = true }} }}]
"""
MAKE = "open('big.txt', 'w').write(open('params.toml').read()[-2])\n"
TRAIN = """\
import os
rate = open("params.toml").read()[7]
before = open("checkpoint").read() if os.path.exists("checkpoint") else ""
{meet}
open("checkpoint", "w").write(before + rate)
open("model.txt", "w").write(open("big.txt").read() + before + rate)
"""


@pytest.fixture
def training(empty: Lab) -> Lab:
    empty.configure(CONFIG)
    empty.write("params.toml", "rate = 1\nsize = 7\n")
    empty.write("make.py", MAKE)
    empty.write("train.py", TRAIN.format(meet=""))
    return empty


def variant(lab: Lab, *names: str, **params: object) -> Variant:
    return Variant.make(lab.layout, lab.workspace, lab.project, names, params)


def build(lab: Lab, place: Variant, name: str, run: str = "run-9") -> BuildResult:
    job = Job(run, lab.layout.stage_folder(run, name))
    return place.build(place.stages[name], job, lambda _: None, lambda _: {}).run()


def build_all(lab: Lab, run: str = "run-9", **params: object) -> list[str]:
    place = variant(lab, **params)
    words = [build(lab, place, status.name, run).outcome.word for status in place.plan().stages]
    place.release()
    return words


def built(lab: Lab) -> Lab:
    assert [lab.build(name).outcome.word for name in lab.order] == ["ran", "ran"]
    return lab


def files(lab: Lab) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in lab.root.iterdir() if path.is_file()}


def test_an_out_that_no_cache_has_comes_from_the_project(training: Lab) -> None:
    before = files(built(training))
    assert build_all(training, rate=2) == ["unchanged", "ran"]
    assert build_all(training, rate=2) == ["unchanged", "unchanged"]
    assert build_all(training, size=8) == ["ran", "ran"]
    assert files(training) == before
    assert training.reopen().not_fresh() == set()


def test_a_stage_goes_on_from_the_project_s_checkpoint_and_not_from_another_variant_s(
    training: Lab,
) -> None:
    built(training)
    for rate in (2, 3):
        place = variant(training, rate=rate)
        build(training, place, "make", f"run-{rate}")
        build(training, place, "train", f"run-{rate}")
        assert (place.root / "model.txt").read_text() == f"71{rate}"
        place.release()
    assert training.read("checkpoint") == "1"


def test_where_the_project_has_no_checkpoint_each_variant_begins_anew(training: Lab) -> None:
    for rate in (2, 3):
        place = variant(training, rate=rate)
        build(training, place, "make", f"run-{rate}")
        build(training, place, "train", f"run-{rate}")
        assert (place.root / "model.txt").read_text() == f"7{rate}"
        place.release()


def test_the_project_compares_with_what_stands_in_it_and_not_with_a_variant(training: Lab) -> None:
    built(training)
    build_all(training, rate=2)
    build_all(training, rate=2)
    training.write("params.toml", "rate = 3\nsize = 7\n")
    status = training.reopen().statuses()["train"]
    assert [reason.detail for reason in status.reasons] == ["1 → 3"]


def test_a_frozen_stage_s_outs_are_inputs_like_others(training: Lab) -> None:
    built(training)
    training.edit("mlbench.toml", "[stages.make]", "[stages.make]\nfrozen = true")
    assert build_all(training, size=8, rate=2) == ["unchanged", "ran"]


def test_ahead_of_a_run_what_the_cache_has_is_brought_in(training: Lab) -> None:
    built(training)
    place = variant(training, rate=2)
    place.bring_in()
    states = {status.name: status.state for status in place.plan().stages}
    assert states == {"make": StageState.FRESH, "train": StageState.STALE}
    place.release()


def test_what_can_not_be_made_leaves_no_slot_behind(training: Lab) -> None:
    with pytest.raises(ProjectFileError, match='mean "rate"'):
        variant(training, raet=2)
    with pytest.raises(UsageError, match='mean "train"'):
        variant(training, "trian", rate=2)
    with pytest.raises(ProjectFileError, match="no stage that is to run reads it"):
        variant(training, **{"other.yaml:rate": 2})
    assert slots_left(training.layout) == []
    place = variant(training, rate=2)
    assert place.slot == "set-1"
    assert slots_left(training.layout) == ["set-1"]
    place.release()
    assert slots_left(training.layout) == []


def test_a_slot_in_use_is_nobody_else_s(training: Lab) -> None:
    first, second = variant(training, rate=2), variant(training, rate=3)
    assert (first.slot, second.slot) == ("set-1", "set-2")
    first.release()
    third = variant(training, rate=4)
    assert third.slot == "set-1"
    assert (third.root / "params.toml").read_text() == "rate = 4\nsize = 7\n"
    second.let_go()
    # Its run goes on with the next holder, which finds the parameters as they were.
    assert variant(training, rate=5).slot == "set-3"
    taken = Variant.take_up(training.layout, training.workspace, "set-2")
    assert taken is not None
    assert (taken.root / "params.toml").read_text() == "rate = 3\nsize = 7\n"
    assert taken.project == training.project


_HOLDER = """
import sys
from pathlib import Path
from tests.pipeline.lab import Lab
from tests.pipeline.test_variant import build, variant
lab = Lab(Path(sys.argv[1]))
place = variant(lab, rate=2)
build(lab, place, "make")
build(lab, place, "train")
"""


def left_running(lab: Lab, meeting: Meeting) -> None:
    lab.write("train.py", TRAIN.format(meet=meeting.code))
    words = [sys.executable, "-c", _HOLDER, str(lab.root)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2]) as holder:
        meeting.wait()
        holder.kill()
    lab.reopen()


def test_what_a_killed_holder_left_running_is_gone_on_with(training: Lab, meeting: Meeting) -> None:
    left_running(training, meeting)
    assert something_runs_apart(training.layout, training.workspace)
    training.write("params.toml", "rate = 5\nsize = 5\n")
    place = Variant.take_up(training.layout, training.workspace, "set-1")
    assert place is not None
    (launch,) = place.unfinished()
    assert (launch.stage.name, launch.run, launch.in_tree) == ("train", "run-9", False)
    adopted = place.adopt(launch, lambda _: {})
    meeting.go_on()
    assert adopted.run().outcome.word == "ran"
    assert (place.root / "model.txt").read_text() == "72"
    place.release()
    assert not (training.root / "model.txt").exists()


def test_what_nobody_goes_on_with_is_stopped_and_its_slot_is_free(
    training: Lab, meeting: Meeting
) -> None:
    left_running(training, meeting)
    clear_unclaimed(training.layout, training.workspace, ["set-1"])
    assert something_runs_apart(training.layout, training.workspace)
    clear_unclaimed(training.layout, training.workspace, [])
    assert not something_runs_apart(training.layout, training.workspace)
    assert slots_left(training.layout) == []
    assert is_clean(training)
    place = variant(training, rate=2)
    assert place.slot == "set-1"
    assert not (place.root / "model.txt").exists()
