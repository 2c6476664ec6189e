"""Going on with a study that came to nothing, or whose board is lost: nothing given is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.project.layout import Layout
from mlbench.system.content import ContentStore, hash_file
from tests.engine.sweeping.evidence import faults, gather
from tests.engine.sweeping.quick_sweep import NAME, newest, score, write_quick
from tests.support import SmallProject

_BROKEN = 'raise SystemExit("no rows today")\n'
# Fails while a file outside of the project is missing, which is no input of it.
_NEEDS = """\
import os
if not os.path.exists({ok!r}):
    raise SystemExit("no rows today")
"""
_NARROW, _WIDE = '"train.x" = { low = 0.0, high = 1.0 }', '"train.x" = { low = 0.0, high = 2.0 }'
_ASKED = {"train.x": 0.25, "train.size": 7}
_TOLD = ("train.x=0.25", "train.size=7")


def _complete(files: StudyFiles) -> list[Trial]:
    return [one for one in files.trials().values() if one.state is TrialState.COMPLETE]


def _rewritten(project: SmallProject, name: str, old: str, new: str) -> None:
    text = project.read(name)
    assert old in text
    project.write(name, text.replace(old, new))


def test_what_was_asked_for_waits_through_all_that_comes_to_nothing(
    root: Path, count: Path
) -> None:
    project = write_quick(root, count, trials=2)
    sound = project.read("prepare.py")
    project.write("prepare.py", _BROKEN)
    assert project.cli("sweep", NAME).returncode == 1
    assert project.cli("sweep", NAME, "--enqueue", *_TOLD).returncode == 0
    # Its coordinator takes it from the inbox into Optuna's journal, and comes to nothing, too.
    assert project.cli("sweep", NAME).returncode == 1
    assert project.cli("sweep", NAME, "--enqueue", "train.x=0.75").returncode == 0
    # Nor does what can't be begun at all take anything along.
    config = project.read("mlbench.toml")
    _rewritten(project, "mlbench.toml", '"train.size" =', '"train.sise" =')
    assert project.cli("sweep", NAME).returncode == 2
    project.write("mlbench.toml", config)
    project.write("prepare.py", sound)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    assert [files.id for files in all_studies(Layout(root))] == [newest(root).id]
    found = gather(newest(root), root, count)
    assert faults(found, 2, score) == []
    first, second = found.board.values()
    assert (first.params, first.is_by_hand) == (_ASKED, True)
    assert (second.params["train.x"], second.is_by_hand) == (0.75, True)


def test_what_was_asked_for_goes_over_to_the_study_of_a_sweep_that_changed(
    root: Path, count: Path
) -> None:
    project = write_quick(root, count, trials=2)
    assert project.cli("sweep", NAME).returncode == 0
    assert project.cli("sweep", NAME, "--enqueue", *_TOLD).returncode == 0
    assert project.cli("sweep", NAME, "--enqueue", "train.x=0.875").returncode == 0
    _rewritten(project, "mlbench.toml", _NARROW, '"train.x" = { low = 0.0, high = 0.5 }')
    done = project.cli("sweep", NAME, "--trials", "4")
    assert done.returncode == 0, done.stderr
    by_hand = [one.params for one in newest(root).trials().values() if one.is_by_hand]
    assert by_hand == [_ASKED]
    assert "1 trial that was asked for is tried first" in done.stderr
    assert "train.x = 0.875, which was asked for, is not tried" in done.stderr


@pytest.mark.parametrize("left", [b"", b'0000 {"num'], ids=["lost", "torn"])
def test_a_board_that_is_lost_costs_no_trial(root: Path, count: Path, left: bytes) -> None:
    project = write_quick(root, count, trials=2)
    assert project.cli("sweep", NAME).returncode == 0
    files = newest(root)
    before = _complete(files)
    files.board.write_bytes(left)
    done = project.cli("sweep", NAME, "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert f"{NAME} goes on behind 2 trials" in done.stderr
    assert newest(root).id == files.id
    after = _complete(files)
    assert len(after) == 3
    assert [one.values for one in after[:2]] == [one.values for one in before]
    assert [one.runs for one in after[:2]] == [one.runs for one in before]

    files.board.unlink()
    _rewritten(project, "mlbench.toml", _NARROW, _WIDE)
    done = project.cli("sweep", NAME, "--trials", "4")
    assert done.returncode == 0, done.stderr
    assert "3 trials of the one before count" in done.stderr
    taken = [one for one in newest(root).trials().values() if one.from_study == files.id]
    assert [one.values for one in taken] == [one.values for one in after]


@pytest.mark.parametrize("is_mended_in_code", [True, False])
def test_a_study_that_has_only_taken_trials_begins_with_what_was_mended(
    root: Path, count: Path, tmp_path: Path, is_mended_in_code: bool
) -> None:
    ok = tmp_path / "ok"
    ok.touch()
    project = write_quick(root, count, trials=2)
    sound = project.read("prepare.py")
    project.write("prepare.py", _NEEDS.format(ok=str(ok)) + sound)
    # Else it comes from the cache.
    _rewritten(project, "mlbench.toml", "[stages.train]", "always_changed = true\n\n[stages.train]")
    assert project.cli("sweep", NAME).returncode == 0
    first = newest(root)
    ok.unlink()
    _rewritten(project, "mlbench.toml", _NARROW, _WIDE)
    failed = project.cli("sweep", NAME, "--trials", "3")
    assert failed.returncode == 1
    assert "2 trials of the one before count" in failed.stderr
    if is_mended_in_code:
        project.write("prepare.py", sound)
    else:
        ok.touch()
    done = project.cli("sweep", NAME, "--trials", "3")
    assert done.returncode == 0, done.stderr
    second = newest(root)
    assert {files.id for files in all_studies(Layout(root))} == {first.id, second.id}
    assert len(_complete(second)) == 3
    taken = [one for one in _complete(second) if one.from_study == first.id]
    assert len(taken) == (0 if is_mended_in_code else 2)
    assert ("2 trials not: prepare.py changed since" in done.stderr) is is_mended_in_code


def test_a_sampler_that_is_wrong_leaves_nothing_behind(root: Path, count: Path) -> None:
    project = write_quick(root, count, trials=2)
    sound = project.read("mlbench.toml")
    for wrong in ("RandomSampel", 'RandomSampler", sead = "x'):
        project.write("mlbench.toml", sound.replace("RandomSampler", wrong))
        done = project.cli("sweep", NAME)
        assert (done.returncode, "sampler: " in done.stderr) == (2, True), done.stderr
    assert json.loads(project.cli("sweep", "--json").stdout)["studies"] == []
    assert list(Layout(root).snapshots.glob("*")) == []


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_journal_that_is_lost_is_told_and_costs_the_board_nothing(
    root: Path, count: Path, is_changed: bool
) -> None:
    project = write_quick(root, count, trials=2)
    assert project.cli("sweep", NAME).returncode == 0
    files = newest(root)
    board, journal = _complete(files), files.journal.read_bytes()
    files.journal.unlink()
    if is_changed:
        _rewritten(project, "mlbench.toml", _NARROW, _WIDE)
    refused = project.cli("sweep", NAME, "--trials", "3")
    assert refused.returncode == 1
    assert "journal.log lacks 2 trials that trials.jsonl beside it has" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert newest(root).id == files.id
    assert _complete(files) == board
    files.journal.write_bytes(journal)
    done = project.cli("sweep", NAME, "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert len(_complete(newest(root))) == 3


def test_nothing_is_asked_of_a_study_that_is_gone_on_with_no_more(root: Path, count: Path) -> None:
    project = write_quick(root, count, trials=1)
    assert project.cli("sweep", NAME).returncode == 0
    old = newest(root)
    assert project.cli("sweep", NAME, "--restart").returncode == 0
    refused = project.cli("sweep", old.id, "--enqueue", *_TOLD)
    assert refused.returncode == 2
    assert f"study {old.id} has made way for a newer one" in refused.stderr
    assert old.enqueued() == []


def test_a_sweep_keeps_the_cache_within_its_limit(root: Path, count: Path, tmp_path: Path) -> None:
    project = write_quick(root, count, trials=2)
    _rewritten(project, "mlbench.toml", "jobs = 2\n\n[stages", 'jobs = 2\ncache = "1kB"\n\n[stages')
    layout = Layout(root)
    junk = tmp_path / "junk"
    junk.write_bytes(b"x" * 2000)
    store, digest = ContentStore(layout.cache), hash_file(junk)
    store.put(junk, digest)
    os.utime(store.path_of(digest), (0, 0))
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    assert not store.path_of(digest).exists()
    assert "the cache was over its limit" in newest(root).log.read_text()
