"""What a model file says of its run, and a graph's digest that heeds none of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import skl2onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import CodeState, Run, StageRecord
from mlbench.domain.stages import ModelSpec
from mlbench.release.metadata import (
    PRODUCER,
    Provenance,
    digest_of_graph,
    export_facts,
    graph_digest,
    provenance_of,
    stamp,
    with_provenance,
)

MODEL = ModelSpec("digits", "train", "build/model.joblib")
UNCOMMITTED = CodeState(commit="abc", dirty=True)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
METRICS = st.dictionaries(WORDS, st.floats(), max_size=4)
PROVENANCES = st.builds(
    Provenance,
    model=WORDS,
    run=WORDS,
    started=WORDS,
    by=WORDS,
    commit=WORDS,
    dirty=st.booleans(),
    data=WORDS,
    params=WORDS,
    metrics=METRICS,
)


def branching(weight: float = 2.0) -> onnx.ModelProto:
    """A graph with a weight, and a graph within one of its nodes."""
    inner = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"], name="inner")],
        "then",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "else",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
        "branching",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1], [weight])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="maker")
    model.producer_version = "1.2"
    return model


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def digest(model: onnx.ModelProto) -> str:
    return digest_of_graph(copied(model))


def stamped(model: onnx.ModelProto, provenance: Provenance) -> bytes:
    own = copied(model)
    with_provenance(own, provenance)
    return bytes(own.SerializeToString(deterministic=True))


def properties(data: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.ModelProto.FromString(data).metadata_props}


@settings(deadline=None)
@given(PROVENANCES, PROVENANCES)
def test_what_is_written_is_read_and_says_nothing_of_what_was_before(
    first: Provenance, second: Provenance
) -> None:
    once = stamped(branching(), second)
    over = stamped(onnx.ModelProto.FromString(stamped(branching(), first)), second)
    assert once == over
    found = properties(once)
    assert list(found) == sorted(found)
    assert found.pop("mlbench.converter") == "maker 1.2"
    assert found == second.properties()
    assert digest(onnx.ModelProto.FromString(once)) == digest(branching())


@settings(deadline=None)
@given(st.dictionaries(WORDS, st.floats(allow_nan=False), max_size=5), st.randoms())
def test_the_order_in_which_things_were_said_is_nothing(
    values: dict[str, float], random: Any
) -> None:
    names = list(values)
    random.shuffle(names)
    shuffled = {name: values[name] for name in names}
    one, other = (provenance_of(run(params=p, metrics=p), MODEL) for p in (values, shuffled))
    assert stamped(branching(), one) == stamped(branching(), other)


def test_what_others_wrote_into_the_file_stays() -> None:
    model = branching()
    model.metadata_props.add(key="team", value="vision")
    model.metadata_props.add(key="mlbench.run", value="an older one")
    found = properties(stamped(model, provenance_of(run(), MODEL)))
    assert found["team"] == "vision"
    assert found["mlbench.run"] == "run-1"
    read = onnx.ModelProto.FromString(stamped(model, provenance_of(run(), MODEL)))
    assert read.producer_name == PRODUCER
    assert read.producer_version


def test_names_and_words_are_no_part_of_a_graph() -> None:
    model = branching()
    model.doc_string, model.domain, model.model_version = "made in May", "de.firm", 7
    model.graph.name = "graph-7fd3"
    model.graph.doc_string = model.graph.node[0].doc_string = "line 12 of /home/ada/net.py"
    model.graph.input[0].doc_string = model.graph.initializer[0].doc_string = "x"
    then = next(one for one in model.graph.node[0].attribute if one.name == "then_branch")
    then.doc_string = then.g.doc_string = then.g.node[0].doc_string = "deeper"
    for message in (model.graph, model.graph.node[0], then.g.node[0], model.graph.input[0]):
        message.metadata_props.add(key="stack", value="/home/ada/net.py:12")
    opsets = list(model.opset_import)[::-1]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    assert digest(model) == digest(branching())


def test_whatever_a_graph_computes_is_part_of_it() -> None:
    nearby = float(np.nextafter(np.float32(2.0), np.float32(3.0)))
    others = [branching(nearby), branching(), branching(), branching()]
    others[1].graph.node[0].attribute[0].g.node[0].op_type = "Add"
    others[2].opset_import[0].version = 18
    others[3].graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    assert len({digest(model) for model in (branching(), *others)}) == 5


def test_two_runs_with_the_same_weights_differ_in_their_file_alone(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    files, graphs = [], []
    for name, c in (("one", 1.0), ("two", 1.0), ("three", 0.5)):
        fitted = LogisticRegression(C=c, max_iter=500).fit(X, y)
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(skl2onnx.to_onnx(fitted, X[:1].astype(np.float32)).SerializeToString())
        graphs.append(stamp(path, provenance_of(run(name), MODEL)))
        assert graph_digest(path) == graphs[-1]
        onnx.checker.check_model(onnx.load(path))
        files.append(path.read_bytes())
    assert len(set(files)) == 3
    assert graphs[0] == graphs[1] != graphs[2]
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    told = session.get_modelmeta()
    assert told.producer_name == PRODUCER
    assert told.custom_metadata_map["mlbench.run"] == "one"
    assert json.loads(told.custom_metadata_map["mlbench.metrics"]) == {"accuracy": 0.9}
    assert told.custom_metadata_map["mlbench.dirty"] == "true"


def test_one_run_exported_twice_gives_one_digest(tmp_path: Path) -> None:
    found = set()
    for folder in ("here", "there"):
        path = tmp_path / folder / "model.onnx"
        path.parent.mkdir()
        model = branching()
        if folder == "there":
            # As a converter may that keeps them in a set.
            opsets = list(model.opset_import)[::-1]
            model.ClearField("opset_import")
            model.opset_import.extend(opsets)
        path.write_bytes(model.SerializeToString())
        stamp(path, provenance_of(run(), MODEL))
        found.add(path.read_bytes())
        assert stamp(path, provenance_of(run(), MODEL)) == digest(branching())
        found.add(path.read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("inputs", "is_same"),
    [
        ({"data.csv": "a", "train.py": "other"}, True),
        ({"/mnt/elsewhere/data.csv": "a", "train.py": "t"}, True),
        ({"data.csv": "b", "train.py": "t"}, False),
        ({"data.csv": "a", "train.py": "t", "more.csv": "c"}, False),
    ],
)
def test_the_hash_of_the_data_is_that_of_its_content(inputs: dict[str, str], is_same: bool) -> None:
    here = provenance_of(run(inputs={"data.csv": "a", "train.py": "t"}), MODEL)
    there = provenance_of(run(inputs=inputs), MODEL)
    assert (here.data == there.data) is is_same


def test_a_run_without_commit_data_or_stage_leaves_them_out() -> None:
    bare = provenance_of(run(code=CodeState(), inputs={}), MODEL)
    assert set(bare.properties()) == {
        "mlbench.model",
        "mlbench.run",
        "mlbench.params",
        "mlbench.metrics",
    }
    other = provenance_of(run(), ModelSpec("digits", "elsewhere", "model"))
    assert other.data == ""


def test_the_facts_of_a_candidate_hold_parameters_and_versions() -> None:
    facts = provenance_of(run(), MODEL).facts()
    assert facts["params.train.c"] == "1.0"
    assert (facts["commit"], facts["dirty"], facts["by"]) == ("abc", "true", "ada")
    report = {"framework": "sklearn", "opset": 21, "versions": {"onnx": "1.23"}, "ok": True}
    assert export_facts(report) == {"framework": "sklearn", "opset": "21", "version.onnx": "1.23"}
    assert export_facts({}) == {}


def run(
    run_id: str = "run-1",
    *,
    inputs: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
    metrics: dict[str, float] | None = None,
    code: CodeState = UNCOMMITTED,
) -> Run:
    read = {"data.csv": "a"} if inputs is None else inputs
    return Run(
        id=run_id,
        name="brave-otter",
        outcome=RunOutcome.PASSED,
        origin="manual",
        by="ada",
        started="2026-11-23T09:15:02.120Z",
        seconds=1.0,
        code=code,
        params={"train.c": 1.0} if params is None else params,
        metrics={"accuracy": 0.9} if metrics is None else metrics,
        stages={"train": StageRecord(StageOutcome.RAN, 1.0, "key", run_id, inputs=read)},
    )
