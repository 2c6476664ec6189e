"""Models that take float64, since float32 would answer rows as they are stored otherwise."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import palmerpenguins
import pytest
from onnx import helper, numpy_helper
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler
from sklearn.svm import SVR

from mlbench.domain.errors import ExportError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Candidate, DeployedModel, Deployment, Parity, Signature
from mlbench.domain.stages import EnvironmentSpec, ModelSpec
from mlbench.engine.hands.smoke import smoke_test
from mlbench.project.layout import Layout
from mlbench.release.card import make_card
from mlbench.release.export import ExportJob, export
from mlbench.release.metadata import INPUT, Provenance, graph_digest
from mlbench.release.proving import prove
from mlbench.release.registry import Registry
from mlbench.serving import supervise
from mlbench.system.content import hash_file
from mlbench.system.files import write_json
from tests.release.conftest import made
from tests.release.exports import Exported, Exports
from tests.support import free_ports

FLOWERS, WINES, TUMOURS, PATIENTS = (
    load(return_X_y=True) for load in (load_iris, load_wine, load_breast_cancer, load_diabetes)
)
SETS = {"flowers": FLOWERS, "wines": WINES, "tumours": TUMOURS, "patients": PATIENTS}
CLASSIFIERS = {
    "forest": make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)),
    "boosted": make_pipeline(
        StandardScaler(), GradientBoostingClassifier(n_estimators=5, random_state=0)
    ),
    "linear": make_pipeline(StandardScaler(), LogisticRegression()),
    "hist": make_pipeline(MinMaxScaler(), HistGradientBoostingClassifier(max_iter=10)),
}
REGRESSORS = {
    "forest": make_pipeline(
        StandardScaler(), RandomForestRegressor(20, max_depth=8, random_state=0)
    ),
    "boosted": make_pipeline(
        StandardScaler(), GradientBoostingRegressor(n_estimators=5, random_state=0)
    ),
    "linear": make_pipeline(StandardScaler(), Ridge()),
    "hist": make_pipeline(MinMaxScaler(), HistGradientBoostingRegressor(max_iter=10)),
}
PIPELINES: Mapping[str, tuple[Any, tuple[Any, Any]]] = {
    f"{rows}-{name}": (model, SETS[rows])
    for rows in SETS
    for name, model in (REGRESSORS if rows == "patients" else CLASSIFIERS).items()
}
# Of these, rows lie so near to a split that their cast to float32 falls on the other side.
REFUSED_IN_FLOAT32 = ("flowers-forest", "wines-forest", "tumours-hist", "patients-hist")


def boosters() -> Mapping[str, tuple[Any, tuple[Any, Any]]]:
    """Trees of other kinds: XGBoost casts to float32, those without a scaler compare float64."""
    import lightgbm
    import xgboost

    scaled = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=10, n_jobs=1))
    light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)
    histogram = HistGradientBoostingClassifier(max_iter=10)
    return {
        "xgboost": (scaled, PATIENTS),
        "lightgbm": (light, TUMOURS),
        "histogram": (histogram, TUMOURS),
    }


def hard_scalers() -> Mapping[str, tuple[Any, tuple[Any, Any]]]:
    """Scalers of which it is hard to tell in which precision they compute."""
    rng = np.random.default_rng(1)
    prices, large = rng.integers(0, 50, (300, 3)) / 10, rng.integers(2**40, 2**41, (300, 3))
    boosted = GradientBoostingRegressor(n_estimators=6, random_state=0)
    return {
        "clipped": (make_pipeline(MinMaxScaler(clip=True), boosted), (prices, prices.sum(axis=1))),
        "large": (make_pipeline(RobustScaler(), boosted), (large, large.sum(axis=1) / 2**40)),
    }


def table() -> tuple[Any, Any]:
    """Penguins: numbers, some missing, and text."""
    rows = palmerpenguins.load_penguins()[["bill_length_mm", "body_mass_g", "island", "species"]]
    return rows, rows["species"]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Every model trained and saved."""
    found = Exports(tmp_path_factory.mktemp("exports"))
    for name, (model, (X, y)) in {**PIPELINES, **boosters()}.items():
        found.rows(f"{name}.npz", X=X, y=y)
        joblib.dump(clone(model).fit(X, y), found.project / f"{name}.joblib")
    single = PIPELINES["flowers-forest"][0]
    narrow = FLOWERS[0].astype(np.float32)
    found.rows("narrow.npz", X=narrow)
    joblib.dump(clone(single).fit(narrow, FLOWERS[1]), found.project / "narrow.joblib")
    found.rows("bare.npz", X=FLOWERS[0])
    joblib.dump(clone(single[-1]).fit(*FLOWERS), found.project / "bare.joblib")
    for name, (model, (X, y)) in hard_scalers().items():
        found.rows(f"{name}.npz", X=X, y=y)
        joblib.dump(model.fit(X, y), found.project / f"{name}.joblib")
    rows, species = table()
    rows.to_csv(found.project / "mixed.csv", index=False)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["bill_length_mm", "body_mass_g"]),
        (OneHotEncoder(handle_unknown="ignore"), ["island"]),
    )
    forest = make_pipeline(columns, RandomForestClassifier(8, random_state=0))
    joblib.dump(forest.fit(rows.drop(columns="species"), species), found.project / "mixed.joblib")
    return found


