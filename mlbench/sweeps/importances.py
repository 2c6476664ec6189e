"""How much each parameter matters, by Optuna's evaluators.

fANOVA (Hutter et al. 2014) explains the whole variance of the objective, and needs scikit-learn
and trials that all have the same parameters; PED-ANOVA (Watanabe et al. 2023, with conditions 2026)
tells what sets the best trials apart, and takes any.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence

from optuna import Study
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlbench.domain.phrases import number, plural
from mlbench.domain.study_analysis import Importances
from mlbench.sweeps.quiet import quietly

FANOVA, PED_ANOVA = "fANOVA", "PED-ANOVA"
LEAST_TRIALS = 5
_LEAST_BEST = 5
Target = Callable[[FrozenTrial], float]


def importances(study: Study, objective: int = 0, metric: str = "the objective") -> Importances:
    """The share of each parameter for one objective, or why there is none."""
    trials = complete(study, objective)
    because = too_little(trials, objective, metric)
    if because:
        return Importances(metric, trials=len(trials), because=because)
    name = evaluator_name(trials)
    evaluator, target = evaluator_for(study, name, objective, len(trials))
    with quietly():
        raw = get_param_importances(study, evaluator=evaluator, target=target, normalize=False)
    total = math.fsum(raw.values())
    if not (math.isfinite(total) and total > 0):
        told = (
            f"{plural(len(trials), 'complete trial')} tell no parameter that matters for {metric}"
        )
        return Importances(metric, trials=len(trials), because=told)
    ordered = sorted(raw.items(), key=lambda item: (-item[1], item[0]))
    shares = {param: float(value / total) for param, value in ordered}
    return Importances(metric, shares, name, len(trials))


def complete(study: Study, objective: int) -> list[FrozenTrial]:
    """Complete trials whose value of this objective is a finite number."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if math.isfinite(trial.values[objective])]


def too_little(trials: Sequence[FrozenTrial], objective: int, metric: str) -> str:
    """Why these trials can't tell what matters, in one sentence; nothing where they can."""
    if len(trials) < LEAST_TRIALS:
        count = plural(len(trials), "complete trial")
        return f"what matters shows from {LEAST_TRIALS} complete trials on, and here is {count}"
    values = {trial.values[objective] for trial in trials}
    if len(values) == 1:
        same = number(values.pop())
        return f"all {len(trials)} complete trials have {metric} {same}: nothing made a difference"
    tried: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            tried.setdefault(name, set()).add(repr(value))
    if all(len(values) == 1 for values in tried.values()):
        return "no parameter took two values in complete trials, so there is nothing to compare"
    return ""


def evaluator_name(trials: Sequence[FrozenTrial]) -> str:
    """The name: fANOVA where it can tell of every parameter."""
    same = all(trial.distributions == trials[0].distributions for trial in trials)
    has_sklearn = importlib.util.find_spec("sklearn") is not None
    return FANOVA if same and has_sklearn else PED_ANOVA


def evaluator_for(
    study: Study, name: str, objective: int, trials: int
) -> tuple[BaseImportanceEvaluator, Target | None]:
    """The evaluator, and what it is to look at in a trial; None: its only value."""
    target = target_of(study, objective)
    if name == FANOVA:
        # Seeded, for the same trials should tell the same twice.
        return FanovaImportanceEvaluator(seed=0), target
    # Told from all by the best tenth, but by no fewer than Optuna advises.
    among = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, _LEAST_BEST / trials)))
    if target is None or study.directions[objective] == StudyDirection.MINIMIZE:
        return among, target
    # With a target it takes less for better.
    return among, lambda trial: -trial.values[objective]


def target_of(study: Study, objective: int) -> Target | None:
    """What figures and evaluators are given for one of several objectives."""
    if len(study.directions) == 1:
        return None
    return lambda trial: trial.values[objective]
