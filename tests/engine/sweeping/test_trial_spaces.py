"""What a trial's stages find in the params files: its values, and otherwise the project's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.project.layout import Layout
from mlbench.project.params import parse_params
from mlbench.tracking.store import ExperimentStore
from tests.engine.sweeping.quick_sweep import NAME, begun_study, coordinate
from tests.support import SmallProject, commit_all

_CONFIG = """\
[project]
name = "spaces"

[stages.train]
cmd = "python -S -E train.py"
params = ["train", { "net.yaml" = ["net"] }, { "config.json" = ["loader"] }]
metrics = ["metrics.json"]

[sweeps.quick]
stage = "train"
objective = "maximize score"
trials = 16
jobs = 2
sampler = { name = "RandomSampler", seed = 1 }

[sweeps.quick.space]
"train.solver" = ["sgd", "adam"]
"train.momentum" = { low = 0.5, high = 0.9, when = "train.solver == 'sgd'" }
"train.hidden" = [[32], [64, 64]]
"train.schedule" = [{ kind = "flat" }, { kind = "cosine", steps = 10 }]
"net.yaml:net.depth" = { low = 1, high = 9 }
"net.yaml:net.dropout" = { low = 0.1, high = 0.3, when = 'params["net.yaml:net.depth"] > 4' }
"config.json:loader.size" = [16, 32]
"train.rate" = { low = 0.5, high = 0.9, when = "train.schedule.kind == 'cosine'" }
"""
_PARAMS = """\
# How it is trained.
top   =   "stays"

[train]
solver = 'lbfgs'      # one that no trial has
momentum = 0.0
rate = 0.0
hidden = [
  8,                  # by layer
]
schedule = { kind = "none", steps = 1 }
"""
_NET = """\
# The layers.
net:
  depth: 0   # of them
  dropout: 0.0
"""
_LOADER = '{\n    "loader": {"size": 0,   "kind": "plain"}\n}\n'
_FILES = {"params.toml": _PARAMS, "net.yaml": _NET, "config.json": _LOADER}
_TRAIN = """\
import json, os
seen = {{name: open(name).read() for name in {names!r}}}
with open(os.path.join({folder!r}, os.environ["MLBENCH_RUN"]), "w") as file:
    json.dump(seen, file)
json.dump({{"score": 1}}, open("metrics.json", "w"))
"""


def _parsed(texts: Mapping[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, text in texts.items():
        parsed |= parse_params(name, text)
    return parsed


def _wanted(params: Mapping[str, Any]) -> dict[str, Any]:
    """The project's own values, with those of a trial laid over them."""
    wanted = _parsed(_FILES)
    for name, value in params.items():
        table, key = name.rpartition(":")[2].split(".")
        is_table = isinstance(value, Mapping)
        wanted[table][key] = {**wanted[table][key], **value} if is_table else value
    return wanted


def _swept(root: Path, folder: Path) -> list[Trial]:
    folder.mkdir()
    project = SmallProject(root)
    project.write("mlbench.toml", _CONFIG)
    for name, text in _FILES.items():
        (root / name).write_text(text)
    project.write("train.py", _TRAIN.format(names=[*_FILES], folder=str(folder)))
    project.write(".gitignore", "metrics.json\n")
    commit_all(root)
    files = begun_study(root)
    assert coordinate(files, root) == 0
    return [*files.trials().values()]


def test_each_trial_has_its_values_and_otherwise_the_project_s(tmp_path: Path) -> None:
    root, folder = (tmp_path / "spaces").resolve(), tmp_path / "seen"
    trials = _swept(root, folder)
    assert len(trials) == 16
    store = ExperimentStore(Layout(root))
    for trial in trials:
        assert trial.state is TrialState.COMPLETE, trial.reason
        texts = json.loads((folder / trial.runs[0]).read_text())
        assert _parsed(texts) == _wanted(trial.params)
        assert texts["params.toml"].startswith(
            '# How it is trained.\ntop   =   "stays"\n\n[train]\n'
        )
        assert "# one that no trial has" in texts["params.toml"]
        assert texts["net.yaml"].startswith("# The layers.\nnet:\n  depth: ")
        assert '   "kind": "plain"' in texts["config.json"]
        # What a condition leaves alone is no parameter of the trial, in its slot or on record.
        is_sgd, is_deep = (
            trial.params["train.solver"] == "sgd",
            trial.params["net.yaml:net.depth"] > 4,
        )
        assert ("train.momentum" in trial.params) is is_sgd
        assert ("net.yaml:net.dropout" in trial.params) is is_deep
        is_cosine = trial.params["train.schedule"]["kind"] == "cosine"
        assert ("train.rate" in trial.params) is is_cosine
        run = store.get(trial.runs[0])
        assert run is not None
        assert (run.params["train.momentum"] == 0.0) is not is_sgd
    for name in ("train.momentum", "net.yaml:net.dropout"):
        of_slots = [{name in trial.params for trial in trials if trial.slot == n} for n in (1, 2)]
        assert {True, False} in of_slots
    assert {name: (root / name).read_text() for name in _FILES} == _FILES


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ('"train.schedule" = ["flat", "cosine"]', "train.schedule is a table; its choices must be"),
        ('"train.schedule" = [{ kynd = "flat" }]', "train read no parameter train.schedule.kynd"),
    ],
)
def test_a_table_takes_the_place_of_one_alone(tmp_path: Path, space: str, told: str) -> None:
    project = SmallProject(tmp_path)
    head = _CONFIG.partition("[sweeps.quick.space]")[0]
    project.write("mlbench.toml", f"{head}[sweeps.quick.space]\n{space}\n")
    for name, text in _FILES.items():
        project.write(name, text)
    done = project.cli("sweep", NAME)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
