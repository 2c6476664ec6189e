"""LightGBM's and XGBoost's models on real data sets, exported and answered by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, RobustScaler, StandardScaler

from tests.release.agreement import agreeing_groups, group
from tests.release.exports import Exported, Exports

FLOWERS, SPECIES = load_iris(return_X_y=True)
TUMOURS, BENIGN = load_breast_cancer(return_X_y=True)
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)
HOLES = np.where(np.random.default_rng(0).random(TUMOURS.shape) < 0.1, np.nan, TUMOURS)
WORDS = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
DATA: Mapping[str, tuple[Any, Any]] = {
    "iris": (FLOWERS, SPECIES),
    "tumours": (TUMOURS, BENIGN),
    "holes": (HOLES, BENIGN),
    "diabetes": (PATIENTS, PROGRESS),
}
LIGHT: dict[str, Any] = {"n_estimators": 12, "verbose": -1, "n_jobs": 1}
EXTREME: dict[str, Any] = {"n_estimators": 12, "n_jobs": 1}
HALVES: dict[str, Any] = {"bagging_freq": 1, "bagging_fraction": 0.5}


def light(kind: str, data: str, **settings: Any) -> tuple[Any, str]:
    model = getattr(lightgbm, f"LGBM{kind}")(**LIGHT, **settings)
    return model.fit(*DATA[data]), data


def extreme(kind: str, data: str, truth: Any = None, **settings: Any) -> tuple[Any, str]:
    X, y = DATA[data]
    model = getattr(xgboost, f"XGB{kind}")(**{**EXTREME, **settings})
    return model.fit(X, y if truth is None else truth), data


def stopped_early(data: str) -> tuple[Any, str]:
    """A model that has more trees than it answers with."""
    X, y = DATA[data]
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=3, n_jobs=1)
    model.fit(X[::2], y[::2], eval_set=[(X[1::2], y[1::2])], verbose=False)
    assert model.best_iteration + 4 <= model.get_booster().num_boosted_rounds()
    return model, data


def light_booster(data: str, **settings: Any) -> tuple[Any, str]:
    rows = lightgbm.Dataset(*DATA[data])
    return lightgbm.train({"verbose": -1, "num_threads": 1, **settings}, rows, 8), data


def extreme_booster(data: str, **settings: Any) -> tuple[Any, str]:
    return xgboost.train({"nthread": 1, **settings}, xgboost.DMatrix(*DATA[data]), 8), data


MODELS: Mapping[str, tuple[Any, str]] = {
    "lgbm-binary": light("Classifier", "tumours"),
    "lgbm-missing": light("Classifier", "holes"),
    "lgbm-multiclass": light("Classifier", "iris"),
    "lgbm-one-vs-all": light("Classifier", "iris", objective="multiclassova"),
    "lgbm-regression": light("Regressor", "diabetes"),
    "lgbm-fair": light("Regressor", "diabetes", objective="fair"),
    "lgbm-poisson": light("Regressor", "diabetes", objective="poisson"),
    "lgbm-tweedie": light("Regressor", "diabetes", objective="tweedie"),
    "lgbm-dart": light("Classifier", "tumours", boosting_type="dart"),
    "lgbm-forest": light("Classifier", "tumours", boosting_type="rf", **HALVES),
    "lgbm-forest-regression": light("Regressor", "diabetes", boosting_type="rf", **HALVES),
    "lgbm-booster": light_booster("tumours", objective="binary", sigmoid=2.0),
    "lgbm-booster-3": light_booster("iris", objective="multiclass", num_class=3),
    "xgb-binary": extreme("Classifier", "tumours"),
    "xgb-missing": extreme("Classifier", "holes"),
    "xgb-multiclass": extreme("Classifier", "iris"),
    "xgb-softmax": extreme("Classifier", "iris", objective="multi:softmax"),
    "xgb-regression": extreme("Regressor", "diabetes"),
    "xgb-base-score": extreme("Classifier", "tumours", base_score=0.2),
    "xgb-targets": extreme("Regressor", "diabetes", np.column_stack([PROGRESS, -PROGRESS])),
    "xgb-gamma": extreme("Regressor", "diabetes", objective="reg:gamma"),
    "xgb-poisson": extreme("Regressor", "diabetes", objective="count:poisson"),
    "xgb-dart": extreme("Classifier", "tumours", booster="dart", rate_drop=0.3),
    "xgb-forest": extreme("RFClassifier", "tumours"),
    "xgb-forest-regression": extreme("RFRegressor", "diabetes"),
    "xgb-stopped": stopped_early("tumours"),
    "xgb-stopped-3": stopped_early("iris"),
    "xgb-booster": extreme_booster("tumours", objective="binary:logistic"),
    "xgb-booster-softmax": extreme_booster("iris", objective="multi:softmax", num_class=3),
    "lgbm-scaled": (
        make_pipeline(StandardScaler(), lightgbm.LGBMRegressor(**LIGHT)).fit(PATIENTS, PROGRESS),
        "diabetes",
    ),
    "xgb-scaled": (
        make_pipeline(RobustScaler(), xgboost.XGBClassifier(**EXTREME)).fit(TUMOURS, BENIGN),
        "tumours",
    ),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    exports = Exports(tmp_path_factory.mktemp("boosting"))
    for name, (X, y) in DATA.items():
        exports.rows(f"{name}.npz", X=X[::2], y=y[::2])
    return exports


@pytest.fixture(scope="module")
def exported(exports: Exports) -> Mapping[str, Exported]:
    """All the models, exported in one child."""
    specs = []
    for name, (model, data) in MODELS.items():
        joblib.dump(model, exports.project / f"{name}.joblib")
        specs.append(exports.spec(name, f"{name}.joblib", f"{data}.npz"))
    MODELS["lgbm-booster"][0].save_model(exports.project / "light.txt")
    MODELS["xgb-booster"][0].save_model(exports.project / "extreme.ubj")
    MODELS["xgb-multiclass"][0].save_model(exports.project / "extreme.json")
    specs.append(exports.spec("light.txt", "light.txt", "tumours.npz"))
    specs.append(exports.spec("extreme.ubj", "extreme.ubj", "tumours.npz"))
    specs.append(exports.spec("extreme.json", "extreme.json", "iris.npz"))
    return exports.export_all(specs)


@pytest.mark.parametrize("name", [*MODELS, "light.txt", "extreme.ubj", "extreme.json"])
def test_a_model_is_served_as_it_answered(exported: Mapping[str, Exported], name: str) -> None:
    """Held-out, with missing values, and around every threshold."""
    assert agreeing_groups(exported[name]) == {"held-out", "missing", "thresholds"}


def test_each_split_is_tried_on_either_side(exported: Mapping[str, Exported]) -> None:
    """For each threshold, the largest float32 that goes left and the next, which goes right."""
    rows = group(exported["lgbm-missing"], "thresholds")["in:input"]
    assert exported["lgbm-missing"].report["groups"].get("thresholds") is None
    nodes = MODELS["lgbm-missing"][0].booster_.trees_to_dataframe()
    nodes = nodes[nodes["threshold"].notna()]
    assert len(nodes) > 100
    for name, threshold in zip(nodes["split_feature"], nodes["threshold"], strict=True):
        values = rows[:, int(name.removeprefix("Column_"))]
        left, right = values[values <= threshold].max(), values[values > threshold].min()
        assert np.nextafter(left, np.float32(np.inf)) == right


def test_a_boosted_model_alone_needs_no_scikit_learn_converter(
    exported: Mapping[str, Exported],
) -> None:
    report = exported["lgbm-binary"].report
    assert report["framework"] == "lightgbm"
    assert report["signature"]["outputs"] == [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ]
    assert exported["xgb-binary"].report["framework"] == "xgboost"
    assert exported["xgb-scaled"].report["framework"] == "sklearn"


def test_a_booster_answers_with_a_label_too(exported: Mapping[str, Exported]) -> None:
    for name in ("lgbm-booster-3", "xgb-booster-softmax"):
        assert exported[name].signature["classes"] == ["0", "1", "2"]


def test_columns_are_known_by_the_names_that_lightgbm_keeps(exports: Exports) -> None:
    """LightGBM writes _ for each space of a column's name."""
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    table = pd.DataFrame(FLOWERS, columns=names)
    model = lightgbm.LGBMClassifier(**LIGHT).fit(table, WORDS)
    joblib.dump(model, exports.project / "named.joblib")
    shuffled = table[names[::-1]].assign(species=WORDS)
    shuffled.to_csv(exports.project / "flowers.csv", index=False)
    spec = exports.spec("named", "named.joblib", "flowers.csv", target="species")
    export = exports.export(spec)
    assert agreeing_groups(export) == {"held-out", "missing", "thresholds"}
    assert export.signature["columns"] == [name.replace(" ", "_") for name in names]
    np.testing.assert_array_equal(export.answers["in:input"], FLOWERS.astype(np.float32))


