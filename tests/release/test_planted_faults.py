"""Faults planted into graphs that the real exporter wrote: the proof finds each and says where."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
from lightgbm import LGBMClassifier
from onnx import helper, numpy_helper
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBRegressor

from mlbench.domain.release import Parity, ParityCheck
from mlbench.release.proof import prove_in_child, verdict_of
from mlbench.release.proving import prove
from tests.release.exports import Exported, Exports

PICKS = 25


def as_served(features: Any) -> Any:
    return features.astype(np.float32)


def times() -> tuple[Any, Any]:
    """Moments of one minute, in seconds of Unix time; the second half of it is late."""
    moments = 1_763_911_440.0 + np.linspace(0, 60, 400)
    other = np.random.default_rng(7).normal(size=400)
    return np.column_stack([moments, other]), (moments > 1_763_911_470.0).astype(int)


def ids() -> tuple[Any, Any]:
    """Numbers beyond 2**24, whose neighbours float32 can't tell apart, in pairs of a kind."""
    numbers = 2**24 + np.arange(400)
    return numbers.reshape(-1, 1), ((numbers + 1) // 2 % 2).astype(float)


def holed() -> tuple[Any, Any]:
    """Real measures, of which some are missing where they are large."""
    features, progression = load_diabetes(return_X_y=True)
    features[features[:, 2] > 0.03, 2] = np.nan
    return as_served(features), progression


MODELS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "tree": lambda: (DecisionTreeClassifier(random_state=7), *load_breast_cancer(return_X_y=True)),
    "forest": lambda: (RandomForestClassifier(30, random_state=7), *load_wine(return_X_y=True)),
    "lightgbm": lambda: (
        LGBMClassifier(n_estimators=40, num_leaves=15, verbose=-1, n_jobs=1, random_state=7),
        *load_breast_cancer(return_X_y=True),
    ),
    "xgboost": lambda: (
        XGBRegressor(n_estimators=60, max_depth=4, n_jobs=1, random_state=7),
        *load_diabetes(return_X_y=True),
    ),
    "histogram": lambda: (
        HistGradientBoostingClassifier(max_iter=20, random_state=7),
        *load_wine(return_X_y=True),
    ),
    "holed": lambda: (HistGradientBoostingRegressor(max_iter=5, random_state=7), *holed()),
    "logistic": lambda: (
        make_pipeline(StandardScaler(), LogisticRegression()),
        *load_wine(return_X_y=True),
    ),
    "times": lambda: (HistGradientBoostingClassifier(max_iter=5, random_state=7), *times()),
    "ids": lambda: (
        HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=1, random_state=7),
        *ids(),
    ),
}
TREES = ("tree", "forest", "lightgbm", "xgboost", "histogram")


@dataclass
class Patient:
    """An exported model that a fault is planted into."""

    folder: Path
    graph: onnx.ModelProto

    def prove(self) -> Parity:
        """The parity of the graph as it stands."""
        onnx.save(self.graph, self.folder / "model.onnx")
        return prove(self.folder).parity

    def node(self, op_type: str) -> onnx.NodeProto:
        found: onnx.NodeProto = next(
            node for node in self.graph.graph.node if node.op_type == op_type
        )
        return found

    def producer(self, output: str) -> onnx.NodeProto:
        found: onnx.NodeProto = next(
            node for node in self.graph.graph.node if output in node.output
        )
        return found

    def attribute(self, op_type: str, name: str) -> onnx.AttributeProto:
        found: onnx.AttributeProto = next(
            item for item in self.node(op_type).attribute if item.name == name
        )
        return found

    def put_behind(self, output: str, op_type: str, *constants: Any, before: bool = False) -> None:
        """Let what makes an output pass through one more node on its way."""
        producer = self.producer(output)
        producer.output[list(producer.output).index(output)] = f"{output}_before"
        names = [f"{output}_constant_{index}" for index, _ in enumerate(constants)]
        for name, constant in zip(names, constants, strict=True):
            self.graph.graph.initializer.append(numpy_helper.from_array(np.asarray(constant), name))
        inputs = [f"{output}_before", *names]
        axis: dict[str, Any] = {} if op_type != "Gather" else {"axis": 0 if before else 1}
        self.graph.graph.node.append(
            helper.make_node(op_type, inputs[::-1] if before else inputs, [output], **axis)
        )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Exported]:
    """What the real exporter wrote for each model, in one process of its own."""
    exports = Exports(tmp_path_factory.mktemp("faults"))
    return exports.export_all([trained(exports, name, *make()) for name, make in MODELS.items()])


