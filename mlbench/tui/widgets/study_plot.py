"""A drawn chart that has the focus and can be clicked."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from mlbench.tui.draw.lines import EMPTY, stacked
from mlbench.tui.draw.study_plot import Chart

_REACH = 2


class StudyPlot(Widget, can_focus=True):
    """Shows a chart's lines; a click means the trial that is marked nearest to it."""

    DEFAULT_CSS = """
    StudyPlot { text-wrap: nowrap; text-overflow: clip; }
    """

    class Pointed(Message):
        """The user clicked on a trial."""

        def __init__(self, number: int) -> None:
            """Say which."""
            self.number = number
            super().__init__()

    class Resized(Message):
        """The chart has to be drawn for another size."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin empty."""
        super().__init__(id=id)
        self._chart = Chart(())
        self._shown = EMPTY

    @property
    def text(self) -> str:
        """What is shown, without its styles."""
        return self._shown.plain

    def show(self, chart: Chart) -> None:
        """Show this chart from now on."""
        self._chart = chart
        shown = stacked(chart.lines)
        if not shown.is_same(self._shown):
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        """The chart's lines."""
        return self._shown

    def on_resize(self) -> None:
        """Tell that the size is another one."""
        self.post_message(self.Resized())

    def on_click(self, event: events.Click) -> None:
        """Tell the trial that is nearest, if one is near."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        near = [
            # A line is about as high as two cells are wide.
            (abs(x - offset.x) + 2 * abs(y - offset.y), number)
            for (x, y), number in self._chart.spots.items()
            if abs(x - offset.x) <= _REACH and abs(y - offset.y) <= 1
        ]
        if near:
            self.post_message(self.Pointed(min(near)[1]))
