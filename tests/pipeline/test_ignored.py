"""What is ignored, held against git itself."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.watching.ignored import Ignored

NAMES = st.sampled_from(["a", "b", "ab", "a.c", "]a", "a*"])
PARTS = st.sampled_from(
    (
        "a b * a* *.c ** ? [ab] ab [!a] [a-c]* [^b] \\a []a] [[:alpha:]] a[ [a **b a\\* []-] [\\]a]"
    ).split()
)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    pattern = "/".join(draw(st.lists(PARTS, min_size=1, max_size=3)))
    before, after = (
        draw(st.sampled_from(["", "!", "/", "!/"])),
        draw(st.sampled_from(["", "/", " "])),
    )
    return before + pattern + after


PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FOLDERS = st.lists(NAMES, max_size=2).map("/".join)
IGNORE_FILES = st.dictionaries(FOLDERS, st.lists(patterns(), min_size=1, max_size=3), max_size=4)


def write(root: Path, name: str, text: str = "x") -> None:
    """Write a file, unless a part of its path is a file already."""
    path = root / name
    if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files_of(root: Path) -> set[str]:
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in found if ".git" not in name.split("/")}


def files_for_git(root: Path) -> set[str]:
    """Every untracked file that git does not ignore, relative to the folder."""
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name for name in told.split("\0") if name}


@given(st.sets(PATHS, min_size=1, max_size=8), IGNORE_FILES, st.sampled_from(["", "a", "a/b"]))
def test_what_git_ignores_is_ignored_and_nothing_else(
    paths: set[str], ignore_files: dict[str, list[str]], project: str
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary).resolve()
        subprocess.run(["git", "init", "-q", str(top)], check=True)
        for name in sorted(paths):
            write(top, name)
        for folder, lines in ignore_files.items():
            write(top, f"{folder}/.gitignore" if folder else ".gitignore", "\n".join(lines))
        root = top / project
        if not root.is_dir():
            return
        expected = files_for_git(root)
        if project and not expected and files_of(root):
            # git ignores the project's folder as a whole: then it has no say in it.
            return
        ignored = Ignored(root, ())
        assert {name for name in files_of(root) if not ignored(root / name, False)} == expected


Ignores = Callable[[str], bool]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    root.mkdir()
    return root


@pytest.fixture
def ignores(root: Path) -> Ignores:
    write(root, ".gitignore", "rows/\nbuild/\n*.log\n")
    write(root, ".dvcignore", "*.parquet\n")
    write(root, ".mlbenchignore", "/notes\n!keep.log\n")
    write(root, "src/.gitignore", "/local\n!told.log\n")
    write(root, "src/.mlbenchignore", "*.bin\n")
    names = ("rows/a.csv", "../outside.csv", ".cache/d/x", "src/local/p.toml", "build/clean")
    ignored = Ignored(root, names)
    return lambda name: ignored(Path(os.path.normpath(root / name)))


@pytest.mark.parametrize(
    ("name", "is_ignored"),
    [
        ("train.py", False),
        ("src/deep", False),
        ("build/x", True),
        ("src/build/x", True),
        ("x.log", True),
        ("keep.log", False),
        ("x.parquet", True),
        ("notes", True),
        ("notes/a.md", True),
        ("src/notes/a.md", False),
        ("src/x.bin", True),
        ("x.bin", False),
        ("src/told.log", False),
        ("src/other.log", True),
        ("src/local/x", True),
        ("deep/local/x", False),
        ("rows", False),
        ("rows/a.csv", False),
        ("rows/b.csv", True),
        ("build", False),
        ("build/clean/x.npz", False),
        ("build/clean/__pycache__", True),
        (".cache", False),
        (".cache/d/x", False),
        (".cache/d/y", True),
        (".cache/z", True),
        ("src/local/p.toml", False),
        (".git/HEAD", True),
        (".mlbench/state", True),
        ("src/.venv/x.py", True),
        ("src/4913~", True),
        (".", True),
        ("../elsewhere/x", True),
        (".gitignore", False),
        ("mlbench.local.toml", False),
    ],
)
def test_the_ignore_files_the_usual_tools_and_the_stages_decide(
    ignores: Ignores, name: str, is_ignored: bool
) -> None:
    assert ignores(name) is is_ignored


def test_mlbenchs_own_folder_is_never_looked_at_even_if_it_is_named(root: Path) -> None:
    ignored = Ignored(root, (".mlbench/runs", "src/.mlbench/x", "."))
    assert ignored(root / ".mlbench" / "runs")
    assert ignored(root / "src" / ".mlbench" / "x")


def test_the_repository_around_a_project_has_its_say(root: Path) -> None:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    write(root, ".gitignore", "wandb/\n/ml/scratch\n")
    write(root, ".git/info/exclude", "mine\n")
    (root / "ml").mkdir()
    ignored = Ignored(root / "ml", ())
    found = {
        name: ignored(root / "ml" / name) for name in ("wandb/x", "scratch", "mine", "x/scratch")
    }
    assert found == {"wandb/x": True, "scratch": True, "mine": True, "x/scratch": False}


def test_a_project_in_an_ignored_folder_is_looked_at_all_the_same(root: Path) -> None:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    write(root, ".gitignore", "tmp/\n*.py\n")
    (root / "tmp" / "ml").mkdir(parents=True)
    assert not Ignored(root / "tmp" / "ml", ())(root / "tmp" / "ml" / "train.py")


def test_new_names_and_new_patterns_count_once_they_are_read(root: Path) -> None:
    write(root, ".gitignore", "rows\n")
    ignored = Ignored(root, ())
    assert ignored(root / "rows" / "a.csv")
    assert ignored.look_for(("rows/a.csv",))
    assert not ignored.look_for(("./rows/a.csv",))
    assert not ignored(root / "rows" / "a.csv")
    write(root, "src/.gitignore", "x.py\n")
    ignored.read_again()
    assert ignored(root / "src" / "x.py")


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_no_name_and_no_pattern_makes_it_fail(name: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary).resolve()
        (root / ".gitignore").write_text(f"{name}\n!{name}x\n{name}/{name}\n")
        ignored = Ignored(root, (name,))
        assert ignored(root / name, False) in (True, False)
        assert is_left_behind(name) in (True, False)
