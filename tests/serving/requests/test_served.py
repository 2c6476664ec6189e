"""Log, labels, figures and replay of a real server with real workers."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlbench.domain.serving import ServerSettings
from mlbench.serving import supervise
from mlbench.serving.counters import read_tallies
from mlbench.serving.requests.labels import labels_of
from mlbench.serving.requests.reader import newest
from mlbench.serving.token import read_token
from tests.support import until

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

PATH = "/v2/models/multiplier/infer"


@pytest.fixture(scope="module")
def asked(make_sandbox: Callable[[], Sandbox]) -> Sandbox:
    """A server that answered twenty requests, and refused one."""
    sandbox = make_sandbox()
    sandbox.serve(sandbox.model(3))
    for number in range(20):
        answer = sandbox.ask("POST", PATH, {"id": f"id-{number}", "inputs": [row(float(number))]})
        assert answer.status == 200
    assert sandbox.ask("POST", PATH, {"inputs": []}).status == 400
    return sandbox


def row(value: float) -> dict[str, Any]:
    return {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [value, 1.0, 2.0]}


def test_every_request_is_in_the_log_with_its_answer(asked: Sandbox) -> None:
    folder = asked.layout.requests(asked.environment.name)
    until(lambda: len(newest(folder, 100)) == 21)
    found = {request.id: request for request in newest(folder, 100)}
    for number in range(20):
        request = found[f"id-{number}"]
        assert request.inputs is not None
        assert request.outputs is not None
        assert request.inputs[0]["data"] == [number, 1.0, 2.0]
        assert request.outputs[0]["data"] == [3.0 * number, 3.0, 6.0]
        assert (request.version, request.status) == ("3", 200)
        assert 0 < request.seconds < 30
    assert sum(request.status == 400 for request in found.values()) == 1
    tallies = {(tally.model, tally.version): tally for tally in read_tallies(
        asked.layout.counters(asked.environment.name)
    )}  # fmt: skip
    tally = tallies["multiplier", "3"]
    assert (tally.answered, tally.refused, tally.logged, tally.log_dropped) == (20, 1, 21, 0)
    assert tally.last == pytest.approx(time.time(), abs=300)


def test_a_label_needs_the_token_and_is_kept(asked: Sandbox) -> None:
    path = "/v2/models/multiplier/feedback"
    token = read_token(asked.layout.server_token)
    bearer = {"Authorization": f"Bearer {token}"}
    assert asked.ask("POST", path, {"id": "id-1", "label": 7}).status == 401
    assert asked.ask("POST", path, {"id": "id-1", "label": None}, bearer).status == 400
    assert asked.ask("POST", path, {"id": "id-1", "label": 7}, bearer).status == 200
    assert labels_of(asked.layout.labels(asked.environment.name)) == {"id-1": 7}


def test_figures_sum_over_the_workers(asked: Sandbox) -> None:
    address = f"http://127.0.0.1:{asked.environment.port}/metrics"
    with urllib.request.urlopen(address, timeout=30) as response:
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = response.read().decode()
    found = {
        (sample.name, sample.labels.get("code", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("model", "multiplier") == "multiplier"
    }
    assert found["mlbench_inference_requests_total", "2xx"] == 20
    assert found["mlbench_inference_requests_total", "4xx"] == 1
    assert found["mlbench_models_loaded", ""] == 1
    answer = asked.ask("GET", "/v2/models/multiplier/versions/3/stats")
    (one,) = answer.body["model_stats"]
    assert one["inference_stats"]["success"]["count"] == 20
    assert one["inference_count"] == 20


def test_settings_of_the_log_change_with_the_deployment(asked: Sandbox) -> None:
    name = asked.environment.name
    asked.environment = replace(asked.environment, settings=ServerSettings(log_inputs=False))
    asked.serve(asked.model(3))
    assert asked.ask("POST", PATH, {"id": "after", "inputs": [row(1.0)]}).status == 200
    folder = asked.layout.requests(name)
    until(lambda: newest(folder, 1)[0].id == "after")
    assert newest(folder, 1)[0].inputs is None
    assert newest(folder, 1)[0].outputs is not None


def test_a_server_that_begins_again_counts_from_nothing_and_keeps_its_log(asked: Sandbox) -> None:
    name = asked.environment.name
    assert read_tallies(asked.layout.counters(name))
    logged = len(newest(asked.layout.requests(name), 100))
    supervise.stop(asked.layout, asked.environment)
    asked.serve(asked.model(3))
    (tally,) = read_tallies(asked.layout.counters(name))
    assert tally.ended == 0
    assert len(newest(asked.layout.requests(name), 100)) == logged
