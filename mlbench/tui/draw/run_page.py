"""One run opened: its facts, parameters, metrics with their extremes, what it saved, stages."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.phrases import duration, number, size
from mlbench.domain.runs import Run, StageRecord
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.columns import change
from mlbench.tui.draw.history import RUNNING_SIGN
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.draw.story import changed_params
from mlbench.tui.saved import Saved
from mlbench.tui.words import moment, scalar

_MOST_SAVED = 8
_VALUE, _EXTREME = 10, 18


def run_facts(
    run: Run,
    before: Run | None,
    baseline: Run | None,
    width: int,
    *,
    objective: str | None = None,
    direction: int = 1,
    saved: Sequence[Saved] = (),
    problem: str = "",
) -> list[Content]:
    """Everything about a run but its stages.

    Parameters that differ from the run before stand out; metrics are compared with the baseline
    where there is one, else with the run before.
    """
    against = baseline if baseline is not None and baseline.id != run.id else before
    sections = [
        _head(run, problem),
        _metrics(run, against, baseline, width, objective, direction),
        _params(run, before, width),
        _saved(saved, width),
    ]
    lines: list[Content] = []
    for section in sections:
        lines += [*([EMPTY] if lines and section else []), *section]
    return lines


def stage_rows(run: Run, width: int) -> list[Content]:
    """One line a stage: glyph, name, outcome, seconds, and where its results are from."""
    names = min(widest(run.stages), max(8, width // 2))
    return [_stage(name, record, run, names) for name, record in run.stages.items()]


def _head(run: Run, problem: str) -> list[Content]:
    sign: Part = (
        (f"{run.outcome.glyph} {run.outcome.word}", f"bold ${run.outcome.colour}")
        if run.outcome
        else line(RUNNING_SIGN, (" still going", "$info"))
    )
    code, marks = run.code, run.marks
    dirty = f"  ±{code.changed_files} uncommitted" if code.dirty else ""
    where = f"{(code.commit or '')[:8]} {code.branch or ''}".strip() or "no git"
    origin = f"{run.origin} by {run.by}" + (f", from {run.source}" if run.source else "")
    signs = [
        ("★ star", marks.star),
        ("⚑ baseline", bool(marks.baseline_since)),
        ("▽ archived", marks.archived),
    ]
    told = "  ".join(sign for sign, holds in signs if holds)
    lines = [
        line(
            sign,
            f"  {moment(seconds_of(run.started))}",
            (f"  {'took' if run.outcome else 'for'} {duration(run.seconds)}", "$quiet"),
        ),
        line((origin, "$quiet")),
        line((where, "$quiet"), (dirty, "$warn")),
        line((run.id, "$quiet")),
    ]
    lines += [line((f"trial {run.trial} of study {run.study}", "$quiet"))] if run.study else []
    lines += [line((told, "$warn"))] if told else []
    lines += [line(("tags ", "$quiet"), (" ".join(marks.tags), "$info"))] if marks.tags else []
    notes = safe(marks.note).splitlines()
    lines += [
        line(("note " if not index else "     ", "$quiet"), text)
        for index, text in enumerate(notes)
    ]
    return lines + ([line((f"✗ {safe(problem)}", "$fail"))] if problem else [])


def _stage(name: str, record: StageRecord, run: Run, names: int) -> Content:
    outcome = record.outcome
    sign = (outcome.glyph, f"${outcome.colour}") if outcome else RUNNING_SIGN
    took = duration(record.seconds) if record.seconds else ""
    tests = f"  {record.tests.passed} of {record.tests.total} passed" if record.tests else ""
    from_other = "" if record.ran_in in (None, run.id) else "  from an earlier run"
    memory = f"  {size(record.peak_memory)}" if record.peak_memory else ""
    cpu = f"  {duration(record.cpu_seconds)} of CPU" if record.cpu_seconds else ""
    return line(
        sign,
        " ",
        cell(name, names),
        f"  {outcome.word if outcome else 'running':<10}",
        (f"{took:>6}", "$quiet"),
        tests,
        (from_other, "$quiet"),
        (memory, "$quiet"),
        (cpu, "$quiet"),
    )


def _params(run: Run, before: Run | None, width: int) -> list[Content]:
    changed = {
        name: was for name, was, _ in changed_params(run.params, before.params if before else None)
    }
    names = [*changed, *(name for name in run.params if name not in changed)]
    rows: list[Content] = [_title("Parameters", _changed_words(len(changed), before))]
    name_width = _name_width(names, width)
    for name in names:
        value = scalar(run.params[name]) if name in run.params else "none"
        was: Part = (f"{changed[name]} → ", "$quiet") if name in changed else ""
        style = "bold" if name in changed else ""
        rows.append(line(cell((name, "$quiet"), name_width), "  ", was, (value, style)))
    return rows


def _metrics(
    run: Run,
    against: Run | None,
    baseline: Run | None,
    width: int,
    objective: str | None,
    direction: int,
) -> list[Content]:
    """Each metric's last value, how it moved, and its least and greatest with their steps.

    The last value is not the best one, so all of them are there; the objective's best is bold.
    """
    known = against.metrics if against else {}
    sign = "⚑ " if against is not None and against is baseline else ""
    said = f"against {sign}{against.name}" if against and run.metrics else ""
    rows: list[Content] = [_title("Metrics", said or ("" if run.metrics else "none"))]
    names = sorted(run.metrics, key=lambda name: (name != objective, "." in name))
    name_width = min(widest(names, 4), max(8, width // 3))
    room = width - name_width - 2 - _VALUE - (11 if known else 0)
    has_columns = bool(run.extremes) and room >= 2 * _EXTREME
    if has_columns:
        titles = f"{'last':<{_VALUE}}{' ' * 11 if known else ''}{'min':<{_EXTREME}}max"
        rows.append(line(cell("", name_width), "  ", (titles, "$quiet")))
    for name in names:
        value = run.metrics[name]
        moved: Part = " " * 11 if known and has_columns else ""
        if name in known:
            meant = direction if name == objective else 0
            moved = line(change(value - known[name], meant), "   ")
        ends = _ends(run, name, direction if name == objective else 0)
        head = line(cell((name, "$quiet"), name_width), "  ", f"{number(value):<{_VALUE}}", moved)
        if ends and has_columns:
            rows.append(line(head, *(cell(end, _EXTREME) for end in ends)))
        else:
            rows.append(head)
            if ends:
                rows.append(line("  ", ("min ", "$quiet"), ends[0], ("  max ", "$quiet"), ends[1]))
    return rows


def _ends(run: Run, name: str, direction: int) -> tuple[Content, Content] | None:
    found = run.extremes.get(name)
    if found is None:
        return None
    low = line(number(found.min), (f" at {found.min_step}", "$quiet"))
    high = line(number(found.max), (f" at {found.max_step}", "$quiet"))
    return (
        low.stylize("bold") if direction < 0 else low,
        high.stylize("bold") if direction > 0 else high,
    )


def _saved(saved: Sequence[Saved], width: int) -> list[Content]:
    if not saved:
        return []
    names = min(widest(item.name for item in saved), max(8, width // 2))
    rows: list[Content] = [_title("Saved", "i looks at it")]
    for item in saved[:_MOST_SAVED]:
        step = f"  step {item.step}" if item.step is not None else ""
        facts = f"  {item.kind}  {size(item.size)}{step}"
        rows.append(line(cell(item.name, names), (facts, "$quiet")))
    more = len(saved) - _MOST_SAVED
    return rows + ([line((f"and {more} more", "$quiet"))] if more > 0 else [])


def _changed_words(count: int, before: Run | None) -> str:
    if before is None:
        return ""
    return f"{count} changed since {before.name}" if count else f"as in {before.name}"


def _title(title: str, detail: str) -> Content:
    return line((title, "bold $info"), (f"  {detail}", "$quiet"))


def _name_width(names: Sequence[str], width: int) -> int:
    return min(widest(names, 4), max(8, width // 2))
