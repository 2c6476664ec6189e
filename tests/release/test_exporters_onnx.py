"""Models that are ONNX already, and the project's own exporter: checked, packed, fed, refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from mlbench.release.proving import prove
from tests.release.exports import Exported, Exports

FEATURES, SPECIES = load_iris(return_X_y=True)
NAMES = ("length", "width", "kind")
WEIGHTS = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)


def value(name: str, kind: int, shape: Iterable[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def linear(
    *,
    rows: Any = "n",
    domain: str = "",
    op_type: str = "MatMul",
    shape: tuple[Any, ...] = (4,),
    functions: Iterable[onnx.FunctionProto] = (),
    outputs: Iterable[onnx.ValueInfoProto] = (),
) -> onnx.ModelProto:
    """A graph that multiplies rows of four numbers by WEIGHTS."""
    nodes = [helper.make_node(op_type, ["x", "weights"], ["y"], domain=domain)]
    graph = helper.make_graph(
        nodes,
        "linear",
        [value("x", TensorProto.FLOAT, (rows, *shape))],
        list(outputs) or [value("y", TensorProto.FLOAT, (rows, 3))],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    opsets = [helper.make_opsetid("", 17)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))


def by_columns() -> onnx.ModelProto:
    """A graph with an input for each column: numbers, integers and text."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["width"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node(
                "LabelEncoder",
                ["kind"],
                ["code"],
                domain="ai.onnx.ml",
                keys_strings=["cat", "dog"],
                values_floats=[1.0, 2.0],
                default_float=-1.0,
            ),
            helper.make_node("Sum", ["length", "wide", "code"], ["prediction"]),
        ],
        "columns",
        [
            value("length", TensorProto.FLOAT, ("n", 1)),
            value("width", TensorProto.INT64, ("n", 1)),
            value("kind", TensorProto.STRING, ("n", 1)),
        ],
        [value("prediction", TensorProto.FLOAT, ("n", 1))],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def own_function() -> onnx.FunctionProto:
    """A function that a model brings along, in a domain of its own."""
    return helper.make_function(
        "own.ops",
        "Product",
        ["a", "b"],
        ["c"],
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )


def save_external(
    model: onnx.ModelProto, path: Path, location: str = "linear.data", data: bytes | None = None
) -> None:
    """Save a model whose weights are in another file."""
    tensor = model.graph.initializer[0]
    given = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "8"), ("length", str(len(given)))):
        tensor.external_data.add(key=key, value=text)
    (path.parent / "linear.data").write_bytes(b"filling." + given if data is None else data)
    path.write_bytes(model.SerializeToString())


def sequence() -> onnx.ModelProto:
    """A graph that gives a list of tensors."""
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        "sequence",
        [value("x", TensorProto.FLOAT, ("n", 4))],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


