"""Versions change under load: no error, no answer that mixes two, nothing broken goes live."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlbench.domain.errors import ServingError
from mlbench.serving import client, supervise
from mlbench.serving.waiting import until

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

PATH = "/v2/models/multiplier/infer"


class Load(threading.Thread):
    """Asks without pause on one connection and keeps what was wrong with the answers."""

    def __init__(self, port: int, enough: threading.Event) -> None:
        super().__init__()
        self.port, self.enough = port, enough
        self.wrong: list[str] = []
        self.versions: list[int] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        rows = [1.0, -2.0, 4.0]
        tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": rows}
        body = json.dumps({"inputs": [tensor]}).encode()
        while not self.enough.is_set():
            try:
                connection.request("POST", PATH, body)
                response = connection.getresponse()
                answer = json.loads(response.read())
                self.judge(response.status, answer, rows)
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                break
        connection.close()

    def judge(self, status: int, answer: Any, rows: list[float]) -> None:
        version = int(answer.get("model_version", 0))
        given = {output["name"]: output["data"] for output in answer.get("outputs", [])}
        right = {"y": [version * value for value in rows], "version": [version]}
        if status != 200 or given != right:
            self.wrong.append(f"{status} {answer}")
        self.versions.append(version)


def test_versions_swap_under_load(sandbox: Sandbox) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    enough = threading.Event()
    load = [Load(sandbox.environment.port, enough) for _ in range(4)]
    for thread in load:
        thread.start()
    try:
        for version in (2, 3, 4, 5, 3, 6):
            order = sandbox.deploy(sandbox.model(version))
            status = supervise.wait_serving(sandbox.layout, sandbox.environment, order)
            assert status.serving == status.deployed == {"multiplier": version}
            assert client.metadata(address, "multiplier")["versions"] == [str(version)]
    finally:
        enough.set()
        for thread in load:
            thread.join()
    assert [thread.wrong for thread in load] == [[]] * len(load)
    assert {version for thread in load for version in thread.versions} >= {1, 6}
    for thread in load:
        deployed = iter((1, 2, 3, 4, 5, 3, 6))
        seen = [version for version, _ in groupby(thread.versions)]
        assert all(version in deployed for version in seen), f"{seen} goes back and forth"


def test_a_broken_version_leaves_the_old_one_served(
    sandbox: Sandbox, one_row: list[dict[str, Any]]
) -> None:
    address = sandbox.serve(sandbox.model(1), sandbox.model(1, "other")).address
    broken = sandbox.model(2)
    whole = Path(broken.path).read_bytes()
    Path(broken.path).write_bytes(whole[:-1])
    order = sandbox.deploy(broken, sandbox.model(2, "other"))
    with pytest.raises(
        ServingError, match=r"^staging: multiplier version 2: .* not what was promoted"
    ):
        supervise.wait_serving(sandbox.layout, sandbox.environment, order)
    status = sandbox.status()
    assert status.serving == {"multiplier": 1, "other": 2}
    assert status.deployed == {"multiplier": 2, "other": 2}
    assert "multiplier version 2" in status.error
    assert client.infer(address, "multiplier", one_row)["model_version"] == "1"
    assert client.infer(address, "other", one_row)["model_version"] == "2"

    Path(broken.path).write_bytes(whole)
    order = sandbox.deploy(broken, sandbox.model(2, "other"))
    status = supervise.wait_serving(sandbox.layout, sandbox.environment, order)
    assert (status.serving, status.error) == ({"multiplier": 2, "other": 2}, "")


def test_a_lost_file_takes_no_other_model_along(
    sandbox: Sandbox, one_row: list[dict[str, Any]]
) -> None:
    lost, other = sandbox.model(1), sandbox.model(1, "other")
    Path(lost.path).unlink()
    sandbox.deploy(lost, other)
    address = supervise.ensure_up(sandbox.layout, sandbox.environment).address
    order = sandbox.deploy(lost, other, staged=(sandbox.model(2),))
    supervise.wait_staged(sandbox.layout, sandbox.environment, order)
    assert client.infer(address, "multiplier", one_row, 2)["model_version"] == "2"
    assert client.infer(address, "other", one_row)["model_version"] == "1"
    with pytest.raises(ServingError, match=r"multiplier version 1: .* can't be read"):
        client.infer(address, "multiplier", one_row)

    order = sandbox.deploy(lost, sandbox.model(2, "other"))
    named = ("other", 2)
    supervise.wait_serving(sandbox.layout, sandbox.environment, order, version=named)
    with pytest.raises(ServingError, match=r"multiplier version 1: .* can't be read"):
        supervise.wait_serving(sandbox.layout, sandbox.environment, order)

    order = sandbox.deploy(sandbox.model(2), sandbox.model(2, "other"))
    supervise.wait_serving(sandbox.layout, sandbox.environment, order)
    assert client.infer(address, "multiplier", one_row)["model_version"] == "2"


def test_a_file_put_back_is_served_without_another_promotion(sandbox: Sandbox) -> None:
    sandbox.serve(sandbox.model(1))
    missing = sandbox.model(2)
    data = Path(missing.path).read_bytes()
    Path(missing.path).unlink()
    order = sandbox.deploy(missing)
    with pytest.raises(ServingError, match="can't be read"):
        supervise.wait_serving(sandbox.layout, sandbox.environment, order)
    Path(missing.path).write_bytes(data)
    assert until(lambda: sandbox.status().serving == {"multiplier": 2}, 20)


def test_a_torn_deployment_changes_nothing(sandbox: Sandbox, one_row: list[dict[str, Any]]) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    file = sandbox.layout.deployment("staging")
    for broken in (b"{", b"[]", b'{"models": 5}', b'{"environment": "staging"}'):
        file.write_bytes(broken)
        assert until(lambda: "no deployment that can be read" in _error(sandbox), 20)
        assert client.infer(address, "multiplier", one_row)["model_version"] == "1"
        sandbox.serve(sandbox.model(1))
        assert _error(sandbox) == ""
    file.unlink()
    assert until(lambda: "is gone" in _error(sandbox), 20)
    assert client.ready(address)


def _error(sandbox: Sandbox) -> str:
    return sandbox.status().error


def test_an_unchanged_version_is_not_loaded_again(sandbox: Sandbox) -> None:
    kept = sandbox.model(1)
    sandbox.serve(kept)
    Path(kept.path).unlink()
    status = sandbox.serve(kept, sandbox.model(1, "other"))
    assert status.serving == {"multiplier": 1, "other": 1}


def test_a_model_that_leaves_the_deployment_is_gone(sandbox: Sandbox) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    sandbox.serve()
    answer = sandbox.ask("GET", "/v2/health/ready")
    assert (answer.status, answer.body["ready"]) == (400, False)
    assert not client.ready(address)
    with pytest.raises(ServingError, match="serves no model yet"):
        client.metadata(address, "multiplier")


def test_a_signature_that_lies_is_refused(sandbox: Sandbox) -> None:
    sandbox.serve(sandbox.model(1))
    model = sandbox.model(2)
    order = sandbox.deploy(replace(model, signature=replace(model.signature, inputs=())))
    with pytest.raises(ServingError, match="not its signature's"):
        supervise.wait_serving(sandbox.layout, sandbox.environment, order)
