"""The part of the app that has to do with themes: loading, choosing, reloading when saved."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.app import App

from mlbench.tui.themes import (
    DEFAULT,
    FALLBACK,
    WITHOUT_COLOUR,
    Loaded,
    load_themes,
    stamp,
    theme_folders,
)

if TYPE_CHECKING:
    from mlbench.tui.memory import Memory


class Themed(App[int]):
    """An app whose themes come from files; `memory` and `remember` are the workbench's."""

    memory: Memory

    def remember(self, memory: Memory) -> None:
        """Keep the choice for the next day."""
        raise NotImplementedError

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What the drawings name as `$ok`, `$warn` and so on, where a theme says nothing."""
        return dict(FALLBACK.variables)

    @property
    def theme_names(self) -> list[str]:
        """The themes that can be chosen."""
        return sorted(self._loaded.themes)

    def start_themes(self, chosen: str) -> None:
        """Load every theme and show the chosen one, or the one without colours under NO_COLOR.

        Called before the app runs: to change the theme of a mounted app is to style it twice.
        """
        self._theme_folders = theme_folders()
        self._chosen = WITHOUT_COLOUR if self.no_color else chosen or DEFAULT
        self._load_themes()
        self.set_reactive(App.theme, self._wanted_theme)
        self.stylesheet.set_variables(self.get_css_variables())

    def choose_theme(self, name: str) -> None:
        """Show a theme from now on."""
        self._chosen = name
        self.theme = name
        self.remember(replace(self.memory, theme=name))

    def next_theme(self) -> None:
        """Show the theme after the one that is shown."""
        names = self.theme_names
        place = names.index(self.theme) if self.theme in names else -1
        self.choose_theme(names[(place + 1) % len(names)])
        self.notify(f"theme {self.theme}", markup=False)

    def look_at_themes(self) -> None:
        """Load the themes again where a file was saved."""
        if stamp(self._theme_folders) != self._theme_stamp:
            self._load_themes()
            self.tell_theme_faults()
            if self.theme == self._wanted_theme:
                # The name stays, so Textual sees no change: what is under the name is new.
                self._invalidate_css()
                self.call_next(partial(self.refresh_css, animate=False))
            self.theme = self._wanted_theme

    def tell_theme_faults(self) -> None:
        """One toast for all that is wrong with theme files."""
        if self._loaded.faults:
            told = "\n".join(self._loaded.faults)
            self.notify(told, title="Themes", severity="warning", markup=False)

    @property
    def _wanted_theme(self) -> str:
        return self._chosen if self._chosen in self._loaded.themes else DEFAULT

    def _load_themes(self) -> None:
        self._theme_stamp = stamp(self._theme_folders)
        self._loaded: Loaded = load_themes(self._theme_folders)
        for theme in self._loaded.themes.values():
            self.register_theme(theme)
