"""Live charts of one version or environment: rate, latency, errors, queue and batch sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.content import Content

from mlbench.domain.curves import Column
from mlbench.domain.tally import BATCH_BOUNDS
from mlbench.tui.draw.canvas import Canvas
from mlbench.tui.draw.curve import braille, scale_of
from mlbench.tui.draw.lines import EMPTY, Part, cell, joined, line, widest
from mlbench.tui.draw.serving import milliseconds, rate, share
from mlbench.tui.serving_history import KEPT_SECONDS, Point, batches_within

_GAP = 3
_LEAST_WIDTH = 22
_LEAST_BLOCK, _MOST_BLOCK = 4, 14
_BATCH_SECONDS = 60.0
_SPANS = (60.0, 120.0, KEPT_SECONDS)
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LABEL, _VALUE = 8, 15
_UNKNOWN: Column = (math.nan, math.nan, math.nan)
Values = Callable[[Point], float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: what it is called where there are several, its values, its colour.

    Where several values fall on one dot it shows their mean, or the worst of them.
    """

    values: Values
    style: str
    label: str = ""
    is_worst: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One quantity over time; `shown` phrases its value, `now` the newest in full."""

    title: str
    lines: tuple[Line, ...]
    shown: Callable[[float], str]
    now: Callable[[Point], Sequence[Part]]


def chart_lines(points: Sequence[Point], width: int, height: int, seconds: float) -> list[Content]:
    """The charts of the last so many seconds, in at most `height` lines of `width` cells."""
    abreast = 3 if width >= 3 * _LEAST_WIDTH + 2 * _GAP else 2
    rows = -(-5 // abreast)
    if width < 2 * _LEAST_WIDTH + _GAP or height < rows * (_LEAST_BLOCK + 1) - 1:
        return _in_short(points, width, seconds)[: max(0, height)]
    each = (width - _GAP * (abreast - 1)) // abreast
    tall = min(_MOST_BLOCK, (height + 1) // rows - 1)
    blocks = [_block(chart, points, each, tall, seconds) for chart in CHARTS]
    # What is left of its row is the batches', for there are many sizes.
    left = abreast - len(blocks) % abreast
    blocks.append(_batch_block(points, each * left + _GAP * (left - 1), tall))
    lines: list[Content] = []
    for start in range(0, len(blocks), abreast):
        lines += [EMPTY] if start else []
        row = zip(*blocks[start : start + abreast], strict=True)
        lines += [joined(parts, " " * _GAP) for parts in row]
    return lines


def span_of(points: Sequence[Point]) -> float:
    """How many seconds charts show: as long as something is known of, a minute at least."""
    known = points[-1].at - points[0].at if points else 0.0
    return next((span for span in _SPANS if known <= span), _SPANS[-1])


def batch_words(points: Sequence[Point]) -> str:
    """The sizes of most calls in the last minute: `1 to 8 rows, 3.2 on average`."""
    counts = batches_within(points, _BATCH_SECONDS)
    used = [place for place, count in enumerate(counts) if count]
    if not used:
        return ""
    first, last = _size(used[0]), _size(used[-1])
    return (
        f"{first} rows"
        if first == last != "1"
        else "1 row"
        if first == last
        else (f"{first} to {last} rows")
    )


def _block(
    chart: Chart, points: Sequence[Point], width: int, height: int, seconds: float
) -> list[Content]:
    """A title with the newest value, and the lines below with their scale."""
    title = _title(chart, points, width)
    drawn = [columns_of(points, item, width, seconds) for item in chart.lines]
    low, high = _scale(drawn)
    # Where all is nothing the scale is of no use, and a figure would be taken for a measure.
    is_idle = not any(column and column[1] > 0 for columns in drawn for column in columns)
    labels = ["" if is_idle else chart.shown(high), chart.shown(low)]
    margin = widest(labels, 5)
    letters = widest(item.label for item in chart.lines) if len(chart.lines) > 1 else 0
    rows, room = height - 1, width - margin - 1 - (letters + 1 if letters else 0)
    canvas = Canvas(max(1, room), rows)
    series = [columns_of(points, item, canvas.columns, seconds) for item in chart.lines]
    ends: dict[int, Part] = {}
    for item, columns in zip(chart.lines, series, strict=True):
        level = _draw(canvas, columns, (low, high), item.style)
        if level is not None and item.label:
            _put_label(ends, rows - 1 - level // 4, rows, (item.label, item.style))
    body = []
    for row, dots in enumerate(canvas.rows()):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        left = cell((label, "$quiet"), margin, right=True)
        body.append(line(left, " ", dots, *((" ", ends[row]) if row in ends else ())))
    return [cell(title, width), *(cell(text, width) for text in body)]


def _title(chart: Chart, points: Sequence[Point], width: int) -> Content:
    """Its name and newest value; what does not fit goes whole, for half a number is a wrong one."""
    parts = list(chart.now(points[-1])) if points else []
    while len(parts) > 1 and line(chart.title, " ", *parts).cell_length > width:
        del parts[-1]
    return line((chart.title, "bold"), " ", *parts)


def columns_of(
    points: Sequence[Point], item: Line, count: int, seconds: float
) -> list[Column | None]:
    """A value a column over the last so many seconds; None between points, a gap where none is."""
    found: list[list[float]] = [[] for _ in range(count)]
    gaps: set[int] = set()
    last = points[-1].at if points else 0.0
    for point in points:
        place = round((count - 1) * (1 - (last - point.at) / seconds))
        if 0 <= place < count:
            value = item.values(point)
            if value is None:
                gaps.add(place)
            else:
                found[place].append(value)
    shown = [(max(some) if item.is_worst else sum(some) / len(some)) if some else None
             for some in found]  # fmt: skip
    return [
        (value, value, value) if value is not None else _UNKNOWN if place in gaps else None
        for place, value in enumerate(shown)
    ]


def _scale(series: Sequence[Sequence[Column | None]]) -> tuple[float, float]:
    """From nothing to the greatest value, or to something where all are nothing."""
    tops = [scale[1] for columns in series if (scale := scale_of(columns)) is not None]
    return 0.0, max([*tops, 0.0]) or 1.0


def _draw(
    canvas: Canvas, columns: Sequence[Column | None], ends: tuple[float, float], style: str
) -> int | None:
    """Draw one line at the right of the canvas; gives the level where it ends."""
    before: tuple[int, int] | None = None
    count, last = len(columns), None
    for index, column in enumerate(columns):
        if column is None:
            continue
        if math.isnan(column[0]):
            before = None
            continue
        low, high = (_level(value, ends, canvas.levels) for value in column[:2])
        at = round(index * (canvas.columns - 1) / max(1, count - 1))
        canvas.upright(at, low, high, style)
        last = (low + high) // 2
        if before is not None:
            canvas.stroke(before, (at, last), style)
        before = (at, last)
    return last


def _level(value: float, ends: tuple[float, float], levels: int) -> int:
    return round((value - ends[0]) / (ends[1] - ends[0]) * (levels - 1))


def _put_label(ends: dict[int, Part], row: int, rows: int, label: Part) -> None:
    """At its line's end, or at the nearest free place: lines may end on each other."""
    for distance in range(rows):
        for place in (row - distance, row + distance):
            if 0 <= place < rows and place not in ends:
                ends[place] = label
                return


