"""The list that draws only what is seen, and paints anew only what differs."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import App, ComposeResult
from textual.content import Content

from mlbench.tui.widgets.line_list import LineList


class Watched(list[Content]):
    """Lines that say which of them were asked for."""

    asked: set[int]

    def __init__(self, *words: str) -> None:
        super().__init__(map(Content, words))
        self.asked = set()

    def __getitem__(self, index: int) -> Content:  # type: ignore[override]
        self.asked.add(index)
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Content]:
        return super().__iter__()


class Listing(App[None]):
    """A list in the themes' colours that it uses."""

    def get_css_variables(self) -> dict[str, str]:
        return {**super().get_css_variables(), "info": "blue", "quiet": "grey"}

    def compose(self) -> ComposeResult:
        yield LineList()


async def test_only_lines_that_differ_are_painted_anew() -> None:
    app = Listing()
    async with app.run_test(size=(20, 6)) as pilot:
        listed, first = app.query_one(LineList), Watched("one", "two", "three")
        listed.show_lines(first)
        await pilot.pause()
        assert first.asked == {0, 1, 2}
        same, other = Watched("one", "two", "three"), Watched("one", "2", "three")
        listed.show_lines(same)
        await pilot.pause()
        assert same.asked == set()
        listed.show_lines(other)
        await pilot.pause()
        assert other.asked == {1}
        assert "2" in listed.render_line(1).text
        listed.show(1, lambda *_: Content("alone"))
        listed.show_lines(other)
        await pilot.pause()
        assert other.asked == {0, 1, 2}
