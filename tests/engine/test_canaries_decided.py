"""A canary from its start to the ledger's word on it: real requests, a loop open or closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from mlbench.domain.commands import Promote, StartCanary
from mlbench.domain.events import Notice, Promoted, TrafficChanged
from mlbench.domain.ledger import CANARY, CANARY_ENDED, PROMOTE
from mlbench.domain.release import LedgerEntry
from mlbench.engine.sandbox import Sandbox
from mlbench.release.folders import MODEL_NAME
from mlbench.serving.waiting import until
from tests.engine.released_project import INFER, MODEL, Released
from tests.support import Follower, SmallProject, ask

pytestmark = pytest.mark.long

SETTINGS = "\n[environments.staging.canary]\nsteps = [0.5]\nmin_requests = 100\n"
# One machine, busy with other tests: what is planted here are errors.
LIMITS = "max_latency_ratio = 50.0\n"
_PATIENCE = 60.0
_MOST_REQUESTS = 5000


@pytest.fixture
def released(tiny: SmallProject) -> Released:
    made = Released(tiny)
    config = made.project.read("mlbench.toml")
    made.project.write("mlbench.toml", config + SETTINGS + LIMITS)
    return made


def fails_beyond_100(folder: Path) -> None:
    """It looks each value up in a table of one place for every hundred, and has only one."""
    model = onnx.load(folder / MODEL_NAME)
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["known" if item == name else item for item in node.input]
    graph.initializer.append(helper.make_tensor("hundred", TensorProto.FLOAT, [1], [100.0]))
    graph.initializer.append(helper.make_tensor("table", TensorProto.FLOAT, [1], [1.0]))
    nodes = [
        helper.make_node("Div", [name, "hundred"], ["hundreds"]),
        helper.make_node("Cast", ["hundreds"], ["places"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "places"], ["found"]),
        helper.make_node("Mul", [name, "found"], ["known"]),
    ]
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)
    (folder / MODEL_NAME).write_bytes(model.SerializeToString(deterministic=True))


def begin(follower: Follower, released: Released, edit: Callable[[Path], None] | None) -> None:
    """Version 1 live, and a canary of version 2, which answers all held-out rows alike."""
    promoted = follower.carry_out(Promote("staging", MODEL, released.candidate()))
    assert promoted.exit_status == 0, promoted.message
    started = follower.carry_out(StartCanary("staging", MODEL, released.candidate(edit)))
    assert started.exit_status == 0, started.message


def ask_until(released: Released, action: str) -> tuple[LedgerEntry, Counter[int]]:
    """Ask for flowers of all sizes until the ledger's last word is this, and how they ended."""
    statuses: Counter[int] = Counter()
    for number in range(_MOST_REQUESTS):
        row = [5.1, 3.5, 1.4, 400.0 if number % 4 == 0 else number % 3]
        tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": row}
        status, _ = ask(released.environment().port, INFER, {"inputs": [tensor]})
        statuses[status] += 1
        if number % 20 == 0 and released.entries()[-1].action == action:
            break
    assert until(lambda: bool(released.entries()[-1].action == action), _PATIENCE), statuses
    return released.entries()[-1], statuses


def test_a_server_alone_takes_back_what_fails(
    released: Released, follow: Callable[[Path], Follower]
) -> None:
    follower = follow(released.project.root)
    begin(follower, released, fails_beyond_100)
    follower.session.close()
    entry, statuses = ask_until(released, CANARY_ENDED)
    assert (entry.version, entry.why[:23]) == (2, "canary failed: errors: ")
    assert set(statuses) == {200, 400}
    assert until(lambda: released.deployment().beside == (), _PATIENCE)
    _, after = ask_until(released, CANARY_ENDED)
    assert set(after) == {200}
    log = released.layout.server_log("staging")
    said = "the canary of flowers v2 has ended: canary failed: errors: "
    assert until(lambda: said in log.read_text(), _PATIENCE)


@pytest.mark.parametrize(
    ("edit", "action"), [(fails_beyond_100, CANARY_ENDED), (None, PROMOTE)], ids=["bad", "good"]
)
def test_a_loop_that_is_open_hears_of_it_once(
    released: Released,
    follow: Callable[[Path], Follower],
    edit: Callable[[Path], None] | None,
    action: str,
) -> None:
    follower = follow(released.project.root)
    begin(follower, released, edit)
    entry, _ = ask_until(released, action)
    assert entry.version == 2
    kind = TrafficChanged if action == CANARY_ENDED else Promoted
    told = follower.wait_for(lambda one: isinstance(one, kind) and one.version == 2)
    assert isinstance(told, kind)
    words = follower.wait_for(lambda one: isinstance(one, Notice) and "canary " in one.message)
    assert isinstance(words, Notice)
    follower.session.close()
    events = [one.action for one in follower.events if isinstance(one, TrafficChanged | Promoted)]
    assert events == [PROMOTE, CANARY, action]
    decided = [one for one in released.entries() if one.why.startswith("canary ")]
    assert [one.action for one in decided] == [action]


def test_a_server_that_was_stopped_goes_on_at_the_step(
    released: Released, follow: Callable[[Path], Follower]
) -> None:
    config = released.project.read("mlbench.toml").replace("[0.5]", "[0.5, 0.6]")
    released.project.write("mlbench.toml", config.replace("= 100", "= 40"))
    follower = follow(released.project.root)
    begin(follower, released, None)
    follower.session.close()
    sandbox, environment = Sandbox(released.layout), released.environment()

    def steps() -> list[int]:
        return [one.step for one in sandbox.status(environment).canaries]

    row = [5.1, 3.5, 1.4, 0.2]
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": row}
    for _ in range(_MOST_REQUESTS):
        ask(environment.port, INFER, {"inputs": [tensor]})
        if steps() == [1]:
            break
    before = sandbox.status(environment).canaries
    assert sandbox.down(environment)
    (told,) = sandbox.traffic(sandbox.status(environment))
    assert told.canary is not None, "what is known of it while the server is down"
    assert told.weights == {"1": 0.4, "2": 0.6}
    sandbox.up(environment)
    assert until(lambda: steps() != [], _PATIENCE)
    after = sandbox.status(environment).canaries
    assert [replace(one, requests=0, checks=()) for one in after] == [
        replace(one, requests=0, checks=()) for one in before
    ]
    assert len(released.entries()) == 2
