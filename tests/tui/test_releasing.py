"""Promotion and rollback by keys, with real servers."""

from __future__ import annotations

from mlbench.tui.actions import action_of
from mlbench.tui.app import Workbench
from mlbench.tui.reading import queries_of
from tests.support import SmallProject
from tests.tui.screen import WIDE, built, screen_text, see, toasts, until


async def test_from_candidate_to_production_by_keys(tiny: SmallProject) -> None:
    app = Workbench(tiny.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await see(pilot, "staging – ○", "accuracy >= 0.8")
        await until(
            pilot, lambda: action_of("promote").blocked(app.situation) == "", "no candidate"
        )
        assert "staging serves nothing yet" in action_of("promote-on").blocked(app.situation)
        await pilot.press("p")
        await see(pilot, "staging v1 ●", "Promoted", "staging serves flowers v1")
        await until(pilot, lambda: not action_of("promote-on").blocked(app.situation), "not yet")
        await pilot.press("P")
        await see(pilot, "Promote to production?", "it will serve flowers v1", "accuracy >= 0.8")
        await pilot.press("escape")
        assert "production – ○" in screen_text(app)
        await pilot.press("P", "y")
        await see(pilot, "production v1 ●")
        await pilot.press("R")
        said = "rollback: there is nothing to roll back to: no environment has had two versions yet"
        await until(pilot, lambda: ("warning", said) in toasts(app), "R did not say why")
        await pilot.press("4")
        shown = await see(pilot, "● staging, production", "Ledger")
        assert "✓ 2 of 2" in shown
        await pilot.press("q")
        await see(pilot, "Serving: staging and production")
        await pilot.press("down", "y")
        await until(pilot, lambda: app.return_value == 0, "did not end")
    environments = queries_of(tiny.root).environments()
    assert [item.pid for item in environments] == [None, None], "the servers were stopped"


async def test_a_refused_promotion_is_a_warning_and_changes_nothing(tiny: SmallProject) -> None:
    tiny.write("params.toml", "[train]\nc = 0.5\n")
    app = Workbench(tiny.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await built(pilot)
        await see(pilot, "to staging", "±1")
        await pilot.press("p")
        await see(pilot, "staging v1 ●")
        await until(pilot, lambda: not action_of("promote-on").blocked(app.situation), "not yet")
        await pilot.press("P")
        await see(pilot, "from uncommitted code: production will refuse it")
        await pilot.press("y")
        await until(
            pilot,
            lambda: any(
                severity == "warning" and "uncommitted code" in text
                for severity, text in toasts(app)
            ),
            "no warning",
        )
        assert "production – ○" in screen_text(app)
