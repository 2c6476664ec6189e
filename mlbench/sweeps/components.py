"""Samplers and pruners, made of Optuna's own names and options."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from mlbench.domain.errors import SweepError, nearest
from mlbench.domain.sweeps import Component, Dimension, Sweep
from mlbench.sweeps.finite import count, grid
from mlbench.sweeps.options import check_options, parameters, part_of
from mlbench.sweeps.quiet import optuna, quietly

NO_PRUNER = "NopPruner"
# ThresholdPruner's, each with what it is where more is worse.
_BOUNDS: Mapping[str, str] = {"lower": "upper", "upper": "lower"}
_GRID, _QUASI_RANDOM, _EXHAUSTIVE = "GridSampler", "QMCSampler", "BruteForceSampler"
_ONE_OBJECTIVE = ("CmaEsSampler",)
# Optuna itself does without these, and says so only when the first trial is drawn.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "CmaEsSampler": ("cmaes",),
    "GPSampler": ("torch", "scipy"),
    _QUASI_RANDOM: ("scipy",),
    "WilcoxonPruner": ("scipy",),
}
_SEEDS = 2**32
_PARTS: Mapping[str, tuple[ModuleType, str, str]] = {
    "BaseSampler": (optuna.samplers, "Sampler", "sampler"),
    "BasePruner": (optuna.pruners, "Pruner", "pruner"),
    "BaseCrossover": (optuna.samplers.nsgaii, "Crossover", "crossover"),
    "BaseMutation": (optuna.samplers.nsgaii, "Mutation", "mutation"),
}


class WholeGrid(optuna.samplers.GridSampler):
    """Optuna's, which trips over a trial by hand that ends when one combination is left."""

    def has_drawn_all(self, study: optuna.Study) -> bool:
        """Whether each combination was begun: the same once more, beside it, would tell nothing."""
        trials = study.get_trials(deepcopy=False)
        drawn = {trial.system_attrs.get("grid_id") for trial in trials} - {None}
        return len(drawn) >= len(self._all_grids)

    def after_trial(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """As Optuna's; what was asked for by hand is no combination of the grid."""
        if "grid_id" in trial.system_attrs:
            super().after_trial(study, trial, state, values)


def make_sampler(sweep: Sweep, begun: int = 0) -> optuna.samplers.BaseSampler:
    """The sweep's sampler; SweepError where its name or an option is wrong, or a package lacks.

    `begun` is the number of trials that were begun before: with a seed a sampler would otherwise
    draw again what it drew for them.
    """
    try:
        if len(sweep.objectives) > 1 and sweep.sampler.name in _ONE_OBJECTIVE:
            raise SweepError(
                f"{sweep.sampler.name} has one objective, not {len(sweep.objectives)}; "
                "NSGAIISampler and TPESampler have several"
            )
        if sweep.sampler.name == _EXHAUSTIVE:
            for dimension in sweep.space:
                count(dimension)
        made: optuna.samplers.BaseSampler = _make("BaseSampler", sweep.sampler, sweep.space, begun)
        return made
    except SweepError as error:
        raise SweepError(f"sweep {sweep.name}: sampler: {error}") from None


def make_pruner(sweep: Sweep) -> optuna.pruners.BasePruner:
    """The sweep's pruner; SweepError where its name or an option is wrong, or a package lacks."""
    try:
        if len(sweep.objectives) > 1 and sweep.pruner.name != NO_PRUNER:
            raise SweepError(
                f"{sweep.pruner.name} can't prune by several objectives; leave the pruner out, "
                "or keep one objective"
            )
        made: optuna.pruners.BasePruner = _make("BasePruner", _turned(sweep), sweep.space, 0)
        return made
    except SweepError as error:
        raise SweepError(f"sweep {sweep.name}: pruner: {error}") from None


def _turned(sweep: Sweep) -> Component:
    """The pruner, with bounds for values that it is told turned round; see `Sweep.watched`."""
    options = sweep.pruner.options
    bounds = {name: options[name] for name in _BOUNDS if name in options}
    is_turned = sweep.watched.direction != sweep.objectives[0].direction
    # What is no number is refused as it stands.
    if not is_turned or not all(isinstance(value, int | float) for value in bounds.values()):
        return sweep.pruner
    others = {name: value for name, value in options.items() if name not in bounds}
    turned = {_BOUNDS[name]: -value for name, value in bounds.items()}
    return replace(sweep.pruner, options={**others, **turned})


def _make(part: str, component: Component, space: tuple[Dimension, ...], begun: int) -> Any:
    """A sampler, a pruner or a part of one, by name and options."""
    kind = _found(part, component.name)
    options = dict(component.options)
    given = ("search_space",) if component.name == _GRID else ()
    check_options(kind, options, given)
    _check_packages(component.name)
    for name, option in parameters(kind).items():
        if name in options and (inner := part_of(kind, name)):
            options[name] = _make(inner, _as_component(name, options[name]), space, begun)
        elif name not in options and name not in given and option.default is option.empty:
            options[name] = None
    _shift_seed(component.name, options, begun)
    if component.name == _GRID:
        kind, options["search_space"] = WholeGrid, grid(space)
    try:
        with quietly():
            return kind(**options)
    except (ValueError, TypeError, ImportError) as error:
        raise SweepError(f"{component.name}: {str(error).replace('``', '`')}") from None


def _shift_seed(name: str, options: dict[str, Any], begun: int) -> None:
    seed = options.get("seed")
    if seed is None or not begun:
        return
    if name == _QUASI_RANDOM:
        # One sequence for the whole study: how far it came stands in the journal.
        moved = optuna.samplers.RandomSampler(seed=(seed + begun) % _SEEDS)
        options.setdefault("independent_sampler", moved)
    elif name != _GRID:
        # The seed of a grid gives its order, which is one for the whole study, too.
        options["seed"] = (seed + begun) % _SEEDS


def _found(part: str, name: str) -> type:
    module, ending, word = _PARTS[part]
    known = [
        one for one in vars(module) if one.endswith(ending) and not one.startswith(("Base", "_"))
    ]
    if name not in known:
        raise SweepError(
            f"Optuna has no {word} {name}{nearest(name, known)}; it has {', '.join(sorted(known))}"
        )
    kind: type = getattr(module, name)
    return kind


def _as_component(option: str, value: Any) -> Component:
    if isinstance(value, str):
        return Component(value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return Component(value["name"], {key: one for key, one in value.items() if key != "name"})
    raise SweepError(f'{option} is a name or a table {{ name = "…", … }}, not {value!r}')


def _check_packages(name: str) -> None:
    for package in _NEEDS.get(name, ()):
        if importlib.util.find_spec(package) is None:
            raise SweepError(f"{name} needs {package}: `{sys.executable} -m pip install {package}`")
