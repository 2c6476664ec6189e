"""Parallel coordinates: every parameter and metric an axis, every run a line through them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.runs import Run, Scalar
from mlbench.tui.draw.canvas import Canvas
from mlbench.tui.draw.columns import METRIC, PARAM
from mlbench.tui.draw.lines import EMPTY, Part, cell, line
from mlbench.tui.draw.series import letter, style_of
from mlbench.tui.words import scalar

_LEAST_AXIS = 14


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its name, what stands at its ends, and where each run crosses it.

    `places` are between 0 at the bottom and 1 at the top; a run without a value has none. `words`
    are written beside the axis at their places, as far as there is room.
    """

    name: str
    low: str
    high: str
    places: Mapping[str, float]
    words: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thread:
    """A line through the axes: whose places it takes, its style, its sign at each crossing."""

    key: str
    style: str
    sign: str = ""


def axes_of(
    runs: Sequence[Run], objective: str | None, most: int, *, logarithmic: bool = False
) -> tuple[Axis, ...]:
    """Parameters in which the runs differ, then metrics, the objective's as the last one."""
    params = dict.fromkeys(name for run in runs for name in run.params)
    found = [axis(runs, PARAM + name, logarithmic=logarithmic) for name in params]
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    plain = sorted(metrics, key=lambda name: (name == objective, "." in name))
    wanted = [name for name in plain if name != objective]
    last = [objective] if objective in metrics else wanted[:1]
    others = [name for name in wanted if name not in last]
    kept = [item for item in found if item is not None]
    kept = kept[: max(1, most - len(last))]
    names = [*others[: max(0, most - len(kept) - len(last))], *last]
    scored = [axis(runs, METRIC + name, logarithmic=logarithmic) for name in names if name]
    return (*kept, *(item for item in scored if item is not None))


def axis(runs: Sequence[Run], key: str, *, logarithmic: bool = False) -> Axis | None:
    """An axis over what the runs have under this key; None where they all have the same."""
    values = {run.id: value for run in runs if (value := _value(run, key)) is not None}
    if len(set(map(repr, values.values()))) < 2:
        return None
    name = key.removeprefix(METRIC).removeprefix(PARAM)
    if all(isinstance(value, (int, float)) and _is_number(value) for value in values.values()):
        numbers = {run: float(value) for run, value in values.items()}
        return _of_numbers(name, numbers, logarithmic=logarithmic)
    words = sorted({scalar(value) for value in values.values()})
    last = max(1, len(words) - 1)
    places = {run: words.index(scalar(value)) / last for run, value in values.items()}
    return Axis(name, words[0], words[-1], places)


def parallel_lines(
    axes: Sequence[Axis], chosen: Sequence[str], every: Sequence[str], width: int, height: int
) -> list[Content]:
    """The axes with a line for each run; the chosen ones in their colours above the others."""
    if len(axes) < 2:
        return [line(("These runs differ in nothing that has an axis.", "$quiet"))]
    others = [Thread(run, "$quiet dim") for run in every if run not in chosen]
    above = [Thread(run, f"bold {style_of(index)}") for index, run in enumerate(chosen)]
    return threaded(axes, [*others, *reversed(above)], width, height)


def shown_axes(axes: Sequence[Axis], width: int) -> list[Axis]:
    """The last of the axes, as many as there is room for."""
    return list(axes)[-max(2, width // _LEAST_AXIS) :]


def threaded(
    axes: Sequence[Axis], threads: Sequence[Thread], width: int, height: int
) -> list[Content]:
    """The axes, at least two, with their threads; later ones lie above earlier ones."""
    shown = shown_axes(axes, width)
    each = max(1, width // len(shown))
    rows = max(2, height - 3)
    canvas = Canvas(each * len(shown), rows)
    crossings = [each + index * each * 2 for index in range(len(shown))]
    for column in crossings:
        canvas.upright(column, 0, canvas.levels - 1, "$frame")
    for thread in threads:
        _draw(canvas, shown, crossings, thread)
    for item, column in zip(shown, crossings, strict=True):
        _write_words(canvas, item, column, each // 2 - 2)
    names = line(*(_centred((item.name, "bold"), each) for item in shown))
    highs = line(*(_centred((item.high, "$quiet"), each) for item in shown))
    lows = line(*(_centred((item.low, "$quiet"), each) for item in shown))
    return [names, highs, *canvas.rows(), lows][:height]


def _write_words(canvas: Canvas, item: Axis, column: int, room: int) -> None:
    """The words of an axis at its right, where each has a line of its own."""
    if len(item.words) > canvas.height or room < 1:
        return
    for text, place in item.words.items():
        shown = text if len(text) <= room else f"{text[: room - 1]}…"
        level = round(place * (canvas.levels - 1))
        for index, sign in enumerate(shown):
            canvas.put(column + 2 * (index + 1), level, sign, "$quiet")


def legend(runs: Sequence[Run]) -> Content:
    """Each run's letter and name in its colour."""
    parts: list[Part] = []
    for index, run in enumerate(runs):
        parts += [(f"{letter(index)} ", f"bold {style_of(index)}"), run.name, "   "]
    return line(*parts) if parts else EMPTY


def _draw(canvas: Canvas, axes: Sequence[Axis], crossings: Sequence[int], thread: Thread) -> None:
    before: tuple[int, int] | None = None
    for item, column in zip(axes, crossings, strict=True):
        place = item.places.get(thread.key)
        point = None if place is None else (column, round(place * (canvas.levels - 1)))
        if before is not None and point is not None:
            canvas.stroke(before, point, thread.style)
        if point is not None and thread.sign:
            canvas.put(*point, thread.sign, thread.style)
        before = point


def _of_numbers(name: str, numbers: Mapping[str, float], *, logarithmic: bool) -> Axis:
    low, high = min(numbers.values()), max(numbers.values())
    is_log = logarithmic and low > 0
    scaled = {run: math.log(value) if is_log else value for run, value in numbers.items()}
    bottom, top = min(scaled.values()), max(scaled.values())
    # Halved first: the difference of two finite floats may overflow.
    span = top / 2 - bottom / 2
    places = {run: (value / 2 - bottom / 2) / span for run, value in scaled.items()}
    return Axis(name, number(low), f"{number(high)}{' log' if is_log else ''}", places)


def _value(run: Run, key: str) -> Scalar:
    if key.startswith(PARAM):
        return run.params.get(key.removeprefix(PARAM))
    value = run.metrics.get(key.removeprefix(METRIC))
    return value if value is not None and math.isfinite(value) else None


def _is_number(value: float) -> bool:
    return not isinstance(value, bool) and math.isfinite(value)


def _centred(part: Part, width: int) -> Content:
    text = line(part)
    left = max(0, (width - text.cell_length) // 2)
    return cell(line(" " * left, part), width)
