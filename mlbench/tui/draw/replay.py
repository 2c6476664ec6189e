"""What became of logged requests that another version was asked again."""

from __future__ import annotations

from textual.content import Content

from mlbench.domain.phrases import number, plural
from mlbench.domain.serving import Replayed
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.draw.serving import milliseconds

_LABEL = 10


def replay_lines(found: Replayed, width: int) -> list[Content]:
    """How many were compared, what flipped, how far scores lie apart, how long both took."""
    lines = [*_figures(found), *_reasons(found, width)]
    if found.flips:
        told = f"the first {len(found.flips)}" if len(found.flips) < found.flipped else ""
        lines += [EMPTY, line(("Answers that differ", "bold $info"), (f"  {told}", "$quiet"))]
        room = widest(safe(flip.before) for flip in found.flips)
        ids = min(40, widest(flip.id for flip in found.flips))
        for flip in found.flips:
            row = f"row {flip.row}" if flip.row else ""
            lines.append(
                line(
                    cell((safe(flip.id), "$quiet"), ids),
                    *("  ", cell(safe(flip.before), min(room, 30)), (" → ", "$quiet")),
                    *((safe(flip.after), "bold $warn"), (f"  {row}", "$quiet")),
                )
            )
    return [cell(text, width) for text in lines]


def _figures(found: Replayed) -> list[Content]:
    if not found.compared:
        return [line(("nothing could be compared", "bold $warn"))]
    share = f"  {100 * found.flipped / found.rows:.2g} %" if found.rows else ""
    flips: list[Part] = [("✓ none", "bold $ok")]
    if found.flipped:
        flips = [(f"✗ {found.flipped} of {plural(found.rows, 'row')}", "bold $warn"), share]
    largest, mean = (f"{value:.3g}" for value in (found.max_abs_error, found.mean_abs_error))
    apart = f"{number(float(largest))} at most, {number(float(mean))} on average"
    rows: dict[str, list[Part]] = {
        "compared": [f"{found.compared} of {plural(found.asked, 'request')}, "
                     f"{plural(found.rows, 'row')}"],
        "flips": flips,
        "scores": [apart, (f"  largest in {found.worst_id}" if found.worst_id else "", "$quiet")],
        "took": [
            f"p50 {milliseconds(found.median_before)}, p99 {milliseconds(found.p99_before)}",
            ("  in the server then", "$quiet"),
        ],
        "now": [
            f"p50 {milliseconds(found.median_after)}, p99 {milliseconds(found.p99_after)}",
            ("  the model alone", "$quiet"),
        ],
    }  # fmt: skip
    return [line(cell((name, "$quiet"), _LABEL), "  ", *parts) for name, parts in rows.items()]


def _reasons(found: Replayed, width: int) -> list[Content]:
    """Why some could not be compared."""
    counts = (
        (found.refused, "not taken by this version"),
        (found.failed, "on which it broke down"),
        (found.unreadable, "whose inputs or answer the log has not"),
    )
    lines = [
        line(("! ", "$warn"), f"{plural(count, 'request')} {why}") for count, why in counts if count
    ]
    for why, count in found.reasons.items():
        pieces = folded(safe(f"{count} × {why}"), max(8, width - 4))
        lines += [line("    ", (piece.plain, "$quiet")) for piece in pieces]
    return lines
