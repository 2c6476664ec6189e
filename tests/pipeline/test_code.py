"""Which of a project's modules a command reaches, checked against Python's own import system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.stages import Stage
from mlbench.pipeline.code import CodeGraph
from mlbench.pipeline.tree import DiskTree
from tests.pipeline.lab import Lab


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _reached(root: Path, *commands: str, deps: tuple[str, ...] = (), wdir: str = ".") -> set[str]:
    return set(CodeGraph(DiskTree(), root).reached_by(Stage("s", commands, wdir=wdir, deps=deps)))


_TELL = """
import atexit, os, sys
def tell():
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(os.environ["ROOT"]):
            print(os.path.relpath(file, os.environ["ROOT"]))
atexit.register(tell)
"""


def _imported(root: Path, *arguments: str, wdir: str = ".", path: str = "") -> set[str]:
    """The project's files that Python itself imports for this command."""
    (root.parent / "site").mkdir(exist_ok=True)
    (root.parent / "site" / "sitecustomize.py").write_text(_TELL)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root / wdir,
        env={
            "ROOT": str(root),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(root.parent / "site"), path))),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        check=True,
        text=True,
    )
    # A script's own module has lost its file by the time that it tells.
    script = {os.path.join(wdir, name) for name in arguments[:1] if name.endswith(".py")}
    return {os.path.normpath(name) for name in script | set(done.stdout.split())}


