"""What the trace hook sees of real processes, however they read, start others, and end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from mlbench.pipeline.seen import Seen, read_seen
from tests.inside.conftest import ONPATH, Finish, Start

OLD_AND_NEW = [
    found
    for name in ("3.9", "3.12", "3.13")
    for found in sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python"))[-1:]
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files a.txt to z.txt."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(26):
        (folder / f"{chr(97 + number)}.txt").write_text("x")
    return folder


def _of(seen: frozenset[str], folder: Path) -> set[str]:
    """The names of what was seen in a folder."""
    inside = f"{folder}/"
    return {path.removeprefix(inside) for path in seen if path.startswith(inside)}


READS = """
    import io, os, pathlib, shutil
    os.chdir("data")
    open("a.txt").close()
    io.open(os.path.abspath("b.txt"), "rb").close()
    os.close(os.open("c.txt", os.O_RDONLY))
    pathlib.Path("d.txt").read_text()
    open(b"e.txt").close()
    open("./../data/f.txt").close()
    descriptor = os.open(pathlib.Path("g.txt"), os.O_RDONLY)
    open(descriptor).close()
    shutil.copy("h.txt", "copy.txt")
    open("i.txt", "r+").close()
    open("j.txt", "a").close()
    open("new.txt", "w").close()
    open("k.txt", "w+").close()
    try:
        open("missing.txt")
    except FileNotFoundError:
        pass
    os.replace("l.txt", "renamed.txt")
    os.remove("m.txt")
    os.listdir()
    list(os.scandir(".."))
    os.mkdir("copied")
    open("copied/new", "w").close()
    shutil.copytree("copied", "copy")
    os.mkdir("tree")
    os.mkdir("tree/a.folder")
    shutil.rmtree("tree")
    print("done")
