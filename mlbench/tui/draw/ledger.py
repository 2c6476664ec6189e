"""The ledger: an entry a line, the one under the cursor in full, and what was live at a time."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from textual.content import Content

from mlbench.domain.ledger import (
    CANARY,
    CANARY_ENDED,
    PROMOTE,
    ROLLBACK,
    SHADOW,
    SHADOW_ENDED,
    TRAFFIC,
    live,
    shares_in_words,
)
from mlbench.domain.names import friendly_name
from mlbench.domain.release import LedgerEntry
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.gates import gates_in_short, told_gates
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.words import moment

NOW = "now"
_SIGNS = {
    PROMOTE: ("↑", "$ok"), ROLLBACK: ("↩", "$warn"), TRAFFIC: ("⇄", "$info"),
    CANARY: ("▸", "$warn"), CANARY_ENDED: ("▹", "$quiet"), SHADOW: ("◌", "$info"),
    SHADOW_ENDED: ("○", "$quiet"),
}  # fmt: skip
_WITHDRAWN = ("⊘", "$quiet")
_DONE = {
    PROMOTE: "promoted to", ROLLBACK: "rolled back in", TRAFFIC: "shares the requests in",
    CANARY: "became the canary in", CANARY_ENDED: "ended as the canary in",
    SHADOW: "became the shadow in", SHADOW_ENDED: "ended as the shadow in",
}  # fmt: skip
_LEAST_TEXT = 16
_LABEL = 9
_MOST_FOR_GATES = 90
_WITHOUT_YEAR = len("2026-")


class LedgerTable:
    """Entries measured together, the newest first; lines are drawn when they are seen."""

    def __init__(
        self,
        shown: Sequence[LedgerEntry],
        every: Sequence[LedgerEntry],
        untold: Container[int] = (),
    ) -> None:
        """Show some of all entries; which are live now follows from all.

        `untold` are the numbers of those whose `on_promote` failed.
        """
        self._untold = untold
        self._shown = shown
        self._places = widest(entry.environment for entry in shown)
        self._models = widest(f"{entry.model} v{entry.version}" for entry in shown)
        self._runs = widest(friendly_name(entry.run) for entry in shown)
        self._by = widest(safe(entry.by) for entry in shown)
        self._has_forced = any(entry.forced for entry in shown)
        serving = live(every)
        self._live = {entry.sequence for models in serving.values() for entry in models.values()}

    def __len__(self) -> int:
        """How many entries are shown."""
        return len(self._shown)

    def row(self, index: int, width: int) -> Content:
        """When, what, where, which version of which run, whether live, by whom, gates and why."""
        entry = self._shown[index]
        what = f"{entry.model} v{entry.version}"
        parts: list[Part] = [
            (in_utc(entry.at)[_WITHOUT_YEAR:], "$quiet"),
            "  ",
            entry_sign(entry),
            " ",
            cell(entry.environment, self._places),
            "  ",
            cell((what, "bold $fail" if entry.forced else "bold"), self._models),
            ("  ●" if entry.sequence in self._live else "   ", "$ok"),
        ]
        if self._has_forced:
            word = "  forced" if entry.forced else ""
            parts.append(cell((word, "bold $fail"), len("  forced")))
        run = cell(friendly_name(entry.run), self._runs)
        parts += ["  ", run, ("  by ", "$quiet"), cell((safe(entry.by), "$quiet"), self._by), "  "]
        if entry.sequence in self._untold:
            parts.append(("✗ on_promote  ", "bold $fail"))
        if words := " · ".join(safe(text) for text in (entry.reason, entry.why) if text):
            parts.append((words, "$fail" if entry.forced else "$warn"))
        elif entry.gates:
            parts += gates_in_short(entry.gates)
        return cell(line(*parts), width)


def in_utc(at: str) -> str:
    """A moment of the ledger to the minute, in UTC as `mlbench ledger --at` takes it."""
    return at[: len("2026-11-23T09:15")].replace("T", " ")


def entry_sign(entry: LedgerEntry) -> tuple[str, str]:
    """↑ promoted, ↩ rolled back, ⊘ withdrawn, ‼ against gates or rules; traffic and trials too."""
    if entry.forced:
        return "‼", "bold $fail"
    return _SIGNS.get(entry.action, _WITHDRAWN)


def entry_lines(entry: LedgerEntry, width: int, untold: str = "") -> list[Content]:
    """One entry in full: what was done, why, and the gates as they were judged then.

    `untold` says how its `on_promote` failed.
    """
    sign = entry_sign(entry)
    done = _DONE.get(entry.action, "withdrawn from")
    what = line(
        sign,
        " ",
        (f"{entry.model} v{entry.version}", "bold"),
        f" {done} ",
        (entry.environment, "bold"),
    )
    forced = (
        Content("‼ forced: gates or rules spoke against it").wrap(max(_LEAST_TEXT, width))
        if entry.forced
        else []
    )
    rows = {
        "at": f"{in_utc(entry.at)} UTC, {moment(seconds_of(entry.at))} here",
        "by": entry.by,
        "reason": entry.reason,
        "why": entry.why,
        "shares": shares_in_words(entry.weights),
        "run": f"{friendly_name(entry.run)}  {entry.run}",
        "commit": entry.commit[:12],
        "digest": entry.digest[:16],
        "entry": f"{entry.sequence}  {entry.checksum[:16]}",
    }
    lines = [cell(what, width), *(line((piece.plain, "bold $fail")) for piece in forced)]
    if untold:
        pieces = Content(f"✗ {safe(untold)}").wrap(max(_LEAST_TEXT, width))
        lines += [line((piece.plain, "bold $fail")) for piece in pieces]
    for label, text in rows.items():
        if text:
            is_loud = entry.forced and label == "reason"
            lines += _labelled(label, text, "bold $fail" if is_loud else "", width)
    if entry.gates:
        title = line(("Gates", "bold $info"), ("  as judged then", "$quiet"))
        lines += [EMPTY, title, *told_gates(entry.gates, min(width, _MOST_FOR_GATES))]
    return lines


def live_lines(title: str, entries: Iterable[LedgerEntry], width: int) -> list[Content]:
    """`now  production digits v3 · staging digits v4`, an environment after the other."""
    served: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        served.setdefault(entry.environment, []).append(entry)
    head = line((f"{title}  ", "$quiet"))
    if not served:
        nothing = "nothing is live" if title == NOW else "nothing was live"
        return [cell(line(head, nothing), width)]
    lines = []
    room = widest(served)
    for index, (environment, found) in enumerate(sorted(served.items())):
        models = "  ".join(
            f"{entry.model} v{entry.version} ({friendly_name(entry.run)})" for entry in found
        )
        indent = head if not index else " " * head.cell_length
        text = line(indent, ("● ", "$ok"), cell((environment, "bold"), room), f"  {models}")
        lines.append(cell(text, width))
    return lines


def _labelled(label: str, text: str, style: str, width: int) -> list[Content]:
    pieces = Content(safe(text)).wrap(max(_LEAST_TEXT, width - _LABEL))
    return [
        line(cell((label if not index else "", "$quiet"), _LABEL), (piece.plain, style))
        for index, piece in enumerate(pieces)
    ]
