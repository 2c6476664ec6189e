"""One stage on its way: what it leaves on disk, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.system.journal import read_lines
from tests.pipeline.lab import BOUND_SECONDS, PYTHON, Lab, Meeting, run_meeting, tree_of

# Writes half of everything it has to give, meets the test, and goes on or fails.
HALF = (
    "import os, sys\n"
    "open('one.txt', 'w').write('half')\n"
    "os.makedirs('many/deep')\n"
    "open('many/deep/a.txt', 'w').write('half')\n"
    "{middle}"
    "open('many/b.txt', 'w').write(open('in.txt').read())\n"
)
WHOLE = HALF.format(middle="")


@pytest.fixture
def half(empty: Lab) -> Lab:
    """A stage with a file and a folder as outs, built once."""
    empty.write("in.txt", "first")
    empty.write("half.py", WHOLE)
    empty.configure(
        f'[stages.half]\ncmd = "{PYTHON} half.py"\ndeps = ["in.txt"]\nouts = ["one.txt", "many"]\n'
    )
    assert empty.run() == {"half": "ran"}
    return empty


OLD = {"one.txt": b"half", "many/deep/a.txt": b"half", "many/b.txt": b"first"}


def _outs(lab: Lab) -> dict[str, bytes]:
    return {
        name: data
        for name, data in tree_of(lab.root).items()
        if name == "one.txt" or name.startswith("many/")
    }


def _is_clean(lab: Lab) -> bool:
    """Whether nothing is set aside and no intent is written down."""
    return not tree_of(lab.layout.aside) and not tree_of(lab.layout.state / "intents")


def test_a_stage_that_fails_half_way_leaves_the_old_outs_exactly(half: Lab) -> None:
    half.write("half.py", HALF.format(middle="sys.exit('no luck')\n"))
    result = half.build("half")
    assert result.outcome is StageOutcome.FAILED
    assert result.message == f"{PYTHON} half.py: exit status 1: no luck"
    assert _outs(half) == OLD
    assert _is_clean(half)
    assert tree_of(half.layout.stage_folder("run-2", "half") / "outs") == {
        "one.txt": b"half",
        "many/deep/a.txt": b"half",
    }
    assert half.not_fresh() == {"half"}
    half.write("half.py", WHOLE)
    assert half.run() == {"half": "unchanged"}


def test_a_stage_that_fails_at_first_leaves_nothing_behind(half: Lab) -> None:
    for name in ("one.txt", "many/deep/a.txt", "many/b.txt"):
        (half.root / name).unlink()
    (half.root / "many" / "deep").rmdir()
    (half.root / "many").rmdir()
    half.write("half.py", HALF.format(middle="raise ValueError('bad rows')\n"))
    result = half.build("half")
    assert result.message == f"{PYTHON} half.py: exit status 1: ValueError: bad rows"
    assert _outs(half) == {}
    assert not (half.root / "many").exists()


def test_an_out_is_not_there_for_the_stage_that_makes_it(half: Lab) -> None:
    half.write("half.py", "import os\nassert not os.path.exists('one.txt')\n" + WHOLE)
    assert half.build("half").outcome is StageOutcome.RAN


def test_an_out_that_is_not_written_is_a_failure_in_words(half: Lab) -> None:
    half.write("half.py", "open('one.txt', 'w').write('new')\n")
    result = half.build("half")
    assert result.outcome is StageOutcome.FAILED
    assert result.message == 'ended well but did not write its out "many"'
    assert _outs(half) == OLD


def test_a_command_that_is_not_found_is_a_failure_in_words(half: Lab) -> None:
    half.edit("mlbench.toml", f"{PYTHON} half.py", "no-such-program --x")
    result = half.build("half")
    assert result.message == (
        "command not found: no-such-program --x; is it installed, and on the PATH?"
    )
    assert _outs(half) == OLD


def test_a_wdir_that_is_not_there_is_a_failure_in_words(empty: Lab) -> None:
    empty.configure('[stages.s]\ncmd = "true"\nwdir = "gone"\n')
    assert empty.build("s").message == "gone: there is no such folder; it is the stage's wdir"


def test_a_signal_and_a_timeout_are_failures_in_words(empty: Lab) -> None:
    empty.configure(
        '[stages.s]\ncmd = "kill -TERM $$"\n[stages.t]\ncmd = "sleep 99"\ntimeout = 0.2\n'
    )
    assert empty.build("s").message == "kill -TERM $$: signal 15"
    assert empty.build("t").message == "took longer than its timeout of 0.2 s"


def test_the_project_s_python_comes_first_and_the_words_of_mlbench_are_known(empty: Lab) -> None:
    empty.configure(
        "[stages.s]\ncmd = \"python -c 'import sys; print(sys.executable)'; "
        'echo $MLBENCH_RUN $MLBENCH_STAGE"\n'
    )
    assert empty.build("s").outcome is StageOutcome.RAN
    python, words = empty.log(1, "s").splitlines()
    assert Path(python).parent == Path(sys.executable).parent
    assert words == "run-1 s"


def test_a_to_b_to_a_comes_back_from_the_cache_byte_for_byte(half: Lab) -> None:
    half.write("in.txt", "second")
    assert half.run() == {"half": "ran"}
    new = _outs(half)
    assert new == {**OLD, "many/b.txt": b"second"}
    half.write("in.txt", "first")
    assert half.run() == {"half": "restored"}
    assert _outs(half) == OLD
    assert half.run() == {"half": "unchanged"}
    half.write("in.txt", "second")
    assert half.reopen().run() == {"half": "restored"}
    assert _outs(half) == new
    assert _is_clean(half)


def test_what_was_restored_may_be_written_without_reaching_the_cache(half: Lab) -> None:
    for text in ("second", "first"):
        half.write("in.txt", text)
        half.run()
    with (half.root / "many" / "b.txt").open("r+") as out:
        out.write("BY HAND")
    assert half.not_fresh() == {"half"}
    assert half.run() == {"half": "restored"}
    assert _outs(half) == OLD


def test_altered_and_missing_outs_come_back_from_the_cache(half: Lab) -> None:
    half.write("one.txt", "altered")
    half.write("many/extra.txt", "not ours")
    (half.root / "many" / "b.txt").unlink()
    assert half.run() == {"half": "restored"}
    assert _outs(half) == OLD


def test_what_the_cache_has_lost_is_built_again(half: Lab) -> None:
    half.write("one.txt", "altered")
    for path in half.layout.cache.rglob("*"):
        if path.is_file():
            path.unlink()
    assert half.run() == {"half": "ran"}
    assert _outs(half) == OLD


def test_an_out_that_is_not_cached_is_built_again(half: Lab) -> None:
    half.edit("mlbench.toml", '"one.txt"', '{ "one.txt" = { cache = false } }')
    half.edit("half.py", "'one.txt', 'w').write('half')", "'one.txt', 'w').write('lone')")
    half.run()
    for text in ("second", "first"):
        half.write("in.txt", text)
        half.run()
    (half.root / "one.txt").unlink()
    assert half.run() == {"half": "ran"}


_RESTORE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.pipeline.lab import Lab
lab = Lab(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
result = lab.build("half")
print(result.outcome.word, result.message, sep=": ")
"""


