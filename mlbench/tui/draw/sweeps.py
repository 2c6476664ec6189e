"""Studies: a line each, one of them in full, one of its trials, and what stands where none is."""

from __future__ import annotations

import json
from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import ago, clock, duration, number, plural
from mlbench.domain.study_axes import value_text
from mlbench.domain.sweeps import Component, Study, Sweep, Trial
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.empty import folded, problem_lines
from mlbench.tui.draw.lanes import bar
from mlbench.tui.draw.lines import EMPTY, Part, cell, joined, line, widest
from mlbench.tui.draw.trials import cell_of
from mlbench.tui.situation import Situation
from mlbench.tui.studied import Studied
from mlbench.tui.trial_order import NOW
from mlbench.tui.words import tabular

_SNIPPET = (
    "[sweeps.small]",
    'stage = "train"',
    'objective = "maximize accuracy"',
    "trials = 30",
    "[sweeps.small.space]",
    '"train.alpha" = { low = 1e-5, high = 1e-1, log = true }',
)
_BAR, _LEAST_BAR, _MOST_METRICS, _MOST_MOVED = 18, 4, 8, 4


def study_rows(studies: Sequence[Studied], width: int, now: float) -> list[Content]:
    """A line each: how it stands, how far it is, its best value, its time; times give way first."""
    names = min(20, widest(study.name for study in studies))
    words = widest(study.sign[0] for study in studies)
    counts = widest(count_text(study) for study in studies)
    return [_study_row(study, (names, words, counts), width, now) for study in studies]


def _study_row(study: Studied, widths: tuple[int, int, int], width: int, now: float) -> Content:
    word, glyph, colour = study.sign
    names, words, counts = widths
    best = study.best
    value: Part = (f"★ {values_text(best)}", "$ok") if best is not None else ""
    parts = [
        line((f"{glyph} ", f"${colour}"), cell((study.name, "bold"), names)),
        line(cell((word, f"${colour}"), words)),
        cell(count_text(study), counts, right=True),
        line(value),
        line((time_text(study, now), "$quiet")),
    ]
    for place in (4, 1, 3):
        if joined(parts, "  ").cell_length > width:
            parts[place] = EMPTY
    return cell(joined(parts, "  "), width)


def count_text(study: Studied) -> str:
    """`12 of 30`."""
    return f"{study.done} of {study.trials}"


def time_text(study: Studied, now: float) -> str:
    """How long it takes already, or how long ago it ended."""
    if not study.view.is_running:
        return ago(study.ended if study.ended is not None else study.started, now)
    timeout = study.view.study.sweep.timeout
    limit = f" of {clock(timeout)}" if timeout is not None else ""
    return f"{clock(study.gone(now))}{limit}"


def values_text(trial: Trial) -> str:
    """The trial's values, one an objective."""
    return " / ".join(tabular(value) for value in trial.values)


def head_lines(study: Studied, width: int, now: float, jobs: int) -> list[Content]:
    """What counts most, where there is little room: how far it is, counts, the best trial."""
    lines = [
        cell(
            joined(
                [_progress(study, width, 8 if width >= 60 else 0), _times(study, now, jobs)], "  "
            ),
            width,
        ),
        cell(joined(_counts(study), "  "), width),
        cell(_best_in_brief(study), width),
    ]
    return [*lines, *(cell(text, width) for text in _told(study, width)[:2])]


def detail_lines(study: Studied, width: int, now: float, jobs: int) -> list[Content]:
    """One study in full: what is tried how, how far it is, the best trial, what to know of it."""
    sweep = study.view.study.sweep
    lines = [
        *(line((safe(objective.text), "bold")) for objective in sweep.objectives),
        *_packed(_how(sweep, jobs), (" · ", "$quiet"), width),
        EMPTY,
        _progress(study, width, _BAR),
        _times(study, now, jobs),
        *_packed(_counts(study), "  ", width),
        EMPTY,
        *_best_in_full(study, width),
    ]
    told = _told(study, width)
    return [cell(text, width) for text in [*lines, *([EMPTY, *told] if told else [])]]


