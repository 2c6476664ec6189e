"""What is loaded is what was promoted, and nothing else is."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from blake3 import blake3
from onnx import TensorProto, helper

from mlbench.domain.errors import ServingError
from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.running.loading import choose_providers, load
from tests.serving.running.shelf import Shelf, graph_of


def outside(name: str) -> onnx.TensorProto:
    """Four floats that lie in a file beside the model."""
    tensor = onnx.TensorProto(
        name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def in_a_branch() -> onnx.GraphProto:
    """A graph whose two branches add a tensor that lies outside."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("Add", ["x", "w"], ["y"])
    then, other = (
        helper.make_graph([node], name, [], [y], [outside("w")]) for name in ("then", "else")
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=then, else_branch=other)
    return graph_of(choice, weights=(yes,))


def in_an_attribute() -> onnx.GraphProto:
    """A graph that adds a constant which lies outside."""
    constant = helper.make_node("Constant", [], ["w"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=outside("w"))
    return graph_of(constant, helper.make_node("Add", ["x", "w"], ["y"]))


@pytest.mark.parametrize("graph", [in_a_branch(), in_an_attribute()])
def test_tensors_outside_the_file_are_refused_wherever_they_are_named(
    shelf: Shelf, graph: onnx.GraphProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shelf.put(graph)
    (shelf.folder / "w.bin").write_bytes(np.ones(1, np.float32).tobytes())
    monkeypatch.chdir(shelf.folder)
    with pytest.raises(ServingError, match="keeps tensors outside its file"):
        load(model)


def test_operators_of_others_are_refused(shelf: Shelf) -> None:
    node = helper.make_node("Own", ["x"], ["y"], domain="com.example")
    with pytest.raises(ServingError, match=r"can't be loaded: .*com\.example"):
        load(shelf.put(graph_of(node), None, None, 17, "com.example"))


def test_cuda_runs_models_where_there_is_one() -> None:
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    assert choose_providers(["TensorrtExecutionProvider", cuda, cpu]) == [cuda, cpu]
    assert choose_providers(["AzureExecutionProvider", cpu]) == [cpu]


def test_a_provider_that_does_not_work_is_passed_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """CUDA may be built in where no device is; nothing is printed, for the log is JSON."""
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    assert load(shelf.multiplier(2)).infer({"x": np.ones((1, 3), np.float32)})["y"][0, 0] == 2
    assert capfd.readouterr() == ("", "")


def test_a_loaded_model_computes(shelf: Shelf) -> None:
    model = load(shelf.multiplier(5))
    outputs = model.infer({"x": np.ones((2, 3), np.float32)})
    assert outputs["y"].tolist() == [[5.0] * 3] * 2
    assert outputs["version"].tolist() == [5]


def test_a_file_with_another_digest_is_refused(shelf: Shelf) -> None:
    model = shelf.multiplier(5)
    Path(model.path).write_bytes(Path(shelf.multiplier(6).path).read_bytes())
    with pytest.raises(ServingError, match=r"multiplier version 5: .* not what was promoted"):
        load(model)


def test_a_missing_file_is_named(shelf: Shelf) -> None:
    model = shelf.multiplier(5)
    Path(model.path).unlink()
    with pytest.raises(ServingError, match=f"{model.path} can't be read"):
        load(model)


def test_a_candidate_has_no_number_and_is_named_by_its_run(shelf: Shelf) -> None:
    model = replace(shelf.multiplier(5), version=0)
    Path(model.path).unlink()
    with pytest.raises(ServingError, match=f"multiplier of run {model.run}: "):
        load(model)


@pytest.mark.parametrize("location", ["w.bin", "../w.bin", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"])
def test_tensors_outside_the_file_are_refused(
    shelf: Shelf, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shelf.multiplier(5)
    path = Path(model.path)
    graph = onnx.load(path)
    factor = graph.graph.initializer[0]
    del factor.float_data[:]
    factor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = factor.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(graph.SerializeToString())
    for folder in (path.parent, path.parent.parent):
        (folder / "w.bin").write_bytes(np.ones(1, np.float32).tobytes())
    monkeypatch.chdir(path.parent)
    with pytest.raises(ServingError, match="keeps tensors outside its file"):
        load(replace(model, digest=blake3(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: replace(signature, inputs=()),
        lambda signature: replace(signature, outputs=()),
        lambda signature: replace(signature, inputs=(TensorSpec("x", "FP64", (-1, 3)),)),
        lambda signature: replace(signature, inputs=(TensorSpec("z", "FP32", (-1, 3)),)),
        lambda signature: replace(signature, outputs=(TensorSpec("p", "FP32", (-1, 3)),)),
        lambda signature: replace(signature, outputs=(TensorSpec("y", "BYTES", (-1, 3)),)),
    ],
)
def test_a_file_that_breaks_its_signature_is_refused(
    shelf: Shelf, change: Callable[[Signature], Signature]
) -> None:
    model = shelf.multiplier(5)
    with pytest.raises(ServingError, match="not its signature's"):
        load(replace(model, signature=change(model.signature)))


def test_a_shape_that_it_cannot_run_is_refused(shelf: Shelf) -> None:
    model = shelf.multiplier(5)
    signature = replace(model.signature, inputs=(TensorSpec("x", "FP32", (-1, 4)),))
    with pytest.raises(ServingError, match=r"can't be loaded: .*invalid dimensions"):
        load(replace(model, signature=signature))


class Trap:
    """Says so in a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_loaded(shelf: Shelf, tmp_path: Path) -> None:
    model = shelf.multiplier(5)
    data = pickle.dumps(Trap(tmp_path / "sprung"))
    Path(model.path).write_bytes(data)
    with pytest.raises(ServingError, match="can't be loaded"):
        load(replace(model, digest=blake3(data).hexdigest()))
    assert not (tmp_path / "sprung").exists()
