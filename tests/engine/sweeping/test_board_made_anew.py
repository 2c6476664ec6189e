"""The board that a coordinator makes anew from Optuna's journal when it goes on with a study."""

from __future__ import annotations

from pathlib import Path

from mlbench.domain.outcomes import TrialState
from mlbench.engine.sweeping.opened import Opened
from mlbench.project.layout import Layout
from mlbench.sweeps.study import OptunaStudy
from tests.engine.sweeping.quick_sweep import begun_study, write_quick

MORE = 'intermediate = "minimize loss"\npruner = { name = "ThresholdPruner", upper = 1.0 }'


def test_what_a_pruned_trial_reported_last_is_not_its_objective(tmp_path: Path) -> None:
    root = (tmp_path / "quick").resolve()
    write_quick(root, tmp_path / "prepared", trials=3, more=MORE)
    files = begun_study(root)
    study = files.study()
    assert study is not None
    optuna = OptunaStudy.open(files.journal, study.sweep, study.base)
    pruned, _ = optuna.ask()
    optuna.report(pruned, 0, 7.5)
    optuna.prune(pruned)
    complete, _ = optuna.ask()
    optuna.complete(complete, [3.0], {})
    opened = Opened(Layout(root), files)
    board = opened.trials()
    opened.close([], is_done=True)
    assert (board[pruned].state, board[pruned].values) == (TrialState.PRUNED, ())
    assert (board[complete].state, board[complete].values) == (TrialState.COMPLETE, (3.0,))
