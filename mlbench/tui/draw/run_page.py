"""One run opened: its facts, parameters, metrics and stages."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.runs import Run, StageRecord
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.history import RUNNING_SIGN
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.draw.story import changed_params
from mlbench.tui.words import arrow, duration, moment, number, scalar


def run_facts(run: Run, before: Run | None, width: int) -> list[Content]:
    """Everything about a run but its stages; what differs from the run before stands out."""
    sign: Part = (
        (f"{run.outcome.glyph} {run.outcome.word}", f"bold ${run.outcome.colour}")
        if run.outcome
        else RUNNING_SIGN
    )
    code = run.code
    dirty = f"  ±{code.changed_files} uncommitted" if code.dirty else ""
    where = f"{(code.commit or '')[:8]} {code.branch or ''}".strip() or "no git"
    lines = [
        line(
            sign,
            f"  {moment(seconds_of(run.started))}",
            (f"  took {duration(run.seconds)}", "$quiet"),
        ),
        line((f"{run.origin} by {run.by}", "$quiet")),
        line((where, "$quiet"), (dirty, "$warn")),
        line((run.id, "$quiet")),
    ]
    lines += [line(("tags ", "$quiet"), " ".join(run.marks.tags))] if run.marks.tags else []
    lines += [line(("note ", "$quiet"), run.marks.note)] if run.marks.note else []
    return [*lines, EMPTY, *_params(run, before, width), EMPTY, *_metrics(run, before, width)]


def stage_rows(run: Run, width: int) -> list[Content]:
    """One line a stage: glyph, name, outcome, seconds, and where its results are from."""
    names = min(widest(run.stages), max(8, width // 2))
    return [_stage(name, record, run, names) for name, record in run.stages.items()]


def _stage(name: str, record: StageRecord, run: Run, names: int) -> Content:
    outcome = record.outcome
    took = duration(record.seconds) if record.seconds else ""
    tests = f"  {record.tests.passed} of {record.tests.total} passed" if record.tests else ""
    from_other = "" if record.ran_in in (None, run.id) else "  from an earlier run"
    return line(
        (outcome.glyph, f"${outcome.colour}"),
        " ",
        cell(name, names),
        f"  {outcome.word:<10}",
        (f"{took:>6}", "$quiet"),
        tests,
        (from_other, "$quiet"),
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


def _metrics(run: Run, before: Run | None, width: int) -> list[Content]:
    known = before.metrics if before else {}
    against = f"against {before.name}" if before and run.metrics else ""
    rows: list[Content] = [_title("Metrics", against or ("" if run.metrics else "none"))]
    name_width = _name_width(list(run.metrics), width)
    for name, value in run.metrics.items():
        moved: Part = ""
        if name in known:
            difference = value - known[name]
            moved = (f"  {arrow(difference)}", "$info" if difference else "$quiet")
        rows.append(line(cell((name, "$quiet"), name_width), "  ", f"{number(value):<9}", moved))
    return rows


def _changed_words(count: int, before: Run | None) -> str:
    if before is None:
        return ""
    return f"{count} changed since {before.name}" if count else f"as in {before.name}"


def _title(title: str, detail: str) -> Content:
    return line((title, "bold $info"), (f"  {detail}", "$quiet"))


def _name_width(names: Sequence[str], width: int) -> int:
    return min(widest(names, 4), max(8, width // 2))
