"""A model on a table of text and numbers, from training to answers about a user's rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import SmallProject, commit_all, free_ports

CONFIG = """\
[project]
name = "penguins"

[stages.train]
cmd = "python train.py"
outs = ["build/model.joblib", "build/test.csv"]
metrics = ["build/metrics.json"]

[models.species]
stage = "train"
path = "build/model.joblib"
sample = "build/test.csv"
target = "species"
predictions = "build/test.csv"

[environments.staging]
port = {port}
"""
TRAIN = """\
import json
from pathlib import Path
import joblib
from palmerpenguins import load_penguins
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

known = load_penguins().dropna().sample(frac=1, random_state=7)
texts, numbers = ["island", "sex"], ["bill_length_mm", "flipper_length_mm"]
X, y = known[texts + numbers], known["species"]
prepare = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), texts), (StandardScaler(), numbers)
)
model = make_pipeline(prepare, LogisticRegression(max_iter=500)).fit(X[60:], y[60:])
joblib.dump(model, "build/model.joblib")
held_out = X[:60].assign(species=y[:60], prediction=model.predict(X[:60]))
held_out.to_csv("build/test.csv", index=False)
accuracy = float(model.score(X[:60], y[:60]))
Path("build/metrics.json").write_text(json.dumps({"accuracy": accuracy}))
"""


@pytest.fixture(scope="module")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallProject]:
    """A project that serves a model with an input for each column."""
    project = SmallProject(tmp_path_factory.mktemp("penguins"))
    project.write("mlbench.toml", CONFIG.format(port=free_ports(1)[0]))
    project.write("train.py", TRAIN)
    project.write(".gitignore", "build/\n")
    commit_all(project.root)
    for words in (("run",), ("promote", "species", "staging")):
        done = project.cli(*words)
        assert done.returncode == 0, done.stderr
    yield project
    project.cli("serve", "--stop")


def test_rows_are_asked_by_the_names_of_their_columns(penguins: SmallProject) -> None:
    with (penguins.root / "build/test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:12]
    predicted = [row.pop("prediction") for row in rows]
    with (penguins.root / "ask.csv").open("w", newline="") as file:
        # In another order, and with a column that the model does not take.
        writer = csv.DictWriter(file, sorted(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (penguins.root / "ask.json").write_text(json.dumps(rows))
    for name in ("ask.csv", "ask.json"):
        answer = penguins.cli("predict", "staging", "--rows", name)
        assert answer.stdout.split() == predicted, answer.stderr
    held_out = penguins.cli("predict", "staging", "--row", "5")
    assert f"the original model says {held_out.stdout.strip()}, the truth is" in held_out.stderr


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"island": None}, 'row 1, column "island": is missing'),
        ({"bill_length_mm": "long"}, 'row 1, column "bill_length_mm": "long" is no number'),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    penguins: SmallProject, row: dict[str, object], said: str
) -> None:
    whole = {"island": "Dream", "sex": "male", "bill_length_mm": 40.5, "flipper_length_mm": 190}
    (penguins.root / "odd.json").write_text(json.dumps({**whole, **row}))
    done = penguins.cli("predict", "staging", "--rows", "odd.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_version_tells_its_columns_and_keeps_its_predictions(penguins: SmallProject) -> None:
    version = json.loads(penguins.cli("models", "species@1", "--json").stdout)
    inputs = {one["name"]: one["datatype"] for one in version["signature"]["inputs"]}
    assert inputs["island"] == inputs["sex"] == "BYTES"
    kept = Path(version["path"]).with_name("predictions.csv")
    assert kept.read_bytes() == (penguins.root / "build/test.csv").read_bytes()
    request = json.loads(Path(version["path"]).with_name("request.json").read_text())
    assert {tensor["name"] for tensor in request["inputs"]} == set(inputs)
