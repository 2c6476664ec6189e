"""Themes from TOML files: the shipped ones and the user's own, checked colour by colour."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

import mlbench

DEFAULT, WITHOUT_COLOUR = "mlbench-dark", "monochrome"
MEANINGS = ("ok", "warn", "fail", "info", "quiet", "frame")
_COLOURS = (
    "primary", "secondary", "accent", "background", "surface", "panel",
    "foreground", "warning", "error", "success",
)  # fmt: skip
_KEYS = ("name", "dark", "variables", *_COLOURS)

FALLBACK = Theme(
    name=DEFAULT,
    primary="#5fafd7",
    dark=True,
    variables={
        "ok": "#87d787",
        "warn": "#ffd75f",
        "fail": "#ff8787",
        "info": "#87d7ff",
        "quiet": "#9e9e9e",
        "frame": "#4e4e4e",
    },
)
"""What is shown where no theme file can be read."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The themes that could be read, by name, and one sentence for each that could not."""

    themes: Mapping[str, Theme]
    faults: tuple[str, ...] = ()


def theme_folders() -> tuple[Path, ...]:
    """Where themes lie: shipped in the wheel or at the top of a checkout, then the user's own."""
    package = Path(mlbench.__file__).parent
    shipped = package / "_shipped" / "themes"
    return (shipped if shipped.is_dir() else package.parent / "themes", user_folder())


def user_folder() -> Path:
    """The user's own: `$MLBENCH_CONFIG_HOME/themes`, else in the platform's configuration."""
    home = os.environ.get("MLBENCH_CONFIG_HOME")
    if home:
        return Path(home) / "themes"
    import platformdirs

    return Path(platformdirs.user_config_dir("mlbench")) / "themes"


def stamp(folders: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever a theme file was saved, added or removed."""
    found = []
    for path in _files(folders):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def load_themes(folders: Iterable[Path]) -> Loaded:
    """Every theme that can be read; a user's theme replaces a shipped one of the same name."""
    themes: dict[str, Theme] = {DEFAULT: FALLBACK}
    faults: list[str] = []
    for path in _files(folders):
        try:
            theme, wrong = theme_of(tomllib.loads(path.read_text(encoding="utf-8")), path.name)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            faults.append(f"{path.name}: {error}")
            continue
        faults += wrong
        if theme is not None:
            themes[theme.name] = theme
    return Loaded(themes, tuple(faults))


def theme_of(plain: Mapping[str, Any], file: str) -> tuple[Theme | None, list[str]]:
    """The theme in this table with broken colours left to their defaults, and what is wrong."""
    faults = [f"{file}: {key}: is no key of a theme" for key in plain if key not in _KEYS]
    colours: dict[str, Any] = {}
    for key in _COLOURS:
        if key in plain and _is_colour(plain[key]):
            colours[key] = plain[key]
        elif key in plain:
            faults.append(f"{file}: {key}: {plain[key]!r} is no colour")
    variables = dict(FALLBACK.variables)
    own = plain.get("variables", {})
    for key, value in (own if isinstance(own, dict) else {}).items():
        if key in MEANINGS and not _is_colour(value):
            faults.append(f"{file}: variables.{key}: {value!r} is no colour")
        else:
            variables[key] = str(value)
    name = plain.get("name")
    if not isinstance(name, str) or not name:
        return None, [*faults, f"{file}: name: is missing; write the theme's name"]
    primary = colours.pop("primary", FALLBACK.primary)
    dark = bool(plain.get("dark", True))
    return Theme(name=name, primary=primary, dark=dark, variables=variables, **colours), faults


def _is_colour(value: object) -> bool:
    try:
        Color.parse(value if isinstance(value, str) else "?")
    except ColorParseError:
        return False
    return True


def _files(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob("*.toml"))]
