"""NVIDIA's own client against our server, JSON both ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

triton = pytest.importorskip("tritonclient.http")


@pytest.fixture
def client(served: Sandbox) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{served.environment.port}") as made:
        yield made


def tensor(rows: Any, binary: bool) -> Any:
    made = triton.InferInput("x", list(rows.shape), "FP32")
    made.set_data_from_numpy(rows, binary_data=binary)
    return made


def test_it_finds_the_server_and_the_model(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("multiplier")
    assert client.is_model_ready("multiplier", "3")
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "mlbench"
    assert client.get_model_metadata("multiplier")["platform"] == "onnxruntime_onnx"


@pytest.mark.parametrize("named", [True, False])
def test_it_gets_its_answer(client: Any, named: bool) -> None:
    rows = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
    wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in ("y", "version")]
    result = client.infer(
        "multiplier", [tensor(rows, False)], outputs=wanted if named else None, request_id="q"
    )
    np.testing.assert_array_equal(result.as_numpy("y"), rows * np.float32(3))
    assert result.as_numpy("version").tolist() == [3]
    assert result.get_response()["id"] == "q"


def test_it_is_told_what_is_wrong(client: Any) -> None:
    rows = np.ones((1, 3), np.float32)
    with pytest.raises(Exception, match="binary data extension is not spoken"):
        client.infer("multiplier", [tensor(rows, True)])
    with pytest.raises(Exception, match="does not fit the model's"):
        client.infer("multiplier", [tensor(rows.T.copy(), False)])
    with pytest.raises(Exception, match='no model "nothing"'):
        client.infer("nothing", [tensor(rows, False)])
