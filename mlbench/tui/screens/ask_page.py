"""Try it: a form made from the model's own signature, and what the model answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from mlbench.domain.release import DeployedModel
from mlbench.tui.draw.answers import reply_lines
from mlbench.tui.draw.bitmap import bitmap_lines
from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.form import Form, form_of, inputs_with, numbers_of, texts_in
from mlbench.tui.serving_reading import (
    Asked,
    AskQuestion,
    Inputs,
    Sample,
    SampleQuestion,
)
from mlbench.tui.serving_wanted import ServingWanted
from mlbench.tui.widgets.drawn import Drawn, entitle

if TYPE_CHECKING:
    from mlbench.engine.serving_queries import EnvironmentNow

_BROAD = 72
_MOST_LABEL = 28


class Turned(Message):
    """The user wants the next held-out row, or the one before."""

    def __init__(self, by: int) -> None:
        """Say which way."""
        self.by = by
        super().__init__()


class ValueInput(Input):
    """One value; the arrow keys go to the fields beside it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]


class RowText(TextArea):
    """All values of a row; enter asks, and the paging keys turn to other rows."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key in ("enter", "pagedown", "pageup"):
            event.stop()
            event.prevent_default()
            by = {"pagedown": 1, "pageup": -1}.get(event.key)
            self.post_message(Turned(by) if by else self.Submitted())
            return
        await super()._on_key(event)

    class Submitted(Message):
        """The user pressed enter."""


class AskPage(Widget):
    """The form at the left; picture and answer at the right, or below where it is narrow."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with no model."""
        super().__init__(id=id)
        self._deployed: DeployedModel | None = None
        self._environment = self._address = ""
        self._token: str | None = None
        self._version: int | None = None
        self._form: Form | None = None
        self._sample: Sample | None = None
        self._asked: AskQuestion | None = None
        self._answer: Asked | None = None
        self._problem = ""
        self._drawn_for: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """The form, and what comes of it."""
        with VerticalScroll(id="ask-form", can_focus=False):
            yield Vertical(id="ask-fields")
            yield Drawn(id="ask-fault")
        with VerticalScroll(id="ask-right", can_focus=False):
            yield Drawn(id="ask-picture")
            yield Drawn(id="ask-answer")

    @property
    def inputs(self) -> Inputs | None:
        """What the form holds now; None where a value does not fit."""
        form = self._form
        if form is None:
            return None
        try:
            return inputs_with(form, self._texts(form))
        except ValueError as error:
            self._problem = str(error)
            return None

    def open(
        self,
        now: EnvironmentNow,
        deployed: DeployedModel,
        version: int | None,
        inputs: Inputs | None = None,
    ) -> None:
        """Ask this version; `version` is None for whatever is live. Begin with these inputs."""
        is_same = self._deployed == deployed and self._environment == now.name
        self._environment, self._address, self._token = now.name, now.status.address, now.token
        self._deployed, self._version = deployed, version
        if inputs is not None:
            self._fill(form_of(inputs, deployed.signature), None)
        elif not is_same or self._form is None:
            self._form = None
            self._want(0)

    def turn(self, by: int) -> None:
        """Fill in another held-out row."""
        row = self._sample.row.index if self._sample is not None and self._sample.row else -by
        self._want(max(0, row + by))

    def send(self) -> None:
        """Ask what the form holds, unless something is wrong with it."""
        inputs = self.inputs
        if inputs is None or self._deployed is None:
            self.draw()
            return
        name = self._deployed.name
        self._asked = AskQuestion(self._address, name, self._version, inputs, self._token)
        self.post_message(ServingWanted(self._asked))

    def take(self, answer: Sample | Asked) -> None:
        """Show what was read, or answered."""
        if isinstance(answer, Asked):
            if answer.question is self._asked:
                self._answer = answer
                self.call_after_refresh(self._show_answer)
        elif answer.question.deployed == self._deployed:
            if answer.row is None:
                self._problem = answer.problem
            else:
                self._fill(form_of(answer.row.inputs, answer.question.deployed.signature), answer)
        self.draw()

    def take_focus(self) -> None:
        """Type into the first field."""
        fields = self.query("#ask-fields ValueInput, #ask-fields RowText")
        if fields:
            fields.first().focus()

    def draw(self) -> None:
        """Draw picture, answer and what is wrong."""
        self.set_class(self.size.width >= _BROAD, "-broad")
        deployed, form = self._deployed, self._form
        if deployed is None:
            return
        inputs = self.inputs
        right = self.query_one("#ask-answer", Drawn)
        now = (inputs, self._problem, self._answer, right.width, self.size, form)
        if now == self._drawn_for:
            return
        self._drawn_for = now
        row = self._sample.row if self._sample is not None else None
        which = f"held-out row {row.index}" if row is not None else "from the request log"
        edited = "" if inputs is None or not self._is_edited(inputs) else ", edited"
        name = f"{deployed.name} v{deployed.version} in {self._environment}"
        told = f"{which if form is not None else 'reading …'}{edited}"
        # Only a box has a lower border.
        is_boxed = self.has_class("-broad")
        title = line((name, "bold"), ("" if is_boxed else f"  {told}", "$quiet"))
        entitle(self.query_one("#ask-form"), title, line((told if is_boxed else "", "$quiet")))
        self._draw_fault(inputs)
        picture = self.query_one("#ask-picture", Drawn)
        shape = form.shape if form is not None else None
        if shape is None:
            picture.show([])
        elif inputs is not None:
            room = max(8, picture.width)
            drawn = bitmap_lines(numbers_of(inputs), *shape, room=room)
            picture.show([*drawn, EMPTY])
        right.show(self._answer_lines(right.width))
        entitle(self.query_one("#ask-right"), line(("Answer", "bold")))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.draw)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Draw what is typed."""
        event.stop()
        self._edited()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Draw what is typed."""
        event.stop()
        self._edited()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter asks."""
        event.stop()
        self.send()

    def on_row_text_submitted(self, event: RowText.Submitted) -> None:
        """Enter asks."""
        event.stop()
        self.send()

    def on_turned(self, event: Turned) -> None:
        """Another row."""
        event.stop()
        self.turn(event.by)

    def _show_answer(self) -> None:
        """Where there is no room for both, the answer counts more than the picture."""
        self.query_one("#ask-right").scroll_to_widget(
            self.query_one("#ask-answer"), animate=False, top=True
        )

    def _edited(self) -> None:
        self._problem = ""
        if self._answer is not None and self.inputs != self._answer.question.inputs:
            self._answer = None
        self.draw()

    def _want(self, row: int) -> None:
        if self._deployed is not None:
            self.post_message(ServingWanted(SampleQuestion(self._deployed, row)))

    def _fill(self, form: Form, sample: Sample | None) -> None:
        """Put a row into the fields, which are made anew where they are others."""
        before, self._form, self._sample = self._form, form, sample
        self._problem, self._answer = "", None
        names = [field.name for field in form.fields]
        if before is not None and [field.name for field in before.fields] == names:
            self._put(form)
            return
        box = self.query_one("#ask-fields", Vertical)
        box.remove_children()
        if form.is_one_text:
            area = RowText(form.text, id=None, soft_wrap=False, compact=True)
            # As high as the row needs: the box scrolls, not the text.
            area.styles.height = form.text.count("\n") + 1
            area.styles.max_width = max(map(len, form.text.split("\n"))) + 4
            box.mount(area)
        else:
            room = min(_MOST_LABEL, max(len(name) for name in names))
            for field in form.fields:
                label = Static(line((field.name[:room], "$quiet")), classes="ask-label")
                label.styles.width = room + 2
                box.mount(Horizontal(label, ValueInput(field.text, compact=True)))
        self.call_after_refresh(self.take_focus)

    def _put(self, form: Form) -> None:
        if form.is_one_text:
            self.query_one(RowText).text = form.text
            return
        for widget, field in zip(self.query(ValueInput), form.fields, strict=True):
            widget.value = field.text

    def _texts(self, form: Form) -> list[str]:
        """What stands in the fields; ValueError where the one text does not fit."""
        if form.is_one_text:
            areas = self.query(RowText)
            return texts_in(form, areas.first().text if areas else form.text)
        widgets = list(self.query(ValueInput))
        if len(widgets) != len(form.fields):
            return [field.text for field in form.fields]
        return [widget.value for widget in widgets]

    def _is_edited(self, inputs: Inputs) -> bool:
        return self._form is not None and not _equal(inputs, self._form.inputs)

    def _draw_fault(self, inputs: Inputs | None) -> None:
        drawn = self.query_one("#ask-fault", Drawn)
        said = self._problem if inputs is None or self._form is None else ""
        drawn.show([line((piece.plain, "bold $fail")) for piece in folded(said, drawn.width)])

    def _answer_lines(self, width: int) -> list[Any]:
        answer = self._answer
        if answer is None:
            hint = "enter asks; pgdn fills in the next held-out row."
            return [line((piece.plain, "$quiet")) for piece in folded(hint, width)]
        if answer.reply is None:
            said = f"✗ {answer.problem}"
            return [line((piece.plain, "bold $fail")) for piece in folded(said, width)]
        row = self._sample.row if self._sample is not None else None
        is_as_it_was = not self._is_edited(answer.question.inputs)
        signature = self._deployed.signature if self._deployed is not None else None
        return reply_lines(answer.reply, signature, row if is_as_it_was else None, width)


def _equal(one: Inputs, other: Inputs) -> bool:
    """Whether two requests say the same, numbers as far as they are shown."""
    return all(_same_tensor(a, b) for a, b in zip(one, other, strict=True))


def _same_tensor(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    pairs = zip(one["data"], other["data"], strict=True)
    return all(
        a == b or (isinstance(a, float) and abs(a - b) <= 1e-6 * max(1.0, abs(b))) for a, b in pairs
    )
