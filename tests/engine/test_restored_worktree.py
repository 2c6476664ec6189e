"""A run in a worktree of its own: everything stands there, and the main tree is not touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.domain.commands import RunStages
from mlbench.domain.errors import UsageError
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries
from mlbench.engine.restored_worktree import RestoredTree, restore_in_worktree
from mlbench.project.layout import Layout
from mlbench.system.content import ContentStore
from tests.support import Follower, SmallProject, commit_all, finished

CONFIG = """\
[stages.prepare]
cmd = "python prepare.py"
deps = ["data", { path = "big.bin", check = "stat" }]
outs = ["build/clean.txt"]

[stages.train]
cmd = "python train.py"
deps = ["build/clean.txt"]
params = ["rate"]
outs = ["build/model.txt", { "build/note.txt" = { cache = false } }]
"""
FILES = {
    "mlbench.toml": CONFIG,
    "params.toml": "rate = 0.5  # the rate\n",
    ".gitignore": "build/\ndata/\n*.bin\nextra/\n__pycache__/\n",
    "prepare.py": (
        "import os\n"
        "rows = open('data/rows.txt').read() + open('data/deep/more.txt').read()\n"
        "extra = [open(f'extra/{name}').read() for name in sorted(os.listdir('extra'))]\n"
        "open('build/clean.txt', 'w').write(rows + ''.join(extra))\n"
    ),
    "train.py": (
        "import tomllib\n"
        "from helper import scaled\n"
        "rate = tomllib.load(open('params.toml', 'rb'))['rate']\n"
        "open('build/model.txt', 'w').write(f'{scaled(rate)} {open(\"build/clean.txt\").read()}')\n"
        "open('build/note.txt', 'w').write('note')\n"
    ),
    "helper.py": "def scaled(rate):\n    return rate * 2\n",
    "data/rows.txt": "rows\n",
    "data/deep/more.txt": "more\n",
    "extra/one.txt": "one\n",
    "extra/two.txt": "two\n",
    "big.bin": "big",
}


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """A project below its repository's top, with data that git ignores and code that is dirty."""
    made = SmallProject((tmp_path / "main" / "sub").resolve())
    for name, text in FILES.items():
        made.write(name, text)
    commit_all(made.root.parent)
    made.write(
        "helper.py", "from fresh import FACTOR\ndef scaled(rate):\n    return rate * FACTOR\n"
    )
    made.write("fresh.py", "FACTOR = 3\n")
    return made


@pytest.fixture
def run(project: SmallProject, follow: Callable[[Path], Follower]) -> Run:
    return build(follow(project.root))


def build(loop: Follower, **params: object) -> Run:
    loop.forget()
    assert loop.carry_out(RunStages(params=params)).exit_status == 0
    made = finished(loop).run
    assert made is not None
    return Queries(loop.session.layout).run(made)


def bring(project: SmallProject, run: Run) -> RestoredTree:
    return restore_in_worktree(Layout(project.root), run, project.root.parents[1] / "tree")


def git(folder: Path, *words: str) -> str:
    look = ["git", "--no-optional-locks", *words]
    return subprocess.run(look, cwd=folder, check=True, capture_output=True, text=True).stdout


def outcomes(project: SmallProject) -> set[str]:
    done = project.cli("run", "--json")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1])["stages"].values())


def test_a_run_in_a_worktree_is_all_unchanged(project: SmallProject, run: Run) -> None:
    index = (project.root.parent / ".git" / "index").read_bytes()
    before = git(project.root, "status", "--porcelain", "--branch")
    model = project.read("build/model.txt")
    # Not even what the main tree has by now matters, but for its data.
    project.write("fresh.py", "FACTOR = 4\n")
    project.write("params.toml", "rate = 0.9\n")
    project.write("build/model.txt", "else")
    made = bring(project, run)
    there = SmallProject(made.folder)
    assert made.folder == (project.root.parents[1] / "tree" / "sub").resolve()
    assert (made.missing, made.stale, made.done.gone) == ((), (), ())
    assert outcomes(there) == {"unchanged"}
    assert there.read("build/model.txt") == model
    assert there.read("params.toml") == FILES["params.toml"]
    assert set(made.linked) == {
        "data/rows.txt",
        "data/deep/more.txt",
        "extra/one.txt",
        "extra/two.txt",
        "big.bin",
    }
    # It is no new run, and git sees nothing there but the run's own edits.
    assert len(Queries.of(project.root).store().runs()) == 1
    assert git(made.folder, "status", "--porcelain").splitlines() == [
        " M sub/helper.py",
        "?? sub/fresh.py",
    ]
    project.write("fresh.py", "FACTOR = 3\n")
    project.write("params.toml", FILES["params.toml"])
    assert git(project.root, "status", "--porcelain", "--branch") == before
    assert (project.root.parent / ".git" / "index").read_bytes() == index


def test_what_the_main_tree_s_data_is_by_now_is_not_taken_for_what_it_was(
    project: SmallProject, run: Run
) -> None:
    project.write("data/rows.txt", "other rows\n")
    (project.root / "extra" / "three.txt").write_text("three\n")
    made = bring(project, run)
    assert made.missing == ("data",)
    assert [status.name for status in made.stale] == ["prepare", "train"]
    # What does agree is there, and so are the outs that the cache has.
    assert (made.folder / "extra" / "one.txt").read_text() == "one\n"
    assert (made.folder / "build" / "model.txt").exists()
    assert not (made.folder / "data").exists()


