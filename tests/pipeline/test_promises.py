"""What comes back without a run, and what exactly a change makes run again."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.pipeline.lab import Lab
from tests.support import commit_all

_CHAIN = {
    "far.py": "CONSTANT = 1\n",
    "near.py": "import far\nvalue = far.CONSTANT\n",
    "uses.py": "import near\nopen('uses.txt', 'w').write(str(near.value))\n",
    "also.py": "import far\nopen('also.txt', 'w').write(str(far.CONSTANT))\n",
    "other.py": "import math\nopen('other.txt', 'w').write(str(math.pi))\n",
}


def stages(*names: str, python: str = "python -S -E") -> str:
    return "".join(
        f'[stages.{name}]\ncmd = "{python} {name}.py"\nouts = ["{name}.txt"]\n' for name in names
    )


def ran(lab: Lab) -> set[str]:
    return {name for name, outcome in lab.run().items() if outcome == "ran"}


@pytest.fixture
def chain(empty: Lab) -> Lab:
    for name, text in _CHAIN.items():
        empty.write(name, text)
    empty.configure(stages("uses", "also", "other"))
    assert ran(empty) == {"uses", "also", "other"}
    return empty


def checkout(lab: Lab, *words: str) -> None:
    subprocess.run(["git", "checkout", "-q", *words], cwd=lab.root, check=True)


def test_a_branch_and_back_brings_everything_back_without_a_run(lab: Lab) -> None:
    lab.write(".gitignore", "build/\n.mlbench/\n__pycache__/\n")
    commit_all(lab.root)
    first = lab.run()
    assert set(first.values()) == {"ran"}
    outs = lab.tree()
    checkout(lab, "-b", "other")
    lab.edit("params.toml", "rate = 0.5", "rate = 0.7")
    lab.edit("pkg/rule.py", "rate - 1", "rate - 2")
    lab.write("data.txt", "Other rows\n")
    commit_all(lab.root)
    assert set(lab.run().values()) == {"ran"}
    checkout(lab, "-")
    assert set(lab.reopen().run().values()) == {"restored"}
    assert lab.tree() == outs
    checkout(lab, "other")
    assert set(lab.reopen().run().values()) == {"restored"}
    checkout(lab, "-")
    assert set(lab.run().values()) == {"restored"}
    assert set(lab.run().values()) == {"unchanged"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("CONSTANT = 1\n", "# a comment\nCONSTANT = 1\n"),
        ("CONSTANT = 1\n", "CONSTANT  =  1  # one\n\n\n"),
        ("CONSTANT = 1\n", "CONSTANT = (\n    1\n)\n"),
        ("CONSTANT = 'a'\n", 'CONSTANT = "a"\n'),
    ],
)
def test_layout_and_comments_run_nothing(chain: Lab, before: str, after: str) -> None:
    chain.write("far.py", before)
    chain.run()
    chain.write("far.py", after)
    assert set(chain.run().values()) == {"unchanged"}
    assert chain.not_fresh() == set()


def test_a_constant_two_imports_away_runs_exactly_its_users_and_says_how(chain: Lab) -> None:
    chain.write("far.py", "CONSTANT = 2\n")
    assert chain.reasons("uses") == [("code", "far.py", "changed (uses.py → near.py → far.py)")]
    assert ran(chain) == {"uses", "also"}
    assert (chain.root / "uses.txt").read_text() == "2"


def test_a_new_file_beside_the_tests_runs_them_only_where_pytest_could_collect_it(
    empty: Lab,
) -> None:
    empty.write("tests/test_a.py", "def test_a():\n    assert True\n")
    empty.configure(
        '[stages.tests]\nkind = "test"\ncmd = "python -m pytest -q tests"\ndeps = ["tests"]\n'
    )
    assert ran(empty) == {"tests"}
    empty.write("notes.md", "nothing to collect")
    empty.write("mlbench.lock", "")
    assert empty.not_fresh() == set()
    empty.write("conftest.py", "collect_ignore = []\n")
    assert empty.reasons("tests") == [("file", "./", "changed, was seen to be read")]


def wheel(folder: Path, version: str) -> Path:
    """A package of one module, as a wheel."""
    path = folder / f"demo_pkg-{version}-py3-none-any.whl"
    info = f"demo_pkg-{version}.dist-info"
    files = {
        "demo_pkg/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: demo-pkg\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def install(python: Path, package: Path) -> None:
    words = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "-q"]
    subprocess.run([*words, str(package)], check=True)


def test_another_version_of_a_package_runs_exactly_the_stages_seen_to_import_it(
    empty: Lab, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    install(python, wheel(tmp_path, "1.0"))
    empty.write("direct.py", "import demo_pkg\nopen('direct.txt', 'w').write(demo_pkg.VERSION)\n")
    empty.write("helper.py", "def version():\n    import demo_pkg\n    return demo_pkg.VERSION\n")
    empty.write("late.py", "import helper\nopen('late.txt', 'w').write(helper.version())\n")
    empty.write("other.py", "open('other.txt', 'w').write('x')\n")
    empty.configure(stages("direct", "late", "other", python="python"), str(python))
    assert ran(empty) == {"direct", "late", "other"}
    assert set(empty.reopen().run().values()) == {"unchanged"}
    install(python, wheel(tmp_path, "1.1"))
    assert empty.reopen().not_fresh() == {"direct", "late"}
    assert empty.reasons("late") == [("package", "demo-pkg", "1.0 → 1.1")]
    assert ran(empty) == {"direct", "late"}
    assert (empty.root / "late.txt").read_text() == "1.1"
    install(python, wheel(tmp_path, "1.0"))
    assert set(empty.reopen().run().values()) == {"restored", "unchanged"}
    assert (empty.root / "late.txt").read_text() == "1.0"


def test_code_that_comes_again_waits_for_what_it_read_before(empty: Lab) -> None:
    reads = "open('use.txt', 'w').write(open('make.txt').read())\n"
    empty.write("in.txt", "a")
    empty.write("make.py", "open('make.txt', 'w').write(open('in.txt').read())\n")
    empty.write("use.py", reads)
    empty.configure(stages("make", "use", python="python"))
    empty.run()
    empty.write("use.py", "open('use.txt', 'w').write('nothing')\n")
    assert ran(empty) == {"use"}
    empty.write("use.py", reads)
    empty.write("in.txt", "b")
    plan = empty.workspace.plan(empty.project)
    assert plan.needs["use"] == ("make",)
    assert empty.not_fresh() == {"make", "use"}
