"""`mlbench diff` and `show` over real runs in a real repository."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from mlbench.cli.commands.diff import shortened
from tests.support import SmallProject, commit_all

NOISY = """\
import json, os, pathlib, tomllib
rate = tomllib.loads(pathlib.Path("params.toml").read_text())["train"]["rate"]
chance = int.from_bytes(os.urandom(2), "big") / 65536 / 1000
pathlib.Path("build/model.txt").write_text("model")
pathlib.Path("build/metrics.json").write_text(json.dumps({"score": rate + chance}))
"""


@pytest.fixture
def tracked(small: SmallProject) -> SmallProject:
    """The small project in a repository with one commit."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=small.root, check=True)
    commit_all(small.root)
    return small


def diff(project: SmallProject, *words: str) -> dict[str, Any]:
    done = project.cli("diff", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_code_of_two_runs_as_a_unified_diff(tracked: SmallProject) -> None:
    assert tracked.cli("run").returncode == 0
    tracked.write("rule.py", "def score(rate):\n    return 2 - rate\n")
    assert tracked.cli("run").returncode == 0
    newest, oldest = json.loads(tracked.cli("runs", "--json").stdout)
    found = diff(tracked, oldest["id"], newest["id"])
    assert "-    return 1 - rate\n+    return 2 - rate\n" in found["code"][newest["id"]]
    assert ["code", "changed files"] in [[row["kind"], row["name"]] for row in found["rows"]]
    text = tracked.cli("diff", oldest["id"], newest["id"]).stdout
    assert f"code {oldest['name']} → {newest['name']}" in text
    assert "+    return 2 - rate" in text
    assert "return 2" not in tracked.cli("diff", oldest["id"], newest["id"], "--no-code").stdout


def test_a_change_is_set_against_the_noise_between_equal_runs(small: SmallProject) -> None:
    small.write("train.py", NOISY)
    for _ in range(3):
        assert small.cli("run", "--force").returncode == 0
    small.write("params.toml", "[train]\nrate = 0.25\n")
    assert small.cli("run").returncode == 0
    _, *equal = json.loads(small.cli("runs", "--json").stdout)
    score = score_row(diff(small, equal[0]["id"], "@last"))
    assert score["change"] == pytest.approx(-0.25, abs=0.002)
    assert score["noise"]["degrees"] == 2
    assert score["beyond_noise"]
    assert "beyond ±" in small.cli("diff", equal[0]["id"], "@last").stdout
    assert score_row(diff(small, equal[0]["id"], equal[1]["id"]))["noise"]["degrees"] == 2


def score_row(found: dict[str, Any]) -> dict[str, Any]:
    """The row of the metric `score`."""
    (row,) = (r for r in found["rows"] if (r["kind"], r["name"]) == ("metrics", "score"))
    return dict(row)


def test_three_runs_stand_side_by_side(small: SmallProject) -> None:
    for rate in (0.5, 0.25, 0.125):
        small.write("params.toml", f"[train]\nrate = {rate}\n")
        assert small.cli("run").returncode == 0
    names = [row["id"] for row in reversed(json.loads(small.cli("runs", "--json").stdout))]
    found = diff(small, *names)
    (rate,) = [row for row in found["rows"] if row["name"] == "train.rate"]
    assert rate["values"] == [0.5, 0.25, 0.125]
    (remark,) = set(found["remarks"][:1])
    assert "without a commit" in remark


def test_show_tells_why_a_stage_ran_and_on_what(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    shown = small.cli("show", "@last").stdout
    assert "new prepare" in shown
    assert "environment" in shown
    plain = json.loads(small.cli("show", "@last", "--json").stdout)
    assert plain["environment"]["host"]
    assert plain["stages"]["prepare"]["reasons"][0]["kind"] == "new"


SAVING = """\
import math, pathlib, mlbench
pathlib.Path("big.txt").write_text("x" * 2000)
mlbench.log_artifact("big.txt")
mlbench.log_table([{"a": 1}], "errors")
mlbench.log(broken=math.nan)
"""


def test_show_tells_what_was_saved_and_the_whole_note(small: SmallProject) -> None:
    small.write("train.py", small.read("train.py") + SAVING)
    assert small.cli("run").returncode == 0
    assert small.cli("note", "@last", "one\ntwo").returncode == 0
    shown = small.cli("show", "@last").stdout.splitlines()
    assert shown[shown.index("  one") + 1] == "  two"
    at = shown.index("saved by train")
    assert [line.split() for line in shown[at + 1 : at + 3]] == [
        ["artifacts/big.txt", "2.0", "KB"],
        ["artifacts/errors.csv", "4", "B"],
    ]
    # NaN is neither the least nor the greatest of anything.
    (broken,) = (line for line in shown if line.startswith("  broken"))
    assert broken.split() == ["broken", "nan"]
    plain = json.loads(small.cli("show", "@last", "--json").stdout)
    assert plain["saved"]["train"]["artifacts/big.txt"] == 2000


def test_long_values_that_differ_look_different() -> None:
    one, other = f"{'a' * 60}1", f"{'a' * 60}2{'b' * 60}"
    assert shortened(["short", "x" * 50]) == ["short", "x" * 39 + "…"]
    first, second, none = shortened([one, other, ""])
    assert (first[:2], first[-1], none) == ("…a", "1", "")
    assert first != second
    assert max(len(first), len(second)) <= 40
