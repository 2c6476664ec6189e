"""The single tests of one test stage, with what is wrong with the one under the cursor."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from mlbench.domain.runs import TestResult
from mlbench.tui.draw.lines import EMPTY, line, ruled
from mlbench.tui.draw.single_tests import counted, matching, message_lines, result_line
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.widgets.drawn import Drawn
from mlbench.tui.widgets.line_list import LineList

_MOST_MESSAGE = 5
_LEAST_LIST = 3


class SingleTests(Vertical):
    """A divider, the list, a message; not seen where the stage has no single tests."""

    DEFAULT_CSS = """
    SingleTests { height: auto; display: none; }
    SingleTests LineList { height: 3; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with no stage's tests."""
        super().__init__(id=id)
        self._question: StageQuestion | None = None
        self._all: tuple[TestResult, ...] = ()
        self._shown: tuple[TestResult, ...] = ()
        self._counted = EMPTY
        self.filter_words = ""

    def compose(self) -> ComposeResult:
        """The divider, the list, the message."""
        yield Drawn(id="tests-title")
        yield LineList(id="tests-list")
        yield Drawn(id="tests-message")

    @property
    def listed(self) -> LineList:
        """The list itself."""
        return self.query_one(LineList)

    def show(self, detail: StageDetail) -> None:
        """Show a stage's tests as of now; the cursor goes to the first of another stage's."""
        is_another = detail.question != self._question
        self._question = detail.question
        if detail.tests is not self._all:
            self._all, self._counted = detail.tests, counted(detail.tests)
            self._list()
        if is_another:
            self.listed.put_cursor(0)
        self.display = bool(self._all)

    def set_filter(self, words: str) -> None:
        """Show only tests whose id or outcome contains these words."""
        self.filter_words = words.strip()
        self._list()

    def draw(self, room: int) -> None:
        """Draw in at most so many lines."""
        if not self._all:
            return
        title, message = (self.query_one(f"#tests-{name}", Drawn) for name in ("title", "message"))
        name = line(
            ("── ", "$frame"), ("tests ", "bold $info" if self.listed.has_focus else "bold")
        )
        found = line((f" /{self.filter_words} ", "$warn")) if self.filter_words else EMPTY
        title.show([ruled(line(name, found), self._counted, title.width)])
        cursor = self.listed.cursor
        chosen = self._shown[cursor] if cursor is not None else None
        # The list keeps its lines when the message of another test is longer.
        most = min(_MOST_MESSAGE, max(0, room - 1 - _LEAST_LIST))
        lines = message_lines(chosen, message.width, most) if most else []
        message.show(lines)
        message.display = bool(lines)
        height = max(1, min(len(self._shown), room - 1 - len(lines)))
        if self.listed.styles.height is None or self.listed.styles.height.value != height:
            self.listed.styles.height = height

    def _list(self) -> None:
        self._shown = matching(self._all, self.filter_words) if self.filter_words else self._all
        shown = self._shown
        self.listed.show(len(shown), lambda index, width: result_line(shown[index], width))
