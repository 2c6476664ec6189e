"""External data of ONNX models, packed into the one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper


def with_many_tensors(arrays: list[bytes], folder: Path) -> onnx.ModelProto:
    """A model whose tensors, also in a subgraph and in attributes, lie in one file outside."""
    tensors, at = [], 0
    for index, data in enumerate(arrays):
        tensor = TensorProto(
            name=f"t{index}",
            data_type=TensorProto.UINT8,
            dims=[len(data)],
            data_location=TensorProto.EXTERNAL,
        )
        for key, number in (("offset", at), ("length", len(data))):
            tensor.external_data.add(key=key, value=str(number))
        tensor.external_data.add(key="location", value="all.data")
        tensors.append(tensor)
        at += len(data)
    (folder / "all.data").write_bytes(b"".join(arrays))
    constants = [
        helper.make_node("Constant", [], [f"c{index}"], value=tensor)
        for index, tensor in enumerate(tensors[::3])
    ]
    inner = helper.make_graph(constants, "inner", [], [], tensors[1::3])
    branch = helper.make_node("If", ["which"], [], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([branch], "outer", [], [], tensors[2::3])
    return helper.make_model(graph)


@pytest.fixture(scope="module")
def packing() -> Any:
    """The script's own module, as the scripts import each other."""
    import importlib
    import sys

    from tests.release.exports import EXPORT

    before = dict(sys.modules)
    sys.path.insert(0, str(EXPORT.parent))
    try:
        yield importlib.import_module("packing")
    finally:
        sys.path.remove(str(EXPORT.parent))
        for name in set(sys.modules) - set(before):
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXPORT.parent)):
                del sys.modules[name]


@given(arrays=st.lists(st.binary(max_size=40), max_size=7))
def test_every_tensor_comes_in_wherever_it_is(
    packing: Any, tmp_path_factory: pytest.TempPathFactory, arrays: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("many")
    model = with_many_tensors(arrays, folder)
    packing.pack(model, str(folder))
    found = {tensor.name: tensor for tensor in packing.tensors(model)}
    assert {name: tensor.raw_data for name, tensor in found.items()} == {
        f"t{index}": data for index, data in enumerate(arrays)
    }
    assert not any(packing.is_external(tensor) for tensor in found.values())


@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=5), data=st.data())
def test_what_would_not_fit_into_one_file_is_refused_before_it_is_read(
    packing: Any, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    """By a small stand-in for protobuf's two gigabytes."""
    folder = tmp_path_factory.mktemp("large")
    model = with_many_tensors([bytes(size) for size in sizes], folder)
    largest = data.draw(st.integers(0, 6000))
    before, whole = model.SerializeToString(), onnx.ModelProto()
    whole.CopyFrom(model)
    packing.pack(whole, str(folder))
    try:
        packing.pack(model, str(folder), largest)
    except packing.Refusal as raised:
        refusal = raised
    else:
        assert model.ByteSize() == whole.ByteSize() <= largest
        return
    assert f"an .onnx file holds at most {largest:,}" in refusal.problem
    assert 'format = "file"' in refusal.remedy
    assert model.SerializeToString() == before
    # References to the file outside count, too, but little more.
    assert largest < whole.ByteSize() + 100 * (len(sizes) + 1)


def test_the_limit_is_protobufs(packing: Any) -> None:
    assert packing.LARGEST == 2**31 - 1
    packing.check_size(packing.LARGEST)
    with pytest.raises(Exception, match="2,147,483,648 bytes"):
        packing.check_size(packing.LARGEST + 1)
