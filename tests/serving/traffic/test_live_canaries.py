"""Canaries that decide by themselves on a real server, under real requests."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto, helper

from mlbench.domain.plain import to_plain
from mlbench.domain.release import DeployedModel, Deployment, Signature, TensorSpec
from mlbench.domain.serving import CanarySpec, CanaryState, ServerSettings, Traffic
from mlbench.serving import supervise
from mlbench.system.files import write_json
from tests.serving.conftest import Sandbox, save, slow

pytestmark = pytest.mark.long

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("prediction", "FP32", (-1, 3)),)
)
SPEC = CanarySpec(steps=(0.2, 0.5), min_requests=150, max_latency_ratio=2.0)
# A model that takes its time: what the machine does beside must not make one twice as slow.
TURNS = 2000
_PATIENCE = 60.0
_CLIENTS = 2


def regressor(turns: int = TURNS, by: float = 0.0) -> onnx.GraphProto:
    """A graph with prediction = x + by that counts to `turns` first."""
    graph = slow(turns)
    graph.node[0].output[0] = "counted"
    graph.node.append(helper.make_node("Add", ["counted", "by"], ["prediction"]))
    graph.output[0].name = "prediction"
    graph.initializer.append(helper.make_tensor("by", TensorProto.FLOAT, [1], [by]))
    return graph


def failing() -> onnx.GraphProto:
    """As slow as the others; it looks every value up in a table, and fails beyond its end."""
    graph = regressor()
    graph.node[0].input[2] = "known"
    places = helper.make_node("Cast", ["x"], ["places"], to=TensorProto.INT64)
    found = helper.make_node("Gather", ["table", "places"], ["found"])
    known = helper.make_node("Mul", ["x", "found"], ["known"])
    for place, node in enumerate((places, found, known)):
        graph.node.insert(place, node)
    graph.initializer.append(helper.make_tensor("table", TensorProto.FLOAT, [1], [1.0]))
    return graph


CANDIDATES: dict[int, Callable[[], onnx.GraphProto]] = {
    1: regressor,
    2: regressor,
    3: lambda: regressor(TURNS * 4),
    4: failing,
    5: lambda: regressor(by=1.5),
}


class Environment:
    """A server with a live version, and canaries beside it one after the other."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.sandbox.environment = replace(
            sandbox.environment, settings=ServerSettings(workers=2), canary=SPEC
        )
        self.order = 0

    def model(self, version: int) -> DeployedModel:
        path = self.sandbox.layout.models / "digits" / str(version) / "model.onnx"
        digest = save(CANDIDATES[version](), path)
        timings = {"1": 1.0, "2": 2.0, "4": 4.0}
        return DeployedModel("digits", version, digest, "run", str(path), SIGNATURE, timings)

    def deploy(self, canary: int | None = None) -> None:
        self.order += 1
        environment = self.sandbox.environment
        deployment = Deployment(
            environment.name,
            environment.port,
            self.order,
            (self.model(1),),
            order=self.order,
            beside=() if canary is None else (self.model(canary),),
            traffic=() if canary is None else (Traffic("digits", canary=canary),),
            settings=environment.settings,
            canary=SPEC,
        )
        layout = self.sandbox.layout
        write_json(layout.deployment(environment.name), to_plain(deployment))
        supervise.ensure_up(layout, environment)
        supervise.wait_serving(layout, environment, self.order)

    def state(self) -> CanaryState | None:
        return next(iter(self.sandbox.status().canaries), None)

    def ask(self, connection: http.client.HTTPConnection, value: random.Random) -> str:
        """The version that answered a random row, or the status."""
        row = [value.gauss(0.8, 0.5) for _ in range(3)]
        tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": row}
        connection.request("POST", "/v2/models/digits/infer", json.dumps({"inputs": [tensor]}))
        response = connection.getresponse()
        found = json.loads(response.read())
        return str(found.get("model_version", response.status))

    @contextmanager
    def traffic(self) -> Iterator[Counter[str]]:
        """Clients that ask all the time; how often each version answered."""
        counts: Counter[str] = Counter()
        stopping = threading.Event()

        def client(seed: int) -> None:
            port = self.sandbox.environment.port
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            values = random.Random(seed)
            while not stopping.is_set():
                counts[self.ask(connection, values)] += 1
            connection.close()

        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            stopping.set()
            for thread in threads:
                thread.join()

    def decided(self, version: int) -> CanaryState:
        """How the canary of this version ended."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            state = self.state()
            if state is not None and state.version == version and state.verdict != "running":
                return state
            time.sleep(0.05)
        raise AssertionError(f"no verdict within {_PATIENCE:g} s: {self.state()}")


@pytest.fixture(scope="module")
def environment(make_sandbox: Callable[[], Sandbox]) -> Environment:
    return Environment(make_sandbox())


@pytest.mark.parametrize(
    ("version", "check"), [(3, "latency"), (4, "errors"), (5, "shift")], ids=str
)
def test_a_bad_canary_is_rolled_back_by_itself(
    environment: Environment, version: int, check: str
) -> None:
    environment.deploy(version)
    with environment.traffic() as counts:
        found = environment.decided(version)
        time.sleep(0.1)
        before = Counter(counts)
        while sum(counts.values()) < sum(before.values()) + 100:
            time.sleep(0.01)
    assert (found.verdict, found.share) == ("failed", 0.0)
    assert found.why.startswith(f"{check}: ")
    assert before[str(version)] > 0
    # The workers were told: whoever asks is answered by the live version alone.
    assert counts[str(version)] == before[str(version)]
    assert counts["1"] > before["1"]


def test_a_good_one_passes_and_gets_everything(environment: Environment) -> None:
    environment.deploy(2)
    with environment.traffic() as counts:
        found = environment.decided(2)
        time.sleep(0.1)
        before = Counter(counts)
        while sum(counts.values()) < sum(before.values()) + 100:
            time.sleep(0.01)
    assert (found.verdict, found.share, found.step) == ("passed", 1.0, 1)
    assert {check.verdict for check in found.checks} == {"pass"}
    assert set(counts) == {"1", "2"}
    assert counts["1"] == before["1"]


def test_with_little_traffic_it_waits(environment: Environment) -> None:
    environment.deploy()
    environment.deploy(2)
    connection = http.client.HTTPConnection("127.0.0.1", environment.sandbox.environment.port)
    values = random.Random(1)
    answered = Counter(environment.ask(connection, values) for _ in range(200))
    connection.close()
    deadline = time.monotonic() + _PATIENCE
    while (state := environment.state()) is None or state.requests < answered["2"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answered["2"] == pytest.approx(40, abs=15)
    assert (state.verdict, state.step, state.share) == ("running", 0, 0.2)
    assert state.checks[0].why == f"{answered['2']} of 150 requests"
