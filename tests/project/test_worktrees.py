"""Which record a worktree has, and worktrees made and taken away; all in real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mlbench.domain.errors import ProjectFileError, UsageError
from mlbench.project.config import load_project
from mlbench.project.git import code_and_diff
from mlbench.project.layout import Layout
from mlbench.project.worktrees import add_worktree, apply_patch, has_commit, remove_worktree
from tests.support import commit_all

SHARED = "cache runs experiments traces models ledger serving trash undo unrecorded".split()
OWN = "loop_lock events inbox flights snapshots state aside".split()


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True, errors="replace"
    )
    return done.stdout.strip()


@pytest.fixture
def main(tmp_path: Path) -> Path:
    root = (tmp_path / "main").resolve()
    root.mkdir()
    (root / "mlbench.toml").write_text("")
    (root / "code.py").write_text("x = 1\n")
    commit_all(root)
    return root


def worktree(main: Path, name: str = "tree", *options: str) -> Path:
    folder = main.parent / name
    git(main, "worktree", "add", "-q", "--detach", *options, str(folder))
    return folder


def test_without_git_and_in_the_main_tree_everything_is_the_projects_own(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    assert Layout(folder).home == folder
    git(folder, "init", "-q")
    layout = Layout(folder)
    assert (layout.home, layout.tree_name, layout.others) == (folder, "", ())


def test_a_worktree_shares_the_record_and_keeps_what_is_its_loops(main: Path) -> None:
    tree = worktree(main)
    here, home = Layout(tree), Layout(main)
    assert (here.home, here.tree_name) == (main, "tree")
    assert all(getattr(here, name) == getattr(home, name) for name in SHARED)
    assert all(getattr(here, name).is_relative_to(tree) for name in OWN)
    assert here.others == (home,)
    assert home.others == (here,)
    assert home.tree_names == {"", "tree"}


def test_a_project_below_the_repositorys_top_is_found_in_the_main_tree(main: Path) -> None:
    (main / "sub" / "digits").mkdir(parents=True)
    (main / "sub" / "digits" / "dvc.yaml").write_text("")
    commit_all(main)
    tree = worktree(main)
    assert Layout(tree / "sub" / "digits").home == main / "sub" / "digits"
    assert Layout(main / "sub" / "digits").others == (Layout(tree / "sub" / "digits"),)


def test_relative_links_of_newer_gits_lead_there_too(main: Path) -> None:
    tree = worktree(main)
    own = Path((tree / ".git").read_text().removeprefix("gitdir:").strip())
    (tree / ".git").write_text(f"gitdir: {os.path.relpath(own, tree)}\n")
    (own / "gitdir").write_text(f"{os.path.relpath(tree / '.git', own)}\n")
    assert Layout(tree).home == main
    assert Layout(main).others == (Layout(tree),)


def test_where_the_main_tree_has_no_project_a_worktree_keeps_its_own(main: Path) -> None:
    tree = worktree(main)
    (main / "mlbench.toml").unlink()
    assert Layout(tree).home == tree
    assert Layout(tree).tree_name == ""
    # A main tree that has a record is a home, also while it stands at a commit without a project.
    (main / ".mlbench").mkdir()
    assert Layout(tree).home == main


def test_a_worktree_of_a_bare_repository_keeps_its_own(main: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare" / ".git"
    bare.parent.mkdir()
    git(tmp_path, "clone", "-q", "--bare", str(main), str(bare))
    tree = worktree(bare, "one")
    assert Layout(tree).home == tree
    assert Layout(tree).others == ()


def test_a_worktree_that_has_a_record_already_keeps_it(main: Path) -> None:
    tree = worktree(main)
    (tree / ".mlbench" / "runs").mkdir(parents=True)
    assert Layout(tree).home == tree
    assert Layout(main).others == ()


def test_a_submodule_is_no_worktree(main: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "mlbench.toml").write_text("")
    commit_all(outer)
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(main), "inner")
    assert (outer / "inner" / ".git").is_file()
    assert Layout(outer.resolve() / "inner").home == outer.resolve() / "inner"


def test_a_main_tree_that_was_moved_away_leaves_a_worktree_its_own(main: Path) -> None:
    tree = worktree(main)
    main.rename(main.with_name("moved"))
    assert Layout(tree).home == tree


def test_the_main_trees_environment_serves_its_worktrees(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    tree = worktree(main)

    def make(root: Path, name: str) -> str:
        python = root / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch(0o755)
        return str(python)

    shared = make(main, ".venv")
    assert load_project(Layout(tree)).python == shared
    own = make(tree, "venv")
    assert load_project(Layout(tree)).python == own
    (tree / "mlbench.toml").write_text('[project]\npython = ".venv/bin/python"\n')
    assert load_project(Layout(tree)).python == shared
    (tree / "mlbench.toml").write_text('[project]\npython = "no/bin/python"\n')
    with pytest.raises(ProjectFileError, match="no Python interpreter"):
        load_project(Layout(tree))


def test_a_worktree_gets_commit_and_diff_and_goes_again(main: Path, tmp_path: Path) -> None:
    (main / "sub").mkdir()
    (main / "sub" / "code.py").write_text("y = 1\n")
    commit_all(main)
    (main / "sub" / "code.py").write_text("y = 2\n")
    (main / "sub" / "new.py").write_text("z = 'ü'")
    code, diff = code_and_diff(main / "sub")
    assert code.commit is not None
    patch = tmp_path / "diff.patch"
    patch.write_text(diff, encoding="utf-8")
    before = git(main, "status", "--porcelain")
    root = add_worktree(main / "sub", tmp_path / "tree", code.commit)
    assert root == (tmp_path / "tree" / "sub").resolve()
    apply_patch(root, patch)
    assert (root / "code.py").read_text() == "y = 2\n"
    assert (root / "new.py").read_text() == "z = 'ü'"
    assert git(main, "status", "--porcelain") == before
    remove_worktree(main, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert str(tmp_path / "tree") not in git(main, "worktree", "list")


def test_what_git_refuses_is_said_in_its_words(main: Path, tmp_path: Path) -> None:
    commit = git(main, "rev-parse", "HEAD")
    assert has_commit(main, commit)
    assert not has_commit(main, "0" * 40)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="already exists"):
        add_worktree(main, tmp_path / "full", commit)
    patch = tmp_path / "diff.patch"
    patch.write_text("--- a/code.py\n+++ b/code.py\n@@ -1 +1 @@\n-else\n+x = 2\n")
    with pytest.raises(UsageError, match="patch"):
        apply_patch(main, patch)
    assert (main / "code.py").read_text() == "x = 1\n"


def test_the_variables_of_a_hook_name_no_other_repository(
    main: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    assert has_commit(main, "HEAD")