PLAIN: Mapping[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "plain": (linear, "rows.npz"),
    "unnamed rows": (lambda: linear(rows=None), "rows.npz"),
    "own function": (
        lambda: linear(domain="own.ops", op_type="Product", functions=[own_function()]),
        "rows.npz",
    ),
    "reshaped": (lambda: linear(shape=(4,)), "square.npz"),
    "columns": (by_columns, "table.csv"),
}
REFUSED: Mapping[str, tuple[Callable[[], onnx.ModelProto], str, str, str]] = {
    "fixed rows": (
        lambda: linear(rows=8),
        "rows.npz",
        "unsupported",
        "The input x takes exactly 8 rows at a time. Export it with a first dimension that may",
    ),
    "custom operators": (
        lambda: linear(domain="acme.ops", op_type="Fused"),
        "rows.npz",
        "unsupported",
        "operators that are not ONNX's own: acme.ops.Fused. Export it without custom operators.",
    ),
    "unknown operator": (
        lambda: linear(op_type="Matmul"),
        "rows.npz",
        "unsupported",
        "The model is not valid ONNX",
    ),
    "sequence": (sequence, "rows.npz", "unsupported", "y of the model is a sequence, not a"),
    "other shape": (
        lambda: linear(shape=(5,)),
        "rows.npz",
        "bad_sample",
        "The input x takes rows of 5, not of 4.",
    ),
    "no names": (by_columns, "wide.npz", "bad_sample", "wide.npz has 4 columns"),
    "other numbers": (
        by_columns,
        "halves.csv",
        "bad_sample",
        "The input width takes integers, and the rows hold other numbers for it.",
    ),
    "other names": (by_columns, "other.csv", "bad_sample", "has no column width"),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    exports = Exports(tmp_path_factory.mktemp("onnx"))
    exports.rows("rows.npz", X=FEATURES, y=SPECIES)
    exports.rows("wide.npz", X=FEATURES, y=SPECIES)
    exports.rows("square.npz", X=FEATURES.reshape(-1, 2, 2), y=SPECIES)
    exports.write("table.csv", "kind,width,price,length\ncat,3,9,0.5\ndog,4,9,1.5\n,5,9,2.5\n")
    exports.write("halves.csv", "kind,width,length\ncat,3.5,0.5\n")
    exports.write("other.csv", "kind,wide,price,length\ncat,3,9,0.5\n")
    exports.write("own.py", OWN)
    joblib.dump(LogisticRegression(max_iter=500).fit(FEATURES, SPECIES), exports.project / "iris")
    joblib.dump(LinearSVC().fit(FEATURES, SPECIES), exports.project / "svc")
    (exports.project / "unknown").write_bytes(b"a format of our own")
    return exports


@pytest.fixture(scope="module")
def exported(exports: Exports) -> Mapping[str, Exported]:
    specs = []
    models = [(name, make, sample) for name, (make, sample) in PLAIN.items()]
    models += [(name, make, sample) for name, (make, sample, _, _) in REFUSED.items()]
    for name, make, sample in models:
        path = exports.project / f"{name}.onnx"
        path.write_bytes(make().SerializeToString())
        specs.append(exports.spec(name, path.name, sample))
    (exports.project / "torn.onnx").write_bytes(linear().SerializeToString()[:-9])
    specs.append(exports.spec("torn", "torn.onnx", "rows.npz"))
    for name, location, data in EXTERNAL:
        path = exports.project / f"external {name}" / "linear.onnx"
        path.parent.mkdir()
        save_external(linear(), path, location, data)
        specs.append(exports.spec(name, f"external {name}/linear.onnx", "rows.npz"))
    inside = exports.project / "external link" / "linear.data"
    inside.rename(exports.project / "elsewhere.data")
    inside.symlink_to(exports.project / "elsewhere.data")
    (exports.project / "external absent" / "linear.data").unlink()
    specs += [
        exports.spec(f"own {name}", model, "rows.npz", exporter=f"own:{function}")
        for name, function, model in OWN_GOOD
    ]
    specs += [
        exports.spec(f"own {name}", "iris", "rows.npz", exporter=f"own:{name}")
        for name in OWN_REFUSED
    ]
    return exports.export_all(specs)


@pytest.mark.parametrize("name", ["plain", "unnamed rows", "own function", "reshaped", "whole"])
def test_a_model_of_onnx_is_left_as_it_is(exported: Mapping[str, Exported], name: str) -> None:
    export = exported[name]
    assert export.report["framework"] == "onnx"
    assert export.signature["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    for rows in (slice(None), slice(3, 4)):
        np.testing.assert_allclose(
            export.served(rows)[0], FEATURES[rows].astype(np.float32) @ WEIGHTS, rtol=1e-5
        )
    answers = export.answers
    assert {"in:x", "y"} <= set(answers)
    assert {"label", "scores", "label_raw", "scores_raw"}.isdisjoint(answers)


def test_a_model_alone_is_scored_and_held_to_itself(exported: Mapping[str, Exported]) -> None:
    parity = prove(exported["plain"].out).parity
    checks = {check.name: (check.passed, check.why) for check in parity.checks}
    assert parity.passed
    assert checks["held-out"] == (None, "there is no original to compare with")
    assert checks["one by one"][0] is True
    predicted = (FEATURES.astype(np.float32) @ WEIGHTS).argmax(axis=1)
    assert parity.exported_metrics["accuracy"] == pytest.approx((predicted == SPECIES).mean())
    assert parity.original_metrics == {}


def test_nothing_is_written_into_a_model_that_needs_nothing(
    exported: Mapping[str, Exported],
) -> None:
    assert exported["plain"].model == linear().SerializeToString(deterministic=True)


def test_columns_are_fed_by_name_and_type(exported: Mapping[str, Exported]) -> None:
    export = exported["columns"]
    inputs = {each["name"]: each["datatype"] for each in export.signature["inputs"]}
    assert inputs == {"length": "FP32", "width": "INT64", "kind": "BYTES"}
    assert export.answers["in:kind"].tolist() == [["cat"], ["dog"], [""]]
    np.testing.assert_allclose(export.served()[0], [[4.5], [7.5], [6.5]])


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_be_served_is_refused(exported: Mapping[str, Exported], name: str) -> None:
    _, _, kind, words = REFUSED[name]
    assert words in exported[name].refusal(kind)


def test_a_torn_model_is_unreadable(exported: Mapping[str, Exported]) -> None:
    assert "torn.onnx can't be read as ONNX" in exported["torn"].refusal("unreadable")


EXTERNAL: tuple[tuple[str, str, bytes | None], ...] = (
    ("whole", "linear.data", None),
    ("above", "../plain.onnx", None),
    ("deep", "a/../../plain.onnx", None),
    ("rooted", "/etc/hostname", None),
    ("link", "linear.data", None),
    ("absent", "linear.data", None),
    ("short", "linear.data", b"too short"),
)


def test_external_data_comes_into_the_one_file(exported: Mapping[str, Exported]) -> None:
    model = onnx.load_model_from_string(exported["whole"].model)
    [tensor] = model.graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), WEIGHTS)
    assert not tensor.external_data
    assert model.SerializeToString() == linear().SerializeToString()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("above", "has its data in '../plain.onnx', outside its own folder"),
        ("deep", "outside its own folder"),
        ("rooted", "has its data in '/etc/hostname', outside its own folder"),
        ("link", "has its data in 'linear.data', which leads elsewhere"),
        ("absent", "is not there: linear.data. Declare that file as an out of the stage"),
        ("short", "linear.data is cut short"),
    ],
)
def test_external_data_stays_in_its_folder(
    exported: Mapping[str, Exported], name: str, words: str
) -> None:
    assert words in exported[name].refusal("unreadable")