def trained(exports: Exports, name: str, model: Any, features: Any, truth: Any) -> dict[str, Any]:
    """Train on every other row, hold out the rest; all of both where float32 can't hold them."""
    held = np.nanmax(features) < 2**24
    train, test = (slice(0, None, 2), slice(1, None, 2)) if held else (slice(None), slice(None))
    rows = as_served(features[test]) if held else features[test]
    sample = exports.rows(f"{name}.npz", X=rows, y=truth[test])
    joblib.dump(model.fit(features[train], truth[train]), exports.project / f"{name}.joblib")
    return exports.spec(name, f"{name}.joblib", sample)


@pytest.fixture
def patient(exported: Mapping[str, Exported], tmp_path: Path) -> Callable[[str], Patient]:
    """A copy of an exported model, to be altered."""

    def copied(name: str) -> Patient:
        folder = tmp_path / name
        shutil.copytree(exported[name].out, folder)
        return Patient(folder, onnx.load(folder / "model.onnx"))

    return copied


def check(parity: Parity, name: str) -> ParityCheck:
    return next(item for item in parity.checks if item.name == name)


def splits(patient: Patient) -> Iterator[tuple[onnx.AttributeProto, int]]:
    """Every split of every tree: where its threshold stands."""
    for node in patient.graph.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            attributes = {item.name: item for item in node.attribute}
            for index, mode in enumerate(attributes["nodes_modes"].strings):
                if mode != b"LEAF":
                    yield attributes["nodes_values"], index


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("times", "ids")])
def test_what_the_exporter_wrote_is_proved(patient: Callable[[str], Patient], name: str) -> None:
    parity = patient(name).prove()
    assert parity.passed, verdict_of(parity)
    assert parity.max_rel_error < 1e-5
    assert check(parity, "thresholds").passed is (None if name == "logistic" else True)
    metric = "r2" if name in ("xgboost", "holed") else "accuracy"
    assert parity.exported_metrics[metric] == pytest.approx(parity.original_metrics[metric])


@pytest.mark.parametrize("name", TREES)
def test_one_threshold_moved_by_one_float32_step_is_found(
    patient: Callable[[str], Patient], name: str
) -> None:
    """Any split of any tree, either way: on the rows around thresholds, where no other may see."""
    altered, rng = patient(name), np.random.default_rng(7)
    places = list(splits(altered))
    for pick in rng.choice(len(places), min(PICKS, len(places)), replace=False):
        values, index = places[pick]
        right = np.float32(values.floats[index])
        for direction in (-np.inf, np.inf):
            values.floats[index] = float(np.nextafter(right, np.float32(direction)))
            parity = altered.prove()
            made = check(parity, "thresholds")
            assert made.passed is False, f"split {index} from {right} towards {direction}"
            assert re.search(r"row \d+: input\[\d+\]=\S+: original \S+ → exported", made.worst)
        values.floats[index] = float(right)
    assert altered.prove().passed


def test_the_sentence_names_the_row_and_by_how_much(patient: Callable[[str], Patient]) -> None:
    altered = patient("tree")
    values, index = next(splits(altered))
    right = np.float32(values.floats[index])
    values.floats[index] = float(np.nextafter(right, np.float32(-np.inf)))
    onnx.save(altered.graph, altered.folder / "model.onnx")
    parity = prove_in_child(altered.folder, log=altered.folder / "log").parity
    assert re.fullmatch(
        r'on the rows "thresholds" \d of 44 labels? flips? beyond the margin of 0\.0001; '
        r"the largest error is 1, 1 relative \(0\.001 is tolerated\); "
        r"the answer changes at another place than the original's between \d pairs? of rows "
        r"around split thresholds, "
        rf"row \d+: input\[\d+\]={re.escape(str(right))}: "
        r"original [01] → exported [01] \(score of 0\), [01] → [01]",
        verdict_of(parity),
    ), verdict_of(parity)


