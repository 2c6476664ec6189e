"""One stage on its way: what it leaves on disk, whatever becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from tests.pipeline.lab import (
    HALF,
    OLD,
    PYTHON,
    WHOLE,
    Lab,
    is_clean,
    outs_of,
    tree_of,
)


def test_a_stage_that_fails_half_way_leaves_the_old_outs_exactly(half: Lab) -> None:
    half.write("half.py", HALF.format(middle="sys.exit('no luck')\n"))
    result = half.build("half")
    assert result.outcome is StageOutcome.FAILED
    assert result.message == f"{PYTHON} half.py: exit status 1: no luck"
    assert outs_of(half) == OLD
    assert is_clean(half)
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
    assert outs_of(half) == {}
    assert not (half.root / "many").exists()


def test_an_out_is_not_there_for_the_stage_that_makes_it(half: Lab) -> None:
    half.write("half.py", "import os\nassert not os.path.exists('one.txt')\n" + WHOLE)
    assert half.build("half").outcome is StageOutcome.RAN


def test_an_out_that_is_not_written_is_a_failure_in_words(half: Lab) -> None:
    half.write("half.py", "open('one.txt', 'w').write('new')\n")
    result = half.build("half")
    assert result.outcome is StageOutcome.FAILED
    assert result.message == 'ended well but did not write its out "many"'
    assert outs_of(half) == OLD


def test_a_command_that_is_not_found_is_a_failure_in_words(half: Lab) -> None:
    half.edit("mlbench.toml", f"{PYTHON} half.py", "no-such-program --x")
    result = half.build("half")
    assert result.message == (
        "command not found: no-such-program --x; is it installed, and on the PATH?"
    )
    assert outs_of(half) == OLD


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
    new = outs_of(half)
    assert new == {**OLD, "many/b.txt": b"second"}
    half.write("in.txt", "first")
    assert half.run() == {"half": "restored"}
    assert outs_of(half) == OLD
    assert half.run() == {"half": "unchanged"}
    half.write("in.txt", "second")
    assert half.reopen().run() == {"half": "restored"}
    assert outs_of(half) == new
    assert is_clean(half)


def test_what_was_restored_may_be_written_without_reaching_the_cache(half: Lab) -> None:
    for text in ("second", "first"):
        half.write("in.txt", text)
        half.run()
    with (half.root / "many" / "b.txt").open("r+") as out:
        out.write("BY HAND")
    assert half.not_fresh() == {"half"}
    assert half.run() == {"half": "restored"}
    assert outs_of(half) == OLD


def test_altered_and_missing_outs_come_back_from_the_cache(half: Lab) -> None:
    half.write("one.txt", "altered")
    half.write("many/extra.txt", "not ours")
    (half.root / "many" / "b.txt").unlink()
    assert half.run() == {"half": "restored"}
    assert outs_of(half) == OLD


def test_what_the_cache_has_lost_is_built_again(half: Lab) -> None:
    half.write("one.txt", "altered")
    for path in half.layout.cache.rglob("*"):
        if path.is_file():
            path.unlink()
    assert half.run() == {"half": "ran"}
    assert outs_of(half) == OLD


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
    assert outs_of(half) == OLD
    assert half.reopen().run() == {"half": "restored"}
    assert outs_of(half)["many/b.txt"] == b"large" * 20_000


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
    assert result.message == "tests/test_a.py::test_good failed"
    assert result.tests is not None
    assert (result.tests.passed, result.tests.failed, result.tests.skipped) == (0, 1, 1)


def test_a_test_folder_without_any_configuration_of_pytest_is_fresh_afterwards(empty: Lab) -> None:
    empty.write("tests/test_a.py", "def test_a():\n    pass\n")
    empty.configure('[stages.t]\ncmd = "python -m pytest -q tests"\ndeps = ["tests"]\n')
    result = empty.build("t")
    assert result.outcome is StageOutcome.RAN, result.message
    assert empty.run() == {"t": "unchanged"}
