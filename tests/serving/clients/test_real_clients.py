"""Triton's and KServe's own clients, each in a virtual environment of its own, against our server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.peers import python_with
from mlbench.domain.plain import to_plain
from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.serving.token import read_token
from mlbench.system.files import write_json
from tests.serving.conftest import save

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

FOLDER = Path(__file__).parent
_ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def every_datatype() -> onnx.GraphProto:
    """A graph that gives back what it is given, a tensor of each datatype."""
    return helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in _ONNX_TYPES],
        "every",
        [
            helper.make_tensor_value_info(f"in_{name}", kind, [None, 2])
            for name, kind in _ONNX_TYPES.items()
        ],
        [
            helper.make_tensor_value_info(f"out_{name}", kind, [None, 2])
            for name, kind in _ONNX_TYPES.items()
        ],
    )


@pytest.fixture(scope="module")
def offered(make_sandbox: Callable[[], Sandbox]) -> Sandbox:
    """A server with version 3 of the multiplier live, version 2 to be loaded, and every datatype."""
    sandbox = make_sandbox()
    path = sandbox.layout.models / "every" / "1" / "model.onnx"
    signature = Signature(
        tuple(TensorSpec(f"in_{name}", name, (-1, 2)) for name in _ONNX_TYPES),
        tuple(TensorSpec(f"out_{name}", name, (-1, 2)) for name in _ONNX_TYPES),
    )
    every = DeployedModel("every", 1, save(every_datatype(), path), "run", str(path), signature)
    live, other = sandbox.model(3), sandbox.model(2)
    sandbox.layout.available.parent.mkdir(parents=True, exist_ok=True)
    write_json(sandbox.layout.available, to_plain([live, other, every]))
    sandbox.serve(live, every)
    return sandbox


def _hold(python: str, script: str, *words: str) -> None:
    done = subprocess.run(
        [python, str(FOLDER / script), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("all held\n")


def test_tritons_client_does_all_it_offers(offered: Sandbox) -> None:
    python = python_with("tritonclient", "tritonclient[http]")
    address = f"127.0.0.1:{offered.environment.port}"
    token = read_token(offered.layout.server_token)
    _hold(python, "with_tritonclient.py", address, token)


def test_kserves_client_does_all_it_offers(offered: Sandbox) -> None:
    _hold(python_with("kserve"), "with_kserve.py", f"http://127.0.0.1:{offered.environment.port}")
