"""Themes: the shipped ones are whole, a broken one costs its broken colours alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from mlbench.tui.app import Workbench
from mlbench.tui.themes import (
    DEFAULT,
    MEANINGS,
    WITHOUT_COLOUR,
    load_themes,
    stamp,
    theme_folders,
)
from tests.support import SmallProject
from tests.tui.screen import until

LEAST_CONTRAST = 4.5
THEME = 'name = "mine"\nprimary = "#336699"\nbackground = "{background}"\n'


def contrast(one: Color, other: Color) -> float:
    """Contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""

    def luminance(colour: Color) -> float:
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in colour.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_shipped_themes_are_whole() -> None:
    loaded = load_themes(theme_folders())
    assert loaded.faults == ()
    assert set(loaded.themes) == {
        "colour-blind-safe", "mlbench-dark", "mlbench-light", "monochrome",
    }  # fmt: skip
    for theme in loaded.themes.values():
        assert set(MEANINGS) <= set(theme.variables), theme.name


@pytest.mark.parametrize(
    "name", ["colour-blind-safe", "mlbench-dark", "mlbench-light", "monochrome"]
)
def test_every_word_can_be_read_on_every_ground(name: str) -> None:
    theme = load_themes(theme_folders()).themes[name]
    grounds = [theme.background, theme.surface, theme.panel]
    words = [theme.foreground, *(theme.variables[key] for key in MEANINGS if key != "frame")]
    for ground in grounds:
        for word in words:
            assert ground is not None
            assert word is not None
            ratio = contrast(Color.parse(word), Color.parse(ground))
            assert ratio >= LEAST_CONTRAST, f"{word} on {ground}: {ratio:.1f}"


def test_a_broken_colour_falls_back_and_is_named(themes: Path) -> None:
    (themes / "mine.toml").write_text(
        'name = "mine"\nprimary = "bluish"\nhue = 3\n[variables]\nok = "#12"\nwarn = "#ffcc00"\n'
    )
    (themes / "torn.toml").write_text("name = \n")
    loaded = load_themes([themes])
    mine = loaded.themes["mine"]
    assert mine.primary == loaded.themes[DEFAULT].primary
    assert mine.variables["warn"] == "#ffcc00"
    assert "mine.toml: primary: 'bluish' is no colour" in loaded.faults
    assert "mine.toml: hue: is no key of a theme" in loaded.faults
    assert "mine.toml: variables.ok: '#12' is no colour" in loaded.faults
    assert any(fault.startswith("torn.toml: ") for fault in loaded.faults)


def test_saving_a_theme_changes_the_stamp(themes: Path) -> None:
    before = stamp([themes])
    (themes / "mine.toml").write_text(THEME.format(background="#000000"))
    assert stamp([themes]) != before


async def test_one_toast_for_all_that_is_broken(small: SmallProject, themes: Path) -> None:
    (themes / "mine.toml").write_text('name = "mine"\nprimary = "no"\npanel = "nor this"\n')
    app = Workbench(small.root)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: len(app._notifications) > 0, "no toast")
        (toast,) = [note for note in app._notifications if note.title == "Themes"]
        assert "primary" in toast.message
        assert "panel" in toast.message
        assert app.theme == DEFAULT


async def test_a_theme_is_shown_anew_when_its_file_is_saved_and_remembered(
    small: SmallProject, themes: Path
) -> None:
    path = themes / "mine.toml"
    path.write_text(THEME.format(background="#102030"))
    app = Workbench(small.root)
    async with app.run_test() as pilot:
        app.choose_theme("mine")
        top = app.screen
        await until(pilot, lambda: top.styles.background.hex == "#102030", "not chosen")
        path.write_text(THEME.format(background="#405060"))
        await until(pilot, lambda: top.styles.background.hex == "#405060", "not shown anew")
    again = Workbench(small.root)
    async with again.run_test():
        assert again.theme == "mine"
        assert again.screen.styles.background.hex == "#405060"


async def test_without_colour_the_grey_theme_is_chosen(
    small: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Workbench(small.root)
    async with app.run_test():
        assert app.theme == WITHOUT_COLOUR
