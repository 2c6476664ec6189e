"""Asking another process for what Optuna has to tell: answers, what is kept of them, failures."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest

from mlbench.domain.errors import SweepError, UsageError
from mlbench.domain.sweeps import Dimension, Objective, Range, Study, Sweep
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.analysis import importances, write_html
from mlbench.project.layout import Layout
from tests.sweeps.journals import alpha_alone, write_journal

SPACE = (
    Dimension("train.alpha", Range(1e-5, 1e-1, log=True)),
    Dimension("train.hidden", choices=(32, 64)),
)
# A name that would be an option if it were a word of its own.
STUDY = Study("20261123-100000-abcd", Sweep("small", "train", (Objective("--score", "maximize"),),
              SPACE), "2026-11-23T10:00:00Z")  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    files = StudyFiles(Layout(tmp_path), STUDY.id)
    files.write_study(STUDY)
    return files


@pytest.fixture
def tried(files: StudyFiles) -> StudyFiles:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    write_journal(files.journal, alpha_alone, 12)
    return files


def test_importances_are_asked_for_once_while_the_journal_stands(tried: StudyFiles) -> None:
    told = importances(tried, STUDY)
    assert (told.metric, told.trials, told.because) == ("--score", 12, "")
    assert next(iter(told.shares)) == "train.alpha"
    # A child that read it now would fail.
    tried.journal.write_bytes(b"\0" * tried.journal.stat().st_size)
    assert importances(tried, STUDY) == told


def test_a_study_without_trials_has_a_sentence_each(files: StudyFiles, tmp_path: Path) -> None:
    assert importances(files, STUDY).because == "no trial has begun yet"
    with pytest.raises(UsageError, match="small has no trials yet, so there are no figures"):
        write_html(files, STUDY, tmp_path / "pages")
    assert not (tmp_path / "pages").exists()
    # Nothing is made by looking.
    assert not files.journal.exists()


def test_a_damaged_journal_is_a_sentence(files: StudyFiles) -> None:
    files.journal.write_bytes(b'nothing\n{"op_code": 0}\n')
    with pytest.raises(SweepError, match=r"^small \(20261123.*its journal can't be looked at: Exp"):
        importances(files, STUDY)


def test_pages_go_where_they_are_wanted(tried: StudyFiles, tmp_path: Path) -> None:
    written = write_html(tried, STUDY, tmp_path / "new" / "pages")
    assert written[0] == tmp_path / "new" / "pages" / "index.html"
    assert all(path.is_file() for path in written)
    assert "History of --score" in written[0].read_text()


def test_a_folder_that_is_a_file_is_a_sentence(tried: StudyFiles, tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("")
    with pytest.raises(UsageError, match="pages: no figures can be written there: File exists"):
        write_html(tried, STUDY, tmp_path / "pages")


def test_without_plotly_pips_line_is_named(
    tried: StudyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(UsageError, match=r"-m pip install 'mlbench\[figures\]'"):
        write_html(tried, STUDY, tmp_path / "pages")
