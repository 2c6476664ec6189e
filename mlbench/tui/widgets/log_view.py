"""A stage's log: follows its end until the user scrolls up, and again from the end key on."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from mlbench.tui.draw.ansi import plain, styled
from mlbench.tui.following import LogText


class LogView(ScrollView, can_focus=True):
    """Draws only the lines that are seen; `show` hands it the log as of now."""

    DEFAULT_CSS = """
    LogView {
        height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: clip;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "by(-1)", show=False),
        Binding("down,j", "by(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "top", show=False),
        Binding("end,G", "follow", show=False),
        Binding("left", "sideways(-8)", show=False),
        Binding("right", "sideways(8)", show=False),
    ]

    class FollowChanged(Message):
        """The log begins or stops to follow its end."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin empty, and following."""
        super().__init__(id=id)
        self._log = LogText()
        self._lines: tuple[str, ...] = ()
        self._words = ""
        self._left = 0
        self.is_following = True

    @property
    def filter_words(self) -> str:
        """What shown lines have to contain; empty for all lines."""
        return self._words

    @property
    def count(self) -> int:
        """How many lines are shown."""
        return len(self._lines)

    def show(self, log: LogText, *, anew: bool = False) -> None:
        """Show the log as of now; `anew` where it is another stage's."""
        if log is self._log and not anew:
            return
        gone = 0 if anew else log.first - self._log.first
        self._log = log
        if anew:
            self._left = 0
            self._follow(True)
        self._rebuild(scrolled_off=0 if self._words else gone)

    def set_filter(self, words: str) -> None:
        """Show only lines that contain these words."""
        self._words = words.strip().lower()
        self._rebuild()

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        width = self.scrollable_content_region.width
        style = self.visual_style
        index = self.scroll_offset.y + y
        if not 0 <= index < len(self._lines):
            return Strip.blank(width, style.rich_style)
        content: Content = styled(self._lines[index])
        strips = Visual.to_strips(self, content, max(1, content.cell_length), 1, style)
        strip = strips[0] if strips else Strip.blank(width, style.rich_style)
        return strip.crop_extend(self._left, self._left + width, style.rich_style)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up by hand stops following; reaching the end again does not start it."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and new_value < self.max_scroll_y:
            self._follow(False)

    def action_by(self, lines: int) -> None:
        """Scroll by so many lines."""
        self.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by so many pages."""
        self.scroll_relative(y=pages * max(1, self.size.height - 1), animate=False)

    def action_top(self) -> None:
        """Go to the first line that is kept."""
        self.scroll_to(y=0, animate=False)

    def action_follow(self) -> None:
        """Go to the end and follow it."""
        self._follow(True)
        self._to_end()

    def action_sideways(self, cells: int) -> None:
        """Look further right or left in long lines."""
        self._left = max(0, self._left + cells)
        self.refresh()

    def on_resize(self) -> None:
        """Stay at the end while following."""
        if self.is_following:
            self._to_end()

    def _follow(self, following: bool) -> None:
        if following != self.is_following:
            self.is_following = following
            self.post_message(self.FollowChanged())

    def _rebuild(self, scrolled_off: int = 0) -> None:
        lines = self._log.lines
        if self._words:
            lines = tuple(line for line in lines if self._words in plain(line).lower())
        self._lines = lines
        following = self.is_following
        self.virtual_size = Size(0, len(lines))
        if following:
            self._to_end()
        elif scrolled_off > 0:
            self.scroll_to(y=max(0, self.scroll_offset.y - scrolled_off), animate=False)
        self.refresh()

    def _to_end(self) -> None:
        following = self.is_following
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        # A log that became shorter scrolls up by itself, which is nobody's wish to stop.
        self._follow(following)
