"""Screen 5 by keys, beside real counters, a real request log and somebody who answers HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from mlbench.domain.commands import Command, EndTrial, SetTraffic, StartCanary, StartShadow
from mlbench.domain.serving import CanaryState, Traffic
from mlbench.serving.requests.labels import append_labels
from mlbench.tui.app import Workbench
from mlbench.tui.situation import ASKING, REPLAY, REQUEST, SERVING
from tests.tui.released import ReleasedProject, make_released
from tests.tui.screen import line_with, screen_text, see, toasts, until
from tests.tui.up import Up, reply, request

WIDE = (120, 36)


@pytest.fixture
def released(tmp_path: Path) -> ReleasedProject:
    return make_released(tmp_path / "penguins")


@pytest.fixture
def up(released: ReleasedProject) -> Iterator[Up]:
    with Up(released) as standing:
        yield standing


@asynccontextmanager
async def opened(
    project: ReleasedProject, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[Workbench, Pilot[int], list[Command]]]:
    """The workbench on screen 5; what it would hand to the loop is written down instead."""
    (project.root / ".mlbench" / "workbench.json").write_text('{"screen": "serving"}')
    app = Workbench(project.root)
    handed: list[Command] = []
    app.send = handed.append  # type: ignore[method-assign,assignment]
    async with app.run_test(size=size) as pilot:
        yield app, pilot, handed


async def on(pilot: Pilot[int], app: Workbench, screen: str) -> None:
    await until(pilot, lambda: app.situation.screen == screen, f"not on {screen}")


async def test_charts_are_drawn_from_what_the_workers_count(
    released: ReleasedProject, up: Up
) -> None:
    async with opened(released) as (app, pilot, _):
        await see(pilot, "staging", "penguins v2", "2 workers", "Nobody has asked it yet")
        up.count("2")
        await see(pilot, "rate", "batches")

        def counted() -> bool:
            for took in (0.001, 0.002, 0.004):
                up.count("2", took=took, rows=4)
            up.count("2", status=500)
            return "5xx" in screen_text(app)

        await until(pilot, counted, "the errors were never drawn")
        shown = await see(pilot, "rate", "p99", "errors ✗", "queue", "batches", "last minute")
        assert "/s" in line_with(app, "● penguins v2")
        assert any("\u2801" <= sign <= "\u28ff" for sign in shown), "no line was drawn"
        # The same on the top line, on any screen.
        await pilot.press("2")
        await until(pilot, lambda: "/s" in screen_text(app).splitlines()[0], "no rate on top")


async def test_who_is_down_says_how_to_start_it(released: ReleasedProject) -> None:
    async with opened(released) as (app, pilot, _):
        await see(pilot, "staging serves nothing yet. Press p")
        await pilot.press("a")
        await until(pilot, lambda: bool(toasts(app)), "no word")
        assert "staging is down: u starts it" in toasts(app)[-1][1]


async def test_what_can_not_be_started_says_why(released: ReleasedProject) -> None:
    with Up(released):
        pass  # it was deployed, and is down again
    async with opened(released) as (app, pilot, _):
        await see(pilot, "staging is down. Press u to start it")
        await pilot.press("u")
        await until(
            pilot, lambda: any(kind == "error" for kind, _ in toasts(app)), "nothing was said"
        )
        assert "penguins" in next(text for kind, text in toasts(app) if kind == "error")
        await until(pilot, lambda: not app.known.switching, "it is still starting")
        # What was started though it serves nothing is stopped again, after asking.
        if "is up, and can serve none" in screen_text(app):
            await pilot.press("u", "y")
            await see(pilot, "is down. Press u")


async def test_the_newest_request_stands_on_top_and_opens(
    released: ReleasedProject, up: Up
) -> None:
    up.log("req-1", request(41.0), reply("Adelie"), seconds_ago=3)
    up.log("req-2", request(1.0), {"error": "island: has no value"}, status=400, seconds_ago=2)
    async with opened(released) as (app, pilot, _):
        await see(pilot, "✗ 400", "island: has no value", "bill_length_mm=41")
        append_labels(up.layout.labels("staging"), "penguins", [("req-1", "Gentoo")])
        up.log("req-3", request(47.5), reply("Gentoo"))
        await see(pilot, "bill_length_mm=47.5", "≠ Gentoo")
        await pilot.press("tab", "down", "down", "enter")
        await on(pilot, app, REQUEST)
        shown = await see(
            pilot, "req-1", "penguins v2", "200", "Adelie", "flipper_length_mm", "210"
        )
        assert "Chinstrap" in shown, "scores stand beside their classes"
        await pilot.press("N")
        await see(pilot, "400 refused", "✗ island: has no value")
        await pilot.press("escape")
        await on(pilot, app, SERVING)
        await pilot.press("slash", *"400", "enter")
        await see(pilot, "1 of 3 with “400”")


async def test_the_form_is_filled_with_a_held_out_row_and_asks(
    released: ReleasedProject, up: Up
) -> None:
    async with opened(released) as (app, pilot, _):
        await see(pilot, "penguins v2")
        await pilot.press("a")
        await on(pilot, app, ASKING)
        await see(pilot, "held-out row 0", "bill_length_mm     49.1", "Biscoe")
        await pilot.press("enter")
        shown = await see(pilot, "v2 answered in", "Gentoo", "original", "✓ the same")
        assert "0.97" in shown
        (asked,) = up.asked
        assert asked["path"] == "/v2/models/penguins/infer"
        assert asked["inputs"][0]["data"] == [49.1]
        await pilot.press("pagedown")
        await see(pilot, "held-out row 1", "38.2", "Dream")
        await pilot.press("end", "backspace", "9")
        await see(pilot, "held-out row 1, edited")
        await pilot.press("enter")
        await see(pilot, "not asked: this is no held-out row")
        assert up.asked[-1]["inputs"][0]["data"] == [38.9]
        await pilot.press("x")
        await see(pilot, '"38.9x" is no number')
        await pilot.press("enter")
        await pilot.pause()
        assert len(up.asked) == 2, "what does not fit is not sent"
        up.answer = {"error": "the model is not ready"}
        await pilot.press("backspace", "enter")
        await see(pilot, "✗", "the model is not ready")
        await pilot.press("escape")
        await on(pilot, app, SERVING)


async def test_a_digit_is_a_picture_that_follows_its_values(
    released: ReleasedProject, up: Up, tmp_path: Path
) -> None:
    up.draw_digits([[0.0] * 64, [float(at % 17) for at in range(64)]], tmp_path / "digits")
    up.say()
    async with opened(released) as (app, pilot, _):
        await see(pilot, "penguins v2")
        await pilot.press("a")
        await see(pilot, "held-out row 0", "0 0 0 0 0 0 0 0", "▀" * 16)
        dark = _colours(app)
        await pilot.press("delete", "9")
        await see(pilot, "edited")
        await until(pilot, lambda: _colours(app) > dark, "the picture did not change")
        await pilot.press("pagedown")
        await see(pilot, "held-out row 1")
        await pilot.press("enter")
        await until(pilot, lambda: bool(up.asked), "nothing was asked")
        assert up.asked[0]["inputs"][0]["data"][:3] == [0.0, 1.0, 2.0]


def _colours(app: Workbench) -> int:
    """How many kinds of half blocks are seen."""
    strips = app.screen._compositor.render_strips()
    return len({str(part.style) for strip in strips for part in strip if "▀" in part.text})


async def test_a_logged_request_is_asked_again(released: ReleasedProject, up: Up) -> None:
    up.log("req-1", request(43.25, "Torgersen"), reply("Adelie"))
    async with opened(released) as (app, pilot, _):
        await see(pilot, "bill_length_mm=43.25")
        await pilot.press("enter")
        await on(pilot, app, REQUEST)
        await pilot.press("a")
        await see(pilot, "from the request log", "43.25", "Torgersen")
        await pilot.press("enter")
        await see(pilot, "v2 answered in")


async def test_requests_are_copied_as_curl_and_python(released: ReleasedProject, up: Up) -> None:
    async with opened(released) as (app, pilot, _):
        await see(pilot, "penguins v2")
        copied: list[str] = []
        app.put_into_clipboard = copied.append  # type: ignore[method-assign,assignment]
        await pilot.press("y")
        await see(pilot, "Copy the request as …", "a command for the shell")
        await pilot.press("enter")
        await until(pilot, lambda: bool(copied), "nothing was copied")
        assert "copied the request as curl" in toasts(app)[-1][1]
        await pilot.press("a")
        await on(pilot, app, ASKING)
        await see(pilot, "held-out row 0", "49.1")
        await pilot.press("f2")
        await see(pilot, "Copy the request as …")
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(copied) == 2, "Python was not copied")


async def test_traffic_canary_and_shadow_are_commands(released: ReleasedProject, up: Up) -> None:
    async with opened(released) as (app, pilot, handed):
        await see(pilot, "penguins v2")
        await until(pilot, lambda: bool(app.known.releases.rows), "no releases")
        handed.clear()
        await pilot.press("t")
        await see(pilot, "Who answers for penguins in staging?", "2=90 3=10")
        await pilot.press("enter")
        await pilot.press("c")
        await see(pilot, "A canary in staging?", "5 %, 25 %, 50 %")
        await pilot.press("down", "y")
        await pilot.press("S")
        await see(pilot, "A shadow in staging?")
        await pilot.press("down", "down", "y")
        await until(pilot, lambda: len(handed) == 3, "not handed over")
        assert handed == [
            SetTraffic("staging", "penguins", {"2": 0.9, "3": 0.1}),
            StartCanary("staging", "penguins", "3"),
            StartShadow("staging", "penguins", "1"),
        ]
        third = released.registry.version("penguins", 3)
        up.beside(third, Traffic("penguins", canary=3))
        up.canary(CanaryState("penguins", 3, 2, 1, "", 1, 0.25, 312))
        await see(pilot, "▸ penguins v3", "25 % canary", "step 2 of 3", "312 of 500 requests")
        handed.clear()
        await pilot.press("c")
        await see(pilot, "End the canary?")
        await pilot.press("y")
        await until(pilot, lambda: bool(handed), "not ended")
        assert handed == [EndTrial("canary", "staging", "penguins")]


async def test_a_replay_shows_what_came_of_it(released: ReleasedProject, up: Up) -> None:
    async with opened(released) as (app, pilot, _):
        await see(pilot, "penguins v2")
        await until(pilot, lambda: bool(app.known.releases.rows), "no releases")
        await pilot.press("d")
        await see(pilot, "Replay on which penguins?")
        await pilot.press("down", "y")
        await on(pilot, app, REPLAY)
        # Nothing was asked yet, and that is what it says.
        await see(pilot, "penguins v3", "✗", "no ")
        await pilot.press("escape")
        await on(pilot, app, SERVING)


async def test_the_mouse_does_what_keys_do(released: ReleasedProject, up: Up) -> None:
    up.log("req-1", request(41.0), reply("Adelie"))
    async with opened(released) as (app, pilot, _):
        await see(pilot, "bill_length_mm=41")
        await pilot.click("#served", offset=(4, 2))
        await until(
            pilot, lambda: app.situation.served is not None and app.situation.served.version == 2,
            "the version was not chosen",
        )  # fmt: skip
        await pilot.click("#requests", offset=(4, 1), times=2)
        await on(pilot, app, REQUEST)


@pytest.mark.parametrize("size", [(40, 20), (80, 24), (300, 80)])
async def test_every_page_fits_every_size(
    released: ReleasedProject, up: Up, size: tuple[int, int]
) -> None:
    up.count("2")
    up.log("req-1", request(41.0), reply("Adelie"))
    async with opened(released, size) as (_, pilot, _):
        shown = await see(pilot, "staging", "Requests", "rate", "Adelie", "? keys")
        assert len(shown.splitlines()) == size[1]
        await pilot.press("a")
        await see(pilot, "held-out row 0", "49.1", "enter send")
        await pilot.press("enter")
        await see(pilot, "v2 answered", "Gentoo")
        await pilot.press("escape", "enter")
        await see(pilot, "req-1", "? keys")
