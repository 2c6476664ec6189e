"""The unified diff between the code of two runs, and that the repository is only read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlbench.project.code_diff import CodeUnknownError, CodeVersion, diff_between
from mlbench.project.git import code_and_diff
from tests.support import commit_all


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project one folder below the top of its repository."""
    root = tmp_path / "repo" / "project"
    root.mkdir(parents=True)
    (tmp_path / "repo" / "other.txt").write_text("elsewhere\n")
    (root / "train.py").write_text("rate = 1\n")
    git(tmp_path / "repo", "init", "-q", "-b", "main")
    commit_all(tmp_path / "repo")
    return root


def version(root: Path, name: str) -> CodeVersion:
    """The code as it stands, as a run records it."""
    patch = root.parent.parent / f"{name}.patch"
    code, diff = code_and_diff(root)
    patch.write_text(diff, errors="surrogateescape")
    return CodeVersion(code.commit, patch)


def test_uncommitted_and_untracked_code_is_in_it(project: Path) -> None:
    one = version(project, "one")
    (project / "train.py").write_text("rate = 2\n")
    (project / "new.py").write_text("made = True\n")
    (project.parent / "other.txt").write_text("not of the project\n")
    other = version(project, "other")
    diff = diff_between(project, one, other)
    assert "-rate = 1\n+rate = 2\n" in diff
    assert "+made = True\n" in diff
    assert "other.txt" not in diff
    assert "-made = True\n" in diff_between(project, other, one)
    assert diff_between(project, other, other) == ""


def test_what_was_committed_meanwhile_is_no_difference(project: Path) -> None:
    (project / "train.py").write_text("rate = 2\n")
    dirty = version(project, "dirty")
    commit_all(project.parent)
    clean = version(project, "clean")
    assert dirty.commit != clean.commit
    assert diff_between(project, dirty, clean) == ""


def test_the_repository_is_only_read(project: Path) -> None:
    one = version(project, "one")
    (project / "train.py").write_text("rate = 3\n")
    other = version(project, "other")
    before = contents(project.parent / ".git")
    assert diff_between(project, one, other)
    assert contents(project.parent / ".git") == before


def test_a_commit_that_is_gone_is_one_sentence(project: Path) -> None:
    one = version(project, "one")
    gone = CodeVersion("0123456789abcdef0123456789abcdef01234567", one.patch)
    with pytest.raises(CodeUnknownError, match="commit 0123456789ab is not in this repository"):
        diff_between(project, one, gone)


def test_a_patch_that_does_not_apply_is_one_sentence(project: Path) -> None:
    one = version(project, "one")
    patch = project.parent.parent / "torn.patch"
    patch.write_text("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    with pytest.raises(CodeUnknownError, match=r"torn\.patch: does not apply"):
        diff_between(project, one, CodeVersion(one.commit, patch))


def test_without_a_repository_nothing_is_known(tmp_path: Path) -> None:
    nowhere = CodeVersion(None, tmp_path / "none.patch")
    with pytest.raises(CodeUnknownError, match="without a commit"):
        diff_between(tmp_path, nowhere, nowhere)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_repository_that_has_lost_a_file_says_so_in_a_sentence(project: Path) -> None:
    one = version(project, "one")
    (project / "train.py").write_text("rate = 2\n")
    commit_all(project.parent)
    other = version(project, "other")
    lost = git(project, "rev-parse", f"{one.commit}:./train.py").strip()
    (project.parent / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(CodeUnknownError, match=r"^git can't tell .*; `git fsck` says more$"):
        diff_between(project, one, other)
