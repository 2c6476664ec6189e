"""Real servers on free ports, and small models whose answers tell their version."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from blake3 import blake3
from onnx import TensorProto, helper

from mlbench.domain.plain import to_plain
from mlbench.domain.release import (
    DeployedModel,
    Deployment,
    EnvironmentStatus,
    Signature,
    TensorSpec,
)
from mlbench.domain.stages import EnvironmentSpec
from mlbench.project.layout import Layout
from mlbench.serving import supervise
from mlbench.system.files import write_json

SIGNATURE = Signature(
    inputs=(TensorSpec("x", "FP32", (-1, 3)),),
    outputs=(TensorSpec("y", "FP32", (-1, 3)), TensorSpec("version", "INT64", (1,))),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def save(graph: onnx.GraphProto, path: Path, *domains: str) -> str:
    """Write a graph as a model, with operators of these domains too; its digest."""
    opsets = [helper.make_opsetid("", 21), *(helper.make_opsetid(name, 3) for name in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    data = model.SerializeToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return blake3(data).hexdigest()


def multiplier(version: int) -> onnx.GraphProto:
    """A graph with y = x * version, and its version as a second output."""
    return helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], ["y"]),
            helper.make_node("Identity", ["number"], ["version"]),
        ],
        "multiplier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3]),
            helper.make_tensor_value_info("version", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor("factor", TensorProto.FLOAT, [1], [float(version)]),
            helper.make_tensor("number", TensorProto.INT64, [1], [version]),
        ],
    )


def slow(turns: int) -> onnx.GraphProto:
    """A graph with y = x that counts to `turns` first, on one core."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Sin", ["before"], ["after"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [None, 3]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [None, 3]),
        ],
    )
    return helper.make_graph(
        [helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)],
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor("turns", TensorProto.INT64, [], [turns])],
    )


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers by lower-case name, and the body as JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Sandbox:
    """A project folder with one environment, and what a user of its server does."""

    layout: Layout
    environment: EnvironmentSpec
    order: int = 0
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.layout.models / "multiplier"
        self.layout.serving.mkdir(parents=True, exist_ok=True)

    def model(self, version: int, name: str = "multiplier") -> DeployedModel:
        path = self.layout.models / name / str(version) / "model.onnx"
        digest = save(multiplier(version), path)
        return DeployedModel(name, version, digest, f"run-{version}", str(path), SIGNATURE)

    def slow_model(self, turns: int) -> DeployedModel:
        path = self.layout.models / "slow" / "1" / "model.onnx"
        signature = replace(SIGNATURE, outputs=SIGNATURE.outputs[:1])
        return DeployedModel("slow", 1, save(slow(turns), path), "run", str(path), signature)

    def deploy(self, *models: DeployedModel, staged: tuple[DeployedModel, ...] = ()) -> int:
        """Write the next deployment; its order."""
        self.order += 1
        name, port = self.environment.name, self.environment.port
        settings = self.environment.settings
        deployment = Deployment(
            name, port, self.order, models, staged, self.order, settings=settings
        )
        write_json(self.layout.deployment(name), to_plain(deployment))
        return self.order

    def serve(self, *models: DeployedModel) -> EnvironmentStatus:
        """Deploy, start the server if it is down, and wait until it answers from that."""
        order = self.deploy(*models)
        supervise.ensure_up(self.layout, self.environment)
        return supervise.wait_serving(self.layout, self.environment, order)

    def status(self) -> EnvironmentStatus:
        return supervise.status(self.layout, self.environment)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; bytes go as they are, all else as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.environment.port, timeout=30)
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, raw, headers or {})
            response = connection.getresponse()
            text = response.read()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, json.loads(text) if text else None)
        finally:
            connection.close()


@pytest.fixture(scope="session")
def make_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], Sandbox]]:
    """Make sandboxes; every server is stopped in the end."""
    made: list[Sandbox] = []

    def make() -> Sandbox:
        root = tmp_path_factory.mktemp("project")
        made.append(Sandbox(Layout(root), EnvironmentSpec("staging", free_port())))
        return made[-1]

    yield make
    for sandbox in made:
        supervise.stop(sandbox.layout, sandbox.environment)


@pytest.fixture
def sandbox(make_sandbox: Callable[[], Sandbox]) -> Iterator[Sandbox]:
    """A sandbox of the test's own, its server down; stopped with the test."""
    made = make_sandbox()
    yield made
    supervise.stop(made.layout, made.environment)


@pytest.fixture(scope="session")
def served(make_sandbox: Callable[[], Sandbox]) -> Sandbox:
    """A server that all tests share, with version 3 of the multiplier; nobody changes it."""
    made = make_sandbox()
    made.serve(made.model(3))
    return made


@pytest.fixture
def one_row() -> list[dict[str, Any]]:
    return [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]
