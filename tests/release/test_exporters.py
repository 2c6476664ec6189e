"""The export scripts, run as the engine runs them: a process of the user's interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.release.exports import EXPORT, Exports

FEATURES, SPECIES = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FEATURES, SPECIES)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline) -> Exports:
    exports = Exports(tmp_path_factory.mktemp("exporters"))
    exports.rows("iris.npz", X=FEATURES, y=SPECIES)
    joblib.dump(pipeline, exports.project / "model.joblib")
    return exports


def test_a_pipeline_is_served_as_it_answered(exports: Exports, pipeline: Pipeline) -> None:
    export = exports.export(exports.spec("out", "model.joblib", "iris.npz"))
    answers = export.answers
    label, probabilities = export.served()

    rounded = FEATURES.astype(np.float32)
    assert answers["in:input"].dtype == np.float32
    np.testing.assert_array_equal(answers["in:input"], rounded)
    np.testing.assert_array_equal(answers["raw:input"], FEATURES)
    np.testing.assert_array_equal(answers["y"], SPECIES)
    np.testing.assert_array_equal(answers["classes"], [0, 1, 2])
    np.testing.assert_array_equal(answers["label"], pipeline.predict(rounded))
    np.testing.assert_array_equal(answers["scores"], pipeline.predict_proba(rounded))
    np.testing.assert_array_equal(answers["label_raw"], pipeline.predict(FEATURES))
    np.testing.assert_array_equal(answers["scores_raw"], pipeline.predict_proba(FEATURES))
    np.testing.assert_array_equal(label, answers["label"])
    np.testing.assert_allclose(probabilities, answers["scores"], atol=1e-6)

    report = export.report
    packages = {"python", "scikit-learn", "skl2onnx", "onnx", "numpy"}
    assert report["framework"] == "sklearn"
    assert packages <= set(report["versions"]) <= packages | {"pandas"}
    assert report["opset"] >= 9
    assert report["signature"] == {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "classes": ["0", "1", "2"],
        "columns": [],
    }
    assert set(report["groups"]) == {"missing", "unseen", "thresholds"}


def test_rows_that_are_served_as_they_are_stored_are_kept_once(exports: Exports) -> None:
    exports.rows("single.npz", X=FEATURES.astype(np.float32))
    exports.rows("whole.npz", X=FEATURES.astype(np.int64))
    exports.rows("codes.npz", X=(FEATURES * 2**26).astype(np.int64))
    names = ("single", "whole", "codes")
    specs = [exports.spec(name, "model.joblib", f"{name}.npz") for name in names]
    stored = {name: export.answers for name, export in exports.export_all(specs).items()}
    assert not [name for name in (*stored["single"], *stored["whole"]) if "raw" in name]
    assert "y" not in stored["single"]
    np.testing.assert_array_equal(stored["codes"]["raw:input"], (FEATURES * 2**26).astype(np.int64))


def test_a_table_is_a_sample_too(exports: Exports, pipeline: Pipeline) -> None:
    lines = ["sepal length,species,sepal width,petal length,petal width"]
    table = [(*row, species) for row, species in zip(FEATURES, SPECIES, strict=True)]
    lines += [f"{a},{species},{b},{c},{d}" for a, b, c, d, species in table]
    (exports.project / "sample.csv").write_text("\n".join(lines) + "\n")
    spec = exports.spec("table", "model.joblib", "sample.csv", target="species")

    answers = exports.export(spec).answers
    np.testing.assert_array_equal(answers["in:input"], FEATURES.astype(np.float32))
    np.testing.assert_array_equal(answers["y"], SPECIES)
    np.testing.assert_array_equal(answers["scores_raw"], pipeline.predict_proba(FEATURES))


def test_the_scripts_import_nothing_of_mlbench_and_no_framework_at_once() -> None:
    """An export pays for its own framework alone."""
    scripts = sorted(EXPORT.parent.glob("*.py"))
    assert EXPORT in scripts
    for script in scripts:
        assert "import mlbench" not in script.read_text()
        assert "from mlbench" not in script.read_text()
    asked = f"import sys; sys.path.insert(0, {str(EXPORT.parent)!r}); import export; "
    asked += "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-I", "-c", asked], capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    heavy = ("numpy", "sklearn", "skl2onnx", "onnx", "torch", "lightgbm", "xgboost", "pandas")
    assert not loaded & set(heavy)


def test_a_spec_is_all_that_the_script_is_told(exports: Exports, tmp_path: Path) -> None:
    """Its standard output stays empty, and its working folder is the project's."""
    exports.write("talks.py", "import os\nprint('trained in', os.getcwd())\nclass Model: pass\n")
    exports.write("train.py", "import joblib, talks\njoblib.dump(talks.Model(), 'talks.joblib')\n")
    exports.run("train.py")
    export = exports.export(exports.spec("talks", "talks.joblib", "iris.npz"))
    assert "talks.Model has no predict" in export.refusal("unsupported")
    assert not list(tmp_path.iterdir())
