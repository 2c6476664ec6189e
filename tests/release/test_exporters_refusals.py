"""What can't be exported is refused with a sentence that says what would work."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC

from tests.release.exports import Exported, Exports

FEATURES, SPECIES = load_iris(return_X_y=True)
HOLES = np.where(FEATURES > 6.5, np.nan, FEATURES)
WORDS = pd.DataFrame({"kind": [["long", "short", None][code] for code in SPECIES]})
TEXTS = pd.DataFrame({"text": [["some words", "other words", "none"][code] for code in SPECIES]})
LOGISTIC = LogisticRegression(max_iter=2000)


def fit(model: Any, X: Any = FEATURES) -> Any:
    return model.fit(X, SPECIES)


UNSUPPORTED: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "object": ({"weights": [1.0]}, ("builtins.dict has no predict", "name a function")),
    "unfitted": (LogisticRegression(), ("LogisticRegression is not fitted", "after training")),
    "clusterer": (KMeans(2, n_init=1).fit(FEATURES), ("KMeans is neither", "End the pipeline")),
    "no-probabilities": (
        fit(make_pipeline(LinearSVC())),
        ("LinearSVC gives no probabilities", "CalibratedClassifierCV"),
    ),
    "function": (
        fit(make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=2000))),
        ("calls the Python function log1p", "in a stage before training"),
    ),
    "several-labels": (
        RandomForestClassifier(2).fit(FEATURES, np.column_stack([SPECIES, SPECIES])),
        ("predicts several targets at once", "one classifier for each target"),
    ),
    "own-distance": (
        fit(KNeighborsClassifier(metric="chebyshev")),
        ("measures distances by chebyshev", "euclidean"),
    ),
    "distance-weights": (
        fit(KNeighborsClassifier(weights="distance")),
        ("weighs neighbours by their distance", "weights='uniform'"),
    ),
    "isotonic": (
        fit(CalibratedClassifierCV(RandomForestClassifier(2), cv=2, method="isotonic")),
        ("calibrates by the isotonic method", "method='sigmoid'"),
    ),
    "gaussian-process": (
        fit(GaussianProcessClassifier()),
        ("needs a solver of linear equations", "SVC"),
    ),
    "indicator": (
        fit(make_pipeline(SimpleImputer(add_indicator=True), LOGISTIC), HOLES),
        ("adds columns that say what was missing", "MissingIndicator"),
    ),
    "nearest-imputer": (
        fit(make_pipeline(KNNImputer(), LOGISTIC), HOLES),
        ("makes a graph that onnxruntime can't run", "SimpleImputer"),
    ),
    "sets-of-categories": (
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[3]).fit(
            np.column_stack([FEATURES[:, :3], SPECIES]), SPECIES
        ),
        ("splits on sets of categories", "OrdinalEncoder or OneHotEncoder"),
    ),
    "no-converter": (
        fit(NearestCentroid()),
        ("no converter for sklearn.neighbors._nearest_centroid.NearestCentroid", "class that does"),
    ),
}
ON_WORDS: Mapping[str, tuple[Any, pd.DataFrame, tuple[str, ...]]] = {
    "vectoriser": (
        make_pipeline(
            ColumnTransformer([("text", TfidfVectorizer(), "text")]),
            LogisticRegression(),
        ),
        TEXTS,
        ("TfidfVectorizer splits text into words by Python's own rules", "before training"),
    ),
    "missing-words": (
        make_pipeline(OrdinalEncoder(), HistGradientBoostingClassifier(max_iter=2)),
        WORDS,
        ("texts of which some are missing", "SimpleImputer(strategy='most_frequent')"),
    ),
}
SAMPLES: Mapping[str, tuple[dict[str, Any], str]] = {
    "narrow": ({"X": FEATURES[:, :3]}, "has 3 columns, but the model was trained on 4"),
    "flat": ({"X": FEATURES[0]}, "of shape (4,)"),
    "empty": ({"X": FEATURES[:0]}, "has no rows"),
    "text": ({"X": FEATURES.astype(str)}, "not numbers"),
    "short-truth": ({"X": FEATURES, "y": SPECIES[1:]}, "has 150 rows in X but 149 in y"),
    "misnamed": ({"rows": FEATURES}, "has no array X, only rows"),
    "objects": ({"X": FEATURES.astype(object)}, "can't be read as .npz"),
    "missing": ({"X": np.full((2, 4), np.nan)}, "fails on the sample: Input X contains NaN"),
    "deep": ({"X": FEATURES[:, :, None]}, "the model takes rows x features"),
}
TABLES: Mapping[str, tuple[str, str]] = {
    "no-target": ("a,b,c,d\n1,2,3,4\n", "has no column species"),
    "word": ("a,b,c,d,species\n1,2,3,4,0\n1,x,3,4,0\n", "has no number in line 3"),
    "ragged": ("a,b,c,d,species\n1,2,3,4\n", "has 4 values in line 2, not 5"),
    "no-rows": ("a,b,c,d,species\n", "has no rows"),
    "nothing": ("", "has no column species"),
}
NAMED_TABLES: Mapping[str, tuple[pd.DataFrame, str]] = {
    "absent": (pd.DataFrame({"width": [1.0], "species": [0]}), "has no column length, which"),
    "dates": (
        pd.DataFrame({"width": pd.to_datetime(["2026-11-23"]), "length": [1.0], "species": [0]}),
        "datetime64",
    ),
    "missing-integer": (
        pd.DataFrame({"width": [1.0, 1.0], "length": [1, None], "species": [0, 1]}).astype(
            {"length": "Int64"}
        ),
        "misses values in column length of Int64",
    ),
    "list": (
        pd.DataFrame({"width": [1.0], "length": [[1.0]], "species": [0]}),
        "has a ndarray among the texts of column length",
    ),
    "no-truth": (
        pd.DataFrame({"width": [1.0, 1.0], "length": [1.0, 2.0], "species": [0, None]}),
        "has no truth in row 1 of species",
    ),
}
MISSING = {
    "skl2onnx": "'skl2onnx>=1.20'",
    "onnx": "onnx",
    "sklearn": "scikit-learn",
    "pandas": "pandas",
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    exports = Exports(tmp_path_factory.mktemp("refusals"))
    exports.rows("iris.npz", X=FEATURES, y=SPECIES)
    joblib.dump(fit(make_pipeline(StandardScaler(), LOGISTIC)), exports.project / "pipeline.joblib")
    return exports


@pytest.fixture(scope="module")
def refused(exports: Exports) -> Mapping[str, Exported]:
    """Everything that needs no process of its own, in one child."""
    project, specs = exports.project, []

    def add(name: str, sample: str, model: str = "pipeline.joblib", **settings: Any) -> None:
        specs.append(exports.spec(name, model, sample, **settings))

    for name, (model, _) in UNSUPPORTED.items():
        joblib.dump(model, project / f"{name}.joblib")
        add(name, "iris.npz", f"{name}.joblib")
    for name, (model, table, _) in ON_WORDS.items():
        joblib.dump(fit(model, table), project / f"{name}.joblib")
        table.to_csv(project / f"{name}.csv", index=False)
        add(name, f"{name}.csv", f"{name}.joblib")
    for name, (arrays, _) in SAMPLES.items():
        np.savez(project / f"{name}.npz", **arrays)
        add(f"sample-{name}", f"{name}.npz")
    for name, (text, _) in TABLES.items():
        (project / f"{name}.csv").write_text(text)
        add(f"table-{name}", f"{name}.csv", target="species")
    plot = pd.DataFrame({"width": FEATURES[:, 0], "length": FEATURES[:, 1]})
    joblib.dump(fit(LogisticRegression(), plot), project / "named.joblib")
    for name, (frame, _) in NAMED_TABLES.items():
        frame.to_parquet(project / f"{name}.parquet")
        add(f"named-{name}", f"{name}.parquet", "named.joblib", target="species")
    for package in MISSING:
        named = package == "pandas"
        sample = "absent.parquet" if named else "iris.npz"
        model = "named.joblib" if named else "pipeline.joblib"
        add(f"without-{package}", sample, model, without=[package])
    add("gone", "iris.npz", "gone.joblib")
    add("odd-sample", "pipeline.joblib")
    whole = (project / "pipeline.joblib").read_bytes()
    for kept in (0, 50, 99):
        (project / f"torn-{kept}.joblib").write_bytes(whole[: len(whole) * kept // 100])
        add(f"torn-{kept}", "iris.npz", f"torn-{kept}.joblib")
    (project / "torn.npz").write_bytes((project / "iris.npz").read_bytes()[:-30])
    add("torn-sample", "torn.npz")
    return exports.export_all(specs)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_model_without_an_exact_counterpart(refused: Mapping[str, Exported], name: str) -> None:
    sentence = refused[name].refusal("unsupported")
    for words in UNSUPPORTED[name][1]:
        assert words in sentence
    assert [path.name for path in refused[name].out.iterdir()] == ["report.json"]


@pytest.mark.parametrize("name", ON_WORDS)
def test_text_that_a_graph_reads_otherwise(refused: Mapping[str, Exported], name: str) -> None:
    for words in ON_WORDS[name][2]:
        assert words in refused[name].refusal("unsupported")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_bad_sample(refused: Mapping[str, Exported], name: str) -> None:
    assert SAMPLES[name][1] in refused[f"sample-{name}"].refusal("bad_sample")


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table(refused: Mapping[str, Exported], name: str) -> None:
    assert TABLES[name][1] in refused[f"table-{name}"].refusal("bad_sample")


@pytest.mark.parametrize("name", NAMED_TABLES)
def test_a_bad_table_of_named_columns(refused: Mapping[str, Exported], name: str) -> None:
    assert NAMED_TABLES[name][1] in refused[f"named-{name}"].refusal("bad_sample")


@pytest.mark.parametrize("package", MISSING)
def test_a_missing_package_is_told_with_pips_line(
    refused: Mapping[str, Exported], package: str
) -> None:
    report = refused[f"without-{package}"].report
    assert report["kind"] == "missing_package", report
    assert package in report["problem"]
    assert sys.executable in report["problem"]
    line = f"{shlex.quote(sys.executable)} -m pip install {MISSING[package]}"
    assert report["remedy"] == line


@pytest.mark.parametrize("name", ["torn-0", "torn-50", "torn-99", "gone"])
def test_a_model_that_cannot_be_read(
    refused: Mapping[str, Exported], exports: Exports, name: str
) -> None:
    refusal = refused[name].refusal("unreadable")
    assert str(exports.project / f"{name}.joblib") in refusal
    assert "Run the stage" in refusal


def test_a_sample_that_cannot_be_read(refused: Mapping[str, Exported], exports: Exports) -> None:
    assert str(exports.project / "torn.npz") in refused["torn-sample"].refusal("bad_sample")
    assert "neither .npz nor .csv nor .parquet" in refused["odd-sample"].refusal("bad_sample")


CLIP = """
    from sklearn.base import BaseEstimator, TransformerMixin

    class Clip(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.fitted_ = True
            return self
        def transform(self, X):
            return X.clip(0, 5)

    def at_most(first, second):
        return float(abs(first - second).max())
"""
TRAIN = """
    import joblib, features, rows
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    {clip}
    X, y = load_iris(return_X_y=True)
    for name, clip in (("features", features.Clip), ("rows", rows.Clip), ("script", Clip)):
        model = make_pipeline(clip(), LogisticRegression(max_iter=1000)).fit(X, y)
        joblib.dump(model, f"clip-{{name}}.joblib")
    model = KNeighborsClassifier(metric=features.at_most).fit(X, y)
    joblib.dump(model, "distance.joblib")
"""


def test_code_of_the_users_own_is_refused_by_name(exports: Exports) -> None:
    """Also where its module is called like one of the exporters' own, or is the script itself."""
    exports.write("features.py", CLIP)
    exports.write("rows.py", CLIP)
    exports.write("train.py", TRAIN.format(clip=CLIP))
    exports.run("train.py")
    models = ("clip-features", "clip-rows", "clip-script", "distance")
    specs = [exports.spec(name, f"{name}.joblib", "iris.npz") for name in models]
    refused = exports.export_all(specs)
    for name in ("features", "rows"):
        sentence = refused[f"clip-{name}"].refusal("unsupported")
        assert f"{name}.Clip" in sentence
        assert "scikit-learn class" in sentence
    assert "measures distances by at_most" in refused["distance"].refusal("unsupported")
    sentence = refused["clip-script"].refusal("unreadable")
    assert "Clip" in sentence
    assert "into a module" in sentence


def test_a_package_that_breaks_while_imported_says_why(exports: Exports, tmp_path: Any) -> None:
    (tmp_path / "skl2onnx.py").write_text("raise ImportError('built for another onnx')")
    spec = exports.spec("broken", "pipeline.joblib", "iris.npz")
    refusal = exports.export(spec, PYTHONPATH=str(tmp_path)).refusal("missing_package")
    assert "built for another onnx" in refusal
    assert refusal.endswith("'skl2onnx>=1.20'")
