"""What each action does to the workbench; what it asks of the loop is a command of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from mlbench.tui.actions import action_of, command_for
from mlbench.tui.draw.keys import help_lines
from mlbench.tui.editor import editor_command, place_to_edit
from mlbench.tui.questions import STOP_ALL, STOP_RUN, Choice, ask_quit
from mlbench.tui.record_deeds import RECORD_DEEDS
from mlbench.tui.release_deeds import RELEASE_DEEDS
from mlbench.tui.situation import PIPELINE, Situation
from mlbench.tui.widgets.dialog import HelpPage, QuestionDialog

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench

Deed = Callable[["Workbench", Situation], None]


def do(workbench: Workbench, name: str) -> None:
    """Do what an action says, or say why it can't be done here and now."""
    action, situation = action_of(name), workbench.situation
    if not action.works_on(situation.screen):
        where = " or ".join(action.screens)
        workbench.tell(f"{action.label} belongs to the screen {where}", "warning")
        return
    why = action.blocked(situation)
    if why:
        workbench.tell(f"{action.label}: {why}", "warning")
        return
    command = command_for(name, situation)
    if command is not None:
        workbench.send(command)
    elif name in _DEEDS:
        _DEEDS[name](workbench, situation)
    else:
        workbench.pane.act(name)


def _quit(workbench: Workbench, situation: Situation) -> None:
    question = ask_quit(situation)
    if question is None:
        workbench.leave(stop_run=False, stop_servers=False)
        return

    def answered(choice: Choice | None) -> None:
        if choice is not None:
            is_all = choice.value == STOP_ALL
            workbench.leave(stop_run=is_all or choice.value == STOP_RUN, stop_servers=is_all)

    workbench.push_screen(QuestionDialog(question), answered)


def _edit(workbench: Workbench, situation: Situation) -> None:
    path, line = place_to_edit(situation, workbench.root)
    words = editor_command(os.environ, path, line)
    try:
        with workbench.suspend():
            subprocess.run(words, cwd=workbench.root, check=False)
    except SuspendNotSupported:
        workbench.tell(
            "this terminal can't be lent to an editor; open the file beside it", "warning"
        )
    except OSError as error:
        workbench.tell(f"{words[0]}: {error.strerror}; set $EDITOR to your editor", "error")


def _help(workbench: Workbench, situation: Situation) -> None:
    width = min(78, workbench.size.width - 8)
    workbench.push_screen(HelpPage(f"Keys: {situation.screen}", help_lines(situation, width)))


def _log(workbench: Workbench, situation: Situation) -> None:
    if situation.screen == PIPELINE and situation.run is not None:
        workbench.open_run(situation.run)
    else:
        workbench.pane.act("log")


_DEEDS: Mapping[str, Deed] = {
    **RECORD_DEEDS,
    **RELEASE_DEEDS,
    "quit": _quit,
    "edit": _edit,
    "help": _help,
    "log": _log,
    "filter": lambda bench, _: bench.open_filter(),
    "palette": lambda bench, _: bench.action_command_palette(),
    "theme": lambda bench, _: bench.next_theme(),
    "screen-pipeline": lambda bench, _: bench.turn_to("pipeline"),
    "screen-runs": lambda bench, _: bench.turn_to("runs"),
    "screen-sweeps": lambda bench, _: bench.turn_to("sweeps"),
    "screen-models": lambda bench, _: bench.turn_to("models"),
    "screen-serving": lambda bench, _: bench.turn_to("serving"),
}
