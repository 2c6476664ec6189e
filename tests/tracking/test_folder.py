"""A run's folder: its diff, and what the code was."""

from __future__ import annotations

from mlbench.project.layout import Layout
from mlbench.tracking.folder import DIFF_NAME, read_run, write_run
from mlbench.tracking.store import ExperimentStore
from tests.tracking.conftest import made


def test_a_run_folder_says_what_the_code_was(layout: Layout) -> None:
    folder = layout.run_folder(made(1).id)
    write_run(folder, made(1), "--- a\n+++ b\n+x = 1\n")
    assert read_run(folder) == made(1)
    assert (folder / DIFF_NAME).read_text() == "--- a\n+++ b\n+x = 1\n"


def test_clean_code_leaves_no_diff(layout: Layout) -> None:
    write_run(layout.run_folder(made(1).id), made(1))
    assert not (layout.run_folder(made(1).id) / DIFF_NAME).exists()


def test_a_diff_of_a_file_in_another_encoding_is_kept_byte_for_byte(layout: Layout) -> None:
    folder = layout.run_folder(made(1).id)
    latin = "+name = 'größe'\n".encode("latin-1")
    write_run(folder, made(1), latin.decode("utf-8", errors="surrogateescape"))
    assert (folder / DIFF_NAME).read_bytes() == latin
    assert read_run(folder) == made(1)


def test_a_trial_keeps_its_study_and_its_number(layout: Layout) -> None:
    trial = made(1, origin="sweep", study="20261123-091500-000000aa", trial=0)
    write_run(layout.run_folder(trial.id), trial)
    assert read_run(layout.run_folder(trial.id)) == trial
    store = ExperimentStore(layout)
    assert store.rebuild() == 1
    assert (store.runs()[0].study, store.runs()[0].trial) == (trial.study, 0)
