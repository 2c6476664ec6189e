"""Scikit-learn's models on real data sets, exported and answered by onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
import palmerpenguins
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.release.agreement import agreeing_groups, group
from tests.release.exports import Exported, Exports

FLOWERS, SPECIES = load_iris(return_X_y=True)
WINES, CULTIVAR = load_wine(return_X_y=True)
TUMOURS, BENIGN = load_breast_cancer(return_X_y=True)
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)
BOTH = np.column_stack([PROGRESS, -2 * PROGRESS])

CLASSIFIERS: Mapping[str, Any] = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "sgd": make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    "lda": LinearDiscriminantAnalysis(),
    "qda": QuadraticDiscriminantAnalysis(reg_param=0.1),
    "gaussian-nb": GaussianNB(),
    "multinomial-nb": make_pipeline(MinMaxScaler(), MultinomialNB()),
    "knn": make_pipeline(StandardScaler(), KNeighborsClassifier()),
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(15, random_state=0),
    "extra-trees": ExtraTreesClassifier(15, random_state=0),
    "gradient-boosting": GradientBoostingClassifier(n_estimators=8, random_state=0),
    "hist-gradient-boosting": HistGradientBoostingClassifier(max_iter=8),
    "adaboost": AdaBoostClassifier(n_estimators=5, random_state=0),
    "bagging": BaggingClassifier(n_estimators=4, max_features=0.5, random_state=0),
    "voting": VotingClassifier(
        [("nb", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=3))], voting="soft"
    ),
    "stacking": StackingClassifier(
        [("lda", LinearDiscriminantAnalysis()), ("tree", DecisionTreeClassifier(max_depth=3))], cv=2
    ),
    "voting-trees": VotingClassifier(
        [
            ("boosted", GradientBoostingClassifier(n_estimators=3, random_state=0)),
            ("tree", DecisionTreeClassifier(max_depth=3)),
        ],
        voting="soft",
    ),
    "calibrated-hist": CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=4), cv=2),
    "svc": make_pipeline(RobustScaler(), SVC(probability=True, random_state=0)),
    "mlp": make_pipeline(StandardScaler(), MLPClassifier((12,), max_iter=40, random_state=0)),
    "pca": make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
    "selection": make_pipeline(MaxAbsScaler(), SelectKBest(k=4), DecisionTreeClassifier()),
    "search": GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        cv=2,
    ),
}
REGRESSORS: Mapping[str, Any] = {
    "ridge": Ridge(),
    "lasso": make_pipeline(PolynomialFeatures(2), Lasso(max_iter=5000)),
    "elastic-net": ElasticNet(),
    "huber": HuberRegressor(max_iter=2000),
    "knn": KNeighborsRegressor(),
    "tree": DecisionTreeRegressor(max_depth=6, random_state=0),
    "forest": RandomForestRegressor(8, random_state=0),
    "extra-trees": ExtraTreesRegressor(5, max_depth=8, random_state=0),
    "gradient-boosting": GradientBoostingRegressor(n_estimators=8, random_state=0),
    "hist-gradient-boosting": HistGradientBoostingRegressor(max_iter=8),
    "hist-poisson": HistGradientBoostingRegressor(max_iter=8, loss="poisson"),
    "adaboost": AdaBoostRegressor(n_estimators=4, random_state=0),
    "voting": VotingRegressor([("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3))]),
    "stacking": StackingRegressor(
        [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3))], cv=2
    ),
    "svr": make_pipeline(StandardScaler(), SVR()),
    "mlp": make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(12,), max_iter=40, random_state=0)
    ),
    "gaussian-process": GaussianProcessRegressor(alpha=1.0),
}
SEVERAL: Mapping[str, Any] = {
    "ridge": Ridge(),
    "forest": RandomForestRegressor(5, random_state=0),
    "knn": KNeighborsRegressor(),
    "each-hist": MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=4)),
}
SCALED: Mapping[str, Any] = {
    "standard": StandardScaler(),
    "robust": RobustScaler(),
    "min-max": MinMaxScaler(clip=True),
    "max-abs": MaxAbsScaler(),
}


def penguins() -> tuple[pd.DataFrame, Any]:
    """Penguins of three species: numbers, some missing, and text, some missing."""
    table = palmerpenguins.load_penguins()
    return table, table.pop("species").to_numpy(dtype=str)


MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def over_columns(encoder: Any, last: Any, **imputed: Any) -> Pipeline:
    """Numbers imputed and scaled, text imputed and encoded, the year as it is."""
    return make_pipeline(
        ColumnTransformer(
            [
                ("measures", make_pipeline(SimpleImputer(), StandardScaler()), MEASURES),
                ("words", make_pipeline(SimpleImputer(**imputed), encoder), ["island", "sex"]),
                ("year", "passthrough", ["year"]),
            ]
        ),
        last,
    )


COMMONEST: dict[str, Any] = {"strategy": "most_frequent"}
UNKNOWN: dict[str, Any] = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
MIXED: Mapping[str, Any] = {
    "logistic": over_columns(
        OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=500), **COMMONEST
    ),
    "forest": over_columns(
        OrdinalEncoder(**UNKNOWN), RandomForestClassifier(8, random_state=0), **COMMONEST
    ),
    "hist": over_columns(
        OneHotEncoder(handle_unknown="ignore"),
        HistGradientBoostingClassifier(max_iter=5),
        strategy="constant",
        fill_value="unknown",
    ),
    "missing-word": make_pipeline(
        ColumnTransformer(
            [("words", OneHotEncoder(handle_unknown="ignore"), ["sex", "island"])],
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=5),
    ),
}


def fitted(model: Any, X: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short training, and what scikit-learn will change
        return model.fit(X, y)


ARRAYS = {
    "iris": (FLOWERS, SPECIES),
    "wine": (WINES, CULTIVAR),
    "tumours": (TUMOURS, BENIGN),
    "diabetes": (PATIENTS, PROGRESS),
    "several": (PATIENTS, BOTH),
}


def write_samples(exports: Exports, birds: Any) -> None:
    """The held-out rows: of each array every second, of the penguins all."""
    for name, (X, y) in ARRAYS.items():
        exports.rows(f"{name}.npz", X=X[::2], y=y[::2])
    birds.to_csv(exports.project / "penguins.csv", index=False)
    birds[[*MEASURES, "year", "species"]].to_parquet(exports.project / "measures.parquet")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Exported]:
    """All the models, trained here and exported in one child."""
    exports = Exports(tmp_path_factory.mktemp("sklearn"))
    table, species = penguins()
    write_samples(exports, table.assign(species=species))
    specs = []

    def add(name: str, model: Any, sample: str, **settings: Any) -> None:
        joblib.dump(model, exports.project / f"{name}.joblib")
        specs.append(exports.spec(name, f"{name}.joblib", sample, **settings))

    for data in ("wine", "tumours"):
        for name, model in CLASSIFIERS.items():
            add(f"{data}-{name}", fitted(model, *ARRAYS[data]), f"{data}.npz")
    for name, model in REGRESSORS.items():
        add(f"diabetes-{name}", fitted(model, PATIENTS, PROGRESS), "diabetes.npz")
    for name, model in SEVERAL.items():
        add(f"several-{name}", fitted(model, PATIENTS, BOTH), "several.npz")
    for name, model in MIXED.items():
        add(f"mixed-{name}", fitted(model, table, species), "penguins.csv", target="species")
    for name, scaler in SCALED.items():
        trees = HistGradientBoostingClassifier(max_iter=10)
        add(f"scaled-{name}", fitted(make_pipeline(scaler, trees), TUMOURS, BENIGN), "tumours.npz")
    named = fitted(
        make_pipeline(SimpleImputer(), LogisticRegression(max_iter=5000)),
        table[[*MEASURES, "year"]],
        species,
    )
    add("named", named, "measures.parquet", target="species")
    picked = fitted(
        make_pipeline(ColumnTransformer([("all", SimpleImputer(), MEASURES)]), GaussianNB()),
        table[[*MEASURES, "year"]],
        species,
    )
    add("picked", picked, "measures.parquet", target="species")
    words = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
    add("words", fitted(RandomForestClassifier(5, random_state=0), FLOWERS, words), "iris.npz")
    add("truth", fitted(RandomForestClassifier(5), FLOWERS, SPECIES > 0), "iris.npz")
    return exports.export_all(specs)


PLAIN = [
    *(f"{data}-{name}" for data in ("wine", "tumours") for name in CLASSIFIERS),
    *(f"diabetes-{name}" for name in REGRESSORS),
    *(f"several-{name}" for name in SEVERAL),
    "named",
    "picked",
    "words",
    "truth",
]
OF_TREES = (
    *("tree", "forest", "extra-trees", "bagging", "each-hist"),
    *("hist-gradient-boosting", "calibrated-hist"),
)
WITHOUT_MISSING = ("gradient-boosting", "adaboost", "selection", "voting-trees")
WITH_OTHERS = ("voting", "stacking")


@pytest.mark.parametrize("name", PLAIN)
def test_a_model_is_served_as_it_answered(exported: Mapping[str, Exported], name: str) -> None:
    groups = agreeing_groups(exported[name])
    kind = name.partition("-")[2]
    if kind in OF_TREES:
        assert groups == {"held-out", "missing", "thresholds"}
    elif kind in WITHOUT_MISSING:
        assert groups == {"held-out", "thresholds"}
    elif kind in WITH_OTHERS:
        assert groups == {"held-out"}


@pytest.mark.parametrize("name", MIXED)
def test_a_table_of_numbers_and_text_has_an_input_a_column(
    exported: Mapping[str, Exported], name: str
) -> None:
    export = exported[f"mixed-{name}"]
    assert agreeing_groups(export) >= {"held-out", "missing", "unseen"}
    kinds = {each["name"]: each["datatype"] for each in export.signature["inputs"]}
    words, whole = dict.fromkeys(["island", "sex"], "BYTES"), {"year": "INT64"}
    assert kinds == words | whole | dict.fromkeys(MEASURES, "FP32")
    assert {tuple(each["shape"]) for each in export.signature["inputs"]} == {(-1, 1)}
    assert export.signature["columns"] == []
    assert "" in export.answers["in:sex"]
    assert set(export.signature["classes"]) == {"Adelie", "Chinstrap", "Gentoo"}


@pytest.mark.parametrize("name", ["forest", "hist"])
def test_trees_behind_columns_are_tried_around_their_thresholds(
    exported: Mapping[str, Exported], name: str
) -> None:
    export = exported[f"mixed-{name}"]
    assert "thresholds" in agreeing_groups(export)
    assert "found by bisection" in export.report["groups"]["thresholds"]["about"]


@pytest.mark.parametrize("name", SCALED)
def test_scaled_rows_take_the_same_branch_to_the_last_bit(
    exported: Mapping[str, Exported], name: str
) -> None:
    export = exported[f"scaled-{name}"]
    assert agreeing_groups(export) == {"held-out", "missing", "thresholds"}
    rows = group(export, "thresholds")["in:input"]
    steps = np.abs(np.diff(rows.view(np.int32).astype(np.int64), axis=0))
    assert len(rows) > 100
    assert "from the nearest float32" in export.report["groups"]["thresholds"]["about"]
    assert steps.shape[1] == TUMOURS.shape[1]


@pytest.mark.parametrize("name", ["named", "picked"])
def test_a_table_of_numbers_is_one_matrix_with_its_columns_named(
    exported: Mapping[str, Exported], name: str
) -> None:
    signature = exported[name].signature
    assert signature["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 5]}]
    assert signature["columns"] == [*MEASURES, "year"]


def test_outputs_have_their_names_and_types(exported: Mapping[str, Exported]) -> None:
    outputs = {
        name: [(each["name"], each["datatype"], each["shape"]) for each in signature["outputs"]]
        for name, signature in ((name, exported[name].signature) for name in PLAIN)
    }
    assert outputs["words"] == [("label", "BYTES", [-1]), ("probabilities", "FP32", [-1, 3])]
    assert outputs["truth"] == [("label", "INT64", [-1]), ("probabilities", "FP32", [-1, 2])]
    assert outputs["several-forest"] == [("prediction", "FP32", [-1, 2])]
    assert outputs["wine-knn"][0] == ("label", "INT64", [-1])


def test_rows_that_a_server_gets_less_exactly_are_kept_as_stored(
    exported: Mapping[str, Exported],
) -> None:
    answers = exported["wine-forest"].answers
    assert answers["in:input"].dtype == np.float32
    np.testing.assert_array_equal(answers["raw:input"], WINES[::2])
    assert answers["scores_raw"].dtype == np.float64
    mixed = exported["mixed-forest"].answers
    table, _ = penguins()
    np.testing.assert_array_equal(
        mixed["raw:bill_length_mm"].ravel(), table["bill_length_mm"].to_numpy()
    )
    assert "raw:sex" not in mixed


def test_missing_values_are_tried_in_each_column_and_in_all(
    exported: Mapping[str, Exported],
) -> None:
    rows = np.isnan(group(exported["wine-forest"], "missing")["in:input"])
    columns = WINES.shape[1]
    assert {tuple(row) for row in rows} == {
        *(tuple(np.arange(columns) == index) for index in range(columns)),
        (True,) * columns,
    }
    why = exported["wine-logistic"].report["groups"]["missing"]["why"]
    assert "refuses them: Input X contains NaN" in why


def test_an_unseen_word_is_tried_in_each_column_of_text(
    exported: Mapping[str, Exported],
) -> None:
    rows = group(exported["mixed-logistic"], "unseen")
    known, _ = penguins()
    for name in ("island", "sex"):
        assert (~np.isin(rows[f"in:{name}"], ["", *known[name].dropna().unique()])).any()
    assert not np.isin(rows["in:year"], known["year"].to_numpy()).all()


def test_two_children_write_the_same_bytes(tmp_path: Any) -> None:
    exports = Exports(tmp_path)
    exports.rows("rows.npz", X=WINES, y=CULTIVAR)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(WINES, CULTIVAR)
    joblib.dump(model, exports.project / "model.joblib")
    made = [
        exports.export(exports.spec(name, "model.joblib", "rows.npz"), PYTHONHASHSEED=name)
        for name in ("1", "2")
    ]
    for name in ("model.onnx", "answers.npz", "report.json"):
        assert (made[0].out / name).read_bytes() == (made[1].out / name).read_bytes(), name
