"""What the histories found, each as the shortest story that tells it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlbench.domain.outcomes import StageOutcome
from tests.model.bench import Bench
from tests.model.disk import WHOLE_SECOND_NS
from tests.model.fakes import Crash, package_file
from tests.model.oracle import PYTHON, ROOT
from tests.model.world import STATE

LOADS = {"side.py": ("load('plug')\n",), "plug.py": ("K = 1\n",)}
LAST = 8
IMPORTS = {"side.py": ("import alpha\n",)}


def test_an_interpreter_that_is_altered_twice_in_one_tick_is_another_one() -> None:
    bench = Bench("prepare")
    assert bench.build().outcome is StageOutcome.RAN
    bench.disk.write(PYTHON, b"3.11")
    assert bench.is_fresh()
    bench.disk.write(PYTHON, b"3.12")
    assert not bench.is_fresh()


@pytest.mark.parametrize("keeps_mtime", [True, False])
def test_a_module_that_nobody_foresaw_never_runs_from_stale_bytecode(keeps_mtime: bool) -> None:
    """Somebody ran it by hand, and altered it within the second, or with its mtime kept."""
    bench = Bench("side", LOADS)
    plug = f"{ROOT}/plug.py"
    if not keeps_mtime:
        bench.edit("plug.py", "K = 1\n")
    before = bench.disk.nodes[plug].stat
    compiled = f"{before[1] // 10**9} {before[0]}\nK = 1\n"
    bench.disk.write(f"{ROOT}/__pycache__/plug.cpython-311.pyc", compiled.encode())
    bench.disk.now += 300_000_000
    bench.edit("plug.py", "K = 2\n")
    if keeps_mtime:
        bench.disk.touch(plug, before[1])
    bench.settle()
    result = bench.build()
    assert result.outcome is StageOutcome.OVERTAKEN
    assert result.moved == "plug.py"
    assert bench.build().outcome is StageOutcome.RAN
    assert bench.outs() == bench.clean()


def test_a_package_that_is_upgraded_under_its_first_import_overtakes_the_stage() -> None:
    bench = Bench("side", IMPORTS)
    bench.while_it_runs = {
        moment: lambda: bench.disk.write(package_file("alpha"), b"1.1") for moment in (3, 4)
    }
    assert bench.build().outcome is StageOutcome.OVERTAKEN
    bench.settle()
    assert bench.build().outcome is StageOutcome.RAN
    assert bench.is_fresh()
    assert bench.outs() == bench.clean()


def test_an_input_that_is_altered_and_altered_back_within_a_whole_second_overtakes() -> None:
    """The stage starts in the second of the last edit, and reads what stood there in between."""
    bench = Bench("prepare", granularity=WHOLE_SECOND_NS)
    bench.edit("data/rows.txt", "abcd")
    bench.while_it_runs = {
        1: lambda: bench.edit("data/rows.txt", "efgh"),
        LAST: lambda: bench.edit("data/rows.txt", "abcd"),
    }
    result = bench.build()
    assert bench.while_it_runs == {}
    assert result.outcome is StageOutcome.OVERTAKEN
    assert not bench.is_fresh()


def test_an_intent_that_a_crash_left_half_written_is_swept_away() -> None:
    bench = Bench("prepare")
    bench.disk.write(f"{STATE}/intents/.prepare.json.x4f2", b'{"sta')
    bench.recover()
    assert bench.left_aside() == []


def every_crash(bench: Bench) -> Iterator[None]:
    """Build with a crash at the first step, then at the second, until a build comes to its end."""
    for moment in range(1, 2000):
        bench.process.fuse = moment
        try:
            bench.build()
        except Crash:
            yield
        else:
            return


def first_and_second(bench: Bench) -> list[dict[str, str | None]]:
    """Build two versions, so that the first can come back from the store; both outs."""
    found = []
    for text in ("K = 1\n", "K = 2\n"):
        bench.edit("util.py", text)
        bench.settle()
        bench.build()
        found.append(bench.outs())
    return found


def test_a_crash_at_any_step_of_a_restore_leaves_the_old_outs_or_the_new_ones() -> None:
    bench = Bench("prepare")
    first, second = first_and_second(bench)
    bench.edit("util.py", "K = 1\n")
    bench.settle()
    crashes = 0
    for _ in every_crash(bench):
        crashes += 1
        bench.recover()
        assert bench.outs() in (first, second)
        assert bench.left_aside() == []
        if bench.outs() == first:
            bench.edit("util.py", "K = 2\n")
            assert bench.build().outcome is StageOutcome.RESTORED
            bench.edit("util.py", "K = 1\n")
        bench.settle()
    assert crashes > 20
    assert bench.outs() == first


def test_a_crash_at_any_step_of_a_run_leaves_the_old_outs_or_the_new_ones() -> None:
    """What lives on is gone on with; what failed is not taken for a success by the next process."""
    versions = tuple(f"K = {number}\n" for number in range(1000, 3000))
    bench = Bench("prepare")
    crashes = 0
    for text in versions:
        before = bench.outs()
        bench.edit("util.py", text)
        bench.settle()
        bench.process.fuse = crashes + 1
        try:
            bench.build()
        except Crash:
            crashes += 1
        else:
            break
        bench.recover()
        assert bench.outs() in (before, bench.clean())
        assert bench.left_aside() == []
        assert not bench.is_fresh() or bench.outs() == bench.clean()
    assert crashes > 60
    assert bench.outs() == bench.clean()
