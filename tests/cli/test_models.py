"""Models, cards, exports by hand and predictions from the command line, on a real project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support import SmallProject

FILE_CONFIG = """\
[project]
name = "files"

[stages.train]
cmd = "python train.py"
params = ["train.rate"]
outs = ["build/model.txt", "build/predictions.csv"]
metrics = ["build/metrics.json"]

[stages.check]
cmd = "python check.py"
deps = ["build/model.txt"]

[models.rule]
stage = "train"
path = "build/model.txt"
format = "file"
predictions = "build/predictions.csv"
gates = ["score >= 0.5"]
"""
FILE_TRAIN = """\
import json, tomllib
from pathlib import Path
rate = tomllib.loads(Path("params.toml").read_text())["train"]["rate"]
Path("build/model.txt").write_text(f"rate {rate}")
Path("build/predictions.csv").write_text("truth,prediction\\n1,1\\n")
Path("build/metrics.json").write_text(json.dumps({"score": 1 - rate}))
"""


@pytest.fixture
def files(tmp_path: Path) -> SmallProject:
    """A project whose model is released as the file that it is; its last stage may fail."""
    project = SmallProject(tmp_path / "files")
    project.write("mlbench.toml", FILE_CONFIG)
    project.write("train.py", FILE_TRAIN)
    project.write("check.py", "")
    project.write("params.toml", "[train]\nrate = 0.25\n")
    return project


def test_a_run_is_exported_by_hand_whatever_its_gates_say(files: SmallProject) -> None:
    assert files.cli("run").returncode == 0
    (candidate,) = json.loads(files.cli("models", "--json").stdout)
    assert (candidate["version"], candidate["format"]) == (None, "file")
    assert (candidate["parity"], candidate["graph_digest"]) == (None, None)
    assert candidate["gates"][0]["passed"] is True

    files.write("params.toml", "[train]\nrate = 0.75\n")
    files.write("check.py", "raise SystemExit(1)\n")
    assert files.cli("run").returncode == 1
    assert len(json.loads(files.cli("models", "--json").stdout)) == 1
    failed = json.loads(files.cli("runs", "--all", "--json").stdout)[0]["id"]
    done = files.cli("export", failed)
    assert done.returncode == 0, done.stderr
    assert "rule v1 of" in done.stderr
    assert "it misses score >= 0.5" in done.stderr
    path = Path(done.stdout.strip())
    assert path.read_text() == "rate 0.75"
    assert path.parent.joinpath("predictions.csv").read_text() == "truth,prediction\n1,1\n"
    (again,) = json.loads(files.cli("export", failed, "rule", "--json").stdout)
    assert (again["version"], again["run"], again["path"]) == (1, failed, str(path))
    assert again["metrics"] == {"score": 0.25}
    assert again["facts"]["params.train.rate"] == "0.75"


def test_predictions_that_no_stage_gives_are_not_kept_and_that_is_said(files: SmallProject) -> None:
    files.write("mlbench.toml", FILE_CONFIG.replace('= "build/pred', '= "build/other-pred'))
    done = files.cli("run")
    assert done.returncode == 0
    assert "gave no file build/other-predictions.csv, so none is kept" in done.stdout + done.stderr
    candidate = json.loads(files.cli("models", "rule@last", "--json").stdout)
    assert set(candidate["files"]) == {"candidate.json", "files.json", "gates.json", "model.txt"}
    files.write("mlbench.toml", FILE_CONFIG.partition("[models.rule]")[0])
    none = files.cli("export", "@last")
    assert none.returncode == 2
    assert "there is no model to export; add [models.NAME] to mlbench.toml" in none.stderr


def test_what_cannot_be_exported_is_said_in_one_sentence(files: SmallProject) -> None:
    files.write("train.py", "raise SystemExit(1)\n")
    assert files.cli("run").returncode == 1
    failed = json.loads(files.cli("runs", "--all", "--json").stdout)[0]["id"]
    for words, status, said in (
        ((failed,), 2, "has no model to export: its stage train gave nothing that stands"),
        ((failed, "rul"), 2, 'there is no model "rul" (did you mean "rule"?)'),
        (("nobody",), 2, 'there is no run "nobody"'),
    ):
        done = files.cli("export", *words)
        assert (done.returncode, done.stdout) == (status, "")
        assert said in done.stderr


def test_what_was_damaged_is_exported_anew_and_what_is_gone_is_named(files: SmallProject) -> None:
    files.write("mlbench.toml", FILE_CONFIG + "\n[environments.staging]\nport = 8999\n")
    assert files.cli("run").returncode == 0
    (candidate,) = json.loads(files.cli("models", "--json").stdout)
    _alter(Path(candidate["path"]))
    told = files.cli("models", "rule@last").stderr
    assert "damaged: model.txt was altered" in told
    assert "`mlbench export " in told
    (first,) = files.cli("export", "@last").stdout.splitlines()
    assert Path(first).read_text() == "rate 0.25"

    _alter(Path(first))
    (second,) = files.cli("export", "@last").stdout.splitlines()
    assert Path(second).parent.name == "2"
    assert files.cli("promote", "rule", "staging").returncode == 0
    asked = files.cli("predict", "staging", "rule")
    assert 'rule is released as a file (format = "file"), and not served' in asked.stderr

    shutil.rmtree(Path(second).parent)
    found = {one["what"]: one for one in json.loads(files.cli("doctor", "--json").stdout)}
    assert "rule v2, which was promoted, is gone" in found["models"]["detail"]


def _alter(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])


def test_a_version_is_shown_whole_and_damage_is_named(tiny: SmallProject) -> None:
    exported = tiny.cli("export", "@last")
    assert exported.returncode == 0, exported.stderr
    shown = tiny.cli("models", "flowers@1").stdout
    for said in ("flowers v1  run", "held-out", "input  FP32  n × 4", "classes: 0, 1, 2"):
        assert said in shown
    version = json.loads(tiny.cli("models", "flowers@last", "--json").stdout)
    assert version["version"] == 1
    assert version["signature"]["inputs"][0]["name"] == "input"
    assert {"model.onnx", "answers.npz", "request.json", "card.md"} <= set(version["files"])
    assert version["facts"]["framework"] == "sklearn"
    assert version["damage"] is None
    assert tiny.cli("models", "flowers").stdout.count("flowers") == 1

    model = Path(version["path"])
    _alter(model)
    assert "flowers v1 is damaged: model.onnx was altered" in tiny.cli("models").stderr
    (told,) = json.loads(tiny.cli("models", "--json").stdout)
    assert told["damage"] == "model.onnx was altered since it was kept"
    refused = tiny.cli("promote", "flowers@1", "staging")
    assert refused.returncode == 1
    assert "model.onnx was altered" in refused.stderr
    found = {one["what"]: one for one in json.loads(tiny.cli("doctor", "--json").stdout)}
    assert found["models"]["level"] == "fail"
    assert "flowers v1 is damaged: model.onnx was altered" in found["models"]["detail"]


def test_one_run_exported_twice_gives_one_digest(tiny: SmallProject) -> None:
    (first,) = json.loads(tiny.cli("export", "@last", "--json").stdout)
    shutil.rmtree(tiny.root / ".mlbench/models")
    (second,) = json.loads(tiny.cli("export", "@last", "--json").stdout)
    assert second["created"] > first["created"]
    assert (second["digest"], second["graph_digest"]) == (first["digest"], first["graph_digest"])
    assert second["facts"] == first["facts"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("models", "flower"), 'no candidate or version of "flower" (did you mean "flowers"?)'),
        (("models", "flowers@7"), "flowers@7: this version does not exist"),
        (("models", "flowers@nobody"), 'there is no run "nobody"'),
        (("card", "flowers", "--words", "nowhere.md"), "--words nowhere.md: can't be read"),
    ],
)
def test_a_wrong_name_is_refused(tiny: SmallProject, words: tuple[str, ...], said: str) -> None:
    done = tiny.cli(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_card_takes_words(tiny: SmallProject) -> None:
    assert "Nobody has said yet" in tiny.cli("card", "flowers").stdout
    tiny.write("words.md", "Irises of the *Gaspé* peninsula alone.\n")
    assert tiny.cli("card", "flowers@last", "--words", "words.md").returncode == 0
    assert tiny.cli("export", "@last").returncode == 0
    card = tiny.cli("card", "flowers@1").stdout
    assert card.startswith("# flowers v1\n")
    assert "Irises of the *Gaspé* peninsula alone." in card
    for said in ("## Gates", "| `accuracy >= 0.8` | ✓ holds |", "/v2/models/flowers/", "held-out"):
        assert said in card
    assert (tiny.root / ".mlbench/models/flowers/1/card.md").read_text() == card


def test_a_served_model_is_asked_about_rows_of_every_kind(tiny: SmallProject) -> None:
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    held_out = tiny.cli("predict", "staging", "--row", "3")
    assert "held-out row 3: the original model says" in held_out.stderr
    with np.load(tiny.root / "build/test.npz") as saved:
        rows = saved["X"][[0, 30, 60]].tolist()
    tiny.write("rows.json", json.dumps(rows))
    tiny.write("rows.csv", "a,b,c,d\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    for name in ("rows.json", "rows.csv"):
        answer = tiny.cli("predict", "staging", "flowers", "--rows", name, "--version", "1")
        assert answer.stdout.split() == ["0", "1", "2"], answer.stderr
    tiny.write("gap.csv", "a,b,c,d\n1,2,,4\n")
    refused = tiny.cli("predict", "staging", "--rows", "gap.csv")
    assert refused.returncode == 2
    assert 'gap.csv: row 1, column "c": is missing, and the protocol\'s JSON' in refused.stderr
    absent = tiny.cli("predict", "staging", "--version", "9")
    assert absent.returncode == 2
    assert "flowers v9: there is no such version; there are: 1" in absent.stderr