def trial_lines(trial: Trial, study: Study, width: int) -> list[Content]:
    """One trial in full: values, constraints, parameters, what else was measured, why it ended."""
    state = trial.state
    facts: list[tuple[str, Part]] = [
        ("state", (f"{state.glyph} {state.word}", f"${state.colour}")),
        *([("now", cell_of(NOW, trial))] if state is TrialState.RUNNING else []),
        *(
            (objective.metric, (_with_spread(trial, place), "bold"))
            for place, objective in enumerate(study.sweep.objectives)
            if place < len(trial.values)
        ),
        *(
            (f"{name}", (f"{number(value)} {'✓' if value <= 0 else '✗ over its limit'}", ""))
            for name, value in trial.constraints.items()
        ),
        *((name, safe(value_text(value))) for name, value in trial.params.items()),
    ]
    known = {objective.metric for objective in study.sweep.objectives}
    metrics = [(name, value) for name, value in trial.metrics.items() if name not in known]
    facts += [(name, (number(value), "$quiet")) for name, value in metrics[:_MOST_METRICS]]
    if trial.seconds:
        facts.append(("took", (duration(trial.seconds), "$quiet")))
    if trial.from_study:
        facts.append(("taken over", (f"from study {trial.from_study}", "$quiet")))
    names = min(24, widest(name for name, _ in facts))
    lines = [cell(line(cell((name, "$quiet"), names), "  ", part), width) for name, part in facts]
    style = "$fail" if state is TrialState.FAILED else "$quiet"
    return [*(line((t.plain, style)) for t in folded(safe(trial.reason), width)), *lines]


def no_studies(known: Situation, width: int) -> list[Content]:
    """Where there is no study yet: how to begin."""
    sweeps = known.sweeps
    if sweeps.problem:
        return problem_lines(sweeps.problem, width)
    if not sweeps.is_read:
        return [line(("looking for sweeps …", "$quiet"))]
    project = known.surroundings.project
    names = [sweep.name for sweep in project.sweeps] if project is not None else []
    begun = [f"{name} is beginning …" for name in known.beginning]
    if begun:
        return _prose(begun[0], width)
    lines = [line(("No sweep yet", "bold")), EMPTY]
    if names:
        which = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        return [*lines, *_prose(f"Press n to start {which}, or one made on the spot.", width)]
    return [
        *lines,
        *_prose("Press n to make one on the spot; or add one to mlbench.toml, such as", width),
        EMPTY,
        *(line((text, "$info")) for text in _SNIPPET),
        EMPTY,
        *_prose("and press n then. Each trial runs the stage with other parameters.", width),
    ]


def sweeping_line(study: Studied, now: float, width: int) -> Content:
    """A running sweep in one line, for other screens."""
    best = study.best
    value: Part = (f"  ★ {values_text(best)}", "$ok") if best is not None else ""
    head = line(("▶ ", "$accent"), (study.name, "bold"), f"  {count_text(study)}")
    return cell(line(head, value, (f"  {time_text(study, now)}  3 opens", "$quiet")), width)


def _progress(study: Studied, width: int, most: int) -> Content:
    """How it stands and how far it is, with a bar of at most so many cells where there is room."""
    word, glyph, colour = study.sign
    ends = [line((f"{glyph} {word}", f"${colour}")), line(count_text(study))]
    room = min(most, width - sum(end.cell_length + 2 for end in ends))
    share = study.done / max(1, study.trials)
    drawn = bar(min(1.0, share), room) if room >= _LEAST_BAR else EMPTY
    return joined([ends[0], drawn, ends[1]], "  ")


def _times(study: Studied, now: float, jobs: int) -> Content:
    """How long it takes already, how long yet."""
    left = study.left(now, jobs)
    to_go = line((f"about {clock(left)} to go", "$quiet")) if left is not None else EMPTY
    return joined([line((time_text(study, now), "$quiet")), to_go], "  ")


