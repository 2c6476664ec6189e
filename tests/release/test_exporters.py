"""The export scripts, run as the engine runs them: a process of the user's interpreter."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import mlbench.release

EXPORT = Path(mlbench.release.__file__).parent / "exporters" / "export.py"
FEATURES, SPECIES = load_iris(return_X_y=True)


@dataclass(frozen=True)
class Export:
    """One finished export: what it reported and where its files lie."""

    status: int
    report: dict[str, Any]
    stderr: str
    out: Path

    def answers(self) -> dict[str, NDArray[Any]]:
        """The original's answers."""
        with np.load(self.out / "answers.npz") as archive:
            return dict(archive)

    def served(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """What onnxruntime answers, one array an output."""
        return list(
            onnxruntime.InferenceSession(self.out / "model.onnx").run(None, {"input": rows})
        )


class Exporter:
    """A user's project with a model and a sample, to be exported."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        self.model = self.project / "model.joblib"
        self.sample = self.project / "sample.npz"
        self.target: str | None = None

    def save(self, model: Any, **arrays: Any) -> None:
        """Write the model, and the sample's arrays (by default iris)."""
        joblib.dump(model, self.model)
        np.savez(self.sample, **(arrays or {"X": FEATURES, "y": SPECIES}))

    def script(self, name: str, text: str) -> None:
        """Run a script of the user's in the project, as a stage does."""
        (self.project / name).write_text(textwrap.dedent(text))
        subprocess.run([sys.executable, name], cwd=self.project, check=True, capture_output=True)

    def run(self, out: str = "out", **environment: str) -> Export:
        """Export, and check what holds for every export: a report that fits, a clean stdout."""
        folder, spec = self.project / out, self.project / "spec.json"
        names = {"model": self.model, "sample": self.sample, "project": self.project, "out": folder}
        places = {name: str(path) for name, path in names.items()}
        spec.write_text(json.dumps(places | {"target": self.target}))
        done = subprocess.run(
            [sys.executable, str(EXPORT), str(spec)],
            env=os.environ | environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        report = json.loads((folder / "report.json").read_text())
        assert done.stdout == ""
        assert done.returncode == (0 if report["ok"] else 1), done.stderr
        return Export(done.returncode, report, done.stderr, folder)

    def refusal(self, kind: str, **environment: str) -> tuple[str, str]:
        """The problem and the remedy of an export that is refused with this kind."""
        export = self.run(**environment)
        assert export.report["ok"] is False
        assert export.report["kind"] == kind, export.report
        assert "Traceback" in export.stderr
        assert [path.name for path in export.out.iterdir()] == ["report.json"]
        return export.report["problem"], export.report["remedy"]


@pytest.fixture
def exporter(tmp_path: Path) -> Exporter:
    return Exporter(tmp_path)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FEATURES, SPECIES)


def test_a_pipeline_is_served_as_it_answered(exporter: Exporter, pipeline: Pipeline) -> None:
    exporter.save(pipeline)
    export = exporter.run()
    answers = export.answers()
    label, probabilities = export.served(answers["X"])

    rounded = FEATURES.astype(np.float32)
    assert answers["X"].dtype == np.float32
    np.testing.assert_array_equal(answers["X"], rounded)
    np.testing.assert_array_equal(answers["y"], SPECIES)
    np.testing.assert_array_equal(answers["label"], pipeline.predict(rounded))
    np.testing.assert_array_equal(answers["scores"], pipeline.predict_proba(rounded))
    np.testing.assert_array_equal(answers["label_raw"], pipeline.predict(FEATURES))
    np.testing.assert_array_equal(answers["scores_raw"], pipeline.predict_proba(FEATURES))
    np.testing.assert_array_equal(label, answers["label"])
    np.testing.assert_allclose(probabilities, answers["scores"], atol=1e-6)


def test_the_report_says_what_was_made(exporter: Exporter, pipeline: Pipeline) -> None:
    exporter.save(pipeline)
    report = exporter.run().report

    assert report["framework"] == "sklearn"
    assert set(report["versions"]) == {"python", "scikit-learn", "skl2onnx", "onnx", "numpy"}
    assert report["opset"] >= 9
    assert report["signature"] == {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "classes": ["0", "1", "2"],
    }


def test_two_exports_are_the_same_bytes(exporter: Exporter) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(FEATURES, SPECIES)
    exporter.save(make_pipeline(StandardScaler(), forest).fit(FEATURES, SPECIES))
    first = exporter.run("first", PYTHONHASHSEED="1").out
    second = exporter.run("second", PYTHONHASHSEED="2").out
    for name in ("model.onnx", "answers.npz", "report.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("kind", [str, object])
def test_classes_that_are_text_come_as_bytes(exporter: Exporter, kind: type) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
    model = LogisticRegression(max_iter=1000).fit(FEATURES, names.astype(kind))
    exporter.save(model, X=FEATURES.astype(np.float32), y=names)
    export = exporter.run()
    answers = export.answers()

    assert export.report["signature"]["outputs"][0]["datatype"] == "BYTES"
    assert export.report["signature"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert "scores_raw" not in answers
    assert export.served(answers["X"])[0].tolist() == answers["label"].tolist()


def test_a_regressor_gives_predictions(exporter: Exporter) -> None:
    exporter.save(Ridge().fit(FEATURES, FEATURES[:, 0] * 2), X=FEATURES)
    export = exporter.run()
    answers = export.answers()

    [output] = export.report["signature"]["outputs"]
    assert output == {"name": "prediction", "datatype": "FP32", "shape": [-1, 1]}
    assert answers["scores"].shape == (len(FEATURES), 1)
    assert {"label", "y"}.isdisjoint(answers)
    assert answers["classes"].size == 0
    np.testing.assert_allclose(export.served(answers["X"])[0], answers["scores"], rtol=1e-5)


def test_a_table_is_a_sample_too(exporter: Exporter, pipeline: Pipeline) -> None:
    exporter.save(pipeline)
    exporter.sample = exporter.project / "sample.csv"
    exporter.target = "species"
    lines = ["sepal length,species,sepal width,petal length,petal width"]
    table = [(*row, species) for row, species in zip(FEATURES, SPECIES, strict=True)]
    lines += [f"{a},{species},{b},{c},{d}" for a, b, c, d, species in table]
    exporter.sample.write_text("\n".join(lines) + "\n")

    answers = exporter.run().answers()
    np.testing.assert_array_equal(answers["X"], FEATURES.astype(np.float32))
    np.testing.assert_array_equal(answers["y"], SPECIES)
    np.testing.assert_array_equal(answers["scores_raw"], pipeline.predict_proba(FEATURES))


CLIP = """
    from sklearn.base import BaseEstimator, TransformerMixin

    class Clip(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.fitted_ = True
            return self
        def transform(self, X):
            return X.clip(0, 5)
"""
TRAIN = """
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    {clip}
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(Clip(), LogisticRegression(max_iter=1000)).fit(X, y)
    joblib.dump(model, "model.joblib")
"""


@pytest.mark.parametrize("module", ["features", "answers"])
def test_the_users_own_transformer_is_refused_by_name(exporter: Exporter, module: str) -> None:
    """Also where its module is called like one of the exporters' own."""
    exporter.save(None)
    (exporter.project / f"{module}.py").write_text(textwrap.dedent(CLIP))
    exporter.script("train.py", TRAIN.format(clip=f"from {module} import Clip"))
    problem, remedy = exporter.refusal("unsupported")
    assert f"{module}.Clip" in problem
    assert "scikit-learn class" in remedy


def test_a_class_of_the_script_itself_is_told_to_move(exporter: Exporter) -> None:
    exporter.save(None)
    exporter.script("train.py", CLIP + TRAIN.format(clip=""))
    problem, remedy = exporter.refusal("unreadable")
    assert "Clip" in problem
    assert "into a module" in remedy


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"weights": [1.0]}, "builtins.dict has no predict"),
        (LogisticRegression(), "LogisticRegression is not fitted"),
        (KMeans(2, n_init=1).fit(FEATURES), "KMeans is neither"),
        (make_pipeline(LinearSVC()).fit(FEATURES, SPECIES), "LinearSVC gives no probabilities"),
    ],
    ids=["object", "unfitted", "clustering", "no-probabilities"],
)
def test_what_cannot_be_served_is_refused_by_class(
    exporter: Exporter, model: Any, words: str
) -> None:
    exporter.save(model)
    problem, remedy = exporter.refusal("unsupported")
    assert words in problem
    assert remedy


