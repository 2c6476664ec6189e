"""What stands where there is nothing yet: always what to do next."""

from __future__ import annotations

from textual.content import Content

from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.served import Served
from mlbench.tui.situation import Situation


def problem_lines(problem: str, width: int) -> list[Content]:
    """What is wrong with the project's files, in full, and how to get there."""
    pieces = [line((text.plain, "$fail")) for text in folded(safe(problem), width)]
    return [
        *pieces,
        EMPTY,
        *_prose("Press e to open the file there; it is read again when saved.", width),
    ]


def no_stages_yet(known: Situation, width: int) -> list[Content]:
    """Before the first plan, and for a project without stages."""
    if not known.board.is_planned:
        return [line(("looking at the project …", "$quiet"))]
    return [
        line(("No stages yet", "bold")),
        EMPTY,
        *_prose(
            "`mlbench init` writes a mlbench.toml from what is in this folder; or press e and add "
            "one by hand, such as",
            width,
        ),
        EMPTY,
        line(("[stages.train]", "$info")),
        line(('cmd = "python train.py"', "$info")),
        line(('deps = ["data.csv"]', "$info")),
        line(('outs = ["model.joblib"]', "$info")),
    ]


def no_gates(known: Situation, width: int) -> list[Content]:
    """Where no run has been judged, or nothing is there to be judged."""
    project = known.surroundings.project
    if project is None:
        return [line(("…", "$quiet"))]
    if not project.models:
        return _prose("No model to release yet: add [models.NAME] with its gates.", width)
    if all(not model.gates for model in project.models):
        return _prose('No gates yet: add gates = ["accuracy >= 0.9"] to the model.', width)
    return _prose("Judged after the next run.", width)


def no_runs(known: Situation, width: int) -> list[Content]:
    """Where the table of runs is empty."""
    history = known.history
    if not history.is_read:
        return [line(("reading the record …", "$quiet"))]
    if history.question.text:
        return _prose("No run holds this filter. Press esc in the filter line to drop it.", width)
    if history.total:
        hidden = "Nothing passed yet. Press a to see failed runs and trials too."
        return _prose(hidden, width)
    return _prose("No runs yet. Press r to run, or save a file that a stage depends on.", width)


def no_models(known: Situation, width: int, *, is_filtered: bool = False) -> list[Content]:
    """Where there is neither candidate nor version, or none with the filter's words."""
    if known.releases.problem:
        return problem_lines(known.releases.problem, width)
    if not known.releases.is_read:
        return [line(("reading the registry …", "$quiet"))]
    project = known.surroundings.project
    if is_filtered and known.releases.rows:
        text = "No version has these words. Press esc to drop the filter."
    elif project is not None and not project.models:
        text = "No model to release yet: add [models.NAME] to mlbench.toml."
    else:
        text = (
            "No model yet. A run that passes its gates is exported and becomes a candidate here; "
            "M on screen 2 exports any run by hand."
        )
    return _prose(text, width)


def nothing_served(known: Situation, served: Served | None, width: int) -> list[Content]:
    """Where no environment is under the cursor, or nobody answers in it."""
    if known.pulse.problem:
        return problem_lines(known.pulse.problem, width)
    if served is None:
        if not known.pulse.at:
            return [line(("looking at the servers …", "$quiet"))]
        return [
            line(("No environment yet", "bold")),
            EMPTY,
            *_prose("Press e on screen 1 and add one to mlbench.toml, such as", width),
            EMPTY,
            line(("[environments.staging]", "$info")),
            line(("port = 8101", "$info")),
        ]
    status = served.environment.status
    if not status.deployed and not status.serving:
        text = f"{status.name} serves nothing yet. Press p to promote the newest candidate to the "
        text += "first environment, P to promote what that serves further."
    elif status.name in known.switching:
        text = f"{status.name} is starting …" if status.pid is None else "…"
    elif status.pid is None:
        text = f"{status.name} is down. Press u to start it."
    else:
        text = f"{status.name} is up, and can serve none of its models."
    return _prose(text, width)


def no_traffic(served: Served, width: int) -> list[Content]:
    """Where nothing was counted yet."""
    where = served.environment.status.address
    return _prose(
        f"Nobody has asked it yet. Press a to try it, y to copy a request; it answers at {where}.",
        width,
    )


def folded(text: str, width: int) -> list[Content]:
    """Text in lines of this width, broken between words."""
    return [piece for part in text.splitlines() for piece in Content(part).wrap(max(8, width))]


def _prose(text: str, width: int) -> list[Content]:
    return [line((piece.plain, "$quiet")) for piece in folded(text, width)]
