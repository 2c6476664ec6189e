"""The desk for canaries, on real counters and files, with a clock that stands still by itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.plain import from_plain
from mlbench.domain.serving import CanarySpec, CanaryState, Traffic
from mlbench.project.layout import Layout
from mlbench.serving.control import Share
from mlbench.serving.traffic.canary_desk import CanaryDesk
from mlbench.serving.traffic.settling import Settler
from mlbench.system.files import read_json
from tests.serving.traffic.counted_traffic import Answers, deployment, keys

CANARY = Traffic("digits", canary=2, canary_entry=5)
SPEC = CanarySpec(steps=(0.1, 0.5), min_requests=100)
FIRST = deployment(7, CANARY, canary=SPEC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.serving.mkdir(parents=True)
    return made


@pytest.fixture
def answers(layout: Layout) -> tuple[Answers, Answers]:
    """The live version's and the canary's."""
    return Answers(layout, 1), Answers(layout, 2)


@pytest.fixture
def desk(layout: Layout) -> CanaryDesk:
    made = CanaryDesk(layout, "staging", [sys.executable, "-c", ""])
    made.deployed(FIRST, keys(FIRST))
    return made


def state(layout: Layout) -> CanaryState:
    [plain] = read_json(layout.canaries("staging"))
    return from_plain(CanaryState, plain)


def until(check: Callable[[], bool]) -> None:
    while not check():
        time.sleep(0.005)


def test_a_canary_begins_with_its_first_step(layout: Layout, desk: CanaryDesk) -> None:
    share = [Share("digits", {"1": 0.9, "2": 0.1})]
    assert list(desk.greeting()) == share
    assert list(desk.tick(0.0)) == share
    assert list(desk.tick(0.25)) == []
    found = state(layout)
    assert (found.version, found.live, found.entry, found.verdict) == (2, 1, 5, "running")
    assert (found.step, found.share) == (0, 0.1)
    assert found.checks[0].why == "0 of 100 requests"


def test_what_was_counted_before_it_began_says_nothing(
    layout: Layout, answers: tuple[Answers, Answers]
) -> None:
    answers[0].answer(1000)
    answers[1].answer(1000, errors=1.0)
    desk = CanaryDesk(layout, "staging", [sys.executable, "-c", ""])
    desk.deployed(FIRST, keys(FIRST))
    desk.tick(0.0)
    assert (state(layout).verdict, state(layout).requests) == ("running", 0)


def test_a_good_canary_takes_every_step_and_passes(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    desk.tick(0.0)
    answers[0].answer(900)
    answers[1].answer(100)
    assert list(desk.tick(1.0)) == [Share("digits", {"1": 0.5, "2": 0.5})]
    assert (state(layout).step, state(layout).requests) == (1, 0)
    answers[0].answer(100)
    answers[1].answer(99)
    assert list(desk.tick(2.0)) == []
    answers[1].answer(1)
    assert list(desk.tick(3.0)) == [Share("digits", {"2": 1.0})]
    found = state(layout)
    assert (found.verdict, found.share) == ("passed", 1.0)
    assert {check.verdict for check in found.checks} == {"pass"}


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        ("errors", {"errors": 0.5}),
        ("latency", {"seconds": 0.01}),
        ("shift", {"shift": 3.0}),
    ],
)
def test_a_bad_canary_gets_nothing_any_more_and_the_reason_is_told(
    layout: Layout,
    desk: CanaryDesk,
    answers: tuple[Answers, Answers],
    check: str,
    bad: dict[str, float],
) -> None:
    desk.tick(0.0)
    answers[0].answer(1350)
    answers[1].answer(150, **bad)
    assert list(desk.tick(1.0)) == [Share("digits", {"1": 1.0})]
    found = state(layout)
    assert (found.verdict, found.share) == ("failed", 0.0)
    assert found.why.startswith(f"{check}: ")
    assert "150 requests at 0.1" in found.why
    answers[1].answer(1000)
    assert list(desk.tick(2.0)) == []
    assert state(layout) == found


def test_with_little_traffic_it_waits(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    for number in range(31):
        answers[0].answer(9)
        answers[1].answer(1)
        desk.tick(3600.0 * number)
    found = state(layout)
    assert (found.verdict, found.step, found.requests) == ("running", 0, 31)
    assert {check.why for check in found.checks} == {"31 of 100 requests"}


def test_a_server_that_is_started_again_goes_on_at_the_step(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    desk.tick(0.0)
    answers[0].answer(900)
    answers[1].answer(100)
    desk.tick(1.0)
    desk.close()
    before = state(layout)
    # `serve` writes a Deployment of its own before the server is up.
    later = replace(FIRST, order=8)
    again = CanaryDesk(layout, "staging")
    again.deployed(later, keys(later))
    assert list(again.greeting()) == [Share("digits", {"1": 0.5, "2": 0.5})]
    again.tick(0.0)
    assert state(layout) == before


def test_the_same_version_tried_again_begins_anew(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    desk.tick(0.0)
    answers[0].answer(200)
    answers[1].answer(100, errors=1.0)
    desk.tick(1.0)
    assert state(layout).verdict == "failed"
    # Nobody wrote a Deployment in between: the server was down, or the next came at once.
    later = deployment(9, replace(CANARY, canary_entry=8), canary=SPEC)
    for fresh in (desk, CanaryDesk(layout, "staging")):
        fresh.deployed(later, keys(later))
        assert (state(layout).verdict, state(layout).step) == ("running", 0)


def test_a_verdict_survives_a_restart_and_is_carried_out_then(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers], tmp_path: Path
) -> None:
    answers[0].answer(200)
    answers[1].answer(100, errors=1.0)
    desk.tick(0.0)
    mark = tmp_path / "settled"
    again = CanaryDesk(layout, "staging", ["touch", str(mark)])
    again.deployed(FIRST, keys(FIRST))
    assert list(again.tick(0.0)) == [Share("digits", {"1": 1.0})]
    until(mark.exists)
    assert state(layout).verdict == "failed"


def test_settling_is_tried_again_after_a_while_until_the_deployment_comes(
    layout: Layout, answers: tuple[Answers, Answers], tmp_path: Path
) -> None:
    tries = tmp_path / "tries"
    desk = CanaryDesk(layout, "staging", ["sh", "-c", f"echo >> {tries}; exit 1"])
    desk.deployed(FIRST, keys(FIRST))
    desk.tick(0.0)
    assert not tries.exists()
    answers[0].answer(200)
    answers[1].answer(100, errors=1.0)

    def tried(now: float, times: int) -> None:
        until(lambda: bool(desk.tick(now)) or len(tries.read_text()) == times)

    desk.tick(1.0)
    until(tries.exists)
    tried(1.0, 1)
    # Twice as long each time: whoever looks in between sees no other one.
    until(lambda: not _is_settling(desk, 1.0))
    desk.tick(5.0)
    assert len(tries.read_text()) == 1
    tried(6.0, 2)
    until(lambda: not _is_settling(desk, 6.0))
    desk.tick(15.0)
    assert len(tries.read_text()) == 2
    tried(16.0, 3)
    until(lambda: not _is_settling(desk, 16.0))
    done = deployment(8)
    desk.deployed(done, keys(done))
    desk.tick(1e6)
    assert not _is_settling(desk, 1e6)
    assert read_json(layout.canaries("staging")) == []


def test_what_settling_says_is_one_line_of_the_log(
    layout: Layout, capfd: pytest.CaptureFixture[str]
) -> None:
    settler = Settler(layout, "staging", ["sh", "-c", "echo one; echo two >&2; exit 3"])
    settler.tick(0.0)
    said: list[str] = []

    def has_ended() -> bool:
        said.append(capfd.readouterr().out)
        return "not_settled" in "".join(said)

    until(has_ended)
    (line,) = "".join(said).splitlines()
    entry = json.loads(line)
    assert (entry["status"], entry["said"]) == (3, "one\ntwo")


def _is_settling(desk: CanaryDesk, now: float) -> bool:
    """Whether the command runs, after the desk looked once more."""
    desk.tick(now)
    return desk.is_settling


def test_another_model_s_promotion_changes_nothing(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    desk.tick(0.0)
    answers[0].answer(450)
    answers[1].answer(50)
    desk.tick(1.0)
    later = deployment(8, CANARY, canary=SPEC)
    desk.deployed(later, keys(later))
    assert list(desk.tick(2.0)) == [Share("digits", {"1": 0.9, "2": 0.1})]
    assert state(layout).requests == 50


def test_another_canary_begins_anew(
    layout: Layout, desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    answers[0].answer(900)
    answers[1].answer(100)
    desk.tick(0.0)
    other = deployment(8, replace(CANARY, canary=3, canary_entry=6), canary=SPEC)
    desk.deployed(other, keys(other))
    desk.tick(1.0)
    found = state(layout)
    assert (found.version, found.step, found.entry) == (3, 0, 6)


def test_what_weights_share_is_shared_beside_the_canary(layout: Layout) -> None:
    traffic = Traffic("digits", {"1": 0.75, "4": 0.25}, canary=2)
    desk = CanaryDesk(layout, "staging")
    desk.deployed(deployment(7, traffic, canary=CanarySpec(steps=(0.2,))), frozenset({"digits@2"}))
    [share] = desk.tick(0.0)
    assert isinstance(share, Share)
    assert share.weights == pytest.approx({"1": 0.6, "4": 0.2, "2": 0.2})


def test_a_canary_that_can_t_be_loaded_fails(layout: Layout) -> None:
    desk = CanaryDesk(layout, "staging", [sys.executable, "-c", ""])
    desk.deployed(FIRST, frozenset({"digits@1", "other@1"}))
    assert list(desk.tick(0.0)) == [Share("digits", {"1": 1.0})]
    assert state(layout).verdict == "failed"
    assert "can't be loaded" in state(layout).why


def test_three_dead_workers_in_one_step_fail_it(layout: Layout, desk: CanaryDesk) -> None:
    desk.tick(0.0)
    desk.worker_died(0)
    desk.worker_died(1)
    assert list(desk.tick(1.0)) == []
    desk.worker_died(0)
    assert list(desk.tick(2.0)) == [Share("digits", {"1": 1.0})]
    assert state(layout).verdict == "failed"
    assert state(layout).why == "3 workers died while it had 0.1 of the traffic"


def test_deaths_of_an_earlier_step_are_forgotten(
    desk: CanaryDesk, answers: tuple[Answers, Answers]
) -> None:
    desk.tick(0.0)
    desk.worker_died(0)
    desk.worker_died(0)
    answers[0].answer(900)
    answers[1].answer(100)
    desk.tick(1.0)
    desk.worker_died(0)
    assert list(desk.greeting()) == [Share("digits", {"1": 0.5, "2": 0.5})]


def test_a_canary_with_all_of_the_traffic_is_compared_with_what_was_live_before(
    layout: Layout, answers: tuple[Answers, Answers]
) -> None:
    whole = deployment(7, CANARY, canary=CanarySpec(steps=(0.5, 1.0), min_requests=100))
    desk = CanaryDesk(layout, "staging", [sys.executable, "-c", ""])
    desk.deployed(whole, keys(whole))
    answers[0].answer(100)
    answers[1].answer(100)
    assert list(desk.tick(0.0)) == [Share("digits", {"2": 1.0})]
    assert state(layout).share == 1.0
    answers[1].answer(100)
    desk.tick(1.0)
    assert state(layout).verdict == "passed"


def test_a_broken_state_file_begins_anew(layout: Layout) -> None:
    file = layout.canaries("staging")
    file.parent.mkdir(parents=True)
    file.write_text('[{"model": 3}]')
    desk = CanaryDesk(layout, "staging")
    desk.deployed(FIRST, keys(FIRST))
    assert state(layout).step == 0


def test_without_canaries_nothing_is_written(layout: Layout) -> None:
    desk = CanaryDesk(layout, "staging")
    none = deployment(7)
    desk.deployed(none, keys(none))
    assert list(desk.tick(0.0)) == list(desk.greeting()) == []
    desk.close()
    assert not layout.canaries("staging").exists()
