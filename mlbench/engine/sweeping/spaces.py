"""Which trials of a study count in one whose sweep was changed since, and what changed; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.spaces import (
    active_values,
    contains,
    described,
    in_words,
    is_same,
    is_within,
)
from mlbench.domain.sweeps import Component, Dimension, Study, Sweep

_PARAM = f"{ReasonKind.PARAM.word}:"


def comparable(
    values: Mapping[str, Any], old: Sweep, new: Sweep, base: Mapping[str, Any]
) -> tuple[bool, str]:
    """Whether a trial of one study counts in another, and if not why, in one sentence.

    `values` are all parameters that the trial ran with: those of the params files then, and what
    was sampled laid over them; `base` are those of the params files now. It counts where each
    parameter that it would sample now had a value that the new space has, and each that it would
    leave alone, and the old sweep varied, had the value that the params files have now.
    """
    other = why_none(old, new)
    if other:
        return False, other
    active = active_values(new.space, values)
    for dimension in new.space:
        name = dimension.name
        if name not in values:
            return False, f"what {name} was then is not known"
        if name in active and not contains(dimension, values[name]):
            was = f"{name} was {in_words(values[name])}"
            return False, f"{was}, which {described(dimension)} does not have"
    swept = {dimension.name: None for dimension in (*old.space, *new.space)}
    for name in swept.keys() - active.keys():
        if name not in base:
            return False, f"{name} is no parameter of its stages any more"
        if not is_same(values.get(name), base[name]):
            was, now = in_words(values.get(name)), in_words(base[name])
            return False, f"{name} was {was}, and the params file has {now} now"
    return True, ""


def why_none(old: Sweep, new: Sweep) -> str:
    """Why no trial of one sweep can count in the other, in one sentence; empty where some may."""
    if old.stage != new.stage:
        return f"its trials ran {old.stage}, and now run {new.stage}"
    if old.objectives != new.objectives:
        return f"its objective was {_goals(old)}, and is {_goals(new)}"
    if old.repeats != new.repeats:
        return f"its trials were {_runs(old)} each, and are {_runs(new)}"
    if old.repeats > 1 and old.seeds and new.seeds and set(old.seeds) != set(new.seeds):
        return f"its repeats changed {', '.join(old.seeds)}, and change {', '.join(new.seeds)}"
    added = [text for text in new.constraints if text not in old.constraints]
    return f"whether {added[0]} held is not known" if added else ""


def moved_inputs(study: Study, sweep: Sweep, others: Mapping[str, str]) -> tuple[str, ...]:
    """Which inputs of a study's stages are other ones now; its parameters are told by `comparable`.

    `others` are the inputs now, as `Study.inputs` has them: without what `sweep` varies. What
    either of the two varies is left out.
    """
    swept = {
        *(dimension.name for dimension in (*study.sweep.space, *sweep.space)),
        *study.sweep.seeds,
        *sweep.seeds,
    }
    return tuple(
        name.partition(":")[2]
        for name in dict.fromkeys((*study.inputs, *others))
        if study.inputs.get(name) != others.get(name)
        and not is_within(name.removeprefix(_PARAM), swept)
    )


def what_changed(old: Sweep, new: Sweep) -> tuple[str, ...]:
    """How a sweep differs from an earlier one, but for its limits: one clause a difference."""
    return (*_changed_settings(old, new), *_changed_space(old, new))


def _changed_settings(old: Sweep, new: Sweep) -> Iterator[str]:
    pairs = {
        "the stage": (old.stage, new.stage),
        "the objective": (_goals(old), _goals(new)),
        "a trial": (_runs(old), _runs(new)),
        "the seeds": (", ".join(old.seeds), ", ".join(new.seeds)),
        "the sampler": (_component(old.sampler), _component(new.sampler)),
        "the pruner": (_component(old.pruner), _component(new.pruner)),
        "what pruning looks at": (old.watched.text, new.watched.text),
        "the constraints": (", ".join(old.constraints), ", ".join(new.constraints)),
    }
    if old.intermediate is None and new.intermediate is None:
        # It follows the objective, which is told.
        del pairs["what pruning looks at"]
    for what, (was, now) in pairs.items():
        if was != now:
            yield f"{what} was {was or 'none'}, and is {now or 'none'}"


def _changed_space(old: Sweep, new: Sweep) -> Iterator[str]:
    before = {dimension.name: dimension for dimension in old.space}
    after = {dimension.name: dimension for dimension in new.space}
    for name, dimension in after.items():
        if name not in before:
            yield f"{name} is varied now, {_told(dimension)}"
        elif _is_other(before[name], dimension):
            yield f"{name} was {_told(before[name])}, and is {_told(dimension)}"
    for name in before:
        if name not in after:
            yield f"{name} is varied no more"


def _is_other(one: Dimension, two: Dimension) -> bool:
    """Whether two dimensions differ; lists and tuples among choices are the same."""
    return (one.range, one.when) != (two.range, two.when) or not is_same(one.choices, two.choices)


def _told(dimension: Dimension) -> str:
    return described(dimension) + (f" when {dimension.when}" if dimension.when else "")


def _goals(sweep: Sweep) -> str:
    return " and ".join(goal.text for goal in sweep.objectives)


def _runs(sweep: Sweep) -> str:
    return "one run" if sweep.repeats == 1 else f"{sweep.repeats} runs"


def _component(component: Component) -> str:
    options = ", ".join(f"{key} = {in_words(value)}" for key, value in component.options.items())
    return f"{component.name} ({options})" if options else component.name