@pytest.mark.parametrize(
    ("module", "requirement"),
    [("skl2onnx", "'skl2onnx>=1.20'"), ("onnx", "onnx"), ("sklearn", "scikit-learn")],
)
def test_a_missing_package_is_told_with_pips_line(
    exporter: Exporter, pipeline: Pipeline, module: str, requirement: str
) -> None:
    exporter.save(pipeline)
    blocker = exporter.project / "blocker"
    blocker.mkdir()
    missing = f"No module named {module!r}"
    (blocker / f"{module}.py").write_text(
        f"raise ModuleNotFoundError({missing!r}, name={module!r})"
    )
    problem, remedy = exporter.refusal("missing_package", PYTHONPATH=str(blocker))
    assert module in problem
    assert sys.executable in problem
    assert remedy == f"{shlex.quote(sys.executable)} -m pip install {requirement}"


def test_a_package_that_breaks_while_imported_says_why(
    exporter: Exporter, pipeline: Pipeline
) -> None:
    exporter.save(pipeline)
    (exporter.project / "skl2onnx.py").write_text("raise ImportError('built for another onnx')")
    problem, remedy = exporter.refusal("missing_package", PYTHONPATH=str(exporter.project))
    assert "built for another onnx" in problem
    assert remedy.endswith("'skl2onnx>=1.20'")


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_truncated_pickle_is_unreadable(
    exporter: Exporter, pipeline: Pipeline, kept: float
) -> None:
    exporter.save(pipeline)
    whole = exporter.model.read_bytes()
    exporter.model.write_bytes(whole[: int(len(whole) * kept)])
    problem, _ = exporter.refusal("unreadable")
    assert str(exporter.model) in problem


