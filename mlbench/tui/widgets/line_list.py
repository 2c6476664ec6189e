"""A list that draws only the lines that are seen, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

Draw = Callable[[int, int], Content]
"""(index, width in cells) → the line."""

GUTTER = 1


def _nothing(*_: int) -> Content:
    return Content("")


class LineList(ScrollView, can_focus=True):
    """Lines with a cursor; `show` says how many there are and how one is drawn."""

    DEFAULT_CSS = """
    LineList {
        height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-list--cursor", "line-list--cursor-blurred"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "to_end(-1)", show=False),
        Binding("end,G", "to_end(1)", show=False),
        Binding("left", "sideways(-1)", show=False),
        Binding("right", "sideways(1)", show=False),
    ]

    class Moved(Message):
        """The user put the cursor on another line."""

        def __init__(self, source: LineList, index: int) -> None:
            """Say in which list, and which line."""
            self.source, self.index = source, index
            super().__init__()

    class Sideways(Message):
        """The user wants to see more at the left (-1) or at the right (1)."""

        def __init__(self, source: LineList, by: int) -> None:
            """Say in which list, and which way."""
            self.source, self.by = source, by
            super().__init__()

    class Chosen(Message):
        """The user clicked on the line that the cursor was on."""

        def __init__(self, source: LineList, index: int) -> None:
            """Say in which list, and which line."""
            self.source, self.index = source, index
            super().__init__()

    def __init__(self, *, id: str | None = None, is_selection: bool = True) -> None:
        """Draw the cursor without the focus too where it is a selection that others depend on."""
        self._strips: dict[tuple[object, ...], Strip] = {}
        super().__init__(id=id)
        self._is_selection = is_selection
        self._count = 0
        self._cursor = 0
        self._draw: Draw = _nothing
        self._lines: tuple[Content, ...] | None = None

    @property
    def cursor(self) -> int | None:
        """The line under the cursor, None where there are no lines."""
        return self._cursor if self._count else None

    def show(self, count: int, draw: Draw) -> None:
        """Draw these lines from now on, keeping the cursor's line as far as there is one."""
        is_resized, self._lines = count != self._count, None
        self._strips.clear()
        self._count, self._draw = count, draw
        self._cursor = max(0, min(self._cursor, count - 1))
        if is_resized:
            self.virtual_size = Size(0, count)
            self._keep_in_sight()
        self.refresh()

    def show_lines(self, lines: Sequence[Content]) -> None:
        """Show these lines; only those that differ are painted anew, as every tick may ask."""
        before = self._lines
        if before is None or len(before) != len(lines):
            self.show(len(lines), lambda index, _: lines[index])
            self._lines = tuple(lines)
            return
        differing = [index for index, text in enumerate(lines) if not text.is_same(before[index])]
        if differing:
            self._lines = tuple(lines)
            self._strips.clear()
            self._draw = lambda index, _: lines[index]
        for index in differing:
            self.refresh_line(index)

    def put_cursor(self, index: int) -> None:
        """Put the cursor on a line without telling anybody."""
        if index != self._cursor and 0 <= index < self._count:
            self._cursor = index
            self._keep_in_sight()
            self.refresh()

    @property
    def line_width(self) -> int:
        """How many cells a line may have; never 0."""
        return max(1, self.scrollable_content_region.width - GUTTER)

    def in_sight(self) -> range:
        """Which lines are seen now."""
        top = self.scroll_offset.y
        return range(top, min(self._count, top + max(1, self.scrollable_content_region.height)))

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        index = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        style = self.visual_style
        if not 0 <= index < self._count:
            return Strip.blank(width, style.rich_style)
        focused = self.has_focus
        has_cursor = index == self._cursor and (self._is_selection or focused)
        # A line that is seen again as it was is not drawn again, wherever it is seen.
        key = (index, width, style, has_cursor and (focused,), self.app.theme)
        strip = self._strips.get(key)
        if strip is None:
            content = self._draw(index, width - GUTTER)
            if has_cursor:
                strip = self._cursor_line(content, width, focused=focused)
            else:
                strip = self._strip(Content(" ") + content, width, style)
            self._strips[key] = strip
        return strip

    def _cursor_line(self, content: Content, width: int, *, focused: bool) -> Strip:
        name = "line-list--cursor" if focused else "line-list--cursor-blurred"
        style = self.get_visual_style(name)
        mark = Content.styled("▌" if focused else "▏", "$info" if focused else "$quiet")
        return self._strip(mark + content, width, style)

    def _strip(self, content: Content, width: int, style: Style) -> Strip:
        strips = Visual.to_strips(self, content, width, 1, style, pad=True)
        return strips[0].crop(0, width) if strips else Strip.blank(width)

    def notify_style_update(self) -> None:
        """Another theme, or the same one saved anew: every line is drawn again."""
        self._strips.clear()
        super().notify_style_update()

    def action_move(self, by: int) -> None:
        """Move the cursor by so many lines."""
        self._put_by_user(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self._put_by_user(self._cursor + by * max(1, self.scrollable_content_region.height - 1))

    def action_to_end(self, which: int) -> None:
        """Put the cursor on the first or the last line."""
        self._put_by_user(0 if which < 0 else self._count - 1)

    def action_sideways(self, by: int) -> None:
        """Tell whoever draws the lines which way to go."""
        self.post_message(self.Sideways(self, by))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a line; a click where it stands already opens that line."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = self.scroll_offset.y + offset.y
        if not 0 <= index < self._count:
            return
        if index == self._cursor and event.chain > 1:
            self.post_message(self.Chosen(self, index))
        self._put_by_user(index)

    def on_focus(self) -> None:
        """The cursor looks different with the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks different without the focus."""
        self.refresh()

    def on_resize(self) -> None:
        """Keep the cursor's line in sight."""
        self._keep_in_sight()

    def _put_by_user(self, index: int) -> None:
        if not self._count:
            return
        self._cursor = max(0, min(index, self._count - 1))
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved(self, self._cursor))

    def _keep_in_sight(self) -> None:
        if self._count and self.size.height:
            self.scroll_to_region(Region(0, self._cursor, 1, 1), animate=False, force=True)