TREES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "a script and a module": ({"main.py": "import a", "a.py": ""}, ("main.py",)),
    "a package runs its __init__": (
        {"main.py": "import p.q.r", "p/__init__.py": "", "p/q/__init__.py": "", "p/q/r.py": ""},
        ("main.py",),
    ),
    "from a package a submodule": (
        {"main.py": "from p import sub, name", "p/__init__.py": "name = 1", "p/sub.py": ""},
        ("main.py",),
    ),
    "from a module a name": (
        {"main.py": "from p.m import f", "p/m.py": "def f(): 0"},
        ("main.py",),
    ),
    "a namespace package": (
        {
            "main.py": "import n.deep.m\nfrom n.deep import other",
            "n/deep/m.py": "",
            "n/deep/other.py": "",
        },
        ("main.py",),
    ),
    "a namespace inside a package": (
        {"main.py": "from p.n import m", "p/__init__.py": "", "p/n/m.py": ""},
        ("main.py",),
    ),
    "a package without the module that is asked for": (
        {
            "main.py": "try:\n    import p.compiled\nexcept ImportError:\n    pass\n"
            "try:\n    from p.other import x\nexcept ImportError:\n    pass",
            "p/__init__.py": "",
        },
        ("main.py",),
    ),
    "relative imports": (
        {
            "main.py": "import p.q.m",
            "p/__init__.py": "",
            "p/top.py": "",
            "p/q/__init__.py": "",
            "p/q/m.py": "from . import side\nfrom .near import x\nfrom .. import top\n"
            "from ..other.far import y\nfrom .deep import *",
            "p/q/side.py": "",
            "p/q/near.py": "x = 1",
            "p/q/deep/__init__.py": "from .inner import z",
            "p/q/deep/inner.py": "z = 1",
            "p/other/__init__.py": "",
            "p/other/far.py": "y = 1",
        },
        ("main.py",),
    ),
    "a circle": (
        {"main.py": "import a", "a.py": "import b", "b.py": "import c", "c.py": "import a"},
        ("main.py",),
    ),
    "an import inside a function": (
        {
            "main.py": "def f():\n    import lazy\nf()",
            "lazy.py": "class C:\n    import inner",
            "inner.py": "",
        },
        ("main.py",),
    ),
    "python -m of a module": (
        {"p/__init__.py": "import q", "p/m.py": "from . import n", "p/n.py": "", "q.py": ""},
        ("-m", "p.m"),
    ),
    "python -m of a package": (
        {"p/__init__.py": "", "p/__main__.py": "import p.m", "p/m.py": ""},
        ("-m", "p"),
    ),
    "python -u -m": ({"p/__init__.py": "", "p/m.py": ""}, ("-u", "-m", "p.m")),
    "a script in a folder": (
        {"jobs/main.py": "import beside", "jobs/beside.py": "", "beside.py": ""},
        ("jobs/main.py",),
    ),
    "a package before a module of its name": (
        {"main.py": "import x", "x.py": "", "x/__init__.py": ""},
        ("main.py",),
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_what_python_imports_is_reached(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    files, arguments = TREES[name]
    _write(root, files)
    reached = _reached(root, " ".join(("python", *arguments)))
    imported = _imported(root, *arguments)
    assert imported
    assert reached == imported


def test_a_src_layout_is_reached(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(root, {"main.py": "from pkg import m", "src/pkg/__init__.py": "", "src/pkg/m.py": ""})
    assert _reached(root, "python main.py") == _imported(root, "main.py", path=str(root / "src"))


def test_commands_run_in_their_wdir(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(root, {"sub/main.py": "import near", "sub/near.py": "", "near.py": ""})
    assert _reached(root, "python main.py", wdir="sub") == _imported(root, "main.py", wdir="sub")


def test_a_relative_import_out_of_the_project_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path / "root", {"main.py": "from ......... import x\nfrom ...y import z"})
    assert _reached(tmp_path / "root", "python main.py") == {"main.py"}


@pytest.mark.parametrize(
    "command",
    [
        "python main.py; python other.py",
        "python main.py>log && python other.py",
        "(python 'main.py'|python other.py)",
        "env A=1 python3.11 -u main.py --flag other.py",
        "python main.py\npython other.py",
        "torchrun --nproc 2 main.py& python -X dev -m other",
    ],
)
def test_every_script_of_a_command_is_found_behind_the_shells_signs(
    tmp_path: Path, command: str
) -> None:
    _write(tmp_path / "root", {"main.py": "", "other.py": "", "third.py": ""})
    assert _reached(tmp_path / "root", command) == {"main.py", "other.py"}


@pytest.mark.parametrize(
    "command", ["python 'main.py", "echo main.pyc", "python gone.py", "", "-m"]
)
def test_a_command_that_names_no_script_reaches_nothing(tmp_path: Path, command: str) -> None:
    _write(tmp_path / "root", {"main.py": ""})
    assert _reached(tmp_path / "root", command) == set()


def test_deps_of_python_are_code_alone_and_in_folders(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(
        root,
        {
            "tool.py": "import helper",
            "helper.py": "",
            "tests/test_a.py": "from .util import x",
            "tests/util.py": "import model",
            "tests/deep/test_b.py": "",
            "tests/data.txt": "",
            "tests/.venv/lib/x.py": "",
            "tests/__pycache__/y.py": "",
            "model.py": "",
        },
    )
    assert _reached(root, "pytest", deps=("tool.py", "tests", "missing", "missing.py")) == {
        "tool.py",
        "helper.py",
        "tests/test_a.py",
        "tests/util.py",
        "tests/deep/test_b.py",
        "model.py",
    }


def test_installed_packages_are_not_the_projects_code(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(
        root,
        {
            "main.py": "import a\nimport json\nimport pytest",
            "lib/site-packages/a.py": "",
            ".hidden/b.py": "",
        },
    )
    assert _reached(root, "python main.py", deps=("lib", ".hidden")) == {"main.py"}


def test_the_chain_is_the_shortest_way(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(root, {"main.py": "import a, c", "a.py": "import b", "b.py": "import c", "c.py": ""})
    reached = CodeGraph(DiskTree(), root).reached_by(Stage("s", ("python main.py",)))
    assert {name: module.chain for name, module in reached.items()} == {
        "main.py": ("main.py",),
        "a.py": ("main.py", "a.py"),
        "b.py": ("main.py", "a.py", "b.py"),
        "c.py": ("main.py", "c.py"),
    }


def test_a_long_chain_of_imports_is_no_overflow(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(root, {f"m{n}.py": f"import m{n + 1}" for n in range(1200)})
    assert len(_reached(root, "python m0.py")) == 1200


def test_a_module_that_does_not_parse_counts_by_its_bytes(empty: Lab) -> None:
    empty.write("main.py", "import broken\n")
    empty.write("broken.py", "x = (\n")
    empty.configure('[stages.s]\ncmd = "true main.py"\n')
    assert empty.run() == {"s": "ran"}
    empty.write("broken.py", "x = (\n# a comment counts now\n")
    assert empty.reasons("s") == [("code", "broken.py", "changed (main.py → broken.py)")]
    empty.write("broken.py", "import late\n")
    empty.write("late.py", "\n")
    assert len(empty.reasons("s")) == 2


def test_an_import_that_is_edited_within_a_tick_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _write(root, {"main.py": "import aa\n", "aa.py": "", "bb.py": ""})
    graph = CodeGraph(DiskTree(), root)
    stage = Stage("s", ("python main.py",))
    for number in range(200):
        wanted = ("aa", "bb")[number % 2]
        path = root / "main.py"
        with path.open("r+") as file:
            file.write(f"import {wanted}\n")
        os.utime(path, ns=(1_700_000_000_000_000_000,) * 2)
        assert set(graph.reached_by(stage)) == {"main.py", f"{wanted}.py"}
