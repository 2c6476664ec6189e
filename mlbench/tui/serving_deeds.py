"""What the actions of screen 5 do: starting and stopping, splitting traffic, copying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlbench.domain.commands import SetTraffic
from mlbench.domain.release import DeployedModel
from mlbench.domain.request_snippets import as_curl, as_python
from mlbench.tui.questions import Choice, Question
from mlbench.tui.release_deeds import ask, copy
from mlbench.tui.serving_questions import (
    ask_canary,
    ask_replay,
    ask_shadow,
    ask_stop,
    fault_in_weights,
    weights_in,
    weights_to_edit,
)
from mlbench.tui.serving_reading import Inputs
from mlbench.tui.serving_rules import asked_version, model_of, others, weights_of
from mlbench.tui.situation import ASKING, REQUEST, Situation
from mlbench.tui.widgets.dialog import QuestionDialog
from mlbench.tui.widgets.text_dialog import TextDialog

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench

Deed = Callable[["Workbench", Situation], None]


def _switch(workbench: Workbench, situation: Situation) -> None:
    """Start what is down; ask before what is up is stopped."""
    served = situation.served
    if served is None:
        return
    name = served.environment.name
    if served.environment.status.pid is None:
        workbench.switch(name, up=True)
        return

    def answered(choice: Choice | None) -> None:
        if choice is not None:
            workbench.switch(name, up=False)

    workbench.push_screen(QuestionDialog(ask_stop(name)), answered)


def _traffic(workbench: Workbench, situation: Situation) -> None:
    served, model = situation.served, model_of(situation)
    if served is None:
        return
    name = served.environment.name

    def answered(text: str | None) -> None:
        if text is not None:
            workbench.send(SetTraffic(name, model, weights_in(text)))

    hint = "VERSION=WEIGHT …, as in 12=90 13=10; nothing gives all to the live version."
    text = weights_to_edit(weights_of(situation), others(situation))
    title = f"Who answers for {model} in {name}?"
    dialog = TextDialog(title, hint, text, fault_in_weights, done="share")
    workbench.push_screen(dialog, answered)


def _replay(workbench: Workbench, situation: Situation) -> None:
    question = ask_replay(situation)
    served, found = situation.served, others(situation)
    if question is None or served is None:
        return

    def answered(choice: Choice | None) -> None:
        if choice is not None and isinstance(choice.value, str):
            workbench.serving_pane.replay(served, found[int(choice.value)])

    workbench.push_screen(QuestionDialog(question), answered)


def _copy(workbench: Workbench, situation: Situation) -> None:
    """What the form holds; the request that is open; else a held-out row of the version."""
    pane, version, logged = workbench.serving_pane, asked_version(situation), situation.logged
    if situation.screen == REQUEST and logged is not None and not logged.is_rows:
        _copy_as(workbench, situation, logged.model, logged.inputs or (), None)
    elif version is None:
        workbench.tell("copy: there is no version to ask", "warning")
    elif situation.screen != ASKING:
        pane.copy_sample(version)
    elif (inputs := pane.asked_inputs) is None:
        workbench.tell("copy: the form has to be mended first", "warning")
    else:
        copy_request(workbench, version, inputs)


def copy_request(workbench: Workbench, version: DeployedModel, inputs: Inputs) -> None:
    """Copy a request to a version; without its number where it is live."""
    situation = workbench.situation
    status = situation.served.environment.status if situation.served is not None else None
    is_live = status is not None and status.serving.get(version.name) == version.version
    number = None if is_live else version.version
    _copy_as(workbench, situation, version.name, inputs, number)


def _copy_as(
    workbench: Workbench, situation: Situation, model: str, inputs: Inputs, version: int | None
) -> None:
    """Ask how a request is to be written down, and copy that."""
    if situation.served is None:
        return
    now = situation.served.environment
    address, token = now.status.address, now.token
    path = f"/v2/models/{quote(model, safe='')}"
    path += f"/versions/{version}/infer" if version is not None else "/infer"
    body = {"inputs": [dict(tensor) for tensor in inputs]}
    texts = {
        "curl": as_curl(address, path, body, token),
        "Python": as_python(address, path, body, token),
        "address": address + path,
    }
    choices = tuple(Choice(f"{name:<8} {said}", name) for name, said in _TELLING.items())

    def answered(choice: Choice | None) -> None:
        if choice is not None and isinstance(choice.value, str):
            what = "" if choice.value == "address" else f"the request as {choice.value}"
            copy(workbench, texts[choice.value], what)

    workbench.push_screen(QuestionDialog(Question("Copy the request as …", (), choices)), answered)


_TELLING = {
    "curl": "a command for the shell",
    "Python": "a program of the standard library alone",
    "address": "where it is asked",
}
SERVING_DEEDS: Mapping[str, Deed] = {
    "switch": _switch,
    "canary": lambda bench, known: ask(bench, ask_canary(known)),
    "shadow": lambda bench, known: ask(bench, ask_shadow(known)),
    "traffic": _traffic,
    "replay": _replay,
    "copy-request": _copy,
    "copy-asked": _copy,
}
