"""What screen 5 offers, asks and refuses, and what it draws of servers: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.commands import EndTrial, SetTraffic, StartCanary, StartShadow
from mlbench.domain.events import CommandDone, TrafficChanged
from mlbench.domain.release import (
    Candidate,
    DeployedModel,
    Deployment,
    EnvironmentStatus,
    LedgerEntry,
    Signature,
)
from mlbench.domain.serving import (
    CanaryCheck,
    CanaryState,
    Replayed,
    ReplayFlip,
    ServerSettings,
    ShadowState,
    Traffic,
)
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.domain.tally import BATCH_BOUNDS
from mlbench.engine.serving_queries import EnvironmentNow
from mlbench.tui.actions import ACTIONS, action_of, for_key
from mlbench.tui.board import Board
from mlbench.tui.draw.bars import top_pieces
from mlbench.tui.draw.charts import chart_lines, span_of
from mlbench.tui.draw.keys import key_pieces
from mlbench.tui.draw.ledger import entry_lines
from mlbench.tui.draw.replay import replay_lines
from mlbench.tui.draw.serving import ServedTable, detail_lines, milliseconds, rate
from mlbench.tui.errands import Errands, refusals, sent
from mlbench.tui.reading import Head, Released, Releases, Surroundings
from mlbench.tui.served import CANARY, LIVE, LOADED, SHADOW, served, shares_of, signs_of
from mlbench.tui.serving_history import Point
from mlbench.tui.serving_questions import (
    ask_canary,
    ask_shadow,
    fault_in_weights,
    weights_in,
    weights_to_edit,
)
from mlbench.tui.serving_reading import Pulse
from mlbench.tui.serving_rules import no_environment
from mlbench.tui.situation import ASKING, ON_SERVING, SERVING, Situation
from mlbench.tui.toasts import toasts_for

PROJECT = Project("digits", "python", 1, (), (), (EnvironmentSpec("staging", 8101),))


def version(number: int | None) -> Candidate:
    run = f"20261120-0{number or 9}0000-00000{number or 9}"
    return Candidate(
        "digits", run, f"digest {number}", "", "", f"models/digits/{number}", "", 1, None, None, {},
        version=number,
    )  # fmt: skip


def deployed(number: int) -> DeployedModel:
    return DeployedModel("digits", number, "", "", f"/m/{number}/model.onnx", Signature((), ()))


def environment(
    *, traffic: Traffic | None = None, is_up: bool = True, **fields: object
) -> EnvironmentNow:
    status = EnvironmentStatus(
        "staging", 8101, 77 if is_up else None, {"digits": 2} if is_up else {}, {"digits": 2},
        workers=(78, 79),
    )  # fmt: skip
    deployment = Deployment(
        "staging", 8101, 1, (deployed(2),), beside=(deployed(3), deployed(4)),
        traffic=(traffic,) if traffic else (),
    )  # fmt: skip
    return EnvironmentNow(replace(status, **fields), deployment)  # type: ignore[arg-type]


def situation(now: EnvironmentNow | None) -> Situation:
    rows = tuple(Released(version(number)) for number in (None, 3, 2, 1))
    places = served((now,)) if now else ()
    return Situation(
        screen=SERVING,
        surroundings=Surroundings(PROJECT),
        releases=Releases(rows),
        pulse=Pulse(1.0, (now,) if now else ()),
        served=places[0] if places else None,
    )


@pytest.mark.parametrize(
    ("action", "now", "said"),
    [
        ("ask", None, "add [environments.staging] with a port"),
        ("ask", environment(is_up=False), "staging is down: u starts it"),
        ("ask", environment(serving={}, deployed={}), "p promotes"),
        ("canary", environment(is_up=False), "staging is down: u starts it"),
        ("open-request", environment(), "no request is logged yet: a asks the model"),
    ],
)
def test_a_key_that_can_t_work_says_what_to_do(
    action: str, now: EnvironmentNow | None, said: str
) -> None:
    assert said in action_of(action).blocked(situation(now))


def test_replay_needs_logged_inputs_and_another_version() -> None:
    action, known = action_of("replay"), situation(environment())
    assert action.blocked(known) == ""
    unlogged = replace(environment(), settings=ServerSettings(log_inputs=False))
    assert "no inputs are logged" in action.blocked(situation(unlogged))
    alone = replace(known, releases=Releases((Released(version(2)),)))
    assert "no other version of digits" in action.blocked(alone)


def test_a_server_that_is_being_started_is_not_started_again() -> None:
    known = replace(situation(environment(is_up=False)), switching=("staging",))
    assert "is being started" in action_of("switch").blocked(known)
    assert action_of("switch").blocked(situation(environment(is_up=False))) == ""


def test_every_action_of_the_screen_has_a_key_of_its_own_there() -> None:
    for screen in ON_SERVING:
        shown = [action for action in ACTIONS if action.works_on(screen)]
        keys = [key for action in shown for key in action.key.split(",")]
        assert len(keys) == len(set(keys)), screen
        assert all(for_key(action.key.split(",")[0], screen) is action for action in shown)


def test_a_canary_is_offered_with_every_other_version_and_ended_where_one_goes_on() -> None:
    question = ask_canary(situation(environment()))
    assert question is not None
    commands = [choice.value for choice in question.choices]
    assert commands == [
        StartCanary("staging", "digits", version(None).run),
        StartCanary("staging", "digits", "3"),
        StartCanary("staging", "digits", "1"),
    ]
    going = situation(environment(traffic=Traffic("digits", canary=3)))
    ending = ask_canary(going)
    assert ending is not None
    assert [choice.value for choice in ending.choices] == [EndTrial("canary", "staging", "digits")]


def test_a_canary_that_was_refused_just_now_is_offered_with_the_reason() -> None:
    start = StartCanary("staging", "digits", "3")
    said = "accuracy >= 0.95 (0.9, missed by 0.05)"
    refused = refusals({}, [CommandDone("", "a", 3, said)], {"a": start})
    question = ask_canary(replace(situation(environment()), refusals=refused))
    assert question is not None
    assert [choice.label.endswith("refused just now") for choice in question.choices] == [
        False,
        True,
        False,
    ]
    assert any(said in text.plain for text in question.lines)


def test_before_the_servers_were_looked_at_no_key_says_that_there_is_no_environment() -> None:
    early = no_environment(replace(situation(environment()), served=None, pulse=Pulse()))
    assert "mlbench.toml" not in early
    known = no_environment(replace(situation(environment()), served=None, pulse=Pulse(1.0)))
    assert "[environments.staging]" in known


def test_a_form_takes_letters_so_that_only_other_keys_are_offered_there() -> None:
    pieces = key_pieces(replace(situation(environment()), screen=ASKING))
    hints = [piece.content.plain.split()[0] for piece in pieces]
    assert all(len(hint) > 1 for hint in hints)
    assert {"^q", "^p", "esc", "enter", "pgdn"} <= {hint.split("·")[0] for hint in hints}
    listed = key_pieces(replace(situation(environment()), screen=SERVING))
    assert any(piece.content.plain.startswith(" q ") for piece in listed)


def test_a_shadow_is_offered_and_ended_the_same_way() -> None:
    question = ask_shadow(situation(environment()))
    assert question is not None
    assert question.choices[1].value == StartShadow("staging", "digits", "3")
    ending = ask_shadow(situation(environment(traffic=Traffic("digits", shadow=4))))
    assert ending is not None
    assert ending.choices[0].value == EndTrial("shadow", "staging", "digits")


def test_weights_are_shares_of_one() -> None:
    assert weights_in("12=90 v13=10%") == {"12": 0.9, "13": 0.1}
    assert weights_in("12=1, 13=1, 14=2") == {"12": 0.25, "13": 0.25, "14": 0.5}
    assert weights_in("  ") == {}
    assert weights_to_edit({2: 1.0}, [version(None), version(3)]) == "2=90 3=10"
    assert weights_to_edit({2: 0.75, 3: 0.25}, []) == "2=75 3=25"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("12", "write VERSION=WEIGHT"),
        ("best=1", "write VERSION=WEIGHT"),
        ("12=much", "no number"),
        ("12=-1", "0 or more"),
        ("12=nan", "0 or more"),
        ("12=1 12=2", "twice"),
        ("12=0", "over 0"),
    ],
)
def test_weights_that_can_t_be_are_refused_while_typed(text: str, said: str) -> None:
    assert said in fault_in_weights(text)


def test_versions_are_listed_with_their_roles_and_shares() -> None:
    now = environment(
        traffic=Traffic("digits", canary=3, shadow=4),
        canaries=(CanaryState("digits", 3, 2, 1, "", step=1, share=0.25),),
        loaded={"digits": (1, 4)},
    )
    found = [(row.version, row.role, row.share) for row in served([now])]
    assert found == [
        (0, "", None), (2, LIVE, 0.75), (3, CANARY, 0.25), (4, SHADOW, None), (1, LOADED, None),
    ]  # fmt: skip
    assert signs_of(now) == "▸v3 25 % ◌v4"
    split = environment(traffic=Traffic("digits", {"2": 0.5, "3": 0.5}))
    assert shares_of(split, "digits") == {2: 0.5, 3: 0.5}


def test_a_canary_shows_its_checks_and_its_verdict() -> None:
    checks = (
        CanaryCheck("errors", "pass", 0.001, 0.01),
        CanaryCheck("latency", "wait", 1.21, 1.5, "needs 188 more requests"),
        CanaryCheck("shift", "fail", 0.31, 0.2),
    )
    going = CanaryState("digits", 3, 2, 1, "", 1, 0.25, 312, checks=checks)
    traffic = Traffic("digits", canary=3)
    shown = _text(environment(traffic=traffic, canaries=(going,)))
    for words in ("step 2 of 3, 25 %", "312 of 500 requests", "✓ errors", "· latency", "✗ shift"):
        assert words in shown
    failed = replace(going, verdict="failed", why="its predictions lie 0.31 apart")
    told = _text(environment(canaries=(failed,)))
    assert "✗ failed" in told
    assert "its predictions lie 0.31 apart" in told


def test_a_shadow_shows_flips_and_what_it_costs() -> None:
    state = ShadowState("digits", 4, 2, 3000, 12, 0, 40, 0.0213, 0.8, 3.1, 3.0)
    shown = _text(environment(traffic=Traffic("digits", shadow=4), shadows=(state,)))
    for words in ("12 (0.4 %)", "3000 rows", "80 %", "3.1 ms with, 3 ms without", "40, for want"):
        assert words in shown


def _text(now: EnvironmentNow) -> str:
    return "\n".join(text.plain for text in detail_lines(served([now])[0], 60))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0"), (0.5, "0.5"), (9.96, "10"), (210.4, "210"), (1234.0, "1.2k"), (18_200, "18k")],
)
def test_rates_have_as_many_digits_as_matter(value: float, shown: str) -> None:
    assert rate(value) == shown


def test_latencies_are_read_at_a_glance() -> None:
    shown = [milliseconds(value) for value in (None, 0.00042, 0.0031, 0.21, 2.34)]
    assert shown == ["–", "0.42 ms", "3.1 ms", "210 ms", "2.3 s"]


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 200),
    height=st.integers(0, 60),
    rates=st.lists(st.floats(0, 1e6), max_size=30),
    is_answered=st.booleans(),
)
def test_charts_fill_no_more_than_their_room(
    width: int, height: int, rates: list[float], is_answered: bool
) -> None:
    counts = (1,) * (len(BATCH_BOUNDS) + 1)
    points = []
    for at, value in enumerate(rates):
        took = value / 1e3 if is_answered else None
        points.append(Point(at * 1.3, value, value / 9, 0.0, took, took, took, at, batches=counts))
    lines = chart_lines(points, width, height, span_of(points))
    assert len(lines) <= height
    assert all(text.cell_length <= width for text in lines)


@given(st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_a_row_fits_its_width_and_keeps_its_name_longest(width: int) -> None:
    rows = served([environment(traffic=Traffic("digits", canary=3))])
    points = {row.place: Point(1.0, 210.0, 3.0, 0.0, 0.002, 0.003, 0.0031) for row in rows}
    table = ServedTable(rows, points, ())
    for index in range(len(rows)):
        text = table.row(index, width)
        assert text.cell_length <= width
        assert width < 30 or rows[index].model in text.plain


def test_the_top_line_has_rate_and_p99_and_who_shares_the_traffic() -> None:
    now = environment(traffic=Traffic("digits", canary=3))
    points = {("staging", "", ""): Point(1.0, 210.0, p99=0.003)}
    _, right = top_pieces(
        "serving", Board(), Surroundings(PROJECT, "", (now.status,)), Head(),
        attached=False, width=160, pulse=Pulse(1.0, (now,), points),
    )  # fmt: skip
    said = "".join(piece.content.plain for piece in right)
    assert "staging v2 ●" in said
    assert "▸v3 0 %" in said
    assert "210/s 3.0 ms" in said


def test_what_takes_a_while_is_told_meanwhile() -> None:
    texts = [
        sent(Errands(), command).text
        for command in (
            SetTraffic("staging", "digits", {"2": 1.0}),
            StartCanary("staging", "digits", "3"),
            EndTrial("shadow", "staging", "digits"),
        )
    ]
    assert texts == [
        "sharing the requests for digits in staging …",
        "starting the canary digits v3 in staging …",
        "ending the shadow of digits in staging …",
    ]


def test_a_canary_that_was_taken_back_is_told_with_its_reason() -> None:
    event = TrafficChanged("", "canary_ended", "staging", "digits", 3, "", "", why="it fails more")
    (toast,) = toasts_for([event], {})
    assert (toast.severity, toast.title) == ("warning", "Canary taken back")
    assert "digits v3 in staging: it fails more" in toast.message
    assert not toasts_for([replace(event, why="")], {})


def test_the_ledger_says_what_was_done_to_traffic() -> None:
    entry = LedgerEntry(
        1, "2026-11-21T01:00:00.000Z", "traffic", "staging", "digits", 2, "", version(2).run,
        "ada", weights={"2": 0.9, "3": 0.1},
    )  # fmt: skip
    shown = "\n".join(text.plain for text in entry_lines(entry, 80))
    assert "⇄ digits v2 shares the requests in staging" in shown
    assert "v2 90 %, v3 10 %" in shown
    canary = replace(entry, action="canary", weights={})
    assert "▸ digits v2 became the canary in" in entry_lines(canary, 80)[0].plain


def test_a_replay_shows_what_flipped_and_what_could_not_be_compared() -> None:
    found = Replayed(
        "digits", "3", "staging", 100, 97, 120, 3, 2, 0, 1,
        (ReplayFlip("req-7", 0, "3", "8"), ReplayFlip("req-9", 4, "1", "7")), 0.42, 0.003, "req-7",
        0.002, 0.009, 0.0004, 0.001, {"X: takes 64 columns": 2},
    )  # fmt: skip
    shown = "\n".join(text.plain for text in replay_lines(found, 90))
    for words in ("97 of 100 requests", "✗ 3 of 120 rows", "largest in req-7", "3 → 8", "row 4",
                  "! 2 requests not taken", "2 × X: takes 64 columns", "p99 9.0 ms"):  # fmt: skip
        assert words in shown
    same = replace(found, flipped=0, flips=())
    assert "✓ none" in "\n".join(text.plain for text in replay_lines(same, 90))
    nothing = replay_lines(Replayed("digits", "3", "staging", 4, unreadable=4), 90)
    assert "nothing could be compared" in nothing[0].plain


def test_a_figure_that_does_not_fit_goes_whole_and_what_is_idle_has_no_scale() -> None:
    busy = [Point(float(at), 434.0, 0.0, 434.0, 0.00034, 0.00034, 0.0006) for at in range(3)]
    for width in range(72, 140):
        title = chart_lines(busy, width, 14, span_of(busy))[0].plain
        assert "p99 0.60 ms" in title
        assert "✗ 100 %" in title
        assert "…" not in title
    idle = chart_lines([Point(0.0), Point(1.0)], 90, 14, 60.0)
    assert not any("1.0" in text.plain for text in idle)
