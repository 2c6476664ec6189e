"""Where the code stands, in every state that a repository can be in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.runs import CodeState
from mlbench.project.git import code_and_diff, code_state, initialise, missing_because

Git = Callable[..., str]


@pytest.fixture(autouse=True)
def _nobody(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which git knows no user and no configuration."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("XDG_CONFIG_HOME", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)\n")
    (folder / "with space.txt").write_text("a\nb\n")
    return folder


def _git(folder: Path, *arguments: str, data: bytes | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, input=data, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(errors="surrogateescape")


def dirty_diff(root: Path) -> str:
    return code_and_diff(root)[1]


def _tree(folder: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def _applied(root: Path, tmp_path: Path) -> Path:
    """A fresh checkout of the commit with the dirty diff applied."""
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", str(root), str(clone))
    diff = dirty_diff(root).encode("utf-8", "surrogateescape")
    if diff:
        _git(clone, "apply", "--binary", data=diff)
    return clone


def test_without_a_repository_there_is_no_state_and_it_is_said(root: Path) -> None:
    assert code_state(root) == CodeState()
    assert dirty_diff(root) == ""
    assert "git init" in (missing_because(root) or "")


def test_before_the_first_commit_everything_is_dirty(root: Path) -> None:
    _git(root, "init", "--quiet", "--initial-branch", "work")
    assert code_state(root) == CodeState(None, "work", True, 2)
    assert dirty_diff(root) == ""
    assert "no commit yet" in (missing_because(root) or "")


def test_where_git_knows_no_user_a_first_commit_is_made(root: Path) -> None:
    initialise(root, "first")
    assert code_state(root) == CodeState(_git(root, "rev-parse", "HEAD").strip(), "main")
    assert dirty_diff(root) == ""
    assert missing_because(root) is None
    assert _git(root, "log", "--format=%s").strip() == "first"
    assert "with space.txt" in _git(root, "ls-files")


def test_a_user_that_git_knows_makes_the_first_commit(root: Path) -> None:
    _git(root, "config", "--global", "user.name", "Ada")
    _git(root, "config", "--global", "user.email", "ada@example.org")
    initialise(root, "first")
    assert _git(root, "log", "--format=%an %ae").strip() == "Ada ada@example.org"
    assert "user" not in (root / ".git" / "config").read_text()


def test_a_detached_head_has_no_branch(root: Path) -> None:
    initialise(root, "first")
    _git(root, "checkout", "--quiet", "--detach")
    assert code_state(root).branch is None
    assert code_state(root).commit is not None


def test_edits_and_untracked_sources_are_in_the_diff(root: Path) -> None:
    initialise(root, "first")
    (root / "train.py").write_text("print(2)\n")
    (root / "new.py").write_text("x = 1\n")
    state = code_state(root)
    assert (state.dirty, state.changed_files) == (True, 2)
    diff = dirty_diff(root)
    assert "+print(2)" in diff
    assert "+x = 1" in diff


@pytest.mark.parametrize(
    "name", [".env", ".env.local", "conf/.env", "model.bin", "data.csv", "ignored.py"]
)
def test_secrets_data_and_what_is_ignored_stay_out_of_the_diff(root: Path, name: str) -> None:
    (root / ".gitignore").write_text("ignored.py\n")
    initialise(root, "first")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("TOKEN=abc\n")
    code, diff = code_and_diff(root)
    assert "abc" not in diff
    assert code.left_out == (() if name == "ignored.py" else (name,))


def test_what_is_large_and_untracked_stays_out_of_the_diff(root: Path) -> None:
    initialise(root, "first")
    (root / "small.py").write_text("# small\n")
    (root / "large.json").write_text('"' + "x" * 1_000_001 + '"\n')
    code, diff = code_and_diff(root)
    assert "small.py" in diff
    assert "large.json" not in diff
    assert code.left_out == ("large.json",)


def test_of_many_files_that_are_left_out_the_first_are_named(root: Path) -> None:
    initialise(root, "first")
    (root / "pictures").mkdir()
    for number in range(60):
        (root / "pictures" / f"{number:02d}.png").write_bytes(b"x")
    code, diff = code_and_diff(root)
    assert diff == ""
    assert len(code.left_out) == 51
    assert (code.left_out[0], code.left_out[-1]) == ("pictures/00.png", "and 10 more")
    assert code == replace(code_state(root), left_out=code.left_out)


def _edit_everything(root: Path) -> None:
    (root / "train.py").write_text("print(2)")
    (root / "with space.txt").write_text("b\nc\n")
    (root / "new.py").write_text("no newline at the end")
    (root / "empty.py").write_text("")
    (root / "a name with spaces.py").write_text("x = 1\n\n\ny = 2\n")
    (root / "größe.py").write_text("y = 'ü'\n")
    (root / 'quote"d\t.py').write_text("z = 3\n")
    (root / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = '\xe9\x0c'\r\nlast = 1\r\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "sub").mkdir()
    (root / "sub" / "deep.toml").write_text("a = 1\n")


def test_the_diff_applied_to_the_commit_gives_the_working_tree_again(
    root: Path, tmp_path: Path
) -> None:
    (root / "gone.py").write_text("old\n")
    (root / "binary.dat").write_bytes(bytes(range(256)))
    initialise(root, "first")
    _edit_everything(root)
    (root / "gone.py").unlink()
    (root / "binary.dat").write_bytes(bytes(reversed(range(256))))
    _git(root, "mv", "with space.txt", "moved on.txt")
    assert _tree(_applied(root, tmp_path)) == _tree(root)


def test_the_users_taste_in_diffs_does_not_matter(root: Path, tmp_path: Path) -> None:
    initialise(root, "first")
    for key, value in {
        "diff.noprefix": "true",
        "color.ui": "always",
        "diff.external": "false",
        "diff.mnemonicPrefix": "true",
        "core.quotepath": "true",
        "status.short": "true",
    }.items():
        _git(root, "config", key, value)
    _edit_everything(root)
    diff = dirty_diff(root).encode("utf-8", "surrogateescape")
    for key in ("diff.noprefix", "color.ui", "diff.external", "diff.mnemonicPrefix"):
        _git(root, "config", "--unset", key)
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", str(root), str(clone))
    _git(clone, "apply", data=diff)
    assert _tree(clone) == _tree(root)


def test_a_project_inside_a_larger_repository_counts_alone(root: Path, tmp_path: Path) -> None:
    (root / "inner").mkdir()
    (root / "inner" / "code.py").write_text("1\n")
    initialise(root, "first")
    (root / "train.py").write_text("not ours\n")
    (root / "inner" / "code.py").write_text("2\n")
    (root / "inner" / "new.py").write_text("3\n")
    assert code_state(root / "inner").changed_files == 2
    assert "not ours" not in dirty_diff(root / "inner")
    clone = _applied(root / "inner", tmp_path) if False else tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", str(root), str(clone))
    _git(clone, "apply", data=dirty_diff(root / "inner").encode())
    assert _tree(clone / "inner") == _tree(root / "inner")


def test_a_large_binary_that_git_tracks_stays_out_and_the_rest_applies(
    root: Path, tmp_path: Path
) -> None:
    (root / "weights.bin").write_bytes(b"\0" + os.urandom(1_200_000))
    initialise(root, "first")
    (root / "weights.bin").write_bytes(b"\0" + os.urandom(1_200_000))
    (root / "train.py").write_text("print(2)\n")
    code, diff = code_and_diff(root)
    assert len(diff) < 10_000
    assert code.left_out == ("weights.bin",)
    assert (_applied(root, tmp_path) / "train.py").read_text() == "print(2)\n"


def test_what_was_edited_in_a_submodule_is_named_and_the_rest_applies(
    root: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "lib.py").write_text("1\n")
    initialise(library, "first")
    initialise(root, "first")
    add = ("submodule", "--quiet", "add", str(library), "lib")
    _git(root, "-c", "protocol.file.allow=always", *add)
    initialise(root, "with the library")
    (root / "train.py").write_text("print(2)\n")
    (root / "lib" / "lib.py").write_text("2\n")
    code, diff = code_and_diff(root)
    assert (code.changed_files, code.left_out) == (2, ("lib",))
    assert "Subproject" not in diff
    initialise(root / "lib", "second")
    code, diff = code_and_diff(root)
    assert code.left_out == ()
    assert f"+Subproject commit {code_state(root / 'lib').commit}\n" in diff
    assert (_applied(root, tmp_path) / "train.py").read_text() == "print(2)\n"


def test_looking_changes_nothing_in_the_repository(root: Path) -> None:
    initialise(root, "first")
    _edit_everything(root)
    # An index whose stat data is out of date is what git likes to write anew.
    os.utime(root / "train.py", (1, 1))
    index = (root / ".git" / "index").read_bytes()
    status = _git(root, "--no-optional-locks", "status", "--porcelain")
    (root / ".git" / "index.lock").touch()
    code_state(root)
    dirty_diff(root)
    (root / ".git" / "index.lock").unlink()
    assert (root / ".git" / "index").read_bytes() == index
    assert _git(root, "--no-optional-locks", "status", "--porcelain") == status


def test_without_git_on_the_machine_runs_are_recorded_all_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialise(root, "first")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_state(root) == CodeState()
    assert dirty_diff(root) == ""
    assert missing_because(root) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_repository_that_git_refuses_to_read_is_said(root: Path) -> None:
    initialise(root, "first")
    for path in (root, *root.rglob("*")):
        os.chown(path, 4242, 4242)
    assert code_state(root) == CodeState()
    assert dirty_diff(root) == ""
    assert "safe.directory" in (missing_because(root) or "")


def test_a_repository_that_has_lost_a_file_costs_the_patch_and_no_more(root: Path) -> None:
    initialise(root, "first")
    commit = _git(root, "rev-parse", "HEAD").strip()
    branch = code_state(root).branch
    lost = _git(root, "rev-parse", "HEAD:train.py").strip()
    (root / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    (root / "train.py").write_text("print(2)\n")
    code, patch = code_and_diff(root)
    assert (code.commit, code.branch, code.dirty, patch) == (commit, branch, True, "")
    assert code.left_out == ("all that differs, for git can't read its objects",)


def test_a_torn_index_costs_what_differs_and_no_more(root: Path) -> None:
    initialise(root, "first")
    commit = _git(root, "rev-parse", "HEAD").strip()
    (root / ".git" / "index").write_bytes(b"DIRC torn")
    assert (code_state(root).commit, code_state(root).dirty) == (commit, True)
    assert code_and_diff(root)[1] == ""
