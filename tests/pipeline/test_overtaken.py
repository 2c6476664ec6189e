"""What an edit or a stop does to a stage that is running."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.system.journal import read_lines
from tests.pipeline.lab import (
    HALF,
    OLD,
    PYTHON,
    Lab,
    Meeting,
    is_clean,
    outs_of,
    run_meeting,
    tree_of,
)

# As DVCLive does it: the folder that is listed gets no file of its own, but a folder.
OWN_FOLDERS = """
import os, shutil
os.makedirs("plots", exist_ok=True)
os.listdir("plots")
shutil.rmtree("plots/train", ignore_errors=True)
os.makedirs("plots/train", exist_ok=True)
with open("plots/train/loss.tsv", "w") as file:
    file.write("x")
os.mkdir("plots/short")
os.rmdir("plots/short")
"""


def _meet(lab: Lab, meeting: Meeting) -> None:
    lab.write("half.py", HALF.format(middle=meeting.code))


def test_an_input_edited_while_it_is_read_is_overtaken(half: Lab, meeting: Meeting) -> None:
    _meet(half, meeting)
    result = run_meeting(half.start("half"), meeting, lambda: half.write("in.txt", "second"))
    assert result.outcome is StageOutcome.OVERTAKEN
    assert result.message == "in.txt changed while it ran"
    assert result.trace is None
    assert outs_of(half) == OLD
    assert is_clean(half)
    kept = tree_of(half.layout.stage_folder("run-2", "half") / "outs")
    assert kept == {**OLD, "many/b.txt": b"second"}
    assert half.not_fresh() == {"half"}
    assert half.reopen().not_fresh() == {"half"}


def test_an_edit_and_its_undoing_while_it_is_read_are_overtaken_too(
    half: Lab, meeting: Meeting
) -> None:
    _meet(half, meeting)
    result = run_meeting(
        half.start("half"),
        meeting,
        lambda: half.write("in.txt", "other"),
        lambda: half.write("in.txt", "first"),
    )
    assert result.outcome is StageOutcome.OVERTAKEN
    assert half.not_fresh() == {"half"}


def test_what_came_of_being_overtaken_is_never_in_the_cache(half: Lab, meeting: Meeting) -> None:
    _meet(half, meeting)
    before = half.tree(".mlbench/cache")
    run_meeting(half.start("half"), meeting, lambda: half.write("in.txt", "second"))
    assert half.tree(".mlbench/cache") == before


def test_code_edited_while_it_runs_is_overtaken(half: Lab, meeting: Meeting) -> None:
    _meet(half, meeting)
    half.write("lazy.py", "x = 1\n")
    half.edit("half.py", "open('many/b.txt'", "import lazy\nopen('many/b.txt'")
    result = run_meeting(half.start("half"), meeting, lambda: half.write("lazy.py", "x = 2\n"))
    assert result.message == "lazy.py changed while it ran"


@pytest.mark.parametrize("deed", ["edit", "add", "remove"])
def test_a_folder_that_changes_while_it_is_read_is_overtaken(
    half: Lab, meeting: Meeting, deed: str
) -> None:
    half.write("rows/a.csv", "1")
    half.edit("mlbench.toml", '"in.txt"', '"in.txt", "rows"')
    _meet(half, meeting)
    deeds: dict[str, Callable[[], object]] = {
        "edit": lambda: half.write("rows/a.csv", "2"),
        "add": lambda: half.write("rows/b.csv", "1"),
        "remove": (half.root / "rows" / "a.csv").unlink,
    }
    result = run_meeting(half.start("half"), meeting, deeds[deed])
    assert result.outcome is StageOutcome.OVERTAKEN


def test_a_parameter_edited_while_it_runs_is_overtaken_and_another_is_not(
    half: Lab, meeting: Meeting
) -> None:
    half.write("params.toml", "mine = 1\nother = 1\n")
    half.edit("mlbench.toml", "deps =", 'params = ["mine"]\ndeps =')
    # Which version of the file a stage has read, only its trace can tell.
    half.edit("mlbench.toml", PYTHON, "python")
    _meet(half, meeting)
    unrelated = lambda: half.edit("params.toml", "other = 1", "other = 2")  # noqa: E731
    assert run_meeting(half.start("half"), meeting, unrelated).outcome is StageOutcome.RAN
    related = lambda: half.edit("params.toml", "mine = 1", "mine = 2")  # noqa: E731
    build = half.start("half", force=True)
    result = run_meeting(build, meeting, related)
    assert (result.outcome, result.message) == (
        StageOutcome.OVERTAKEN,
        "mine changed while it ran",
    )


def test_in_a_storm_of_edits_nothing_is_ever_recorded_for_an_input_it_was_not_made_from(
    empty: Lab,
) -> None:
    empty.write("in.txt", "0")
    empty.configure('[stages.copy]\ncmd = "cat in.txt > out"\ndeps = ["in.txt"]\nouts = ["out"]\n')
    enough = threading.Event()

    def storm() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            empty.write("in.txt", str(number % 7))

    writer = threading.Thread(target=storm)
    writer.start()
    outcomes = [empty.build("copy").outcome.word for _ in range(25)]
    enough.set()
    writer.join()
    outcomes.append(empty.build("copy").outcome.word)
    assert empty.not_fresh() == set()
    assert (empty.root / "out").read_bytes() == (empty.root / "in.txt").read_bytes()
    assert "overtaken" in outcomes
    lines = list(read_lines(empty.layout.state / "traces.jsonl"))
    for trace in (line["trace"] for line in lines if "trace" in line):
        assert trace["outs"]["out"] == trace["parts"]["file:in.txt"]


def test_a_running_build_tells_what_was_edited(half: Lab, meeting: Meeting) -> None:
    _meet(half, meeting)
    build = half.start("half")
    assert build.overtaken_by() is None
    seen: list[str | None] = []
    run_meeting(
        build,
        meeting,
        lambda: seen.append(build.overtaken_by()),
        lambda: half.write("in.txt", "second"),
        lambda: seen.append(build.overtaken_by()),
    )
    assert seen == [None, "in.txt"]


@pytest.mark.parametrize("outcome", [StageOutcome.CANCELLED, StageOutcome.OVERTAKEN])
def test_stop_brings_the_old_outs_back(half: Lab, meeting: Meeting, outcome: StageOutcome) -> None:
    _meet(half, meeting)
    build = half.start("half")
    result = run_meeting(build, meeting, lambda: build.stop(outcome))
    assert result.outcome is outcome
    assert outs_of(half) == OLD
    assert is_clean(half)
    assert half.not_fresh() == {"half"}


def test_stop_before_the_command_starts_is_cancelled(half: Lab) -> None:
    half.write("in.txt", "second")
    build = half.start("half")
    build.stop()
    assert build.run().outcome is StageOutcome.CANCELLED
    assert outs_of(half) == OLD


def test_a_stage_that_fails_and_was_edited_meanwhile_is_overtaken(
    half: Lab, meeting: Meeting
) -> None:
    half.write("half.py", HALF.format(middle=meeting.code + "sys.exit('no luck')\n"))
    result = run_meeting(half.start("half"), meeting, lambda: half.write("in.txt", "second"))
    assert result.outcome is StageOutcome.OVERTAKEN


def test_a_stage_may_list_the_project_s_folder_and_write_there_undeclared(empty: Lab) -> None:
    empty.configure('[stages.own]\ncmd = "python own.py"\n')
    empty.write("own.py", "import os\nos.listdir('.')\nopen('left.txt', 'w').write('x')\n")
    assert empty.build("own").outcome is StageOutcome.RAN
    assert empty.not_fresh() == set()


def test_a_stage_may_list_a_folder_and_make_and_remove_folders_there(empty: Lab) -> None:
    empty.configure('[stages.own]\ncmd = "python own.py"\n')
    empty.write("own.py", OWN_FOLDERS)
    assert empty.build("own").outcome is StageOutcome.RAN
    assert empty.not_fresh() == set()
    empty.edit("own.py", 'write("x")', 'write("y")')
    assert empty.build("own").outcome is StageOutcome.RAN
