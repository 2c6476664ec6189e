"""The frame's lines as pieces: what each says, what a click on it does, what gives way first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from mlbench.domain.release import EnvironmentStatus
from mlbench.tui.board import Board
from mlbench.tui.draw.lines import EMPTY, Part, line
from mlbench.tui.draw.serving import flow_parts
from mlbench.tui.reading import Head, Surroundings
from mlbench.tui.served import signs_of
from mlbench.tui.serving_reading import Pulse
from mlbench.tui.studied import Studied

SCREENS = (
    ("pipeline", "1", "Pipeline"),
    ("runs", "2", "Runs"),
    ("sweeps", "3", "Sweeps"),
    ("models", "4", "Models"),
    ("serving", "5", "Serving"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line; `action` is what a click does, and a higher `rank` gives way sooner."""

    content: Content
    action: str = ""
    rank: int = 0


def fitting(pieces: Sequence[Piece], width: int) -> list[Piece]:
    """The pieces that fit into this width in their order, the most important ones first."""
    kept: set[int] = set()
    room = width
    for index in sorted(range(len(pieces)), key=lambda index: pieces[index].rank):
        length = pieces[index].content.cell_length
        if length <= room:
            kept.add(index)
            room -= length
    return [piece for index, piece in enumerate(pieces) if index in kept]


def in_lines(pieces: Sequence[Piece], width: int, most: int) -> list[list[Piece]]:
    """The pieces in at most so many lines, in their order; the least important ones give way."""
    kept = list(pieces)
    while True:
        lines = _folded(kept, width)
        if len(lines) <= most or not kept:
            return lines
        # Of equally important ones the last one goes first.
        del kept[max(range(len(kept)), key=lambda index: (kept[index].rank, index))]


def _folded(pieces: Sequence[Piece], width: int) -> list[list[Piece]]:
    lines: list[list[Piece]] = [[]]
    room = width
    for piece in pieces:
        length = piece.content.cell_length
        if length > room and lines[-1]:
            lines.append([])
            room = width
        lines[-1].append(piece)
        room -= length
    return lines


def action_at(pieces: Sequence[Piece], x: int) -> str:
    """What a click at this cell does; nothing where there is no piece."""
    left = 0
    for piece in pieces:
        left += piece.content.cell_length
        if x < left:
            return piece.action
    return ""


def top_pieces(
    screen: str,
    board: Board,
    surroundings: Surroundings,
    head: Head,
    *,
    attached: bool,
    width: int,
    pulse: Pulse | None = None,
    sweeping: Sequence[Studied] = (),
) -> tuple[list[Piece], list[Piece]]:
    """The left and the right half of the top line; `sweeping` are the studies that run."""
    is_narrow = width < 70
    name = surroundings.project.name if surroundings.project else "mlbench"
    left = [
        Piece(line((" mlbench ", "bold $info") if width >= 110 else ""), rank=7),
        Piece(line((f" {name} ", "bold")), rank=3),
        Piece(_branch(head, surroundings), rank=6),
        Piece(_watch(board, attached=attached, short=width < 100), action="watch", rank=1),
        *(
            Piece(_tab(key, title, screen == name, short=is_narrow), f"screen-{name}", 0)
            for name, key, title in SCREENS
        ),
    ]
    how_far = [(f" ▶{study.done}/{study.trials}", "$accent") for study in sweeping]
    right = [Piece(line(*how_far, " ") if how_far else EMPTY, "screen-sweeps", 3)]
    for item in surroundings.environments:
        signs, *flow = _beside(pulse or Pulse(), item.name, short=is_narrow) or (EMPTY,)
        right += [
            Piece(_badge(item, short=is_narrow), "screen-serving", 2),
            Piece(signs, "screen-serving", 4),
            *(Piece(part, "screen-serving", rank) for rank, part in enumerate(flow, start=4)),
        ]
    return left, right


def _branch(head: Head, surroundings: Surroundings) -> Content:
    if head.branch is None:
        return line(("no git ", "$quiet") if surroundings.project else "")
    changed: Part = (f" ±{head.changed}", "$warn") if head.changed else ""
    return line((head.branch, "$quiet"), changed, " ")


def _watch(board: Board, *, attached: bool, short: bool) -> Content:
    if board.watching is None:
        return line((" … " if short else " … starting ", "$quiet"))
    sign, word, style = ("◉", "watching", "$ok") if board.watching else ("○", "paused", "$warn")
    if attached:
        word = f"{word}, attached"
    return line((f" {sign} " if short and not attached else f" {sign} {word} ", style))


def _tab(key: str, title: str, is_active: bool, *, short: bool) -> Content:
    text = f" {key} " if short else f" {key} {title} "
    return line((text, "bold reverse" if is_active else "$quiet"))


def _beside(pulse: Pulse, environment: str, *, short: bool) -> tuple[Content, ...]:
    """What shares an environment's traffic with what is live; its errors and rate; its p99."""
    now = next((item for item in pulse.environments if item.name == environment), None)
    if now is None or now.status.pid is None or short:
        return ()
    signs = signs_of(now)
    *flow, slowest = flow_parts(pulse.points.get((environment, "", ""))) or [("", "")]
    return (
        line((f"{signs} ", "$warn")) if signs else EMPTY,
        line(*flow) if flow else EMPTY,
        line(slowest, " ") if flow else EMPTY,
    )


def _badge(status: EnvironmentStatus, *, short: bool) -> Content:
    name = status.name[:1] if short else status.name
    versions = [f"v{version}" for _, version in sorted((status.serving or status.deployed).items())]
    served = " ".join(versions) or ("–" if not short else "")
    if status.error:
        sign, style = "✗", "bold $fail"
    elif status.pid is not None and status.serving:
        sign, style = "●", "$ok"
    else:
        sign, style = "○", "$quiet"
    return line(f" {name} ", (served, "bold"), (f" {sign} " if served else f"{sign} ", style))
