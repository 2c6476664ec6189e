"""A test stage's single tests: failures first, one line each, and the message of one in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content

from mlbench.domain.outcomes import TestOutcome
from mlbench.domain.phrases import duration, plural
from mlbench.domain.runs import TestResult
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import Part, cell, line

_SECONDS_WIDTH = 7
_LEAST_ID = 24
_IN_ORDER = (TestOutcome.FAILED, TestOutcome.ERROR, TestOutcome.PASSED, TestOutcome.SKIPPED)


def failures_first(results: Iterable[TestResult]) -> tuple[TestResult, ...]:
    """The tests with what is wrong first, otherwise in pytest's order."""
    return tuple(sorted(results, key=lambda result: _IN_ORDER.index(result.outcome)))


def matching(results: Sequence[TestResult], words: str) -> tuple[TestResult, ...]:
    """The tests whose id or outcome contains these words."""
    wanted = words.lower().split()
    return tuple(
        result
        for result in results
        if all(word in f"{result.id} {result.outcome.word}".lower() for word in wanted)
    )


def result_line(result: TestResult, width: int) -> Content:
    """Glyph, id, seconds, and the first line of what is wrong where there is room for it."""
    sign = (f"{result.outcome.glyph} ", f"${result.outcome.colour}")
    took = cell((duration(result.seconds), "$quiet"), _SECONDS_WIDTH, right=True)
    room = max(1, width - 2 - _SECONDS_WIDTH)
    name = safe(result.id)
    # The end of an id tells more than its folders do.
    if len(name) > room:
        name = "…" + name[-(room - 1) :] if room > 1 else "…"
    first = safe(result.message.partition("\n")[0])
    parts: list[Part] = [name]
    if first and result.outcome is not TestOutcome.PASSED and room - len(name) >= _LEAST_ID // 2:
        parts.append((f"  {first}", f"${result.outcome.colour}"))
    return line(sign, cell(line(*parts), room), took)


def message_lines(result: TestResult | None, width: int, most: int) -> list[Content]:
    """What is wrong with a test, wrapped, in at most so many lines."""
    if result is None or not result.message:
        return []
    style = "$fail" if result.outcome.is_bad else "$quiet"
    wrapped = [
        piece.plain
        for part in safe(result.message).splitlines()
        for piece in (Content(part).wrap(width) if part else [Content("")])
    ]
    shown = wrapped if len(wrapped) <= most else [*wrapped[: most - 1], "…"]
    return [line((text, style)) for text in shown]


def counted(results: Sequence[TestResult]) -> Content:
    """`2 of 14 tests failed`, `14 tests passed, 1 skipped`."""
    bad = sum(result.outcome.is_bad for result in results)
    skipped = sum(result.outcome is TestOutcome.SKIPPED for result in results)
    if bad:
        return line((f" {bad} of {plural(len(results), 'test')} failed ", "$fail"))
    more = f", {skipped} skipped" if skipped else ""
    return line((f" {plural(len(results) - skipped, 'test')} passed{more} ", "$ok"))
