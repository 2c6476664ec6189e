"""Export from end to end: the user's interpreter, parity, the registry; and every refusal."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlbench.release.facts import onnx_facts
from mlbench.system.content import hash_file
from tests.release.export_bench import DIGITS, FEATURES, SPECIES, Bench, parity_of


def test_a_pipeline_becomes_a_candidate_that_answers_alike(classifier: Bench) -> None:
    candidate = classifier.export()

    folder = classifier.registry.folder_of(candidate)
    assert classifier.registry.candidates("digits") == [candidate]
    assert {path.name for path in folder.iterdir()} == {
        "answers.npz",
        "candidate.json",
        "files.json",
        "model.onnx",
        "report.json",
        "request.json",
    }
    assert folder.stat().st_mode & 0o777 == 0o755
    assert candidate.digest == hash_file(folder / "model.onnx")
    assert list(candidate.timings) == ["1", "2", "4", "8", "16", "32", "64"]
    assert (candidate.source_digest, candidate.sample_digest) == ("source digest", "sample digest")
    assert candidate.size == (folder / "model.onnx").stat().st_size
    assert parity_of(candidate).passed
    assert parity_of(candidate).rows == len(FEATURES)
    assert candidate.signature is not None
    assert candidate.signature.classes == ("0", "1", "2")
    assert candidate.signature.inputs[0].shape == (-1, 4)
    assert (candidate.version, candidate.gates) == (None, ())
    assert {path.name for path in folder.parent.parent.iterdir()} == {"candidates", ".lock"}

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    labels = session.run(["label"], {"input": FEATURES.astype(np.float32)})[0]
    original = joblib.load(classifier.root / "source")
    assert (np.asarray(labels) == original.predict(FEATURES)).all()


def test_gates_see_what_was_measured(classifier: Bench) -> None:
    candidate = classifier.export()
    facts = onnx_facts(candidate)
    assert set(facts) == {
        "max_abs_error",
        "max_rel_error",
        "label_flips",
        "p50_ms",
        "p99_ms",
        "bytes",
    }
    assert facts["max_rel_error"] == parity_of(candidate).max_rel_error < 1e-4
    assert facts["bytes"] == candidate.size


@pytest.mark.parametrize("labels", [SPECIES.astype(float), SPECIES == 1])
def test_labels_read_as_floats_or_truths_are_no_flips(bench: Bench, labels: Any) -> None:
    bench.save(LogisticRegression(max_iter=500).fit(FEATURES, labels))
    assert parity_of(bench.export()).label_flips == 0


def test_a_regressor_may_predict_nearly_zero(bench: Bench) -> None:
    target = FEATURES[:, 3] - FEATURES[:, 3].mean()
    model = LinearRegression().fit(FEATURES[:, :3], target)
    predictions = model.predict(FEATURES[:, :3].astype(np.float32))
    rows = FEATURES[:, :3].copy()
    rows[0, 0] -= predictions[0] / model.coef_[0]
    bench.save(model, rows.astype(np.float32))
    assert abs(model.predict(rows.astype(np.float32))[0]) < 1e-6
    assert parity_of(bench.export()).passed


def test_a_missing_converter_is_told_with_pips_line(
    classifier: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (classifier.root / "skl2onnx.py").write_text(
        "raise ModuleNotFoundError('No module named skl2onnx', name='skl2onnx')"
    )
    monkeypatch.setenv("PYTHONPATH", str(classifier.root))
    assert classifier.refusal() == (
        f"models.digits: The package skl2onnx is not installed for {sys.executable}; "
        f"{sys.executable} -m pip install 'skl2onnx>=1.20'"
    )


def test_what_cannot_be_exported_says_why_and_what_would_work(bench: Bench) -> None:
    bench.save(KMeans(2, n_init=1, random_state=7).fit(FEATURES))
    said = bench.refusal()
    assert said.startswith("models.digits: sklearn.cluster._kmeans.KMeans is neither")
    assert said.endswith("; end the pipeline with one of them")


def test_an_earlier_candidate_stays_when_the_next_is_refused(classifier: Bench) -> None:
    kept = classifier.export()
    classifier.run = "run-2"
    (classifier.root / "source").write_bytes(b"torn")
    assert "can't be unpickled" in classifier.refusal()
    assert classifier.registry.candidates("digits") == [kept]


def test_an_exporter_that_dies_names_its_log(classifier: Bench) -> None:
    classifier.interpreter("echo it went wrong >&2; kill -9 $$")
    said = classifier.refusal()
    assert "the export gave no report: it was killed" in said
    assert str(classifier.log) in said
    assert "it went wrong" in classifier.log.read_text()


@pytest.mark.parametrize("python", ["no/such/python", "source"])
def test_an_interpreter_that_cannot_start_is_named(classifier: Bench, python: str) -> None:
    classifier.python = str(classifier.root / python)
    said = classifier.refusal()
    assert said.startswith(f"models.digits: {classifier.python} can't be started")
    assert "project.python" in said


@pytest.mark.parametrize("name", ["rows", "source"])
def test_a_file_that_has_gone_from_the_cache_is_named(classifier: Bench, name: str) -> None:
    (classifier.root / name).unlink()
    said = classifier.refusal()
    assert str(classifier.root / name) in said
    assert "; run the stage that makes it again" in said


def constant(ir_version: int) -> onnx.ModelProto:
    """A model that gives class 0 for every row."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["input", "axes"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["label"], to=TensorProto.INT64),
            helper.make_node("Mul", ["input", "mask"], ["probabilities"]),
        ],
        "constant",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 4])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 4]),
        ],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("mask", TensorProto.FLOAT, [4], [0.0, 0.0, 0.0, 0.0]),
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir_version
    )