@pytest.fixture(scope="module")
def exported(exports: Exports) -> Mapping[str, Exported]:
    specs = [
        exports.spec(name, f"{name}.joblib", f"{name}.npz", precision="double")
        for name in (*PIPELINES, *boosters())
    ]
    specs.append(
        exports.spec("mixed", "mixed.joblib", "mixed.csv", target="species", precision="double")
    )
    specs += [
        exports.spec(f"{name}-float32", f"{name}.joblib", f"{name}.npz")
        for name in (
            *(*REFUSED_IN_FLOAT32, "xgboost", "histogram"),
            *("bare", "narrow", *hard_scalers()),
        )
    ]
    return exports.export_all(specs)


@pytest.mark.parametrize("name", [*PIPELINES, "xgboost", "lightgbm", "histogram"])
def test_rows_are_answered_as_they_are_stored(exported: Mapping[str, Exported], name: str) -> None:
    parity = prove(exported[name].out).parity

    assert parity.passed, parity
    assert parity.max_rel_error < 1e-6
    assert [one["datatype"] for one in exported[name].signature["inputs"]] == ["FP64"]
    answers = exported[name].answers
    X = {**PIPELINES, **boosters()}[name][1][0]
    assert answers["in:input"].tobytes() == np.ascontiguousarray(X).tobytes()
    assert not [key for key in answers if key.startswith("raw:") or key.endswith("_raw")]


def test_a_table_has_columns_of_float64_beside_its_text(exported: Mapping[str, Exported]) -> None:
    kinds = {one["name"]: one["datatype"] for one in exported["mixed"].signature["inputs"]}
    assert kinds == {"bill_length_mm": "FP64", "body_mass_g": "FP64", "island": "BYTES"}
    parity = prove(exported["mixed"].out).parity
    assert parity.passed, parity
    assert {check.name for check in parity.checks if check.passed} == {
        *("held-out", "one by one", "missing", "unseen", "thresholds")
    }


@pytest.mark.parametrize("name", [*REFUSED_IN_FLOAT32, "xgboost", "histogram"])
def test_in_float32_some_would_take_the_other_branch(
    exported: Mapping[str, Exported], name: str
) -> None:
    assert failing(prove(exported[f"{name}-float32"].out).parity) == {"raw"}


