"""Looking at a study's journal: importances and figures, and that looking changes nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from mlbench.sweeps.figures import INDEX, SCRIPT, write_figures
from mlbench.sweeps.importances import FANOVA, LEAST_TRIALS, PED_ANOVA, importances
from mlbench.sweeps.reading import read_study
from tests.sweeps.journals import (
    Direction,
    alpha_alone,
    two_objectives,
    with_conditions,
    write_journal,
)

Journal = Callable[[Callable[[optuna.Trial], float], int], Path]
OF_ONE = {
    *("history", "importances", "slice", "contour", "rank"),
    *("parallel-coordinates", "edf", "timeline"),
}


@pytest.fixture(autouse=True)
def _optuna_is_quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return lambda objective, trials: write_journal(tmp_path / "journal.log", objective, trials)


def test_looking_neither_mends_nor_locks_nor_writes(journal: Journal, tmp_path: Path) -> None:
    path = journal(alpha_alone, 6)
    torn = path.read_bytes() + b'{"op_code": 5, "worker'
    path.write_bytes(torn)
    path.chmod(0o400)
    study = read_study(path)
    assert len(study.trials) == 6
    assert path.read_bytes() == torn
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    with pytest.raises(PermissionError, match="only looked at"):
        study.set_user_attr("seen", True)


def test_a_last_line_that_is_no_json_is_left_out_and_any_other_is_refused(
    journal: Journal,
) -> None:
    path = journal(alpha_alone, 6)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0\0\0\n")
    assert len(read_study(path).trials) == 6
    path.write_bytes(b"\0\0\0\n" + whole)
    with pytest.raises(ValueError, match="Expecting value"):
        read_study(path)


def test_what_matters_is_found(journal: Journal) -> None:
    told = importances(read_study(journal(alpha_alone, 25)), 0, "accuracy")
    assert (told.metric, told.evaluator, told.trials) == ("accuracy", FANOVA, 25)
    assert list(told.shares) == ["train.alpha", "train.hidden"]
    assert told.shares["train.alpha"] > 0.8
    assert type(told.shares["train.alpha"]) is float
    assert sum(told.shares.values()) == pytest.approx(1)


def test_parameters_that_some_trials_lack_are_judged_too(journal: Journal) -> None:
    told = importances(read_study(journal(with_conditions, 40)))
    assert told.evaluator == PED_ANOVA
    assert set(told.shares) == {"train.alpha", "train.hidden", "train.solver", "train.momentum"}
    assert next(iter(told.shares)) == "train.alpha"


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_each_of_several_objectives_has_importances_of_its_own(
    tmp_path: Path, direction: Direction
) -> None:
    def conditional(trial: optuna.Trial) -> tuple[float, float]:
        # All but the trials with the greatest z have w, which says nothing.
        x, both = two_objectives(trial)
        if trial.params["z"] < 0.9:
            trial.suggest_float("w", 0, 1)
        return x, both

    path = write_journal(tmp_path / "two.log", conditional, 60, ("minimize", direction))
    study = read_study(path)
    assert next(iter(importances(study, 0).shares)) == "x"
    second = importances(study, 1)
    assert second.evaluator == PED_ANOVA
    # The best by the second have the greatest z, and no w, only where more is better.
    assert next(iter(second.shares)) in ("z", "w")
    assert second.shares["z"] > second.shares["x"]


@pytest.mark.parametrize(
    ("objective", "trials", "because"),
    [
        (alpha_alone, LEAST_TRIALS - 1, "from 5 complete trials on, and here is 4 complete"),
        (lambda trial: trial.suggest_float("x", 0, 1) * 0 + 2, 6, "all 6 .* have accuracy 2"),
        (lambda trial: trial.suggest_int("x", 3, 3) + trial.number, 6, "no parameter took two"),
    ],
)
def test_too_little_is_a_sentence(
    journal: Journal,
    objective: Callable[[optuna.Trial], float],
    trials: int,
    because: str,
) -> None:
    told = importances(read_study(journal(objective, trials)), 0, "accuracy")
    assert re.search(because, told.because)
    assert not told.shares


def test_every_figure_is_written_and_loads_nothing_from_the_network(
    journal: Journal, tmp_path: Path
) -> None:
    study = read_study(journal(with_conditions, 20))
    written = write_figures(study, tmp_path / "pages", ["accuracy <b>"])
    assert written[0].name == INDEX
    assert {path.stem for path in written[1:]} == OF_ONE | {"intermediate-values"}
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {
        *(path.name for path in written),
        SCRIPT,
    }
    index = written[0].read_text()
    assert re.findall(r'href="([a-z-]+\.html)"', index) == [path.name for path in written[1:]]
    assert "accuracy &lt;b&gt;" in index
    for path in written:
        page = path.read_text()
        assert "//" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
        assert "http" not in page
        assert set(re.findall(r'src="(.*?)"', page)) <= {SCRIPT}


def test_several_objectives_have_a_front_and_each_its_figures(tmp_path: Path) -> None:
    path = write_journal(tmp_path / "j.log", two_objectives, 8, ("minimize", "maximize"), "pair")
    written = write_figures(read_study(path), tmp_path / "pages", ["seconds", "accuracy"])
    each = OF_ONE - {"timeline"}
    assert {path.stem for path in written[1:]} == {
        *("pareto-front", "timeline"),
        *(f"{name}-{number}" for name in each for number in (1, 2)),
    }


def test_a_study_of_one_trial_has_the_figures_that_it_can_have(
    journal: Journal, tmp_path: Path
) -> None:
    written = write_figures(read_study(journal(alpha_alone, 1)), tmp_path / "pages", ["accuracy"])
    assert {path.stem for path in written[1:]} == OF_ONE - {"importances", "contour", "rank"}


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_without_network_draws_every_figure(journal: Journal, tmp_path: Path) -> None:
    study = read_study(journal(with_conditions, 20))
    for page in write_figures(study, tmp_path / "pages", ["accuracy"])[1:]:
        command = [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
            f"--user-data-dir={tmp_path / 'browser'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            *("--virtual-time-budget=10000", "--dump-dom", page.as_uri()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert 'class="main-svg"' in done.stdout, (page.name, done.stderr)
