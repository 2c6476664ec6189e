"""The newest run of a state, by the index and by the folders of runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.outcomes import RunOutcome
from mlbench.project.layout import Layout
from mlbench.tracking.standing import lately_standing
from tests.tracking.conftest import made, record


def test_what_stands_is_the_newest_passed_run_of_these_fingerprints(layout: Layout) -> None:
    store = record(
        layout,
        made(1, key="a"),
        made(2, key="a"),
        made(3, key="a", outcome=RunOutcome.FAILED),
        made(4, key="b"),
    )
    found = store.standing({"train": "a"})
    assert found is not None
    assert found.id == made(2).id
    assert store.standing({"train": "c"}) is None
    assert store.standing({"train": "a", "tests": "a"}) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(RunOutcome)), max_size=6))
def test_what_stands_by_the_newest_folders_is_what_stands_by_the_index(
    runs: list[tuple[str, RunOutcome]],
) -> None:
    with TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.own.mkdir()
        several = [made(n, key=key, outcome=outcome) for n, (key, outcome) in enumerate(runs, 1)]
        store = record(layout, *several)
        state = {"train": "a"}
        found, whole = lately_standing(layout, state), store.standing(state)
        assert found == (whole if whole in several[-3:] else None)


def test_a_copied_folder_of_a_run_does_not_stand(layout: Layout) -> None:
    record(layout, made(1, key="a"))
    shutil.copytree(layout.run_folder(made(1).id), layout.run_folder(made(2).id))
    assert lately_standing(layout, {"train": "a"}) == made(1, key="a")


def test_a_trial_of_a_study_does_not_stand(layout: Layout) -> None:
    """What is applied to the project and comes from the cache is a run of its own."""
    by_hand, trial = made(1, key="a"), made(2, key="a", origin="sweep", study="one", trial=3)
    store = record(layout, by_hand, trial)
    assert lately_standing(layout, {"train": "a"}) == by_hand
    assert store.standing({"train": "a"}) == by_hand
