"""Shares, canaries and shadows as somebody asks for them: real gates, a real server, the ledger."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from mlbench.cli.main import build_parser
from mlbench.domain.clock import utc
from mlbench.domain.commands import EndTrial, Promote, SetTraffic, StartCanary, StartShadow
from mlbench.domain.errors import UsageError
from mlbench.domain.events import CommandDone, TrafficChanged
from mlbench.domain.plain import to_plain
from mlbench.domain.serving import CanaryState, Traffic
from mlbench.engine.sandbox import Sandbox
from mlbench.release.folders import MODEL_NAME
from mlbench.release.skew import GATE
from mlbench.serving.waiting import until
from mlbench.system.files import write_json
from tests.engine.released_project import MODEL, Released
from tests.support import Follower, SmallProject, free_ports, write_tiny


@pytest.fixture
def released(tiny: SmallProject) -> Released:
    return Released(tiny)


@pytest.fixture
def follower(released: Released, follow: Callable[[Path], Follower]) -> Follower:
    """A loop with version 1 live in staging."""
    follower = follow(released.project.root)
    assert promote(follower, released.candidate()).exit_status == 0
    return follower


def promote(follower: Follower, which: str) -> CommandDone:
    return follower.carry_out(Promote("staging", MODEL, which))


def canary(follower: Follower, which: str, **how: Any) -> CommandDone:
    return follower.carry_out(StartCanary("staging", MODEL, which, **how))


def shared(released: Released) -> tuple[list[int], list[int], list[Traffic]]:
    """What the server is told: live versions, those beside, traffic."""
    found = released.deployment()
    assert found.staged == ()
    live, beside = ([one.version for one in some] for some in (found.models, found.beside))
    return live, beside, list(found.traffic)


def actions(released: Released) -> list[tuple[str, int]]:
    return [(entry.action, entry.version) for entry in released.entries()]


def changes(follower: Follower) -> list[TrafficChanged]:
    follower.poll()
    return [event for event in follower.events if isinstance(event, TrafficChanged)]


def test_a_canary_is_judged_staged_asked_and_then_beside(
    released: Released, follower: Follower
) -> None:
    done = canary(follower, released.candidate())
    assert done.exit_status == 0, done.message
    assert done.message.startswith("staging gives flowers v2 5 %, then 25 %, then 50 % of the")
    entry = released.entries()[-1]
    assert (entry.action, entry.version, entry.forced) == ("canary", 2, False)
    assert [gate.gate for gate in entry.gates][-1] == GATE
    assert all(gate.passed for gate in entry.gates if gate.passed is not None)
    assert shared(released) == ([1], [2], [Traffic(MODEL, canary=2, canary_entry=2)])
    (event,) = changes(follower)
    assert (event.action, event.version, bool(event.address)) == ("canary", 2, True)
    assert released.version_served() in (1, 2)

    other = canary(follower, released.candidate())
    assert (other.exit_status, "a canary of flowers v2 runs" in other.message) == (2, True)
    itself = canary(follower, "1")
    assert itself.exit_status == 2
    ended = follower.carry_out(EndTrial("canary", "staging", MODEL, "it is slow"))
    assert ended.message == "staging: the canary of flowers v2 has ended: stopped by hand"
    assert released.entries()[-1].reason == "it is slow"
    assert shared(released) == ([1], [], [])
    assert follower.carry_out(EndTrial("canary", "staging", MODEL)).exit_status == 2
    assert released.releases.behind() is None


def test_what_a_canary_may_not_be(released: Released, follower: Follower) -> None:
    early = follower.carry_out(StartCanary("production", MODEL, "1"))
    assert early.exit_status == 2
    assert "production serves no flowers yet, so there is nothing to compare with" in early.message
    assert canary(follower, "1").message.startswith("flowers v1 is what staging serves already")
    assert released.original.signature is not None
    (spec,) = released.original.signature.inputs
    takes = replace(released.original.signature, inputs=(replace(spec, name="wide"),))
    wide = released.candidate(with_input("wide"), signature=takes)
    refused = canary(follower, wide)
    assert refused.exit_status == 3
    assert 'gets no requests in staging: it takes "wide", the live version "input"' in (
        refused.message
    )
    no_shadow = follower.carry_out(StartShadow("staging", MODEL, wide))
    assert (no_shadow.exit_status, 'takes "wide"' in no_shadow.message) == (2, True)
    config = released.project.read("mlbench.toml")
    released.project.write("mlbench.toml", config.replace("accuracy >= 0.8", "accuracy >= 0.999"))
    follower.session.look()
    missed = canary(follower, released.candidate())
    assert missed.exit_status == 3
    assert "gets no requests in staging: accuracy >= 0.999" in missed.message
    assert canary(follower, "2", force=True).exit_status == 2
    forced = canary(follower, released.candidate(), force=True, reason="let us see")
    assert (forced.exit_status, forced.message.endswith(", forced: let us see")) == (0, True)
    entry = released.entries()[-1]
    assert (entry.action, entry.forced, entry.reason) == ("canary", True, "let us see")
    assert actions(released) == [("promote", 1), ("canary", entry.version)]


def with_input(name: str) -> Callable[[Path], None]:
    """Renames the input, in the graph and in the facts."""

    def edit(folder: Path) -> None:
        model = onnx.load(folder / MODEL_NAME)
        old = model.graph.input[0].name
        model.graph.input[0].name = name
        for node in model.graph.node:
            node.input[:] = [name if item == old else item for item in node.input]
        (folder / MODEL_NAME).write_bytes(model.SerializeToString(deterministic=True))

    return edit


def test_shares_are_set_kept_and_given_back(released: Released, follower: Follower) -> None:
    registry = released.releases.registry
    found = registry.find(MODEL, run=released.candidate())
    assert found is not None
    version = registry.register(found).version
    weights = {"1": 80.0, str(version): 20.0}
    done = follower.carry_out(SetTraffic("staging", MODEL, weights))
    assert done.exit_status == 0, done.message
    told = f"v1 80 %, v{version} 20 %"
    assert done.message.endswith(told)
    share = Traffic(MODEL, {"1": 0.8, str(version): 0.2})
    assert shared(released) == ([1], [version], [share])
    entry = released.entries()[-1]
    assert (entry.action, entry.version, entry.weights) == ("traffic", 1, share.weights)
    assert entry.gates[-1].gate == GATE

    again = follower.carry_out(SetTraffic("staging", MODEL, {"1": 0.8, str(version): 0.2}))
    assert again.message.endswith("it does so already")
    more = follower.carry_out(SetTraffic("staging", MODEL, {"1": 1, str(version): 1}))
    assert more.exit_status == 0
    assert released.entries()[-1].gates == (), "it has been judged when it came"
    assert canary(follower, str(version)).exit_status == 2
    for wrong in ({"1": 1.0, "77": 1.0}, {str(version): 1.0}, {"1": 0.0}, {"x": 1.0}):
        assert follower.carry_out(SetTraffic("staging", MODEL, wrong)).exit_status == 2
    length = len(released.entries())
    back = follower.carry_out(SetTraffic("staging", MODEL, {}))
    assert back.message.startswith("staging has flowers v1 answer all requests")
    assert (len(released.entries()), shared(released)) == (length + 1, ([1], [], []))
    assert [event.weights for event in changes(follower)][-1] == {}


def test_a_promotion_ends_a_canary_and_says_so(released: Released, follower: Follower) -> None:
    assert canary(follower, released.candidate()).exit_status == 0
    following = follower.carry_out(StartShadow("staging", MODEL, "2"))
    assert following.exit_status == 0, following.message
    assert "its answers are compared and never returned" in following.message
    assert shared(released) == ([1], [2], [Traffic(MODEL, canary=2, shadow=2, canary_entry=2)])
    done = promote(follower, released.candidate())
    assert done.message.endswith("; that ends the canary of v2")
    assert shared(released) == ([3], [2], [Traffic(MODEL, shadow=2)])
    assert released.entries()[-1].why == "ends the canary of v2"
    assert promote(follower, "2").message.endswith("; that ends the shadow of v2")
    assert shared(released) == ([2], [], [])


def fail_while_down(released: Released) -> None:
    """As if the server had ended right after its verdict: while it is up, that file is its own."""
    assert Sandbox(released.layout).down(released.environment())
    path = released.layout.canaries("staging")
    path.parent.mkdir(exist_ok=True)
    state = CanaryState(MODEL, 2, 1, 2, utc(), verdict="failed", why="it is slow")
    write_json(path, [to_plain(state)])


def test_a_server_that_comes_up_does_not_begin_what_has_failed(
    released: Released, follower: Follower
) -> None:
    assert canary(follower, released.candidate()).exit_status == 0
    follower.session.close()
    fail_while_down(released)
    status = Sandbox(released.layout).up(released.environment())
    assert status.serving == {MODEL: 1}
    assert {released.version_served() for _ in range(40)} == {1}
    # The server has it written down, by a process of its own.
    assert until(lambda: actions(released)[-1] == ("canary_ended", 2), 60.0)
    assert until(lambda: not Sandbox(released.layout).status(released.environment()).canaries, 60.0)


def test_a_loop_writes_down_what_a_canary_came_to(
    released: Released, follow: Callable[[Path], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench.engine.loop._GLANCE_SECONDS", 0.05)
    follower = follow(released.project.root)
    assert promote(follower, released.candidate()).exit_status == 0
    assert canary(follower, released.candidate()).exit_status == 0
    fail_while_down(released)
    ended = follower.wait_for(
        lambda event: isinstance(event, TrafficChanged) and event.action == "canary_ended"
    )
    assert isinstance(ended, TrafficChanged)
    assert (ended.version, ended.why) == (2, "canary failed: it is slow")
    assert shared(released) == ([1], [], [])
    settled = released.project.cli("canary", "--settle", "staging")
    assert (settled.returncode, "nothing to settle" in settled.stderr) == (0, True)


def test_the_command_line_says_it_too(released: Released) -> None:
    project = released.project
    assert project.cli("promote", f"{MODEL}@{released.candidate()}", "staging").returncode == 0
    which = f"{MODEL}@{released.candidate()}"
    began = json.loads(project.cli("canary", which, "staging", "--json").stdout)
    assert (began["event"], began["action"], began["version"]) == ("traffic_changed", "canary", 2)
    shown = project.cli("canary", MODEL, "staging")
    assert (shown.returncode, "canary v2" in shown.stdout) == (0, True)
    now = json.loads(project.cli("traffic", "staging", "--json").stdout)
    assert [(one["model"], one["live"], one["traffic"]["canary"]) for one in now] == [(MODEL, 1, 2)]
    rows = json.loads(project.cli("models", "--json").stdout)
    assert {row["version"]: (row["environments"], row["beside"]) for row in rows} == {
        1: (["staging"], {}),
        2: ([], {"staging": ["canary"]}),
    }
    assert "canary in staging" in project.cli("models").stdout
    assert "live in canary in staging" in project.cli("models", f"{MODEL}@2").stdout
    (live,) = json.loads(project.cli("ledger", "--at", "0s", "--json").stdout)
    assert (live["version"], live["traffic"]["canary"]) == (1, 2)
    assert "staging  flowers  canary v2" in project.cli("ledger", "--at", "0s").stdout
    asked = project.cli("predict", "staging", "--row", "3", "--version", "2", "--as", "curl")
    answer = subprocess.run(["/bin/sh", "-c", asked.stdout], capture_output=True, check=True)
    assert json.loads(answer.stdout)["model_version"] == "2"
    nothing = project.cli("canary", "--settle", "staging")
    assert (nothing.returncode, "nothing to settle" in nothing.stderr) == (0, True)

    stopped = project.cli("canary", MODEL, "staging", "--stop", "--reason", "enough")
    assert stopped.returncode == 0, stopped.stderr
    assert "end of the canary" in project.cli("ledger").stdout
    split = project.cli("traffic", "staging", MODEL, "v1=75%", "2=25")
    assert (split.returncode, "v1 75 %, v2 25 %" in split.stderr) == (0, True), split.stderr
    assert "flowers  v1 75 %, v2 25 %" in project.cli("traffic", "staging").stdout
    assert "25 % in staging" in project.cli("models").stdout
    assert "v1 75 %, v2 25 %" in project.cli("ledger").stdout
    assert project.cli("traffic", "staging", "--reset").returncode == 0
    assert project.cli("ledger", "--verify").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("traffic", "staging", "1=80", "1=20"), "version 1 has a share already"),
        (("traffic", "staging", "1=3", "--reset"), "--reset gives all requests"),
        (("traffic", "staging", MODEL, "1=much"), "much is no share; write 3=80"),
        (("traffic", "staging", MODEL, "=3"), "write a version and its share"),
        (("traffic", "staging", "--reset"), "staging: say which model; it serves nothing"),
        (("traffic", "staging", MODEL), "staging serves no flowers"),
        (("canary",), "say which model, and where"),
        (("canary", MODEL, "stagin", "--status"), 'no environment "stagin"'),
        (("canary", "--settle", "stagin"), 'no environment "stagin"'),
        (("shadow", MODEL, "staging", "--status"), "staging: say which model"),
    ],
)
def test_what_can_not_be_meant_is_said_in_a_sentence(
    built: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = build_parser(words[0]).parse_args(["-C", str(built), *words])
    with pytest.raises(UsageError) as refused:
        options.carry_out(options)
    assert said in str(refused.value)
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose environments serve nothing yet."""
    root = tmp_path_factory.mktemp("built")
    return write_tiny(root, *free_ports(2)).root
