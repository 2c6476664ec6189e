"""What the workbench asks before it acts: title, what will happen, and the choices; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.domain.commands import Command, RestoreRun
from mlbench.domain.phrases import plural
from mlbench.domain.runs import Run
from mlbench.tui.draw.lines import Part, line
from mlbench.tui.situation import Situation

if TYPE_CHECKING:
    from mlbench.engine.restoring import Restoration

WIDTH = 64
# How to quit: all that runs or serves goes on; stages are stopped; servers too.
QUIT, STOP_RUN, STOP_ALL = "quit", "stop-run", "quit-and-stop"
DELETE = "delete"
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: what it says, and the command or word that it stands for.

    `asks_why` where a reason is asked for before it is carried out; a command that forces something
    is not carried out without one.
    """

    label: str
    value: Command | str
    style: str = ""
    asks_why: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question with at least one choice besides "no"."""

    title: str
    lines: tuple[Content, ...]
    choices: tuple[Choice, ...]


def ask_quit(situation: Situation) -> Question | None:
    """Nothing to ask where nothing runs here and nothing serves."""
    up = [item.name for item in situation.surroundings.environments if item.pid is not None]
    is_ours = not situation.attached
    lines: list[Content] = []
    if situation.board.is_busy and is_ours:
        names = ", ".join(stage.name for stage in situation.board.running) or "the run"
        goes_on = ". It can go on without a workbench; the next one shows it again."
        lines.append(line("Still running: ", (names, "bold"), goes_on))
    if up:
        goes_on = ". Servers are processes of their own and go on until they are stopped."
        lines.append(line("Serving: ", (_listed(up), "bold"), goes_on))
    if sweeps := [study.name for study in situation.sweeps.running]:
        goes_on = " A sweep goes on without a workbench; s on screen 3 stops it."
        lines.append(line("Sweeping: ", (_listed(sweeps), "bold"), ".", goes_on))
    if not lines:
        return None
    is_running = situation.board.is_busy and is_ours
    choices = [Choice("quit, all that goes on" if len(lines) > 1 else "quit, it goes on", QUIT)]
    if is_running:
        choices.append(Choice("quit and stop what runs", STOP_RUN))
    if up:
        what = "what runs and the servers" if is_running else "the servers"
        choices.append(Choice(f"quit and stop {what}", STOP_ALL))
    return Question("Quit?", tuple(lines), tuple(choices))


def ask_delete(runs: Sequence[Run]) -> Question:
    """Before runs go, with what lies under them."""
    names = ", ".join(run.name for run in runs[:_MOST_NAMED])
    more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
    lines = [
        line((names + more, "bold")),
        line("Record, logs and artifacts go, nested runs too. z brings them back for a while."),
    ]
    what = runs[0].name if len(runs) == 1 else plural(len(runs), "run")
    return Question(f"Delete {what}?", tuple(lines), (Choice(f"delete {what}", DELETE),))


def ask_restore(run: Run, restoration: Restoration) -> Question:
    """Before outputs and parameters of a run come back: what changes, and what is in the way."""
    lines: list[Content] = []
    for out in restoration.outs:
        lost: Part = ("  its changes go to the cache first" if out.is_changed else "", "$warn")
        lines.append(line(("← ", "$info"), out.path, (f"  of {out.stage}", "$quiet"), lost))
    for change in restoration.params:
        lines.append(line(("≔ ", "$info"), f"{change.key}  {change.shown[0]} → {change.shown[1]}"))
    for out in restoration.gone:
        lines.append(
            line(("! ", "$warn"), f"{out.path} is in no cache any more; {out.stage} has to run")
        )
    lines += [line(("  " + note, "$quiet")) for note in restoration.notes]
    command = RestoreRun(run.id, restoration.stages, overwrite=bool(restoration.changed))
    return Question(
        f"Bring back {run.name}?", tuple(lines), (Choice(f"bring back {run.name}", command),)
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