@pytest.mark.parametrize("name", ["clipped", "large"])
def test_float32_scalers_round_as_the_originals_do(
    exported: Mapping[str, Exported], name: str
) -> None:
    parity = prove(exported[f"{name}-float32"].out).parity
    assert failing(parity) <= {"raw"}
    assert "thresholds" in {check.name for check in parity.checks if check.passed}


@pytest.mark.parametrize("name", ["bare", "narrow"])
def test_trees_alone_and_rows_of_float32_need_no_more(
    exported: Mapping[str, Exported], name: str
) -> None:
    single = exported[f"{name}-float32"]
    assert single.signature["inputs"][0]["datatype"] == "FP32"
    assert prove(single.out).parity.passed


@pytest.mark.parametrize("name", ["flowers-forest", "tumours-hist", "histogram", "mixed"])
def test_thresholds_are_tried_at_neighbours_in_float64(
    exported: Mapping[str, Exported], name: str
) -> None:
    """Rows follow each other, one step of float64 apart in the column of the split."""
    with np.load(exported[name].out / "probes" / "thresholds.npz") as probes:
        tensors = [probes[key] for key in probes.files if key.startswith("in:")]
    X = np.hstack([tensor for tensor in tensors if tensor.dtype == np.float64])
    changed = X[1:] != X[:-1]
    one = changed.sum(axis=1) == 1
    beside = np.nextafter(X[:-1], X[1:])[one][changed[one]] == X[1:][one][changed[one]]
    assert beside.mean() > 0.6


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, exported: Mapping[str, Exported]
) -> Iterator[Callable[[str], Candidate]]:
    """One server with every model; gives what is served under a name."""
    layout = Layout(tmp_path_factory.mktemp("served"))
    environment = EnvironmentSpec("staging", free_ports(1)[0])
    found = {}
    for name in (*PIPELINES, "xgboost", "histogram", "mixed"):
        model = exported[name].out / "model.onnx"
        signature = from_plain(Signature, exported[name].signature)
        found[name] = replace(made(1), model=name, version=1, signature=signature)
        found[name] = replace(found[name], digest=hash_file(model), path=str(model))
    models = tuple(
        DeployedModel(name, 1, one.digest, one.run, one.path, one.signature)
        for name, one in found.items()
        if one.signature is not None
    )
    layout.serving.mkdir(parents=True)
    state = Deployment(environment.name, environment.port, 1, models, (), 1)
    write_json(layout.deployment(environment.name), to_plain(state))
    try:
        supervise.ensure_up(layout, environment)
        supervise.wait_serving(layout, environment, 1)
        yield lambda name: replace(found[name], metrics={"port": environment.port})
    finally:
        supervise.stop(layout, environment)


@pytest.mark.parametrize("name", [*PIPELINES, "xgboost", "histogram", "mixed"])
def test_a_server_gives_the_training_codes_own_answers(
    served: Callable[[str], Candidate], exported: Mapping[str, Exported], name: str
) -> None:
    version = served(name)
    address = f"http://127.0.0.1:{int(version.metrics['port'])}"
    judged = smoke_test(address, version, exported[name].out)
    assert judged.passed, judged
    assert judged.value is not None
    assert judged.value < 1e-6


def edited(exported: Exported, tmp_path: Path, edit: Callable[[onnx.ModelProto], None]) -> Parity:
    """The proof of an export whose graph was changed."""
    shutil.copytree(exported.out, tmp_path / "edited")
    model = onnx.load_from_string(exported.model)
    edit(model)
    (tmp_path / "edited" / "model.onnx").write_bytes(model.SerializeToString())
    return prove(tmp_path / "edited").parity


def failing(parity: Parity) -> set[str]:
    return {check.name for check in parity.checks if check.passed is False}


