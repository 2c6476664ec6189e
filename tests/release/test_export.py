"""Export from end to end: the user's interpreter, parity, the registry; and every refusal."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlbench.domain.errors import ExportError
from mlbench.domain.release import Candidate, Parity
from mlbench.domain.stages import ModelSpec
from mlbench.release.export import ExportJob, export
from mlbench.release.facts import onnx_facts
from mlbench.release.limited import Limits
from mlbench.release.metadata import Provenance
from mlbench.release.registry import Registry
from mlbench.system.content import hash_file
from mlbench.system.proctable import start_time

FEATURES, SPECIES = load_iris(return_X_y=True)
DIGITS = ModelSpec("digits", "train", "build/model.joblib", sample="build/test.npz")
LIMITS = Limits.of_machine(120.0)
STARTED = "2026-11-23T09:15:02.120Z"


@dataclass
class Bench:
    """A project whose model is to be exported, and the registry that would keep it."""

    root: Path
    python: str = sys.executable
    run: str = "run-1"
    model: ModelSpec = DIGITS
    source_digest: str = "source digest"
    limits: Limits = LIMITS
    stop: threading.Event | None = None
    neighbours: dict[str, Path] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return Registry(self.root / ".mlbench" / "models")

    @property
    def log(self) -> Path:
        return self.root / ".mlbench" / "runs" / self.run / "export.log"

    def save(self, model: Any, X: Any = FEATURES) -> None:
        """Write model and sample as the content store has them: read-only, without endings."""
        joblib.dump(model, self.root / "source")
        with (self.root / "rows").open("wb") as file:
            np.savez(file, X=X)
        (self.root / "rows").chmod(0o444)

    def export(self) -> Candidate:
        job = ExportJob(
            model=self.model,
            run=self.run,
            source=self.root / "source",
            source_digest=self.source_digest,
            sample=self.root / "rows",
            sample_digest="sample digest",
            python=self.python,
            project=self.root,
            log=self.log,
            provenance=Provenance(self.model.name, self.run, STARTED, "ada"),
            neighbours=self.neighbours,
            limits=self.limits,
            stop=self.stop,
        )
        return export(job, self.registry)

    def refusal(self) -> str:
        """What is said when nothing is exported; what was there before stays, and nothing else."""
        before = self.files()
        with pytest.raises(ExportError) as refused:
            self.export()
        assert self.files() == before | {self.root / ".mlbench" / "models" / "digits"}
        return str(refused.value)

    def files(self) -> set[Path]:
        return set((self.root / ".mlbench" / "models").rglob("*"))

    def interpreter(self, script: str) -> None:
        """Run exports with this shell script, in which $python and $out stand for the real ones."""
        path = self.root / "interpreter"
        names = f'python={shlex.quote(sys.executable)}; out="$(dirname "$2")"'
        path.write_text(f"#!/bin/sh\n{names}\n{script}\n")
        path.chmod(0o755)
        self.python = str(path)


def parity_of(candidate: Candidate) -> Parity:
    """The parity that every exported candidate has."""
    assert candidate.parity is not None
    return candidate.parity


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def classifier(bench: Bench) -> Bench:
    bench.save(make_pipeline(StandardScaler(), LogisticRegression()).fit(FEATURES, SPECIES))
    return bench


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


EXPORTERS = """
    import os, signal, subprocess, sys, time

    def start(log):
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(command, start_new_session=True)
        print("grandchild", child.pid, flush=True)

    def hang(path, sample):
        start(path)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)

    def crash(path, sample):
        start(path)
        os.kill(os.getpid(), signal.SIGSEGV)

    def eat(path, sample):
        eaten = []
        while True:
            eaten.append(bytearray(50_000_000))

    def leave(path, sample):
        os._exit(7)

    def fail(path, sample):
        raise ValueError("only trees of depth 3 or less; prune it")

    def tidy(path, sample):
        for place in (path, sample):
            assert os.path.isfile(place), place
            open(place, "wb").close()
        raise ValueError(os.path.basename(path) + " and " + os.path.basename(sample))
"""


@pytest.fixture
def own(classifier: Bench) -> Callable[[str], Bench]:
    """A bench whose project has an exporter of its own, by name."""
    (classifier.root / "own.py").write_text(textwrap.dedent(EXPORTERS))

    def choose(name: str) -> Bench:
        classifier.model = dataclasses.replace(classifier.model, exporter=f"own:{name}")
        return classifier

    return choose


def grandchildren_of(bench: Bench) -> list[int]:
    """The processes that an exporter started apart, by its log."""
    lines = bench.log.read_text().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("grandchild")]


def test_an_export_that_hangs_is_ended_with_all_it_started(own: Callable[[str], Bench]) -> None:
    bench = own("hang")
    bench.stop = threading.Event()
    threading.Thread(target=stop_when_started, args=(bench, bench.stop), daemon=True).start()
    assert "the export gave no report: it was stopped; its output is in" in bench.refusal()
    [pid] = grandchildren_of(bench)
    assert start_time(pid) is None


def stop_when_started(bench: Bench, stop: threading.Event) -> None:
    """Set `stop` once the exporter has started its grandchild."""
    while not bench.log.exists() or not grandchildren_of(bench):
        stop.wait(0.01)
    stop.set()


def test_an_export_has_its_time(own: Callable[[str], Bench]) -> None:
    bench = own("hang")
    bench.limits = Limits(0.2)
    assert "the export gave no report: it took longer than 0.2 s" in bench.refusal()


def test_an_export_that_crashes_is_told_by_its_signal(own: Callable[[str], Bench]) -> None:
    bench = own("crash")
    said = bench.refusal()
    assert "the export gave no report: it crashed with SIGSEGV; its output is in" in said
    [pid] = grandchildren_of(bench)
    assert start_time(pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold to the limit of memory")
def test_an_export_that_eats_memory_is_told_what_it_may_have(own: Callable[[str], Bench]) -> None:
    bench = own("eat")
    bench.limits = Limits(60.0, memory=700_000_000)
    said = bench.refusal()
    assert "the export needs more memory than it may have" in said.lower()
    assert f"it may have 700 MB, and its output is in {bench.log}" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leave", "it ended with exit status 7; its output is in"),
        ("fail", "The exporter own:fail failed: ValueError: only trees of depth 3 or less; prune"),
        ("absent", "The exporter own:absent is not there; correct `exporter` in mlbench.toml"),
        ("tidy", "model.joblib and test.npz"),
    ],
)
def test_an_exporter_of_the_project_has_its_own_sentence(
    own: Callable[[str], Bench], name: str, words: str
) -> None:
    bench = own(name)
    before = (bench.root / "source").read_bytes(), (bench.root / "rows").read_bytes()
    said = bench.refusal()
    assert words in said
    assert "given" not in said
    assert before == ((bench.root / "source").read_bytes(), (bench.root / "rows").read_bytes())


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
