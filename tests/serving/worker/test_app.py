"""What a worker answers, request by request, with real models and no process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.serving import SMOKE_TEST, ServerSettings
from mlbench.project.layout import Layout
from mlbench.serving.control import Ask, Indexed, Told
from mlbench.serving.counters import read_tallies
from mlbench.serving.messages import Reply, Request
from mlbench.serving.requests.log import RequestLog
from mlbench.serving.requests.reader import newest
from mlbench.serving.traffic.sending import ShadowSender
from mlbench.serving.worker.app import Application
from mlbench.serving.worker.memory import Memory
from mlbench.serving.worker.questions import Questions
from tests.serving.worker.conftest import MakeModel
from tests.serving.worker.test_memory import deployment, swap

ROW = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]}


@dataclass
class Desk:
    """An application with what it asks of others written down."""

    app: Application
    memory: Memory
    folder: Path
    asked: list[Ask] = field(default_factory=list)
    logged: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    async def reply(self, method: str, path: str, body: Any = b"", **more: Any) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = self.app(Request(method, path, raw, **more))
        return await given if isinstance(given, Awaitable) else given

    async def json(self, method: str, path: str, body: Any = b"", **more: Any) -> tuple[int, Any]:
        reply = await self.reply(method, path, body, **more)
        return reply.status, json.loads(reply.body)


@pytest.fixture
def desk(memory: Memory, model: MakeModel, tmp_path: Path) -> Desk:
    swap(memory, deployment(model(3)), model(2))
    asked: list[Ask] = []
    logged: list[tuple[str, dict[str, object]]] = []

    async def ask(question: Ask) -> Told:
        asked.append(question)
        if question.what == "index":
            index = (Indexed("multiplier", "3", "READY"), Indexed("multiplier", "2", "UNAVAILABLE"))
            return Told(0, index=index)
        return Told(0, 400, "no") if question.model == "nothing" else Told(0)

    questions = Questions(
        tmp_path / "counters",
        tmp_path / "labels.jsonl",
        ask,
        lambda: {"connections": 5.0},
        ThreadPoolExecutor(1),
    )
    app = Application(
        lambda: memory.table,
        questions,
        ShadowSender(Layout(tmp_path), "staging"),
        lambda event, **details: logged.append((event, details)),
    )
    return Desk(app, memory, tmp_path, asked, logged)


async def test_the_live_version_answers_and_others_by_number(desk: Desk) -> None:
    status, answer = await desk.json("POST", "/v2/models/multiplier/infer", {**ROW, "id": "mine"})
    assert (status, answer["id"], answer["model_version"]) == (200, "mine", "3")
    assert answer["outputs"][0]["data"] == [3.0, 6.0, 9.0]
    _, other = await desk.json("POST", "/v2/models/multiplier/versions/2/infer", ROW)
    assert other["outputs"][0]["data"] == [2.0, 4.0, 6.0]
    assert other["id"] not in ("", answer["id"])
    status, rows = await desk.json("POST", "/predict", [[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    assert (status, rows["version"], len(rows["predictions"])) == (200, "3", 2)
    status, _ = await desk.json("POST", "/predict/multiplier/versions/2", [[1.0, 2.0, 3.0]])
    assert status == 200


async def test_every_answer_is_counted_and_logged(desk: Desk) -> None:
    desk.app.request_log = RequestLog(desk.folder / "log", 0, ServerSettings())
    await desk.json("POST", "/v2/models/multiplier/infer", {**ROW, "id": "one"})
    await desk.json("POST", "/v2/models/multiplier/infer", {"inputs": []})
    await desk.json("POST", "/predict", [[1.0, 2.0, 3.0]])
    desk.app.request_log.close()
    live = next(tally for tally in read_tallies(desk.folder / "counters") if tally.version == "3")
    assert (live.answered, live.refused, live.failed, live.rows) == (2, 1, 0, 2)
    assert live.predictions == (2.0, 2.0)
    entries = newest(desk.folder / "log", 10)
    assert [entry.status for entry in entries] == [200, 400, 200]
    assert entries[-1].id == "one"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("GET", "/nothing", b"", 404, "there is nothing at /nothing"),
        ("GET", "/v2/models/multiplier/infer", b"", 405, "takes POST, not GET"),
        ("POST", "/v2/models/nothing/infer", ROW, 404, 'no model "nothing"'),
        ("POST", "/v2/models/multiplier/versions/9/infer", ROW, 404, "is not served here"),
        ("POST", "/v2/models/multiplier/infer", b"{", 400, "not JSON"),
        ("GET", "/v2/models/nothing", b"", 404, 'no model "nothing"'),
        ("GET", "/v2/models/multiplier/versions/9/config", b"", 404, "is not served here"),
        ("POST", "/v2/repository/models/multiplier/load", b"", 401, "asks for the server's token"),
        ("POST", "/v2/models/multiplier/feedback", b"{}", 401, "asks for the server's token"),
    ],
)
async def test_what_is_refused_says_why(
    desk: Desk, method: str, path: str, body: Any, status: int, sentence: str
) -> None:
    found, answer = await desk.json(method, path, body)
    assert (found, list(answer)) == (status, ["error"])
    assert sentence in answer["error"]


async def test_a_long_body_is_answered_by_what_serves_once_it_is_read(
    desk: Desk, model: MakeModel
) -> None:
    # Quick by its rows, so that whoever runs it would do so in a thread that ends with it.
    rows = 60_000
    data = [1.0, 2.0, 3.0] * rows
    body = {"inputs": [{"name": "x", "shape": [rows, 3], "datatype": "FP32", "data": data}]}
    request = Request("POST", "/v2/models/multiplier/infer", json.dumps(body).encode())
    request.received = time.perf_counter()
    coming = desk.app(request)
    assert isinstance(coming, Awaitable)
    waiting = asyncio.ensure_future(coming)
    await asyncio.sleep(0)
    # Meanwhile others are answered at once, and another version takes its place.
    assert isinstance(desk.app(Request("GET", "/v2/health/live", b"")), Reply)
    for gone in swap(desk.memory, deployment(model(4))):
        gone.runner.close()
    reply = await waiting
    assert reply.status == 200, reply.body[:300]
    answer = json.loads(reply.body)
    assert answer["model_version"] == "4"
    assert answer["outputs"][0]["data"][-3:] == [4.0, 8.0, 12.0]


async def test_what_the_protocol_tells_of_server_and_model(desk: Desk) -> None:
    assert (await desk.json("GET", "/v2"))[1]["name"] == "mlbench"
    assert await desk.json("GET", "/v2/health/live") == (200, {"live": True})
    assert await desk.json("GET", "/v2/health/ready") == (200, {"ready": True})
    _, metadata = await desk.json("GET", "/v2/models/multiplier")
    assert metadata["versions"] == ["2", "3"]
    _, config = await desk.json("GET", "/v2/models/multiplier/config")
    assert config["instance_group"] == [{"name": "multiplier", "count": 2, "kind": "KIND_CPU"}]
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config
    await desk.json("POST", "/v2/models/multiplier/infer", ROW)
    _, stats = await desk.json("GET", "/v2/models/multiplier/versions/3/stats")
    assert stats["model_stats"][0]["inference_count"] == 1
    _, every = await desk.json("GET", "/v2/models/stats")
    assert len(every["model_stats"]) == 2
    metrics = await desk.reply("GET", "/metrics")
    assert b'model="multiplier"' in metrics.body
    _, document = await desk.json("GET", "/openapi.json")
    assert document["openapi"].startswith("3.1")


async def test_the_repository_is_the_supervisors(desk: Desk) -> None:
    _, index = await desk.json("POST", "/v2/repository/index")
    assert [item["state"] for item in index] == ["READY", "UNAVAILABLE"]
    _, ready = await desk.json("POST", "/v2/repository/index", {"ready": True})
    assert [item["version"] for item in ready] == ["3"]
    trusted = {"is_trusted": True}
    load = {"parameters": {"version": "2"}}
    path = "/v2/repository/models/multiplier/load"
    assert await desk.json("POST", path, load, **trusted) == (200, {})
    assert desk.asked[-1] == Ask(0, "load", "multiplier", ("2",))
    path = "/v2/repository/models/nothing/unload"
    assert await desk.json("POST", path, b"", **trusted) == (400, {"error": "no"})


async def test_labels_are_kept(desk: Desk) -> None:
    body = {"labels": [{"id": "a", "label": 3}, {"id": "b", "label": "x"}]}
    path = "/v2/models/multiplier/feedback"
    assert await desk.json("POST", path, body, is_trusted=True) == (200, {"kept": 2})
    status, _ = await desk.json("POST", path, {"labels": 3}, is_trusted=True)
    assert status == 400


async def test_nothing_live_is_not_ready(desk: Desk, model: MakeModel) -> None:
    swap(desk.memory, deployment())
    status, answer = await desk.json("GET", "/v2/health/ready")
    assert (status, answer["ready"]) == (400, False)
    assert "promote one" in answer["error"]
    assert (await desk.json("POST", "/predict", [[1, 2, 3]]))[0] == 404
    swap(desk.memory, deployment(model(1), model(1, "other")))
    status, answer = await desk.json("POST", "/predict", [[1, 2, 3]])
    assert (status, "multiplier, other" in answer["error"]) == (400, True)


async def test_a_smoke_test_is_no_client_s_request(desk: Desk, model: MakeModel) -> None:
    swap(desk.memory, deployment(model(3), staged=(model(4),)))
    desk.app.request_log = RequestLog(desk.folder / "log", 0, ServerSettings())
    for version, id_ in ((4, SMOKE_TEST), (4, "mine"), (3, SMOKE_TEST)):
        path = f"/v2/models/multiplier/versions/{version}/infer"
        status, answer = await desk.json("POST", path, {**ROW, "id": id_})
        assert (status, answer["model_version"]) == (200, str(version))
    desk.app.request_log.close()
    # What is not staged is no promotion's business, whatever it is called.
    logged = {(one.version, one.id) for one in newest(desk.folder / "log", 9)}
    assert logged == {("4", "mine"), ("3", SMOKE_TEST)}
    counted = {one.version: one for one in read_tallies(desk.folder / "counters")}
    assert (counted["4"].answered, counted["4"].predicted) == (1, 1)
    assert counted["3"].answered == 1


async def test_a_fault_of_ours_is_a_500_that_the_log_explains(desk: Desk) -> None:
    table = desk.memory.table
    shared = table.models["multiplier"]
    assert shared.live is not None
    broken = replace(shared.live, runner=None)  # type: ignore[arg-type]
    desk.memory.table = replace(
        table, models={"multiplier": replace(shared, live=broken, versions={"3": broken})}
    )
    status, answer = await desk.json("POST", "/v2/models/multiplier/infer", ROW)
    desk.memory.table = table
    assert (status, "its log says where" in answer["error"]) == (500, True)
    assert desk.logged[0][0] == "request_failed"