def attribute(model: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    """An attribute of the trees."""
    [node] = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    found: onnx.AttributeProto
    [found] = [held for held in node.attribute if held.name == name]
    return found


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_float64_threshold_moved_by_one_step_is_found(
    exported: Mapping[str, Exported], tmp_path: Path, at: float
) -> None:
    def edit(model: onnx.ModelProto) -> None:
        modes = attribute(model, "nodes_modes").strings
        held = attribute(model, "nodes_values_as_tensor")
        values = numpy_helper.to_array(held.t).copy()
        splits = [index for index, mode in enumerate(modes) if mode != b"LEAF"]
        index = splits[int(at * len(splits))]
        values[index] = np.nextafter(values[index], -np.inf)
        held.t.CopyFrom(numpy_helper.from_array(values, held.t.name))

    assert "thresholds" in failing(edited(exported["histogram"], tmp_path, edit))


def test_a_threshold_behind_a_scaler_moved_by_one_step_is_found(
    exported: Mapping[str, Exported], tmp_path: Path
) -> None:
    def edit(model: onnx.ModelProto) -> None:
        floats = attribute(model, "nodes_values").floats
        floats[0] = float(np.nextafter(np.float32(floats[0]), np.float32(-np.inf)))

    assert "thresholds" in failing(edited(exported["flowers-forest"], tmp_path, edit))


def test_rows_cast_to_float32_on_the_way_are_found(
    exported: Mapping[str, Exported], tmp_path: Path
) -> None:
    def edit(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = ["wide" if name == "input" else name for name in node.input]
        for feed, made_of_it, kind in (("cut", "wide", 11), ("input", "cut", 1)):
            cast = helper.make_node("Cast", [feed], [made_of_it], to=kind)
            model.graph.node.insert(0, cast)

    assert "held-out" in failing(edited(exported["flowers-forest"], tmp_path, edit))


def job(exports: Exports, name: str, root: Path) -> ExportJob:
    """The export of a model that lies in the project."""
    return ExportJob(
        model=ModelSpec("flowers", "train", f"{name}.joblib", sample=f"{name}.npz"),
        run="run-1",
        source=exports.project / f"{name}.joblib",
        source_digest="source",
        sample=exports.project / f"{name}.npz",
        sample_digest="sample",
        python=sys.executable,
        project=exports.project,
        log=root / "export.log",
        provenance=Provenance("flowers", "run-1", "2026-11-23T09:15:02.120Z", "ada"),
    )


def test_float64_is_taken_where_float32_fails_and_the_card_says_why(
    exports: Exports, exported: Mapping[str, Exported], tmp_path: Path
) -> None:
    candidate = export(job(exports, "tumours-hist", tmp_path), Registry(tmp_path / "models"))

    assert candidate.parity is not None
    assert candidate.parity.passed
    assert candidate.signature is not None
    assert candidate.signature.inputs[0].datatype == "FP64"
    assert candidate.facts[INPUT] == "FP64: float32 would flip 2 of 569 held-out rows"
    assert candidate.facts[INPUT] in make_card(candidate, None, "")
    again = exported["tumours-hist"].out / "model.onnx"
    assert candidate.graph_digest == graph_digest(again), "another process, the same graph"


def test_where_float64_does_not_help_float32s_own_fault_is_told(
    exports: Exports, tmp_path: Path
) -> None:
    """onnxruntime has no support vector machine of float64, and float32 can't tell these times."""
    times = 1_763_900_000.0 + np.arange(80.0).reshape(-1, 1)
    exports.rows("times.npz", X=times)
    model = make_pipeline(StandardScaler(), SVR(C=100.0)).fit(times, np.arange(80.0) % 7)
    joblib.dump(model, exports.project / "times.joblib")
    registry = Registry(tmp_path / "models")

    with pytest.raises(ExportError) as refused:
        export(job(exports, "times", tmp_path), registry)

    said = str(refused.value)
    assert said.startswith(
        'models.flowers: the exported model answers differently: on the rows "raw" '
    )
    assert "scale them or subtract an offset" in said
    assert "; an input of float64 does not help: onnxruntime " in said
    assert said.endswith("; it is not kept, and what is live stays")
    assert registry.candidates("flowers") == []
