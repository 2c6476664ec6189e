"""What the workbench asks before it acts: title, what will happen, and the choices; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.domain.commands import Command, RestoreRun, Rollback
from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import plural
from mlbench.domain.release import Candidate
from mlbench.domain.runs import Run
from mlbench.tui.actions import promotion
from mlbench.tui.deploys import live_in, next_environment, ways_back
from mlbench.tui.draw.gates import gate_lines
from mlbench.tui.draw.lines import EMPTY, Part, line
from mlbench.tui.situation import Situation, next_subject
from mlbench.tui.words import version_of

if TYPE_CHECKING:
    from mlbench.engine.restoring import Restoration

WIDTH = 64
# How to quit: all that runs or serves goes on; stages are stopped; servers too.
QUIT, STOP_RUN, STOP_ALL = "quit", "stop-run", "quit-and-stop"
DELETE = "delete"
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: what it says, and the command or word that it stands for."""

    label: str
    value: Command | str


@dataclass(frozen=True, slots=True)
class Question:
    """A question with at least one choice besides "no"."""

    title: str
    lines: tuple[Content, ...]
    choices: tuple[Choice, ...]


def ask_promote(situation: Situation, width: int = WIDTH) -> Question | None:
    """Before production: the version, what is live now, the gates with margins."""
    project = situation.surroundings.project
    environment = next_environment(project) if project else None
    candidate = next_subject(situation)
    if environment is None or candidate is None:
        return None
    live = live_in(situation.releases.ledger, environment.name, candidate.model)
    now: Part = (f"v{live.version} ({friendly_name(live.run)})", "bold") if live else "nothing"
    lines = [
        line(
            "It serves ",
            now,
            "; it will serve ",
            (f"{candidate.model} {version_of(candidate)}", "bold $info"),
            f" ({friendly_name(candidate.run)}).",
        ),
        EMPTY,
        *gate_lines(candidate.gates, width),
        *_warnings(candidate, situation),
    ]
    choice = Choice(f"promote to {environment.name}", promotion(candidate, environment.name))
    return Question(f"Promote to {environment.name}?", tuple(lines), (choice,))


def ask_rollback(situation: Situation) -> Question | None:
    """Which environment goes back, and to what."""
    ways = ways_back(situation.releases.ledger)
    preferred = situation.release.environments if situation.release else ()
    ordered = sorted(ways, key=lambda way: way.environment not in preferred)
    choices = tuple(
        Choice(
            f"{way.environment}: {way.model} v{way.live.version} → "
            f"v{way.before.version} ({friendly_name(way.before.run)})",
            Rollback(way.environment, way.model),
        )
        for way in ordered
    )
    said = line("The version before is served again; the ledger says who and when.")
    return Question("Roll back?", (said,), choices) if choices else None


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
    if not lines:
        return None
    is_running = situation.board.is_busy and is_ours
    choices = [Choice("quit, all that goes on" if up and is_running else "quit, it goes on", QUIT)]
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


def _warnings(candidate: Candidate, situation: Situation) -> list[Content]:
    row = next((r for r in situation.releases.rows if r.candidate is candidate), None)
    if row is None or row.run is None or not row.run.code.dirty:
        return []
    warning = "! from uncommitted code: production will refuse it until that is committed"
    return [EMPTY, line((warning, "bold $warn"))]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