def test_what_the_cache_has_comes_from_there(project: SmallProject, run: Run) -> None:
    store = ContentStore(Layout(project.root).cache)
    (project.root / "extra" / "one.txt").rename(project.root / "kept")
    digest = Queries.of(project.root).run(run.id).stages["prepare"].inputs["extra/one.txt"]
    store.put(project.root / "kept", digest)
    made = bring(project, run)
    assert (made.folder / "extra" / "one.txt").read_text() == "one\n"
    assert not (made.folder / "extra" / "one.txt").is_symlink()


def test_an_out_that_is_never_cached_is_copied_where_it_still_lies(
    project: SmallProject, run: Run
) -> None:
    (project.root / "build" / "note.txt").unlink()
    made = bring(project, run)
    assert [out.path for out in made.done.gone] == ["build/note.txt"]
    assert [status.name for status in made.stale] == ["train"]


def test_data_that_lies_in_another_worktree_alone_comes_from_there(
    project: SmallProject, run: Run
) -> None:
    bring(project, run)
    (project.root / "data").rename(project.root / "moved")
    tree = project.root.parents[1] / "tree" / "sub"
    for name in ("rows.txt", "deep/more.txt"):
        (tree / "data" / name).unlink()
        (tree / "data" / name).write_text(FILES[f"data/{name}"])
    made = restore_in_worktree(Layout(project.root), run, project.root.parents[1] / "third")
    assert (made.missing, made.stale) == ((), ())
    assert (made.folder / "data" / "rows.txt").read_text() == FILES["data/rows.txt"]


def test_the_parameters_of_a_run_with_others_are_set(
    project: SmallProject, follow: Callable[[Path], Follower]
) -> None:
    loop = follow(project.root)
    build(loop)
    run = build(loop, rate=0.25)
    made = bring(project, run)
    assert SmallProject(made.folder).read("params.toml") == "rate = 0.25  # the rate\n"
    assert made.stale == ()
    assert outcomes(SmallProject(made.folder)) == {"unchanged"}


def test_nothing_half_made_is_left(project: SmallProject, run: Run) -> None:
    layout = Layout(project.root)
    patch = layout.run_folder(run.id) / "diff.patch"
    patch.write_text("--- a/sub/none.py\n+++ b/sub/none.py\n@@ -1 +1 @@\n-x\n+y\n")
    tree = project.root.parents[1] / "tree"
    with pytest.raises(UsageError, match=r"diff\.patch: does not apply"):
        bring(project, run)
    assert not tree.exists()
    tree.mkdir()
    with pytest.raises(UsageError):
        bring(project, run)
    assert list(tree.iterdir()) == []
    assert git(project.root, "worktree", "list").count("\n") == 1


def test_a_place_that_is_taken_and_a_commit_that_is_gone_are_refused(
    project: SmallProject, run: Run
) -> None:
    tree = project.root.parents[1] / "tree"
    tree.mkdir()
    (tree / "mine").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        bring(project, run)
    assert (tree / "mine").read_text() == "mine"
    (tree / "mine").unlink()
    (project.root.parent / ".git").rename(project.root.parent / "git")
    commit_all(project.root.parent, "another repository")
    with pytest.raises(UsageError, match="is not in this repository"):
        bring(project, run)


def test_a_place_inside_the_project_is_refused_unless_git_ignores_it(
    project: SmallProject, run: Run
) -> None:
    layout = Layout(project.root)
    with pytest.raises(UsageError, match="lies inside the project"):
        restore_in_worktree(layout, run, project.root / "tree")
    assert not (project.root / "tree").exists()
    assert restore_in_worktree(layout, run, project.root / "extra" / "tree").stale == ()


def test_a_worktree_with_a_record_of_its_own_has_what_it_needs(
    project: SmallProject, follow: Callable[[Path], Follower]
) -> None:
    """Without a home, as beside a bare repository, nothing is shared."""
    bare = project.root.parents[1] / "bare" / ".git"
    bare.parent.mkdir()
    git(project.root, "clone", "-q", "--bare", str(project.root.parent), str(bare))
    tree = project.root.parents[1] / "first"
    git(bare, "worktree", "add", "-q", "--detach", str(tree))
    first = SmallProject(tree.resolve() / "sub")
    for name in (
        "data/rows.txt",
        "data/deep/more.txt",
        "extra/one.txt",
        "extra/two.txt",
        "big.bin",
    ):
        first.write(name, FILES[name])
    run = build(follow(first.root))
    made = restore_in_worktree(Layout(first.root), run, tree.with_name("second"))
    assert Layout(made.folder).home == made.folder
    assert (made.missing, made.stale) == ((), ())
    assert outcomes(SmallProject(made.folder)) == {"unchanged"}


def test_this_machine_s_own_configuration_goes_along(project: SmallProject, run: Run) -> None:
    with (project.root.parent / ".git" / "info" / "exclude").open("a") as file:
        file.write("mlbench.local.toml\n")
    project.write("mlbench.local.toml", "[project]\njobs = 3\n")
    made = bring(project, run)
    assert (made.folder / "mlbench.local.toml").read_text() == "[project]\njobs = 3\n"
