"""How much each parameter matters: bars with their shares."""

from __future__ import annotations

from textual.content import Content

from mlbench.domain.phrases import plural
from mlbench.domain.study_analysis import Importances
from mlbench.tui.draw.lines import EMPTY, cell, line, widest
from mlbench.tui.draw.study_plot import Chart, Look, boxed, said

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_PERCENT = 6
_LEAST_BAR, _MOST_NAME = 8, 0.5


def importances_chart(importances: Importances | None, look: Look) -> Chart:
    """A bar for each parameter, the one that matters most first; or why there are none."""
    if importances is None:
        return said("working out how much each parameter matters …", look)
    if not importances.shares:
        why = importances.because or "There is nothing to tell how much each parameter matters."
        return said(why, look)
    shares = sorted(importances.shares.items(), key=lambda item: -item[1])
    names = min(widest(importances.shares), max(1, int(look.width * _MOST_NAME)))
    room = max(1, look.width - names - _PERCENT - 2)
    most = max([share for _, share in shares if share > 0], default=1.0)
    head = line(
        ("what ", "$quiet"), (importances.metric, "bold"), (" depends on", "$quiet"),
    )  # fmt: skip
    source = line((f"{importances.evaluator} over {plural(importances.trials, 'trial')}", "$quiet"))
    is_short = look.height < len(shares) + 4
    gap = [] if is_short else [EMPTY]
    rows = look.height - 2 - 2 * len(gap)
    hidden = max(0, len(shares) - rows)
    shown = shares[: rows - 1] if hidden else shares
    bars = [_bar(name, share, names, room, most) for name, share in shown]
    more = [line((f"and {len(shares) - len(shown)} that matter less", "$quiet"))] if hidden else []
    return boxed([head, *gap, *bars, *more, *gap, source], look)


def _bar(name: str, share: float, names: int, room: int, most: float) -> Content:
    eighths = round(max(0.0, share) / most * room * 8)
    # What matters at all is seen.
    eighths = max(1, eighths) if share > 0 else 0
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[rest] if rest else "")
    percent = f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"
    return line(
        cell((name, "bold"), names), " ", cell((percent, ""), _PERCENT, right=True), " ",
        (drawn[:room], "$info"),
    )  # fmt: skip
