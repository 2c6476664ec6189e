"""The key bar and the help page: which keys work here and now, and why the others don't."""

from __future__ import annotations

from textual.content import Content

from mlbench.tui.action import Action
from mlbench.tui.actions import ACTIONS
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import EMPTY, cell, line, widest
from mlbench.tui.situation import ASKING, Situation

_SIGNS = {
    "slash": "/", "colon": ":", "question_mark": "?", "escape": "esc", "equals_sign": "=",
    "asterisk": "*", "number_sign": "#", "plus": "+", "minus": "-", "left": "←", "right": "→",
    "at": "@",
}  # fmt: skip
_IN_HELP_ALONE = (
    "theme", "screen-pipeline", "screen-runs", "screen-sweeps", "screen-models", "screen-serving",
)  # fmt: skip


def key_pieces(situation: Situation) -> list[Piece]:
    """One piece an action of this screen; what can't work is dimmed and in brackets of its own."""
    return [
        Piece(_hint(action, situation), action.id, action.rank)
        for action in ACTIONS
        if _keys_of(action, situation) and action.id not in _IN_HELP_ALONE
    ]


def why_dimmed(action: Action, situation: Situation) -> str:
    """Why an action can't work, or is going to be refused; empty where it works."""
    return action.blocked(situation) or action.doubted(situation)


def help_lines(situation: Situation, width: int) -> list[Content]:
    """Every action of this screen: key, what it does, its twin on the command line, why not."""
    shown = [action for action in ACTIONS if _keys_of(action, situation)]
    keys = widest(_key_words(action, situation) for action in shown)
    lines: list[Content] = []
    for action in shown:
        why = why_dimmed(action, situation)
        style = "$quiet" if why else "bold $info"
        texts = [
            (action.help, ""),
            (action.twin, "$quiet"),
            (f"not now: {why}" if why else "", "$warn"),
        ]
        hanging = [
            (piece.plain, text_style)
            for text, text_style in texts
            if text
            for piece in Content(text).wrap(max(10, width - keys - 2))
        ]
        for index, part in enumerate(hanging):
            key = (_key_words(action, situation), style) if index == 0 else ""
            lines.append(line(cell(key, keys), "  ", part))
    return [*lines, EMPTY, *_hands(keys)]


def _hint(action: Action, situation: Situation) -> Content:
    keys = _keys_of(action, situation)
    # Another one than is usual stands there where that one would be typed.
    shown = action.shown if keys == action.key.split(",") else keys[0].replace("ctrl+", "^")
    if why_dimmed(action, situation):
        return line((f" {shown}·{action.label} ", "$quiet dim"))
    return line((f" {shown}", "bold $info"), f" {action.label} ")


def _keys_of(action: Action, situation: Situation) -> list[str]:
    """Which keys do it here; none where it can't be done by a key."""
    if not action.works_on(situation.screen):
        return []
    keys = action.key.split(",")
    return [key for key in keys if not _is_typed(key)] if situation.screen == ASKING else keys


def _is_typed(key: str) -> bool:
    """Whether a form takes this key as a character."""
    return len(_SIGNS.get(key, key)) == 1 and key not in ("left", "right")


def _key_words(action: Action, situation: Situation) -> str:
    return " ".join(_SIGNS.get(key, key) for key in _keys_of(action, situation))


def _hands(keys: int) -> list[Content]:
    moves = (
        ("↑ ↓ j k", "move; home, end, page up and page down too"),
        ("tab", "to the next list or log"),
        ("end", "in a log: follow it again"),
        ("mouse", "tabs, keys, rows, titles of columns and the wheel"),
    )
    return [line(cell((key, "bold $info"), max(keys, 8)), "  ", text) for key, text in moves]