OWN = """
    import joblib, numpy, onnx, os
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    def convert(path, sample):
        model = joblib.load(path)
        shape = [None, numpy.load(sample)["X"].shape[1]]
        options = {"zipmap": False} if hasattr(model, "predict_proba") else {"raw_scores": True}
        types = [("features", FloatTensorType(shape))]
        return to_onnx(model, initial_types=types, options=options, name="own")

    def write(path, sample):
        model = convert(path, sample)
        with open("written.onnx", "wb") as file:
            file.write(model.SerializeToString())
        return "written.onnx"

    def make(path, sample):
        return onnx.load("plain.onnx")

    def number(path, sample):
        return 7

    def missing(path, sample):
        return "nowhere.onnx"

    def fixed(path, sample):
        return onnx.load("fixed rows.onnx")

    class Refuses:
        def __call__(self, path, sample):
            raise RuntimeError("trees deeper than 3 are not mine")

    refuses = Refuses()
    constant = 3
"""
OWN_GOOD = (
    ("convert", "convert", "iris"),
    ("write", "write", "iris"),
    ("make", "make", "unknown"),
    ("margins", "convert", "svc"),
)
OWN_REFUSED: Mapping[str, tuple[str, str]] = {
    "number": ("failed", "gave a builtins.int. Return an onnx.ModelProto, or the path of"),
    "missing": ("unreadable", "nowhere.onnx can't be read as ONNX"),
    "fixed": ("unsupported", "takes exactly 8 rows at a time"),
    "refuses": ("failed", "own:refuses failed: RuntimeError: trees deeper than 3 are not mine."),
    "constant": ("unreadable", "The exporter own:constant is no function."),
}


@pytest.mark.parametrize("name", ["own convert", "own write"])
def test_the_projects_exporter_is_held_to_the_original(
    exported: Mapping[str, Exported], name: str
) -> None:
    export = exported[name]
    assert export.report["framework"] == "own"
    assert export.signature["classes"] == ["0", "1", "2"]
    label, probabilities = export.served()
    np.testing.assert_array_equal(label, export.answers["label"])
    np.testing.assert_allclose(probabilities, export.answers["scores"], atol=1e-5)
    assert "label_raw" in export.answers


def test_without_an_original_there_is_nothing_to_compare_with(
    exported: Mapping[str, Exported],
) -> None:
    export = exported["own make"]
    assert export.signature["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
    assert {"label", "scores"}.isdisjoint(export.answers)
    assert "no original" in export.report["groups"]["missing"]["why"]


def test_an_original_that_says_no_probabilities_is_not_compared_with(
    exported: Mapping[str, Exported],
) -> None:
    export = exported["own margins"]
    label, _ = export.served()
    model = joblib.load(export.out.parents[1] / "project" / "svc")
    np.testing.assert_array_equal(label, model.predict(FEATURES.astype(np.float32)))
    assert {"label", "scores"}.isdisjoint(export.answers)


@pytest.mark.parametrize("name", OWN_REFUSED)
def test_what_the_projects_exporter_does_wrong_is_told(
    exported: Mapping[str, Exported], name: str
) -> None:
    kind, words = OWN_REFUSED[name]
    assert words in exported[f"own {name}"].refusal(kind)