def _counts(study: Studied) -> list[Content]:
    """How many trials there are of each state."""
    parts = [
        line((f"{state.glyph} ", f"${state.colour}"), f"{study.counts[state]} {state.word}")
        for state in (*(s for s in TrialState if s.has_ended), TrialState.LOST, TrialState.RUNNING,
                      TrialState.WAITING)
        if study.counts.get(state)
    ]  # fmt: skip
    return parts or [line(("no trial yet", "$quiet"))]


def _best_in_brief(study: Studied) -> Content:
    best = study.best
    if best is None:
        return line(("no complete trial yet", "$quiet"))
    params = ", ".join(f"{name} {safe(value_text(v))}" for name, v in best.params.items())
    front = f" of {len(study.view.best)}" if len(study.view.best) > 1 else ""
    head = line(("★ ", "$ok"), (values_text(best), "bold"))
    return line(head, f" in trial {best.number}{front}", (f": {params}", "$quiet"))


def _best_in_full(study: Studied, width: int) -> list[Content]:
    best = study.best
    if best is None:
        return [line(("no complete trial yet", "$quiet"))]
    front = len(study.view.best)
    head = [line(("★ ", "$ok"), (values_text(best), "bold"), f" in trial {best.number}")]
    head += [line(f"one of {plural(front, 'trial')} on the front")] if front > 1 else []
    names = widest(best.params)
    return [
        *_packed(head, ", ", width),
        *(
            line("  ", cell((name, "$quiet"), names), "  ", safe(value_text(value)))
            for name, value in best.params.items()
        ),
    ]


def _told(study: Studied, width: int) -> list[Content]:
    """What one has to know: why it ended, or that nobody has it; inputs that changed since."""
    view, progress = study.view, study.view.progress
    is_gone = not view.is_running and progress.phase != "ended"
    said = "" if view.is_running else progress.because
    if is_gone:
        said = "its coordinator is gone; u goes on where it was"
    lines = _prose(safe(said), width, "$warn" if is_gone else "$quiet")
    if view.moved:
        named = ", ".join(view.moved[:_MOST_MOVED])
        more = f" and {len(view.moved) - _MOST_MOVED} more" if len(view.moved) > _MOST_MOVED else ""
        said = f"! the code moved on since: {plural(len(view.moved), 'input')}"
        keys = "R starts anew with them" + ("" if view.is_running else ", u goes on without")
        for text, style in ((said, "$warn"), (keys, "$warn"), (named + more, "$quiet")):
            lines += _prose(safe(text), width, style)
    return lines


def _how(sweep: Sweep, jobs: int) -> list[Content]:
    parts = [_component(sweep.sampler), _component(sweep.pruner), plural(jobs, "job")]
    parts += [f"{sweep.repeats} runs a trial"] if sweep.repeats > 1 else []
    parts += [f"patience {sweep.patience}"] if sweep.patience is not None else []
    return [line((safe(part), "$quiet")) for part in (f"stage {sweep.stage}", *parts) if part]


def _packed(parts: Sequence[Content], separator: Part, width: int) -> list[Content]:
    """Parts with a separator between, in lines that break between parts, and in none that fits."""
    lines: list[Content] = []
    for part in parts:
        longer = joined([lines[-1], part], separator) if lines else None
        if longer is not None and longer.cell_length <= width:
            lines[-1] = longer
        elif part.cell_length <= width:
            lines.append(part)
        else:
            lines += part.wrap(max(8, width))
    return lines


def _component(component: Component) -> str:
    if component.name == "NopPruner":
        return ""
    options = (f"{name}={json.dumps(value)}" for name, value in component.options.items())
    return " ".join([component.name, *options])


def _with_spread(trial: Trial, place: int) -> str:
    value = tabular(trial.values[place])
    if place >= len(trial.spread) or len(trial.runs) < 2:
        return value
    return f"{value} ± {number(float(f'{trial.spread[place]:.2g}'))}"


def _prose(text: str, width: int, style: str = "$quiet") -> list[Content]:
    return [line((piece.plain, style)) for piece in folded(text, width)]
