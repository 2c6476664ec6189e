"""How single trials end under a real coordinator: killed, stopped by hand, from the cache."""

from __future__ import annotations

from pathlib import Path

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import EnqueueTrial
from mlbench.engine.study_files import StudyFiles
from tests.engine.sweeping.quick_sweep import begun_study, coordinate, coordinator, write_quick
from tests.support import until

_KILLS_ITSELF = """\
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
# Each asks for its own end, by the number of those that asked before.
_STOPS_ITSELF = """\
import json, os, time
os.makedirs({inbox!r}, exist_ok=True)
number = len(os.listdir({asked!r}))
open({asked!r} + f"/{{number}}", "w").close()
with open({inbox!r} + "/.new", "w") as command:
    json.dump({{"command": "stop_trial", "number": number}}, command)
os.rename({inbox!r} + "/.new", {inbox!r} + "/stop.json")
time.sleep(60)
"""
_SLEEPS = """\
import time
time.sleep(0.3)
"""


def _study(root: Path, of: Path, code: str, trials: int, more: str = "") -> StudyFiles:
    project = write_quick(root, of / "prepared", trials=trials, more=more)
    config = project.read("mlbench.toml").replace("jobs = 2", "jobs = 1")
    project.write("mlbench.toml", config)
    files = begun_study(root)
    asked = of / "asked"
    asked.mkdir()
    code = code.format(inbox=str(files.folder / "inbox"), asked=str(asked))
    project.write("train.py", code + project.read("train.py"))
    return files


def test_what_is_killed_three_times_has_failed(root: Path, tmp_path: Path) -> None:
    files = _study(root, tmp_path, _KILLS_ITSELF, 1)
    assert coordinate(files, root) == 0
    trials = [*files.trials().values()]
    assert [trial.state for trial in trials] == [
        TrialState.LOST,
        TrialState.LOST,
        TrialState.FAILED,
    ]
    assert len({tuple(trial.params.items()) for trial in trials}) == 1
    assert "killed from outside" in trials[0].reason
    assert trials[2].reason.startswith("train: ")


def test_a_trial_that_is_stopped_by_hand_has_failed_and_the_sweep_goes_on(
    root: Path, tmp_path: Path
) -> None:
    files = _study(root, tmp_path, _STOPS_ITSELF, 2)
    assert coordinate(files, root) == 0
    ended = [(trial.state, trial.reason) for trial in files.trials().values()]
    assert ended == [(TrialState.FAILED, "it was stopped by hand")] * 2
    assert files.progress().is_done


def test_what_comes_from_the_cache_is_as_slow_as_when_it_ran(root: Path, tmp_path: Path) -> None:
    limit = "seconds <= 0.3"
    files = _study(root, tmp_path, _SLEEPS, 2, f'constraints = ["{limit}"]')
    for _ in range(2):
        files.send(EnqueueTrial({"train.x": 0.5, "train.size": 1}))
    assert coordinate(files, root) == 0
    (first, second) = files.trials().values()
    assert first.params == second.params
    assert (first.seconds > 0.3, second.seconds) == (True, 0.0)
    assert first.constraints == second.constraints
    assert second.constraints[limit] > 0


_ENDS_SLOWLY = """\
import os, signal, sys, time
def end(*_):
    open({asked!r} + f"/{{os.getpid()}}", "w").close()
    while not os.path.exists({gate!r}):
        time.sleep(0.01)
    sys.exit(1)
if not os.path.exists({gate!r}):
    signal.signal(signal.SIGINT, end)
    open({asked!r} + "/begun", "w").close()
    time.sleep(60)
"""


def test_a_stage_that_still_stops_when_its_coordinator_is_killed_is_tried_again(
    root: Path, tmp_path: Path
) -> None:
    asked, gate = tmp_path / "asked", tmp_path / "gate"
    code = _ENDS_SLOWLY.replace("{gate!r}", repr(str(gate)))
    files = _study(root, tmp_path, code, 2)
    with coordinator(files, root) as first:
        until((asked / "begun").exists)
        first.terminate()
        until(lambda: len(list(asked.iterdir())) > 1)
        first.kill()
    gate.touch()
    assert coordinate(files, root) == 0
    states = [trial.state for trial in files.trials().values()]
    assert states == [TrialState.LOST, TrialState.COMPLETE, TrialState.COMPLETE]
