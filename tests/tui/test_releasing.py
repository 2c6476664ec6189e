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
        shown = await see(pilot, "● staging, production", "Parity")
        assert "✓ 2 of 2" in shown
        await pilot.press("l")
        await see(pilot, "2 entries", "the chain is whole", "● production")
        await pilot.press("escape")
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


async def test_a_run_is_exported_by_hand_whatever_its_gates_say(tiny: SmallProject) -> None:
    config = tiny.read("mlbench.toml").replace("accuracy >= 0.8", "accuracy >= 0.9999")
    tiny.write("mlbench.toml", config)
    tiny.write("params.toml", "[train]\nc = 0.25\n")
    app = Workbench(tiny.root)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: len(app.known.history.runs) == 2, "the second run never ended")
        assert len(app.known.releases.rows) == 1, "the gate held it back"
        await pilot.press("2")
        await until(pilot, lambda: not action_of("export-model").blocked(app.situation), "no run")
        await pilot.press("M")
        await see(pilot, "exporting")
        await until(pilot, lambda: len(app.known.releases.rows) == 2, "never exported")
        await until(
            pilot,
            lambda: app.known.releases.rows[0].candidate.version is not None,
            "never a version",
        )
        await until(pilot, lambda: not app.known.errand, "the errand never ended")
        await pilot.press("4")
        await see(pilot, "✗ 1 of 2", "accuracy >= 0.9999")