CATEGORIES = pd.DataFrame({"size": FLOWERS[:, 0], "kind": pd.Categorical(WORDS)})
CODES = pd.DataFrame({"size": FLOWERS[:, 0], "kind": SPECIES.astype(float)})
LINEAR: dict[str, Any] = {"booster": "gblinear", "n_estimators": 2}
VECTORS: dict[str, Any] = {
    "multi_strategy": "multi_output_tree",
    "tree_method": "hist",
    "n_estimators": 2,
}


def squared(prediction: Any, rows: Any) -> tuple[Any, Any]:
    return prediction - rows.get_label(), np.ones_like(prediction)


REFUSED: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "lgbm-categories": (
        lightgbm.LGBMClassifier(**LIGHT).fit(CATEGORIES, SPECIES),
        ("pandas categories", "OrdinalEncoder or OneHotEncoder"),
    ),
    "lgbm-sets": (
        lightgbm.LGBMClassifier(
            min_child_samples=1, min_data_per_group=1, cat_smooth=1, **LIGHT
        ).fit(CODES.to_numpy(), SPECIES, categorical_feature=[1]),
        ("sets of categories", "OrdinalEncoder or OneHotEncoder"),
    ),
    "lgbm-own-objective": (
        light_booster("diabetes", objective=squared)[0],
        ("objective custom has no exact counterpart", "regression"),
    ),
    "lgbm-linear": (
        lightgbm.LGBMRegressor(linear_tree=True, **LIGHT).fit(PATIENTS, PROGRESS),
        ("linear trees", "linear_tree=False"),
    ),
    "lgbm-zeros": (
        lightgbm.LGBMRegressor(zero_as_missing=True, **LIGHT).fit(PATIENTS, PROGRESS),
        ("zeros as missing", "zero_as_missing=False"),
    ),
    "lgbm-unfitted": (lightgbm.LGBMRegressor(), ("LGBMRegressor is not fitted", "after training")),
    "xgb-categories": (
        xgboost.XGBClassifier(enable_categorical=True, **EXTREME).fit(CATEGORIES, SPECIES),
        ("sets of categories", "OrdinalEncoder or OneHotEncoder"),
    ),
    "xgb-hinge": (
        xgboost.XGBClassifier(objective="binary:hinge", **EXTREME).fit(TUMOURS, BENIGN),
        ("objective binary:hinge has no exact", "binary:logistic"),
    ),
    "xgb-linear": (
        xgboost.XGBRegressor(**LINEAR).fit(PATIENTS, PROGRESS),
        ("linear booster has no trees", "ElasticNet"),
    ),
    "xgb-zeros": (
        xgboost.XGBRegressor(missing=0.0, **EXTREME).fit(PATIENTS, PROGRESS),
        ("takes 0 as missing", "Train with NaN"),
    ),
    "xgb-vectors": (
        xgboost.XGBRegressor(**VECTORS).fit(PATIENTS, np.column_stack([PROGRESS, PROGRESS])),
        ("several targets at once", "one_output_per_tree"),
    ),
    "xgb-unfitted": (xgboost.XGBRegressor(), ("XGBRegressor is not fitted", "after training")),
    "wide": (MODELS["lgbm-multiclass"][0], ("has 10 columns", "trained on 4", "Hold out rows")),
}


