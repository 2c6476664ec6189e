"""A trial's parameters in the params files: shown before, then all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.domain.errors import UsageError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Dimension, Objective, Range, Study, Sweep, Trial
from mlbench.engine.sweeping.applying import apply, preview
from mlbench.project.layout import Layout

TEXTS = {
    "params.toml": '# all\n[train]\nalpha = 1e-3   # penalty\nhidden = [128]\nsolver = "sgd"\n',
    "params.yaml": "# all\ntrain:\n  alpha: 1e-3   # penalty\n  hidden: [128]\n  solver: sgd\n",
    "params.json": '{"train": {"alpha": 1e-3,  "hidden": [128], "solver": "sgd"}}\n',
    "params.py": "# all of it\nclass train:\n    alpha = 1e-3  # penalty\n    hidden = (128,)\n"
    '    solver = "sgd"\n',
}
SPACE = (
    Dimension("train.alpha", Range(1e-5, 0.1, log=True)),
    Dimension("train.hidden", choices=([32], [64, 64])),
    Dimension("other.yaml:net.depth", Range(1, 9, is_whole=True)),
)
STUDY = Study("20261123", Sweep("small", "train", (Objective("accuracy", "maximize"),), SPACE), "")


def trial(**params: object) -> Trial:
    return Trial(7, TrialState.COMPLETE, {name.replace("__", "."): params[name] for name in params})


@pytest.mark.parametrize("name", TEXTS)
def test_only_the_values_change(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TEXTS[name])
    path.chmod(0o640)
    best = trial(train__alpha=0.05, train__hidden=[64, 64])
    told = preview(Layout(tmp_path), STUDY, best)
    assert path.read_text() == TEXTS[name]
    assert told.startswith(f"--- a/{name}\n+++ b/{name}\n@@ ")
    assert apply(Layout(tmp_path), STUDY, best) == (name,)
    wanted = TEXTS[name].replace("1e-3", "0.05").replace("(128,)", "(64, 64)")
    assert path.read_text() == wanted.replace("[128]", "[64, 64]")
    assert path.stat().st_mode & 0o777 == 0o640
    assert preview(Layout(tmp_path), STUDY, best) == ""
    assert apply(Layout(tmp_path), STUDY, best) == ()


def test_what_is_the_same_stays_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "params.toml").write_text(TEXTS["params.toml"])
    assert preview(Layout(tmp_path), STUDY, trial(train__alpha=0.001)) == ""


def test_a_file_without_a_last_newline_is_shown_as_git_does(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"train": {"alpha": 1}}')
    told = preview(Layout(tmp_path), STUDY, trial(train__alpha=2))
    assert told.splitlines()[3:] == [
        '-{"train": {"alpha": 1}}',
        "\\ No newline at end of file",
        '+{"train": {"alpha": 2}}',
        "\\ No newline at end of file",
    ]


def two_files(root: Path) -> Trial:
    (root / "params.toml").write_text(TEXTS["params.toml"])
    (root / "other.yaml").write_text("net:\n  depth: 2  # layers\n")
    return Trial(7, TrialState.COMPLETE, {"train.alpha": 0.05, "other.yaml:net.depth": 5})


def test_several_files_are_set_together(tmp_path: Path) -> None:
    best = two_files(tmp_path)
    told = preview(Layout(tmp_path), STUDY, best)
    assert told.count("+++ ") == 2
    assert apply(Layout(tmp_path), STUDY, best) == ("params.toml", "other.yaml")
    assert (tmp_path / "other.yaml").read_text() == "net:\n  depth: 5  # layers\n"


@pytest.mark.parametrize("gone", ["net: {}\n", None])
def test_where_a_parameter_is_gone_nothing_is_set(tmp_path: Path, gone: str | None) -> None:
    best = two_files(tmp_path)
    (tmp_path / "other.yaml").unlink() if gone is None else (tmp_path / "other.yaml").write_text(
        gone
    )
    with pytest.raises(UsageError, match=r"trial 7 of small .* nothing was changed: other\.yaml: "):
        apply(Layout(tmp_path), STUDY, best)
    assert (tmp_path / "params.toml").read_text() == TEXTS["params.toml"]


def test_a_file_that_cannot_be_replaced_leaves_all_as_it_was(tmp_path: Path) -> None:
    # Beside a name as long as this there is no room for one of a temporary file.
    long = f"{'x' * 246}.yaml"
    two_files(tmp_path)
    (tmp_path / "other.yaml").rename(tmp_path / long)
    sought = Trial(7, TrialState.COMPLETE, {"train.alpha": 0.05, f"{long}:net.depth": 5})
    with pytest.raises(OSError, match="name too long"):
        apply(Layout(tmp_path), STUDY, sought)
    assert (tmp_path / "params.toml").read_text() == TEXTS["params.toml"]
    assert (tmp_path / long).read_text() == "net:\n  depth: 2  # layers\n"
