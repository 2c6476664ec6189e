"""Screen 4 by keys, on a real registry and a real ledger."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from mlbench.engine.hands.outside import tell_outside
from mlbench.tui.app import Workbench
from mlbench.tui.situation import CARD, COMPARISON, LEDGER, MODELS, RELEASE, RUN, VERSIONS
from tests.support import commit_all
from tests.tui.released import ReleasedProject, make_released, run_id
from tests.tui.screen import line_with, screen_text, see, toasts, until

WIDE = (120, 44)


@pytest.fixture
def released(tmp_path: Path) -> ReleasedProject:
    return make_released(tmp_path / "penguins")


def opened(project: ReleasedProject) -> Workbench:
    """The workbench, as it was left: on screen 4."""
    (project.root / ".mlbench" / "workbench.json").write_text('{"screen": "models"}')
    return Workbench(project.root)


async def put_on(pilot: Pilot[int], word: str) -> None:
    """Move the cursor of the table down to the row with a word."""
    app = pilot.app
    assert isinstance(app, Workbench)
    await see(pilot, word)
    for _ in range(9):
        if f"▌{word}" in screen_text(app) or word in _row(app):
            return
        await pilot.press("down")
    raise AssertionError(f"no row has {word}\n{screen_text(app)}")


def _row(app: Workbench) -> str:
    return next((row for row in screen_text(app).splitlines() if "▌" in row), "")


def _is_on(app: Workbench, screen: str) -> bool:
    return app.situation.screen == screen


async def put_copied(app: Workbench, pilot: Pilot[int]) -> str:
    await until(pilot, lambda: any("copied" in text for _, text in toasts(app)), "not copied")
    return next(text for _, text in toasts(app) if "copied" in text)


async def test_a_version_is_told_in_full_below_the_table(released: ReleasedProject) -> None:
    app = opened(released)
    async with app.run_test(size=(120, 60)) as pilot:
        await see(pilot, "tokens", "file: released as it is, never exported")
        await put_on(pilot, " v2 ")
        shown = await see(
            pilot,
            "penguins v2",
            "● staging, production",
            "equal runs lie up to ±0.004 apart",
            "island=Torgersen",
            "row 51: bill_length_mm=49.1",
            "the original refuses NaN",
            "Adelie, Chinstrap, Gentoo",
            "original   exported",
            "train.depth  6",
            "curl -s http://127.0.0.1:18101/v2/models/penguins/",
        )
        assert "✗" in next(row for row in shown.splitlines() if " v3 " in row)
        await pilot.press("enter")
        await until(pilot, lambda: app.situation.screen == RELEASE, "not opened")
        await pilot.press("o")
        await until(pilot, lambda: app.situation.screen == RUN, "its run was not opened")
        assert app.situation.run is not None
        assert app.situation.run.id == run_id(2)
        await pilot.press("4", "escape")
        await until(pilot, lambda: app.situation.screen == MODELS, "not back")
        assert " v2 " in _row(app), "the cursor is where it was"


async def test_the_filter_finds_words_and_says_when_nothing_has_them(
    released: ReleasedProject,
) -> None:
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "tokens")
        await pilot.press("slash", *"staging", "enter")
        await until(pilot, lambda: "tokens" not in screen_text(app), "not filtered")
        assert "1 of 5" in screen_text(app)
        await pilot.press("escape", "slash", *"zebra", "enter")
        await see(pilot, "No version has these words")
        await pilot.press("escape")
        await see(pilot, "tokens")


async def test_a_card_is_read_with_the_words_that_people_wrote(released: ReleasedProject) -> None:
    version = released.registry.version("penguins", 2)
    released.registry.write_words(version, "Not for **gulls**; see the `README`.")
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await put_on(pilot, " v2 ")
        await pilot.press("c")
        shown = await see(pilot, "card of penguins v2", "Not for gulls; see the README.")
        assert "**" not in shown
        assert app.situation.screen == CARD
        released.registry.write_words(version, "For gulls too.")
        await pilot.press("escape", "c")
        app.readers.releases.ask(None)
        await see(pilot, "For gulls too.")


async def test_a_candidate_stands_beside_what_production_serves(released: ReleasedProject) -> None:
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await put_on(pilot, "−.0012")
        await pilot.press("d")
        await see(pilot, "Beside what production serves", "A penguins v2", "▼ 0.0224", "unseen,")
        await pilot.press("equals_sign")
        await until(pilot, lambda: "unseen," not in screen_text(app), "all of it is still there")
        assert app.situation.screen == VERSIONS
        await pilot.press("d")
        await until(pilot, lambda: app.situation.screen == COMPARISON, "the runs were not compared")
        await see(pilot, "because", "train.depth 6 → 8")


async def test_the_ledger_says_what_was_live_when_and_who_forced_it(
    released: ReleasedProject,
) -> None:
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "tokens")
        await pilot.press("l")
        await see(
            pilot, "6 entries, times in UTC, the chain is whole ✓", "● production  penguins v2"
        )
        assert "‼" in line_with(app, "forced", "grace")
        await pilot.press("down")
        await see(pilot, "‼ forced: gates or rules", "v2 can't read it", "✗ accuracy >= 0.95")
        await pilot.press("at", *"2026-11-21 02:30", "enter")
        await see(pilot, "at 2026-11-21 02:30 UTC  ● production  penguins v1 (brave-badger)")
        await pilot.press("at")
        app.screen.query_one(Input).value = "yesteryear"
        await pilot.press("enter")
        await see(pilot, "yesteryear", "is no time")
        await pilot.press("escape", "slash", *"grace", "enter")
        await until(pilot, lambda: "11-21 04:00" not in screen_text(app), "not filtered")
        await pilot.press("o")
        await until(pilot, lambda: app.situation.screen == RUN, "its run was not opened")
        assert app.situation.run is not None
        assert app.situation.run.id == run_id(3)


async def test_an_entry_says_that_the_world_outside_was_not_told(released: ReleasedProject) -> None:
    last = released.ledger.entries()[-1].sequence
    tell_outside(released.layout, "echo no such host; exit 3", {}, last)
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, " v3 ")
        await pilot.press("l")
        await see(pilot, "✗ on_promote", "failed with exit status 3 (no such host)")


async def test_an_edited_ledger_is_seen_at_once(released: ReleasedProject) -> None:
    path = released.layout.ledger
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = json.dumps({**json.loads(lines[1]), "by": "nobody"}) + "\n"
    path.write_text("".join(lines))
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "tokens")
        await pilot.press("l")
        await see(pilot, "✗ entry 2")


async def test_a_damaged_version_is_told(released: ReleasedProject) -> None:
    version = released.registry.version("penguins", 2)
    model = released.registry.file_of(version)
    model.chmod(0o644)
    model.write_bytes(b"something else")
    app = opened(released)
    async with app.run_test(size=WIDE) as pilot:
        await put_on(pilot, " v2 ")
        await see(pilot, "✗ penguins v2", "was altered")


async def test_a_refused_gate_can_be_overruled_with_a_reason_alone(
    released: ReleasedProject,
) -> None:
    config = released.read("mlbench.toml")
    released.write(
        "mlbench.toml",
        config.replace('format = "file"', 'format = "file"\ngates = ["accuracy >= 0.999"]'),
    )
    commit_all(released.root)
    before = len(released.ledger.entries())
    app = opened(released)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await put_on(pilot, "tokens")
        await pilot.press("p")
        await until(pilot, lambda: any("0.999" in text for _, text in toasts(app)), "never refused")
        assert len(released.ledger.entries()) == before, "a gate of today refused it"
        await pilot.press("p")
        await see(pilot, "Promote to staging?", "takes it by force alone", "as they stand now")
        await pilot.press("down", "y")
        await see(pilot, "Promote by force")
        await pilot.press("enter")
        await see(pilot, "nothing is forced without a reason")
        await pilot.press(*"hotfix", "enter")
        await until(pilot, lambda: len(released.ledger.entries()) > before, "never promoted")
        entry = released.ledger.entries()[-1]
        assert (entry.model, entry.environment, entry.reason) == ("tokens", "staging", "hotfix")
        assert entry.forced
        await see(pilot, "● staging")


async def test_a_rollback_asks_and_keeps_the_reason(released: ReleasedProject) -> None:
    one, other = released.keep_file(6), released.keep_file(7)
    for number, kept in enumerate((one, other)):
        released.promote(released.registry.register(kept), "production", 10 + number)
    app = opened(released)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await put_on(pilot, "● production")
        await pilot.press("R")
        await see(pilot, "Roll back?", "production: tokens v2 → v1", "staging: penguins v2 → v1")
        await pilot.press("down", "y")
        await see(pilot, "Roll back production")
        await pilot.press("escape")
        assert len(released.ledger.entries()) == 8
        await pilot.press("R", "down", "y", *"too slow", "enter")
        await until(pilot, lambda: len(released.ledger.entries()) == 9, "not rolled back")
        entry = released.ledger.entries()[-1]
        assert (entry.action, entry.version, entry.reason) == ("rollback", 1, "too slow")


async def test_a_rollback_takes_one_key_and_one_yes(released: ReleasedProject) -> None:
    for number, kept in enumerate((released.keep_file(6), released.keep_file(7))):
        released.promote(released.registry.register(kept), "production", 10 + number)
    app = opened(released)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await put_on(pilot, "● production")
        await pilot.press("R", "y")
        await until(pilot, lambda: len(released.ledger.entries()) == 9, "not rolled back")
        entry = released.ledger.entries()[-1]
        assert (entry.action, entry.version, entry.reason) == ("rollback", 1, "")


async def test_what_is_copied_is_what_was_chosen(released: ReleasedProject) -> None:
    app = opened(released)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await put_on(pilot, " v2 ")
        await until(pilot, lambda: app.situation.files is not None, "never read")
        written: list[str] = []
        app.put_into_clipboard = written.append  # type: ignore[assignment,method-assign]
        await pilot.press("y")
        await see(pilot, "Copy what?", "penguins@2", "curl -s http")
        await pilot.press("down", "y")
        await until(pilot, lambda: bool(written), "nothing was copied")
        assert await put_copied(app, pilot) == "copied run"
        await pilot.press("u")
        await until(pilot, lambda: len(written) > 1, "the request was not copied")


@pytest.mark.parametrize("size", [(40, 20), (80, 24), (120, 40), (200, 60)])
async def test_every_page_is_usable_at_every_size(
    released: ReleasedProject, size: tuple[int, int]
) -> None:
    app = opened(released)
    async with app.run_test(size=size) as pilot:
        await put_on(pilot, "v2")
        for keys, screen, marker in (
            ((), MODELS, "v2"),
            (("enter",), RELEASE, "Gates"),
            (("escape", "c"), CARD, "Trained by run"),
            (("escape", "up", "d"), VERSIONS, "run"),
            (("escape", "l"), LEDGER, "production"),
        ):
            await pilot.press(*keys)
            await until(pilot, partial(_is_on, app, screen), screen)
            shown = await see(pilot, marker, "? keys")
            assert len(shown.splitlines()) == size[1]


async def test_without_colours_every_sign_is_still_there(
    released: ReleasedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = opened(released)
    async with app.run_test(size=(120, 60)) as pilot:
        await put_on(pilot, " v3 ")
        await see(pilot, "✗ accuracy >= 0.95", "! onnx.p99_ms < 0.05", "✓ held-out", "– missing")
        await pilot.press("l")
        await see(pilot, "‼", "↩", "↑", "●")


async def test_an_empty_registry_says_what_comes_next(tmp_path: Path) -> None:
    whole = make_released(tmp_path / "penguins")
    empty = ReleasedProject(tmp_path / "empty")
    for name in ("mlbench.toml", "params.toml", "train.py"):
        empty.write(name, whole.read(name))
    empty.write(".mlbench/.gitignore", "*\n")
    app = opened(empty)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await see(pilot, "No model yet", "M on screen 2 exports any run by")
        await pilot.press("c", "l")
        await see(pilot, "nothing promoted yet: p promotes", "nothing is live")
        assert ("warning", "card: there is no model under the cursor") in toasts(app)