def test_a_disk_that_fills_up_while_outs_come_back_leaves_those_that_are_there(half: Lab) -> None:
    half.write("in.txt", "large" * 20_000)
    assert half.run() == {"half": "ran"}
    half.write("in.txt", "first")
    assert half.run() == {"half": "restored"}
    half.write("in.txt", "large" * 20_000)
    said = subprocess.run(
        [sys.executable, "-c", _RESTORE_ON_A_FULL_DISK, str(half.root)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        text=True,
    )
    assert said.stdout.startswith("failed: ")
    assert said.stdout.endswith("File too large\n")
    assert _outs(half) == OLD
    assert half.reopen().run() == {"half": "restored"}
    assert _outs(half)["many/b.txt"] == b"large" * 20_000


def test_force_runs_what_is_fresh(half: Lab) -> None:
    result = half.build("half", force=True)
    assert result.outcome is StageOutcome.RAN
    assert [reason.kind.word for reason in result.reasons] == ["forced"]


@pytest.fixture
def counting(empty: Lab) -> Lab:
    """A stage that goes on from its checkpoint, which persists."""
    empty.write("in.txt", "a")
    empty.write(
        "count.py",
        "import os, sys\n"
        "done = open('points/log').read() if os.path.exists('points/log') else ''\n"
        "os.makedirs('points', exist_ok=True)\n"
        "text = open('in.txt').read()\n"
        "open('points/log', 'w').write(done + text)\n"
        "open('out.txt', 'w').write(text)\n"
        "sys.exit('fail' in text)\n",
    )
    empty.configure(
        f'[stages.count]\ncmd = "{PYTHON} count.py"\ndeps = ["in.txt"]\n'
        'outs = ["out.txt", {"points" = {persist = true}}]\n'
    )
    assert empty.run() == {"count": "ran"}
    return empty


def test_what_persists_stays_in_place_and_outlives_a_failure(counting: Lab) -> None:
    counting.write("in.txt", "b")
    assert counting.run() == {"count": "ran"}
    counting.write("in.txt", "fail")
    assert counting.run() == {"count": "failed"}
    assert counting.tree("points") == {"log": b"abfail"}
    assert (counting.root / "out.txt").read_text() == "b"


def test_what_persists_is_never_restored(counting: Lab) -> None:
    counting.write("in.txt", "b")
    counting.run()
    counting.write("in.txt", "a")
    assert counting.run() == {"count": "ran"}
    assert counting.tree("points") == {"log": b"aba"}


def test_what_else_a_stage_gives_comes_back_where_what_persists_stands(counting: Lab) -> None:
    (counting.root / "out.txt").unlink()
    assert counting.run() == {"count": "restored"}
    assert counting.tree("points") == {"log": b"a"}


def _meet(lab: Lab, meeting: Meeting) -> None:
    lab.write("half.py", HALF.format(middle=meeting.code))


def test_an_input_edited_while_it_is_read_is_overtaken(half: Lab, meeting: Meeting) -> None:
    _meet(half, meeting)
    result = run_meeting(half.start("half"), meeting, lambda: half.write("in.txt", "second"))
    assert result.outcome is StageOutcome.OVERTAKEN
    assert result.message == "in.txt changed while it ran"
    assert result.trace is None
    assert _outs(half) == OLD
    assert _is_clean(half)
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
    for trace in read_lines(empty.layout.state / "traces.jsonl"):
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
    assert _outs(half) == OLD
    assert _is_clean(half)
    assert half.not_fresh() == {"half"}


def test_stop_before_the_command_starts_is_cancelled(half: Lab) -> None:
    half.write("in.txt", "second")
    build = half.start("half")
    build.stop()
    assert build.run().outcome is StageOutcome.CANCELLED
    assert _outs(half) == OLD


def test_a_stage_that_fails_and_was_edited_meanwhile_is_overtaken(
    half: Lab, meeting: Meeting
) -> None:
    half.write("half.py", HALF.format(middle=meeting.code + "sys.exit('no luck')\n"))
    result = run_meeting(half.start("half"), meeting, lambda: half.write("in.txt", "second"))
    assert result.outcome is StageOutcome.OVERTAKEN


_ENGINE = """
import sys
from pathlib import Path
from tests.pipeline.lab import Lab
lab = Lab(Path(sys.argv[1]))
lab.build("half")
"""


def _kill_engine_mid_stage(lab: Lab, pipe: Path) -> None:
    """Kill the process that builds while its stage has half written; the stage ends by itself."""
    command = [sys.executable, "-c", _ENGINE, str(lab.root)]
    with (
        subprocess.Popen(command, cwd=Path(__file__).parents[2]) as engine,
        pipe.open() as stage,
    ):
        assert stage.readline() == "half way\n"
        engine.kill()
        assert stage.read() == ""
    assert engine.returncode == -signal.SIGKILL


@pytest.fixture
def killed(half: Lab, tmp_path: Path) -> Lab:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    half.write(
        "half.py",
        HALF.format(
            middle=f"import time\npipe = open({str(pipe)!r}, 'w', buffering=1)\n"
            f"print('half way', file=pipe)\ntime.sleep({BOUND_SECONDS})\n"
        ),
    )
    _kill_engine_mid_stage(half, pipe)
    return half.reopen()


def test_after_a_kill_the_old_outs_come_back_once_and_for_all(killed: Lab) -> None:
    assert _outs(killed) != OLD
    assert killed.workspace.outs.recover() == ["half"]
    assert _outs(killed) == OLD
    assert _is_clean(killed)
    for _ in range(2):
        assert killed.reopen().workspace.outs.recover() == []
        assert _outs(killed) == OLD
    assert killed.not_fresh() == {"half"}
    killed.write("half.py", WHOLE)
    assert killed.run() == {"half": "unchanged"}


def test_a_recovery_that_was_killed_itself_is_finished_by_the_next(killed: Lab) -> None:
    aside = killed.layout.aside / "half"
    (killed.root / "one.txt").unlink()
    (aside / "one.txt").rename(killed.root / "one.txt")
    assert killed.workspace.outs.recover() == ["half"]
    assert _outs(killed) == OLD


def test_a_build_after_a_kill_needs_no_recovery_before(killed: Lab) -> None:
    killed.write("half.py", WHOLE)
    killed.write("in.txt", "second")
    assert killed.run() == {"half": "ran"}
    assert _outs(killed) == {**OLD, "many/b.txt": b"second"}
    assert _is_clean(killed)


def test_a_kill_after_the_intent_and_before_the_renames_loses_nothing(half: Lab) -> None:
    stage = half.project.stage("half")
    outs = half.workspace.outs
    outs.set_aside(stage, "run-x")
    # As if it had been killed before a single rename.
    for path in sorted((half.layout.aside / "half").iterdir()):
        path.rename(half.root / path.name)
    assert half.reopen().workspace.outs.recover() == ["half"]
    assert _outs(half) == OLD


def test_what_an_earlier_crash_left_aside_is_never_taken_for_the_old_outs(half: Lab) -> None:
    (half.layout.aside / "half").mkdir(parents=True)
    (half.layout.aside / "half" / "one.txt").write_text("from long ago")
    half.write("half.py", HALF.format(middle="sys.exit(1)\n"))
    assert half.run() == {"half": "failed"}
    assert _outs(half) == OLD


def test_a_trace_that_can_t_be_written_leaves_the_old_outs(half: Lab) -> None:
    half.write("in.txt", "second")
    traces = half.layout.state / "traces.jsonl"
    saved = traces.read_bytes()
    traces.unlink()
    traces.mkdir()
    result = half.build("half")
    assert result.outcome is StageOutcome.FAILED
    assert "traces.jsonl" in result.message
    assert _outs(half) == OLD
    assert _is_clean(half)
    traces.rmdir()
    traces.write_bytes(saved)
    assert half.reopen().not_fresh() == {"half"}


def test_an_edit_of_the_same_size_within_a_second_never_runs_old_bytecode(
    empty: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    empty.write("main.py", "from pkg.mod import value\nopen('out', 'w').write(str(value))\n")
    empty.configure(f'[stages.s]\ncmd = "{PYTHON} main.py"\nouts = ["out"]\n')
    has_bytecode = False
    for number in range(12):
        empty.write("pkg/mod.py", f"value = {number + 10}\n")
        assert empty.build("s").outcome is StageOutcome.RAN
        assert (empty.root / "out").read_text() == str(number + 10)
        has_bytecode |= any((empty.root / "pkg" / "__pycache__").iterdir())
    assert has_bytecode


def test_an_edit_that_keeps_size_and_time_never_runs_old_bytecode(empty: Lab) -> None:
    empty.write("main.py", "import mod\nopen('out', 'w').write(str(mod.value))\n")
    empty.configure(f'[stages.s]\ncmd = "{PYTHON} main.py"\nouts = ["out"]\n')
    for value in (1, 2):
        os.utime(empty.write("mod.py", f"value = {value}\n"), (1_600_000_000, 1_600_000_000))
        assert empty.build("s").outcome is StageOutcome.RAN
        assert (empty.root / "out").read_text() == str(value)


def test_metrics_are_read_and_stand_when_nothing_runs(lab: Lab) -> None:
    assert lab.build("prepare").outcome is StageOutcome.RAN
    assert lab.build("train").metrics == {"score": -0.5}
    assert lab.reopen().build("train").metrics == {"score": -0.5}


def test_a_metrics_file_that_does_not_parse_fails_the_stage(lab: Lab) -> None:
    lab.run()
    before = lab.tree()
    lab.edit("train.py", "json.dump({'score': score(rate)}, open(", "print('{oops', file=open(")
    result = lab.build("train")
    assert result.outcome is StageOutcome.FAILED
    assert result.message.startswith("build/metrics.json:1: not valid JSON")
    assert lab.tree() == before


@pytest.mark.parametrize("folder", ["plain", 'bob\'s "own" $project'])
def test_single_tests_are_counted_and_the_first_failure_named(tmp_path: Path, folder: str) -> None:
    lab = Lab(tmp_path / folder)
    lab.write("pytest.ini", "[pytest]\n")
    lab.write(
        "tests/test_a.py",
        "import pytest\ndef test_good():\n    pass\n@pytest.mark.skip\ndef test_not():\n    pass\n",
    )
    lab.configure(
        '[stages.t]\nkind = "test"\ncmd = "python -m pytest -q -p no:cacheprovider tests"\n'
        'deps = ["tests"]\n'
    )
    result = lab.build("t")
    assert result.outcome is StageOutcome.RAN, result.message
    assert result.tests is not None
    assert (result.tests.passed, result.tests.failed, result.tests.skipped) == (1, 0, 1)
    lab.edit("tests/test_a.py", "    pass\n@", "    assert 0\n@")
    result = lab.build("t")
    assert result.outcome is StageOutcome.FAILED
    assert result.message == "tests.test_a::test_good failed"


def test_a_test_folder_without_any_configuration_of_pytest_is_fresh_afterwards(empty: Lab) -> None:
    empty.write("tests/test_a.py", "def test_a():\n    pass\n")
    empty.configure('[stages.t]\ncmd = "python -m pytest -q tests"\ndeps = ["tests"]\n')
    result = empty.build("t")
    assert result.outcome is StageOutcome.RAN, result.message
    assert empty.run() == {"t": "unchanged"}
