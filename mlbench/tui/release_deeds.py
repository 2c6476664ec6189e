"""What the actions of screen 4 do: asking before a promotion, rolling back, copying."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mlbench.domain.commands import Command, Promote, Rollback
from mlbench.tui.clipboard import copying, hand_to_tmux
from mlbench.tui.questions import WIDTH, Choice, Question
from mlbench.tui.release_questions import (
    Promotion,
    ask_promote,
    ask_rollback,
    ask_where,
    first_promotion,
    next_promotions,
)
from mlbench.tui.release_reading import GatesQuestion
from mlbench.tui.release_rules import copies
from mlbench.tui.situation import Situation
from mlbench.tui.widgets.dialog import QuestionDialog
from mlbench.tui.widgets.text_dialog import TextDialog

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench

Deed = Callable[["Workbench", Situation], None]


def ask(workbench: Workbench, question: Question | None) -> None:
    """Ask, and hand over what is chosen, once there is a reason where one is asked for."""
    if question is None:
        return

    def answered(choice: Choice | None) -> None:
        if choice is not None and not isinstance(choice.value, str):
            _carry_out(workbench, choice.value, asks_why=choice.asks_why)

    workbench.push_screen(QuestionDialog(question), answered)


def copy(workbench: Workbench, text: str, what: str = "") -> None:
    """Put a text into the terminal's clipboard, over SSH and in tmux too, and say so."""
    workbench.put_into_clipboard(copying(text, os.environ))
    if os.environ.get("TMUX"):
        workbench.run_worker(lambda: hand_to_tmux(text), thread=True, exit_on_error=False)
    workbench.tell(f"copied {what or text}")


def _carry_out(workbench: Workbench, command: Command, *, asks_why: bool) -> None:
    if not asks_why or not isinstance(command, (Promote, Rollback)):
        workbench.send(command)
        return
    is_forced = isinstance(command, Promote) and command.force

    def answered(reason: str | None) -> None:
        if reason is not None:
            workbench.send(replace(command, reason=reason.strip()))

    title = "Promote by force" if is_forced else f"Roll back {command.environment}"
    hint = "Why? The ledger keeps it for good, with your name" + (
        "." if is_forced else "; enter without words gives none."
    )
    fault = _no_reason if is_forced else lambda _: ""
    workbench.push_screen(TextDialog(title, hint, "", fault, done="do it"), answered)


def _no_reason(text: str) -> str:
    return "" if text.strip() else "say why: nothing is forced without a reason"


def _promote(workbench: Workbench, promotion: Promotion | None) -> None:
    """Show what is known at once; the gates of today follow as soon as they are judged."""
    if promotion is None:
        return
    width = min(WIDTH, workbench.size.width - 10)
    ask(workbench, ask_promote(promotion, width=width))
    question = GatesQuestion(promotion.candidate, promotion.environment.name)
    workbench.expect_gates(question, lambda today: ask_promote(promotion, today, width))


def _promote_on(workbench: Workbench, promotions: tuple[Promotion, ...]) -> None:
    """Ask where, if there is a choice."""
    if len(promotions) < 2:
        _promote(workbench, next(iter(promotions), None))
        return
    found = {item.environment.name: item for item in promotions}

    def answered(choice: Choice | None) -> None:
        if choice is not None and isinstance(choice.value, str):
            _promote(workbench, found[choice.value])

    workbench.push_screen(QuestionDialog(ask_where(promotions)), answered)


def _copy_release(workbench: Workbench, situation: Situation) -> None:
    found = dict(copies(situation))
    room = max(12, min(WIDTH, workbench.size.width - 10) - 12)
    choices = tuple(
        Choice(f"{what:<8} {text if len(text) <= room else text[: room - 1] + '…'}", what)
        for what, text in found.items()
    )

    def answered(choice: Choice | None) -> None:
        if choice is not None and isinstance(choice.value, str):
            copy(workbench, found[choice.value], choice.value)

    workbench.push_screen(QuestionDialog(Question("Copy what?", (), choices)), answered)


def _copy_curl(workbench: Workbench, situation: Situation) -> None:
    if situation.files is not None:
        copy(workbench, situation.files.curl, "the sample request as a curl command")


def _open_run(workbench: Workbench, situation: Situation) -> None:
    if situation.run is not None:
        workbench.open_run(situation.run)


def _compare_runs(workbench: Workbench, situation: Situation) -> None:
    runs = [side.run.id for side in situation.sides if side.run is not None]
    workbench.turn_to("runs")
    workbench.runs_pane.compare(runs)


def _at(workbench: Workbench, _: Situation) -> None:
    pane = workbench.models_pane
    pane.act("ledger")

    def answered(text: str | None) -> None:
        if text is not None:
            pane.ledger.ask_at(text.strip())

    hint = "In UTC: 2026-11-20, 2026-11-20 14:00, 2d for two days ago; nothing for now."
    dialog = TextDialog("What was live at …", hint, pane.ledger.at, done="look")
    workbench.push_screen(dialog, answered)


RELEASE_DEEDS: Mapping[str, Deed] = {
    "promote": lambda bench, known: _promote(bench, first_promotion(known)),
    "promote-on": lambda bench, known: _promote_on(bench, next_promotions(known)),
    "rollback": lambda bench, known: ask(bench, ask_rollback(known)),
    "copy-release": _copy_release,
    "copy-curl": _copy_curl,
    "open-run": _open_run,
    "compare-runs": _compare_runs,
    "at": _at,
}
