"""The actions of screen 3: on sweeps, their studies and trials."""

from __future__ import annotations

from mlbench.tui.action import Action
from mlbench.tui.situation import SWEEPS
from mlbench.tui.sweeping_rules import (
    no_best,
    no_params,
    no_running_trial,
    no_stage_to_sweep,
    no_study,
    no_trial_run,
    not_restartable,
    not_resumable,
    not_sweeping,
    one_objective,
)

_HERE = (SWEEPS,)
ON_SWEEPS: tuple[Action, ...] = (
    Action("sweep", "n", "n", "start", "start a sweep of mlbench.toml, or make one on the spot",
           "mlbench sweep NAME", _HERE, no_stage_to_sweep, rank=2),
    Action("open-trial", "enter", "enter", "open", "open the run of the trial under the cursor",
           "mlbench show RUN", _HERE, no_trial_run, rank=3),
    Action("stop-sweep", "s", "s", "stop", "begin no more trials; once more: stop those that run",
           "mlbench sweep NAME --stop", _HERE, not_sweeping, rank=3),
    Action("sweep-on", "u", "u", "go on", "go on with the study where it was, with the code that "
           "it began with", "mlbench sweep NAME", _HERE, not_resumable, rank=4),
    Action("sweep-anew", "R", "R", "restart", "begin a new study of the sweep with the code as it "
           "is now, after asking", "mlbench sweep NAME --restart", _HERE, not_restartable, rank=5),
    Action("apply-best", "p", "p", "apply", "write the best trial's parameters into the "
           "params file, after showing the difference", "mlbench sweep NAME --apply", _HERE,
           no_best, rank=3),
    Action("apply-trial", "P", "P", "apply this", "write the parameters of the trial under the "
           "cursor into the params file, after showing the difference",
           "mlbench sweep NAME --apply --trial N", _HERE, no_params, rank=6),
    Action("enqueue", "a", "a", "add trial", "enter the parameters of the next trial by hand", "",
           _HERE, not_sweeping, rank=5),
    Action("stop-trial", "X,delete", "X", "stop trial", "stop the trial under the cursor for "
           "good, after asking", "", _HERE, no_running_trial, rank=6),
    Action("chart", "v", "v", "view", "the next view: trials, history, importances and so on", "",
           _HERE, no_study, rank=2),
    Action("chart-before", "V", "V", "view before", "the view before", "", _HERE, no_study,
           rank=9),
    Action("chart-parameter", "m", "m", "parameter", "the next parameter of the chart", "", _HERE,
           no_study, rank=8),
    Action("chart-objective", "M", "M", "objective", "the next objective of the charts", "", _HERE,
           one_objective, rank=9),
    Action("chart-log", "L", "L", "log scale", "a logarithmic scale of values, or a linear one",
           "", _HERE, no_study, rank=9),
    Action("importances", "i", "i", "importances", "work out anew which parameters matter", "",
           _HERE, no_best, rank=7),
    Action("sort-trials", "o", "o", "sort", "sort by the next column; click a title for any", "",
           _HERE, no_study, rank=6),
    Action("reverse-trials", "O", "O", "reverse", "turn the order round", "", _HERE, no_study,
           rank=8),
    Action("export-html", "E", "E", "export", "write the study's figures as HTML into a folder",
           "mlbench sweep NAME --html FOLDER", _HERE, no_best, rank=7),
)  # fmt: skip