@pytest.fixture
def swapped(classifier: Bench) -> Callable[[bytes], Bench]:
    """An export whose model is replaced by other bytes behind the exporter's back."""

    def swap(data: bytes) -> Bench:
        other = classifier.root / "other.onnx"
        other.write_bytes(data)
        classifier.interpreter(f'"$python" "$@" && cp {shlex.quote(str(other))} "$out/model.onnx"')
        return classifier

    return swap


def test_a_model_that_answers_differently_is_not_kept(swapped: Callable[[bytes], Bench]) -> None:
    bench = swapped(constant(8).SerializeToString())
    said = bench.refusal()
    assert 'answers differently: on the rows "held-out"' in said
    assert bench.registry.candidates("digits") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"torn", "wrote a model that can't be read"),
        (
            constant(99).SerializeToString(),
            f"onnxruntime {onnxruntime.__version__} can't load the exported model",
        ),
    ],
    ids=["torn", "of the future"],
)
def test_a_model_that_nobody_can_read_is_not_kept(
    swapped: Callable[[bytes], Bench], data: bytes, words: str
) -> None:
    assert words in swapped(data).refusal()


def test_a_model_with_data_beside_it_becomes_one_file(bench: Bench) -> None:
    bench.save(None)
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = bench.root / "source"
    onnx.save_model(
        model, path, save_as_external_data=True, location="linear.data", size_threshold=0
    )
    (bench.root / "linear.data").rename(bench.root / "in the store")
    bench.model = dataclasses.replace(DIGITS, path="build/linear.onnx")
    assert "linear.data" in bench.refusal()

    bench.neighbours = {"linear.data": bench.root / "in the store"}
    candidate = bench.export()
    kept = onnx.load(bench.registry.folder_of(candidate) / "model.onnx", load_external_data=False)
    np.testing.assert_array_equal(numpy_helper.to_array(kept.graph.initializer[0]), weights)
    assert parity_of(candidate).passed


def test_a_folder_is_no_model(classifier: Bench) -> None:
    classifier.source_digest = "tree:abc"
    said = classifier.refusal()
    assert "build/model.joblib is a folder; name the model's file in it" in said