@pytest.fixture(scope="module")
def refused(exports: Exports) -> Mapping[str, Exported]:
    """What can't be exported exactly, in one child."""
    CATEGORIES.to_parquet(exports.project / "categories.parquet")
    samples = dict.fromkeys(("lgbm-categories", "xgb-categories"), "categories.parquet")
    samples["xgb-hinge"] = "tumours.npz"
    np.savez(exports.project / "codes.npz", X=CODES.to_numpy())
    samples["lgbm-sets"] = "codes.npz"
    specs = []
    for name, (model, _) in REFUSED.items():
        joblib.dump(model, exports.project / f"{name}.joblib")
        sample = samples.get(name, "diabetes.npz")
        specs.append(exports.spec(f"no-{name}", f"{name}.joblib", sample))
    return exports.export_all(specs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_trees_of_numbers_cannot_say_is_refused(
    refused: Mapping[str, Exported], name: str
) -> None:
    kind = "bad_sample" if name == "wide" else "unsupported"
    sentence = refused[f"no-{name}"].refusal(kind)
    for words in REFUSED[name][1]:
        assert words in sentence


def test_a_torn_model_file_is_unreadable(exports: Exports) -> None:
    (exports.project / "torn.ubj").write_bytes(b"{L\0\0")
    (exports.project / "torn.txt").write_text("tree\nversion=v4\n")
    names = ("torn.ubj", "torn.txt")
    done = exports.export_all([exports.spec(f"of-{name}", name, "iris.npz") for name in names])
    for name in names:
        assert str(exports.project / name) in done[f"of-{name}"].refusal("unreadable")


def test_categories_encoded_in_the_pipeline_are_exported(exports: Exports) -> None:
    """What the refusal of pandas categories tells to do."""
    table = pd.DataFrame({"kind": WORDS, "place": WORDS[::-1]})
    model = make_pipeline(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        lightgbm.LGBMRegressor(**LIGHT),
    ).fit(table, FLOWERS[:, 0])
    joblib.dump(model, exports.project / "encoded.joblib")
    table.assign(size=FLOWERS[:, 0]).to_csv(exports.project / "kinds.csv", index=False)
    spec = exports.spec("encoded", "encoded.joblib", "kinds.csv", target="size")
    assert agreeing_groups(exports.export(spec)) >= {"held-out", "unseen"}