def test_a_model_that_is_not_there_is_unreadable(exporter: Exporter, pipeline: Pipeline) -> None:
    exporter.save(pipeline)
    exporter.model.unlink()
    problem, remedy = exporter.refusal("unreadable")
    assert str(exporter.model) in problem
    assert "Run the stage" in remedy


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": FEATURES[:, :3]}, "has 3 columns, but the model was trained on 4"),
        ({"X": FEATURES[0]}, "of shape (4,)"),
        ({"X": FEATURES[:0]}, "has no rows"),
        ({"X": FEATURES.astype(str)}, "not numbers"),
        ({"X": FEATURES, "y": SPECIES[1:]}, "has 150 rows in X but 149 in y"),
        ({"rows": FEATURES}, "has no array X, only rows"),
        ({"X": FEATURES.astype(object)}, "can't be read as .npz"),
        ({"X": np.full((2, 4), np.nan)}, "fails on the sample: Input X contains NaN"),
    ],
)
def test_a_bad_sample_says_what_is_wrong(
    exporter: Exporter, pipeline: Pipeline, arrays: dict[str, Any], words: str
) -> None:
    exporter.save(pipeline, **arrays)
    problem, remedy = exporter.refusal("bad_sample")
    assert words in problem
    assert remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c,d\n1,2,3,4\n", "has no column species"),
        ("a,b,c,d,species\n1,2,3,4,0\n1,x,3,4,0\n", "has no number in line 3"),
        ("a,b,c,d,species\n1,2,3,4\n", "has 4 values in line 2, not 5"),
        ("a,b,c,d,species\n", "has no rows"),
        ("", "has no column species"),
    ],
)
def test_a_bad_table_says_where(
    exporter: Exporter, pipeline: Pipeline, text: str, words: str
) -> None:
    exporter.save(pipeline)
    exporter.sample, exporter.target = exporter.project / "sample.csv", "species"
    exporter.sample.write_text(text)
    problem, _ = exporter.refusal("bad_sample")
    assert words in problem


def test_a_truncated_sample_is_told(exporter: Exporter, pipeline: Pipeline) -> None:
    exporter.save(pipeline)
    exporter.sample.write_bytes(exporter.sample.read_bytes()[:-30])
    problem, _ = exporter.refusal("bad_sample")
    assert str(exporter.sample) in problem


def test_the_scripts_import_nothing_of_mlbench() -> None:
    scripts = sorted(EXPORT.parent.glob("*.py"))
    assert EXPORT in scripts
    for script in scripts:
        assert "import mlbench" not in script.read_text()
        assert "from mlbench" not in script.read_text()