def _batch_block(points: Sequence[Point], width: int, height: int) -> list[Content]:
    """Calls by their number of rows in the last minute, as bars side by side."""
    counts = batches_within(points, _BATCH_SECONDS)
    title = line(("batches", "bold"), " ", batch_words(points), ("  last minute", "$quiet"))
    used = [place for place, count in enumerate(counts) if count]
    rows = height - 2
    shown = list(counts[: max(4, (used[-1] if used else 0) + 1)]) or [0] * 4
    shown = shown[: max(1, width // 4)]
    most = max([*shown, 1])
    lines = [cell(title, width)]
    for row in range(rows):
        # Whatever was counted is seen, however rare it is.
        eighths = [
            max(1, round(8 * rows * n / most)) - 8 * (rows - 1 - row) if n else 0 for n in shown
        ]
        bars = "".join(f" {_EIGHTHS[max(0, min(8, n))] * 2} " for n in eighths)
        lines.append(cell((bars, "$info"), width))
    sizes = "".join(f"{_size(place):>3} " for place in range(len(shown)))
    return [*lines, cell((sizes, "$quiet"), width)]


def _size(place: int) -> str:
    if place >= len(BATCH_BOUNDS):
        return f">{BATCH_BOUNDS[-1]}"
    bound = BATCH_BOUNDS[place]
    return str(bound) if bound < 1000 else f"{bound // 1024}k"


def _in_short(points: Sequence[Point], width: int, seconds: float) -> list[Content]:
    """A line each: name, newest value, and how it went as far as there is room."""
    lines = []
    for chart in CHARTS:
        said = line(*(chart.now(points[-1]) if points else (("–", "$quiet"),)))
        room = width - _LABEL - max(_VALUE, said.cell_length) - 1
        main = chart.lines[-1]
        drawn = ""
        if room >= 8 and points:
            columns = columns_of(points, main, room * 2, seconds)
            drawn = braille(columns, room, 1, _scale([columns]))[0]
        name, value = (
            cell((chart.title, "$quiet"), _LABEL),
            cell(said, max(_VALUE, said.cell_length)),
        )
        lines.append(cell(line(name, value, " ", (drawn, main.style)), width))
    batches = batch_words(points)
    if batches:
        lines.append(cell(line(cell(("batches", "$quiet"), _LABEL), batches), width))
    return lines


def _latencies(point: Point) -> list[Part]:
    if point.p99 is None:
        return [("–", "$quiet")]
    others = (("p95", point.p95), ("p50", point.p50))
    return [
        milliseconds(point.p99),
        *((f"  {name} {milliseconds(value)}", "$quiet") for name, value in others),
    ]


def _errors(point: Point) -> list[Part]:
    if not point.errors:
        return [("none", "$ok")]
    kinds = (("5xx", point.failed), ("4xx", point.refused))
    return [
        (f"✗ {share(point.errors, point.rate)}", "bold $fail"),
        *((f"  {kind} {rate(value)}/s", "$fail") for kind, value in kinds if value),
    ]


def _queue(point: Point) -> list[Part]:
    return [f"{point.queued} wait", (f", {point.in_flight} at work", "$quiet")]


CHARTS: tuple[Chart, ...] = (
    Chart(
        "rate",
        (Line(lambda point: point.rate, "$info"),),
        lambda value: f"{rate(value)}/s" if value else "0",
        lambda point: [f"{rate(point.rate)}/s"],
    ),
    Chart(
        "p99",
        (
            Line(lambda point: point.p50, "$ok", "50"),
            Line(lambda point: point.p95, "$info", "95"),
            Line(lambda point: point.p99, "$warn", "99", is_worst=True),
        ),
        lambda value: milliseconds(value) if value else "0",
        _latencies,
    ),
    Chart(
        "errors",
        (Line(lambda point: point.errors, "$fail", is_worst=True),),
        lambda value: f"{rate(value)}/s" if value else "0",
        _errors,
    ),
    Chart(
        "queue",
        (Line(lambda point: point.queued, "$accent", is_worst=True),),
        lambda value: rate(value) if value else "0",
        _queue,
    ),
)
