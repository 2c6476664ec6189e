"""The line above the keys: what is wrong, else what the last run did, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.content import Content

from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import ReasonKind, RunOutcome
from mlbench.domain.runs import Run
from mlbench.tui.board import Board
from mlbench.tui.deploys import first_environment
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import cell, line
from mlbench.tui.draw.reasons import in_full, main_reason
from mlbench.tui.draw.story import finished, story
from mlbench.tui.situation import PIPELINE, Situation, not_promotable, refused, subject


def status_pieces(situation: Situation, width: int) -> tuple[list[Piece], list[Piece]]:
    """The sentence, and at the right end the next step."""
    hint = _hint(situation) if width >= 72 else None
    room = width - 1 - (hint.content.cell_length if hint else 0)
    sentence = cell(line(" ", _sentence(situation, room - 1)), max(1, room))
    return [Piece(sentence)], [hint] if hint else []


def _sentence(situation: Situation, width: int) -> Content:
    board, surroundings = situation.board, situation.surroundings
    problem = board.problem or surroundings.problem or board.run_problem
    if problem:
        first, _, _ = safe(problem).partition("\n")
        return line((f"✗ {first}", "$fail"))
    if board.exporting is not None:
        return line(("⇪ ", "$info"), f"exporting {board.exporting} and proving its parity …")
    if situation.errand:
        return line(("⇪ ", "$info"), safe(situation.errand))
    if board.flight is not None and board.is_busy:
        return _under_way(board, board.flight.name)
    if board.is_planned:
        board = _with_record(board, situation.history.recent)
    last = board.last.run if board.last else None
    recorded = next((run for run in situation.history.recent if run.id == last), None)
    before = situation.history.before.of(recorded.id) if recorded else None
    objective = surroundings.project.objective if surroundings.project else None
    told = story(board, recorded, before, objective, width)
    if told.plain:
        return told
    if not board.is_planned:
        return line(("looking at the project …", "$quiet"))
    return line(("no run yet: press r, or save a file that a stage depends on", "$quiet"))


def _with_record(board: Board, recent: Sequence[Run]) -> Board:
    """The board as if the run that stands had just finished, where no event told of it.

    So it is at the start, and where what failed was mended without a run.
    """
    is_mended = board.last is not None and board.last.outcome is not RunOutcome.PASSED
    if board.last is not None and not (is_mended and board.is_fresh):
        return board
    of_stages = (run for run in recent if run.outcome is not None and run.origin != "script")
    wanted = [run for run in of_stages if run.outcome is RunOutcome.PASSED or not board.is_fresh]
    return replace(board, last=finished(wanted[0])) if wanted else board


def _under_way(board: Board, name: str) -> Content:
    running = board.running
    reasons = [
        reason
        for stage in board.stages
        for reason in stage.because
        if reason.kind is not ReasonKind.UPSTREAM
    ]
    main = main_reason(reasons)
    cause = in_full((main,))[0] if main is not None else line("")
    names = ", ".join(stage.name for stage in running) or "nothing yet"
    return line(("↻ ", "bold $info"), (name, "bold"), f"  runs {names}  ", cause)


def _hint(situation: Situation) -> Piece | None:
    if situation.screen != PIPELINE:
        return None
    release = subject(situation)
    project = situation.surroundings.project
    environment = first_environment(project) if project else None
    if release is None or environment is None or environment.name in release.environments:
        return None
    if not_promotable(situation) or refused(situation):
        return None
    name = friendly_name(release.candidate.run)
    if project is not None and len(project.models) > 1:
        name = f"{release.candidate.model} of {name}"
    text = line((" p", "bold $info"), f" promotes {name} to {environment.name} ")
    return Piece(text, "promote", 1)
