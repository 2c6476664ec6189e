"""The shadow's real process behind its real socket, from a worker's sender to the state file."""

from __future__ import annotations

import json
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from mlbench.domain.plain import from_plain
from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.domain.serving import ShadowState, Traffic
from mlbench.project.layout import Layout
from mlbench.serving.control import Copy
from mlbench.serving.messages import Reply, Request
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import parse_request
from mlbench.serving.protocol.rows import build_predictions, parse_rows
from mlbench.serving.running.loading import LoadedModel, load
from mlbench.serving.traffic.copies import MOST_BYTES, socket_path
from mlbench.serving.traffic.sending import ShadowSender
from mlbench.serving.traffic.shadow_desk import ShadowDesk
from mlbench.system.files import read_json
from tests.serving.conftest import save
from tests.serving.traffic.counted_traffic import deployment

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1, 2)),),
    (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
    ("0", "1"),
    ("width", "height"),
)
TRAFFIC = Traffic("digits", shadow=2)
_PATIENCE = 60.0


def classifier(bias: float) -> onnx.GraphProto:
    """Two scores, x with the bias on the second, and as a label the place of the larger one."""
    return helper.make_graph(
        [
            helper.make_node("Add", ["x", "bias"], ["probabilities"]),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [helper.make_tensor("bias", TensorProto.FLOAT, [2], [0.0, bias])],
    )


def version(folder: Path, number: int, bias: float) -> DeployedModel:
    path = folder / str(number) / "model.onnx"
    digest = save(classifier(bias), path)
    return DeployedModel("digits", number, digest, "run", str(path), SIGNATURE)


def until(check: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not check():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


class Shop:
    """A desk, a worker's sender, and the live model that answers."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.serving.mkdir(parents=True, exist_ok=True)
        self.live, self.shadow = version(root, 1, 0.0), version(root, 2, 0.5)
        self.model: LoadedModel = load(self.live)
        self.desk = ShadowDesk(self.layout, "staging", stands_back=False)
        self.sender = ShadowSender(self.layout, "staging")
        self.now = 0.0

    def deploy(self, shadow: DeployedModel | None = None) -> None:
        given = deployment(1, TRAFFIC, beside=(shadow or self.shadow,))
        self.desk.deployed(replace(given, models=(self.live,)), frozenset())
        self.tick(0.0)
        self.sender.share("digits", 1.0)

    def tick(self, seconds: float = 0.25) -> list[Any]:
        self.now += seconds
        return list(self.desk.tick(self.now))

    def listening(self) -> None:
        until(socket_path(self.layout, "staging").is_socket)

    def infer(self, rows: list[list[float]], *, is_binary: bool = False) -> None:
        tensor: dict[str, Any] = {"name": "x", "shape": [len(rows), 2], "datatype": "FP32"}
        if is_binary:
            raw = struct.pack(f"<{2 * len(rows)}f", *(value for row in rows for value in row))
            tensor["parameters"] = {"binary_data_size": len(raw)}
            text = json.dumps(
                {"inputs": [tensor], "parameters": {"binary_data_output": True}}
            ).encode()
            body, length = text + raw, len(text)
        else:
            body, length = json.dumps({"inputs": [{**tensor, "data": rows}]}).encode(), None
        asked = parse_request(body, length, SIGNATURE)
        outputs = self.model.infer(asked.inputs)
        reply, header = build_response("digits", "1", asked, outputs, "i", SIGNATURE.classes)
        lengths = () if header is None else ((b"inference-header-content-length", b"%d" % header),)
        request = Request("POST", "/v2/models/digits/infer", body, length)
        self.sender.offer("digits", "1", request, Reply(200, reply, lengths))

    def predict(self, records: list[dict[str, float]]) -> None:
        body = json.dumps(records).encode()
        asked = parse_rows(body, SIGNATURE)
        outputs = self.model.infer(asked.inputs)
        reply = build_predictions("digits", "1", asked, outputs, "i", SIGNATURE)
        self.sender.offer("digits", "1", Request("POST", "/predict", body), Reply(200, reply))

    def state(self) -> ShadowState:
        self.tick(1.0)
        [plain] = read_json(self.layout.shadows("staging"))
        return from_plain(ShadowState, plain)

    def infers(self, rows: list[list[float]]) -> ShadowState:
        """How it stands after one request more, which that may not count yet."""
        self.infer(rows)
        return self.state()

    def compared(self, rows: int) -> ShadowState:
        until(lambda: self.state().compared + self.state().failed >= rows)
        return self.state()

    def close(self) -> None:
        self.sender.close()
        self.desk.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


def test_flips_and_errors_are_counted_however_a_request_came(shop: Shop) -> None:
    shop.deploy()
    shop.listening()
    shop.infer([[1.0, 0.0], [1.0, 0.75]])
    shop.infer([[0.0, 0.0], [0.0, 3.0], [0.2, 0.0]], is_binary=True)
    shop.predict([{"width": 1.0, "height": 0.75}, {"width": 0.0, "height": 1.0}])
    found = shop.compared(7)
    assert (found.model, found.version, found.live) == ("digits", 2, 1)
    assert (found.compared, found.flips, found.failed, found.dropped) == (7, 4, 0, 0)
    assert found.max_abs_error == pytest.approx(0.5)


def test_a_failing_shadow_is_counted_and_says_how(shop: Shop, tmp_path: Path) -> None:
    """Its file takes three columns, the live one two."""
    other = replace(
        SIGNATURE, inputs=(TensorSpec("x", "FP32", (-1, 3)),), outputs=SIGNATURE.outputs[1:]
    )
    path = tmp_path / "wide" / "model.onnx"
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["probabilities"])],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3])],
    )
    shop.deploy(DeployedModel("digits", 2, save(graph, path), "run", str(path), other))
    shop.listening()
    shop.infer([[1.0, 0.0]])
    found = shop.compared(1)
    assert (found.compared, found.failed) == (0, 1)
    assert "shape" in found.why


def test_one_that_can_t_be_loaded_says_so(shop: Shop) -> None:
    shop.deploy(replace(shop.shadow, digest="other"))
    until(lambda: "not what was promoted" in shop.state().why)


def test_copies_that_nobody_takes_are_dropped_and_counted(shop: Shop) -> None:
    for _ in range(5):
        shop.sender.share("digits", 1.0)
        shop.infer([[1.0, 0.0]])
    shop.deploy()
    shop.listening()
    until(lambda: shop.infers([[1.0, 0.0]]).compared)
    assert shop.state().dropped >= 5


def test_a_busy_process_holds_up_nothing_and_every_request_is_accounted_for(shop: Shop) -> None:
    """Its socket fills up while it stands still; what found room is compared afterwards."""
    shop.deploy()
    shop.listening()
    shop.infer([[1.0, 0.0]])
    shop.compared(1)
    assert shop.desk.pid is not None
    os.kill(shop.desk.pid, signal.SIGSTOP)
    for _ in range(3000):
        shop.infer([[1.0, 0.0]] * 20)
    os.kill(shop.desk.pid, signal.SIGCONT)

    def all_told() -> bool:
        # What was dropped last is told by the next copy.
        shop.infer([[1.0, 0.0]] * 20)
        sent = (shop.state().compared - 1) / 20
        return sent + shop.state().dropped >= 3000

    until(all_told)
    found = shop.state()
    assert found.dropped > 0
    assert found.failed == found.flips == 0
    assert found.compared > 1


def test_what_is_too_large_is_dropped(shop: Shop) -> None:
    shop.deploy()
    shop.listening()
    body = b" " * (MOST_BYTES + 1)
    shop.sender.offer("digits", "1", Request("POST", "/v2", body), Reply(200, b"{}"))
    shop.infer([[1.0, 0.0]])
    assert shop.compared(1).dropped == 1


def test_as_much_is_copied_as_was_said_and_only_what_was_answered_well(shop: Shop) -> None:
    shop.deploy()
    shop.listening()
    shop.sender.share("digits", 0.25)
    for _ in range(40):
        shop.infer([[1.0, 0.0]])
    request = Request("POST", "/v2/models/digits/infer", b"{}")
    for _ in range(40):
        shop.sender.offer("digits", "1", request, Reply(400, b"{}"))
        shop.sender.offer("other", "1", request, Reply(200, b"{}"))
    assert shop.compared(10).compared == 10


def test_answers_of_another_version_than_the_live_one_are_not_compared(shop: Shop) -> None:
    shop.deploy()
    shop.listening()
    shop.sender.offer("digits", "9", Request("POST", "/v2", b"?"), Reply(200, b"?"))
    shop.infer([[1.0, 0.0]])
    found = shop.compared(1)
    assert (found.compared, found.failed) == (1, 0)


def test_a_process_that_dies_is_started_again_and_counts_on(shop: Shop) -> None:
    shop.deploy()
    shop.listening()
    shop.infer([[1.0, 0.75]])
    assert shop.compared(1).flips == 1
    first = shop.desk.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: "signal 9" in shop.state().why)
    until(lambda: shop.tick() is not None and shop.desk.pid not in (None, first))
    until(lambda: shop.infers([[1.0, 0.75]]).compared > 1)
    assert shop.state().flips == shop.state().compared


def test_copying_stops_while_nobody_takes_it(shop: Shop) -> None:
    shop.deploy()
    assert list(shop.desk.greeting()) == [Copy("digits", 1.0)]
    assert shop.desk.pid is not None
    os.kill(shop.desk.pid, signal.SIGKILL)
    until(lambda: Copy("digits", 0.0) in shop.tick(0.0))


def test_without_a_shadow_any_more_its_process_ends(shop: Shop) -> None:
    shop.deploy()
    shop.desk.deployed(deployment(2), frozenset())
    assert shop.desk.pid is None
    assert shop.tick(1.0) == [Copy("digits", 0.0)]
    assert read_json(shop.layout.shadows("staging")) == []


def test_a_deployment_for_another_reason_leaves_it_alone(shop: Shop) -> None:
    shop.deploy()
    pid = shop.desk.pid
    shop.deploy()
    assert shop.desk.pid == pid is not None


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="no such class here")
def test_it_runs_on_idle_processors_alone_and_ends_with_its_supervisor(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.desk = ShadowDesk(shop.layout, "staging")
    shop.deploy()
    pid = shop.desk.pid
    assert pid is not None
    until(lambda: os.sched_getscheduler(pid) == os.SCHED_IDLE)
    assert os.getsid(pid) == pid
    autogroup = Path(f"/proc/{pid}/autogroup")
    assert not autogroup.exists() or "nice 19" in autogroup.read_text()
    shop.close()
    until(lambda: not Path(f"/proc/{pid}").exists())