"""


@pytest.mark.parametrize("python", [Path(sys.executable), *OLD_AND_NEW], ids=str)
def test_however_a_file_is_opened(finish: Finish, stage: Path, data: Path, python: Path) -> None:
    done = finish(READS, stage, (str(python),))
    assert (done.stdout, done.stderr) == ("done\n", "")
    seen = read_seen(stage)
    assert seen.traced
    names = {path for path in _of(seen.reads, data) if "/" not in path}
    assert names == {*(f"{letter}.txt" for letter in "abcdefghij"), "missing.txt"}
    changed = {"copy", "i", "j", "new", "k", "l", "renamed", "m"}
    assert _of(seen.writes, data) >= {f"{name}.txt" for name in changed}
    assert not {"a.txt", "h.txt"} & _of(seen.writes, data)
    assert {str(data), str(data.parent), str(data / "copied")} <= seen.listings
    assert not any("tree" in path for path in seen.listings)


@pytest.mark.parametrize(
    "python",
    [
        found
        for name in ("2.7", "3.6", "3.8")
        for found in sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python"))[-1:]
    ],
    ids=str,
)
def test_pythons_that_are_too_old_do_not_notice(finish: Finish, stage: Path, python: Path) -> None:
    # Python 2 would put its bytecode beside the file.
    done = finish("print('runs')", stage, ("env", "PYTHONDONTWRITEBYTECODE=1", str(python)))
    assert (done.stdout, done.stderr) == ("runs\n", "")


def test_arrays_are_seen(finish: Finish, stage: Path, data: Path) -> None:
    script = """
        import numpy
        numpy.save("data/array.npy", numpy.zeros(3))
        numpy.load("data/array.npy")
        numpy.loadtxt("data/rows.csv")
    """
    (data / "rows.csv").write_text("1 2\n")
    finish(script, stage)
    seen = read_seen(stage)
    assert _of(seen.reads, data) == {"array.npy", "rows.csv"}
    assert _of(seen.writes, data) == {"array.npy"}
    assert any(path.endswith("/numpy/__init__.py") for path in seen.packages)


def test_modules_are_no_reads_nor_is_the_search_for_them(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    (tmp_path / "first.py").write_text("import second\n")
    (tmp_path / "second.py").write_text("import json\n")
    (tmp_path / "unused.py").write_text("")
    script = """
        import importlib.metadata
        list(importlib.metadata.distributions())
        import first
    """
    for _ in ("compiled", "read"):
        finish(script, stage)
        seen = read_seen(stage)
        assert _of(seen.modules, tmp_path) == {"first.py", "second.py"}
        assert _of(seen.reads, tmp_path) == set()
        assert str(tmp_path) not in seen.listings


def test_modules_of_a_killed_worker_are_seen(finish: Finish, stage: Path, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text("")
    script = """
        import os, signal
        if not os.fork():
            import late
            os.kill(os.getpid(), signal.SIGKILL)
        os.wait()
    """
    finish(script, stage)
    seen = read_seen(stage)
    assert seen.traced
    assert _of(seen.modules, tmp_path) == {"late.py"}


CHILDREN = {
    "a thread": "import threading; t = threading.Thread(target=read); t.start(); t.join()",
    "a fork that leaves at once": "if not os.fork(): read(); os._exit(0)\nos.wait()",
    "a fork that is killed": "if not os.fork(): read(); os.kill(os.getpid(), 9)\nos.wait()",
    "a fork of a fork": "if not os.fork():\n if not os.fork(): read(); os._exit(0)\n os.wait(); "
    "os._exit(0)\nos.wait()",
    "a subprocess": "import subprocess; subprocess.run([sys.executable, '-c', READ], check=True)",
    "a grandchild": "import subprocess; subprocess.run([sys.executable, '-c', 'import subprocess, "
    'sys; subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)\', READ], check=True)',
    "another program in its place": "os.execv(sys.executable, [sys.executable, '-c', READ])",
    "what is read before that": "read(); os.execv('/bin/true', ['true'])",
    "a hard exit": "read(); os._exit(0)",
    "a subprocess that is stopped": "import subprocess\nchild = subprocess.Popen([sys.executable, "
    "'-c', READ + '; print(1, flush=True); input()'], stdin=-1, stdout=-1)\n"
    "child.stdout.readline(); child.terminate(); child.wait()",
    "an error": "import subprocess; subprocess.run([sys.executable, '-c', READ + '; 1 / 0'], "
    "stderr=subprocess.DEVNULL)",
}


@pytest.mark.parametrize("how", CHILDREN)
def test_whoever_reads(finish: Finish, stage: Path, data: Path, how: str) -> None:
    script = "import os, sys\nREAD = 'open(\"data/a.txt\").close()'\ndef read(): exec(READ)\n"
    finish(script + CHILDREN[how], stage)
    seen = read_seen(stage)
    assert seen.traced
    assert _of(seen.reads, data) == {"a.txt"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("ending", ["pool.terminate()", "pool.close()"])
def test_workers_are_seen_however_they_end(
    finish: Finish, stage: Path, data: Path, tmp_path: Path, method: str, ending: str
) -> None:
    (tmp_path / "work.py").write_text(
        "import os\ndef read(name):\n    open(name).close()\n"
        "def read_and_die():\n    read('data/g.txt')\n    os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "main.py").write_text(
        "import multiprocessing\nfrom work import read, read_and_die\n"
        'if __name__ == "__main__":\n'
        f"    pool = multiprocessing.get_context({method!r}).Pool(2)\n"
        '    pool.map(read, [f"data/{letter}.txt" for letter in "abcdef"], 1)\n'
        f"    {ending}\n    pool.join()\n"
        f"    worker = multiprocessing.get_context({method!r}).Process(target=read_and_die)\n"
        "    worker.start()\n    worker.join()\n    assert worker.exitcode == -9\n"
    )
    finish("import runpy; runpy.run_path('main.py', run_name='__main__')", stage)
    seen = read_seen(stage)
    assert seen.traced
    assert _of(seen.reads, data) == {f"{letter}.txt" for letter in "abcdefg"}


def test_a_child_does_not_write_what_its_parent_has(finish: Finish, stage: Path) -> None:
    script = """
        import os
        for number in range(3000):
            try:
                open(f"missing-{number}")
            except OSError:
                pass
        for _ in range(3):
            if not os.fork():
                open(__import__("sys").executable).close()
                os._exit(0)
            os.wait()
    """
    finish(script, stage)
    sizes = [path.read_bytes().count(b"missing-") for path in (stage / "seen").iterdir()]
    assert sum(sizes) == 3000
    assert len([size for size in sizes if not size]) >= 3


def test_many_threads_and_a_reader_of_bytes_that_are_no_text(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    script = r"""
        import os, threading
        def miss(thread):
            for number in range(2000):
                try:
                    odd = b"t%d-\xff%d" % (thread, number)
                    open(f"t{thread}-{number}" if number % 9 else odd)
                except OSError:
                    pass
        threads = [threading.Thread(target=miss, args=(thread,)) for thread in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if not os.fork():
            threads = [threading.Thread(target=miss, args=(thread,)) for thread in range(4, 8)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            os._exit(0)
        os.wait()
    """
    finish(script, stage)
    seen = read_seen(stage)
    odd = {f"t{thread}-\udcff{n}" for thread in range(8) for n in range(0, 2000, 9)}
    plain = {f"t{thread}-{n}" for thread in range(8) for n in range(2000) if n % 9}
    assert seen.traced
    assert _of(seen.reads, tmp_path) == odd | plain


@pytest.mark.parametrize("switch", ["-S", "-I", "-E"])
def test_what_the_hook_does_not_reach_is_not_traced(
    finish: Finish, stage: Path, switch: str
) -> None:
    finish("open('x', 'w').close()", stage, (sys.executable, switch))
    assert not read_seen(stage).traced
    assert read_seen(stage) == Seen()


def test_a_main_process_that_is_killed_is_not_traced(start: Start, stage: Path) -> None:
    process = start("print(1, flush=True); input()", stage)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not read_seen(stage).traced


def test_a_disk_that_takes_no_more_stops_nothing_and_is_told(
    finish: Finish, stage: Path, data: Path
) -> None:
    script = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        for number in range(5000):
            try:
                open(f"data/{'n' * 100}-{number}")
            except FileNotFoundError:
                pass
        print(open("data/a.txt").read())
    """
    done = finish(script, stage)
    assert (done.stdout, done.stderr) == ("x\n", "")
    assert not read_seen(stage).traced


def test_a_folder_that_cannot_be_written_stops_nothing(finish: Finish, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = finish("print(open('file').read())", tmp_path / "file")
    assert (done.stdout, done.stderr) == ("in the way\n", "")


def test_what_a_signal_handler_raises_reaches_the_program(finish: Finish, stage: Path) -> None:
    script = """
        import signal
        class Alarm(Exception): pass
        raised = caught = 0
        def on_alarm(number, frame):
            global raised
            raised += 1
            raise Alarm
        signal.signal(signal.SIGALRM, on_alarm)
        while raised == caught < 200:
            try:
                # One at a time: a second that came while the first goes up would take its place.
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                while raised == caught:
                    try:
                        open("data/missing")
                    except FileNotFoundError:
                        pass
            except Alarm:
                caught += 1
        print(caught, raised)
    """
    assert finish(script, stage).stdout == "200 200\n"


def test_params_are_told_with_the_version_that_was_read(
    finish: Finish, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tmp_path / "params.toml"
    params.write_text("a = 1")
    monkeypatch.setenv("MLBENCH_PARAMS_FILES", f"{params}{os.pathsep}{tmp_path / 'none.toml'}")
    script = """
        import os
        def show(stat): print(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        show(os.stat("params.toml"))
        open("params.toml").close()
        with open("next", "w") as file: file.write("a = 1")
        os.replace("next", "params.toml")
        show(os.stat("params.toml"))
        if os.fork():
            os.wait()
        else:
            open("data/../params.toml").close()
            os._exit(0)
        with open("next", "w") as file: file.write("unread")
        os.replace("next", "params.toml")
    """
    (tmp_path / "data").mkdir()
    done = finish(script, stage)
    told = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    seen = read_seen(stage)
    assert len(set(told)) == 2
    assert seen.params_read == {str(params): frozenset(told)}
    assert str(params) not in seen.reads


def test_the_shadowed_sitecustomize_still_runs(
    finish: Finish, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shadow(tmp_path, monkeypatch, "import sys; sys.mine = __file__\n")
    done = finish("import sys, sitecustomize; print(sys.mine, sitecustomize.__file__)", stage)
    theirs = str(tmp_path / "site" / "sitecustomize.py")
    assert done.stdout.split() == [theirs, theirs]
    assert read_seen(stage).traced


def test_a_broken_one_fails_as_without_us(
    finish: Finish, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shadow(tmp_path, monkeypatch, "1 / 0\n")
    done = finish("print('runs')", stage)
    bare = finish(
        "print('runs')", stage, ("env", f"PYTHONPATH={tmp_path / 'site'}", sys.executable)
    )
    assert "ZeroDivisionError" in done.stderr
    assert (done.stdout, done.stderr) == (bare.stdout, bare.stderr)
    assert read_seen(stage).traced


def _shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("TEST_PYTHONPATH_REST", os.pathsep.join((str(ONPATH), str(folder))))


def test_an_own_folder_mlbench_beside_the_script_is_found_first(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    (tmp_path / "mlbench.py").write_text("OWN = True\n")
    assert finish("import mlbench; print(mlbench.OWN)", stage).stdout == "True\n"
