"""What canaries came to is written down once, whoever does it, and told to whoever follows."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.clock import utc
from mlbench.domain.events import Event, Notice, Promoted, TrafficChanged
from mlbench.domain.plain import to_plain
from mlbench.domain.release import GateResult, LedgerEntry
from mlbench.domain.serving import CanaryCheck, CanaryState, Traffic
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.engine.change import changing
from mlbench.engine.hands.going_live import GoingLive
from mlbench.engine.hands.outside import OutsideNotToldError
from mlbench.engine.hands.verdicts import Settling, settle_canaries
from mlbench.engine.releases import Releases
from mlbench.engine.trials import read_canaries
from mlbench.engine.verdict_watch import VerdictWatch
from mlbench.project.layout import Layout
from mlbench.serving.state import read_deployment
from mlbench.system.files import write_json
from tests.release.conftest import PASSED, Shelf, entry

STAGING = EnvironmentSpec("staging", 8101)
CHECKS = (CanaryCheck("errors", "pass", 0.001, 0.01), CanaryCheck("latency", "pass", 1.02, 1.5))


class Scene:
    """An environment with version 1 live and a canary of version 2, and no server."""

    def __init__(self, folder: Path, environment: EnvironmentSpec = STAGING) -> None:
        self.layout = Layout(folder)
        self.environment = environment
        self.releases = Releases(self.layout)
        shelf = Shelf(self.layout.shared)
        self.digests = [shelf.registry.register(shelf.keep(number)).digest for number in (1, 2, 3)]
        self.append("promote", 1)
        self.begun = self.append("canary", 2, gates=(PASSED,), commit="c0ffee")
        self.told: list[Event] = []

    def append(
        self,
        action: str,
        version: int,
        *,
        gates: tuple[GateResult, ...] = (),
        commit: str = "",
        forced: bool = False,
    ) -> LedgerEntry:
        item = entry(action, version, digest=self.digests[version - 1])
        item = replace(item, at=utc(), gates=gates, commit=commit, forced=forced)
        if forced:
            item = replace(item, reason="we need it", why="accuracy >= 2 (missed by 1)")
        with changing(self.layout, self.releases, self.environment) as change:
            appended = change.append(item)
            change.settle()
        return appended

    def decided(
        self, verdict: str, version: int = 2, why: str = "", entry: int | None = None
    ) -> None:
        """As the server writes it down, which got the number of the entry with its Deployment."""
        deployment = read_deployment(self.layout.deployment("staging"))
        told = next((one.canary_entry for one in deployment.traffic), 0) if deployment else 0
        # A clock that was set back must not keep a verdict from the ledger.
        at = "2026-01-01T00:00:00.000Z"
        which = ("digits", version, 1, told if entry is None else entry)
        state = CanaryState(*which, at, 2, 1.0, 640, verdict, why, CHECKS)
        path = self.layout.canaries("staging")
        path.parent.mkdir(exist_ok=True)
        write_json(path, [to_plain(state)])

    def settle(self) -> tuple[str, ...]:
        going_live = GoingLive(self.layout, self.releases, threading.Event())
        return settle_canaries(
            self.layout, self.releases, going_live, self.environment, self.told.append
        )

    def served(self) -> tuple[list[int], tuple[Traffic, ...]]:
        found = read_deployment(self.layout.deployment("staging"))
        assert found is not None
        return [one.version for one in found.models], found.traffic

    def actions(self) -> list[tuple[str, int]]:
        return [(one.action, one.version) for one in self.releases.ledger.entries()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


BEFORE = [("promote", 1), ("canary", 2)]


def test_a_canary_that_passed_is_live_by_the_gates_of_its_beginning(scene: Scene) -> None:
    scene.decided("passed", why="all is within its limits")
    assert scene.settle() == ("staging serves digits v2; that ends the canary of v2",)
    assert scene.actions() == [*BEFORE, ("promote", 2)]
    last = scene.releases.ledger.entries()[-1]
    assert last.gates == (PASSED,)
    assert (last.forced, last.commit, last.run) == (False, "c0ffee", "run-002")
    assert last.why == (
        "canary passed: all is within its limits (640 requests in the last: errors 0.001 of at "
        "most 0.01, latency 1.02 of at most 1.5); ends the canary of v2"
    )
    assert scene.served() == ([2], ())
    (promoted,) = scene.told
    assert isinstance(promoted, Promoted)
    assert (promoted.action, promoted.version, promoted.address) == ("promote", 2, "")
    assert scene.releases.behind() is None


def test_a_canary_that_failed_has_ended_and_the_live_version_stays(scene: Scene) -> None:
    scene.decided("failed", why="latency: p95 is 9 ms, 3 ms at live")
    (sentence,) = scene.settle()
    why = "canary failed: latency: p95 is 9 ms, 3 ms at live"
    assert sentence == f"staging: the canary of digits v2 has ended: {why}"
    last = scene.releases.ledger.entries()[-1]
    assert (last.action, last.version, last.why, last.gates) == ("canary_ended", 2, why, ())
    assert scene.served() == ([1], ())
    (changed,) = scene.told
    assert isinstance(changed, TrafficChanged)
    assert (changed.action, changed.why) == ("canary_ended", why)


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_it_is_settled_once(scene: Scene, verdict: str) -> None:
    scene.decided(verdict)
    assert len(scene.settle()) == 1
    written = scene.layout.ledger.read_bytes()
    assert scene.settle() == ()
    assert scene.layout.ledger.read_bytes() == written


def test_what_still_runs_or_is_of_another_canary_is_left_alone(scene: Scene) -> None:
    assert scene.settle() == ()
    scene.decided("running")
    assert scene.settle() == ()
    scene.decided("passed", version=3)
    assert scene.settle() == ()
    scene.append("canary_ended", 2)
    scene.append("canary", 2)
    scene.decided("failed", entry=scene.begun.sequence)
    assert scene.settle() == (), "it was an earlier canary of the same version"
    scene.append("promote", 3)
    scene.decided("passed")
    assert scene.settle() == (), "a promotion by hand has ended it"
    scene.layout.canaries("staging").write_text('{"torn": ')
    assert read_canaries(scene.layout, "staging") == ()
    assert scene.settle() == ()
    again = [("canary_ended", 2), ("canary", 2)]
    assert scene.actions() == [*BEFORE, *again, ("promote", 3)]


def test_a_forced_canary_is_forced_when_it_is_live_too(scene: Scene) -> None:
    scene.append("canary_ended", 2)
    scene.append("canary", 2, forced=True)
    scene.decided("passed")
    assert scene.settle()[0].endswith(", forced: we need it")
    last = scene.releases.ledger.entries()[-1]
    assert (last.forced, last.reason) == (True, "we need it")
    assert "its canary was forced: accuracy >= 2 (missed by 1)" in last.why


def test_the_world_outside_is_told_of_it(tmp_path: Path) -> None:
    command = "echo {version} >> told.txt; exit {version}"
    scene = Scene(tmp_path, replace(STAGING, on_promote=command))
    scene.decided("passed")
    with pytest.raises(OutsideNotToldError, match="on_promote failed with exit status 2"):
        scene.settle()
    assert (tmp_path / "told.txt").read_text() == "2\n"
    assert scene.served() == ([2], ())
    assert scene.settle() == ()


def test_a_loop_tells_what_it_settles_and_what_servers_did_once(scene: Scene) -> None:
    began = utc()
    going_live = GoingLive(scene.layout, scene.releases, threading.Event())
    settling = Settling(scene.layout, scene.releases, going_live, began)
    project = Project("p", "python", 1, (), environments=(STAGING,))

    def told() -> list[str]:
        scene.told.clear()
        settling.settle(project, scene.told.append)
        kinds = [type(event).__name__ for event in scene.told]
        assert kinds[::2] == [kind for kind in kinds if kind != "Notice"]
        return [event.message for event in scene.told if isinstance(event, Notice)]

    assert told() == []
    scene.decided("failed", why="it is slow")
    assert told() == ["staging: the canary of digits v2 has ended: canary failed: it is slow"]
    assert told() == []
    scene.append("canary", 3)
    scene.decided("passed", version=3, why="all is well")
    assert len(scene.settle()) == 1, "the server's own process is quicker"
    (sentence,) = told()
    assert sentence.startswith("staging serves digits v3: canary passed: all is well (640 requests")
    assert told() == []
    scene.append("canary", 2)
    scene.append("canary_ended", 2)
    assert told() == [], "what is done by hand was told by whoever did it"


def test_a_verdict_is_noticed_by_a_few_looks(scene: Scene) -> None:
    watch = VerdictWatch(scene.layout)
    assert not watch.has_verdict()
    scene.decided("running")
    assert not watch.has_verdict()
    scene.decided("failed")
    assert watch.has_verdict()
    assert not watch.has_verdict(), "nothing has changed since"
    assert len(scene.settle()) == 1
    scene.layout.canaries("staging").write_text("[]")
    assert watch.has_verdict(), "the server's own process was quicker"
    assert not watch.has_verdict()
    for nonsense in ("", "7", "[7]", '{"a": 1}', json.dumps([{"verdict": "running"}])):
        scene.layout.canaries("staging").write_text(nonsense)
        assert not VerdictWatch(scene.layout).has_verdict()
    assert not VerdictWatch(Layout(scene.layout.root / "nowhere")).has_verdict()