@pytest.mark.parametrize("name", ["forest", "lightgbm", "logistic"])
@pytest.mark.parametrize("output", ["label", "probabilities"])
def test_two_classes_swapped_are_found(
    patient: Callable[[str], Patient], name: str, output: str
) -> None:
    altered = patient(name)
    order = [1, 0, *range(2, 3 if name != "lightgbm" else 2)]
    altered.put_behind(output, "Gather", order, before=output == "label")
    parity = altered.prove()
    held_out = check(parity, "held-out")
    assert held_out.passed is False
    if output == "label":
        assert held_out.label_flips > 0
        assert "beyond the margin" in verdict_of(parity)
        assert parity.exported_metrics["accuracy"] < parity.original_metrics["accuracy"]
    else:
        assert held_out.max_abs_error > 0.1
        assert parity.exported_metrics["log_loss"] > parity.original_metrics["log_loss"]
    assert held_out.worst.startswith(f"row {held_out.worst_row}: ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("times", r"=1763911\d{3}(\.\d+)? \(as float32: 1763911\d{3}\)"),
        ("ids", r"=16777\d{3} \(as float32: 16777\d{3}\)"),
    ],
)
def test_rows_that_float32_cannot_tell_apart_are_found(
    patient: Callable[[str], Patient], name: str, told: str
) -> None:
    """Nothing is wrong with the graph: what a server gets is not what the model was trained on."""
    parity = patient(name).prove()
    assert check(parity, "held-out").passed
    raw = check(parity, "raw")
    assert raw.passed is False
    assert raw.max_rel_error > 0.1
    assert re.search(told, raw.worst), raw.worst
    assert "scale them or subtract an offset" in verdict_of(parity)


def test_one_weight_that_changed_is_found(patient: Callable[[str], Patient]) -> None:
    altered = patient("logistic")
    weights = altered.attribute("LinearClassifier", "coefficients")
    weights.floats[3] *= 1.05
    held_out = check(altered.prove(), "held-out")
    assert held_out.passed is False
    assert held_out.label_flips == 0
    assert "relative (0.001 is tolerated)" in held_out.why


def test_one_leaf_that_changed_is_found(patient: Callable[[str], Patient]) -> None:
    altered = patient("xgboost")
    altered.attribute("TreeEnsembleRegressor", "target_weights").floats[0] += 1.0
    assert not altered.prove().passed


def test_a_missing_value_sent_the_other_way_is_found(patient: Callable[[str], Patient]) -> None:
    altered = patient("holed")
    tracks = altered.attribute("TreeEnsembleRegressor", "nodes_missing_value_tracks_true")
    features = altered.attribute("TreeEnsembleRegressor", "nodes_featureids").ints
    modes = altered.attribute("TreeEnsembleRegressor", "nodes_modes").strings
    place = next(i for i, mode in enumerate(modes) if mode != b"LEAF" and features[i] == 2)
    tracks.ints[place] = 1 - tracks.ints[place]
    missing = check(altered.prove(), "missing")
    assert missing.passed is False
    assert "input[2]=nan" in missing.worst


def test_softmax_left_out_is_found(patient: Callable[[str], Patient]) -> None:
    """All labels stay: only the scores tell."""
    altered = patient("histogram")
    softmax = altered.node("Softmax")
    softmax.op_type = "Identity"
    del softmax.attribute[:]
    parity = altered.prove()
    held_out = check(parity, "held-out")
    assert (held_out.passed, held_out.label_flips) == (False, 0)
    assert "log_loss" in parity.original_metrics
    assert "log_loss" not in parity.exported_metrics


@pytest.mark.parametrize("name", ["logistic", "lightgbm"])
def test_an_output_renamed_or_dropped_is_found(
    patient: Callable[[str], Patient], name: str
) -> None:
    altered = patient(name)
    output = next(item for item in altered.graph.graph.output if item.name == "probabilities")
    producer = altered.producer("probabilities")
    producer.output[list(producer.output).index("probabilities")] = "shares"
    output.name = "shares"
    for node in altered.graph.graph.node:
        node.input[:] = ["shares" if item == "probabilities" else item for item in node.input]
    assert verdict_of(altered.prove()).endswith(
        "the graph gives label, shares, its signature label, probabilities"
    )
    altered.graph.graph.output.remove(output)
    assert verdict_of(altered.prove()).endswith(
        "the graph gives label, its signature label, probabilities"
    )


def test_a_cast_to_half_precision_is_found(patient: Callable[[str], Patient]) -> None:
    """16 bits are enough for every label here, and not for the scores."""
    altered = patient("xgboost")
    kinds = onnx.TensorProto
    altered.put_behind("prediction", "Cast")
    altered.graph.graph.node[-1].attribute.append(helper.make_attribute("to", kinds.FLOAT16))
    altered.graph.graph.node[-1].output[0] = "half"
    altered.graph.graph.node.append(
        helper.make_node("Cast", ["half"], ["prediction"], to=kinds.FLOAT)
    )
    assert check(altered.prove(), "thresholds").passed is False
