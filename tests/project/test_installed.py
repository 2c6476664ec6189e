"""What an interpreter says of itself, and which packages lie in its folders."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mlbench.project.git import code_state, initialise
from mlbench.project.installed import (
    UNKNOWN,
    installed_in,
    interpreter_of,
    without_credentials,
)


def _python(folder: Path, version: str = "3.12.1") -> Path:
    """An interpreter that counts how often it was asked."""
    told = json.dumps([version, "cpython", ["/opt/lib", "/opt/lib/site-packages/"]])
    path = folder / "bin" / "python"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho asked >> {folder}/asked\necho noise\necho '{told}'\n")
    path.chmod(0o755)
    return path


def _asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


def test_an_interpreter_is_asked_once(tmp_path: Path) -> None:
    python, memory = _python(tmp_path), tmp_path / "state" / "interpreter.json"
    first = interpreter_of(str(python), memory)
    assert (first.version, first.sites) == ("3.12.1", ("/opt/lib/site-packages",))
    assert interpreter_of(str(python), memory) == first
    assert _asked(tmp_path) == 1


def test_another_binary_is_asked_anew(tmp_path: Path) -> None:
    memory = tmp_path / "interpreter.json"
    interpreter_of(str(_python(tmp_path)), memory)
    python = _python(tmp_path, "3.12.10")
    assert interpreter_of(str(python), memory).version == "3.12.10"
    (tmp_path / "pyvenv.cfg").write_text("home = elsewhere\n")
    interpreter_of(str(python), memory)
    assert _asked(tmp_path) == 3


@pytest.mark.parametrize("memory", ["", "[]", '{"key": 1}', '{"interpreter": {}}'])
def test_a_memory_that_is_damaged_is_written_anew(tmp_path: Path, memory: str) -> None:
    file = tmp_path / "interpreter.json"
    file.write_text(memory)
    assert interpreter_of(str(_python(tmp_path)), file).version == "3.12.1"
    assert json.loads(file.read_text())["interpreter"]["version"] == "3.12.1"


def test_one_that_cannot_be_asked_is_unknown(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    for python in (broken, tmp_path / "missing"):
        assert interpreter_of(str(python), tmp_path / "memory") == UNKNOWN
    assert not (tmp_path / "memory").exists()


def test_our_own_needs_no_process(tmp_path: Path) -> None:
    own = interpreter_of(f"{sys.prefix}/bin/python", tmp_path / "memory")
    assert own.version == sys.version.split()[0]
    packages = {k: v for site in own.sites for k, v in installed_in(site).items()}
    assert packages["pytest"] == metadata.version("pytest")
    assert not (tmp_path / "memory").exists()


def test_packages_by_the_names_of_their_metadata(tmp_path: Path) -> None:
    for name in ("Foo_Bar-1.2.dist-info", "old-3.0-py3.11.egg-info", "numpy", "_x-1.pth"):
        (tmp_path / name).mkdir()
    assert installed_in(str(tmp_path)) == {"foo-bar": "1.2", "old": "3.0"}
    assert installed_in(str(tmp_path / "none")) == {}


def _direct(site: Path, told: object) -> None:
    folder = site / "tools-0.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "direct_url.json").write_text(json.dumps(told))


def test_an_editable_package_is_told_with_its_place_and_commit(tmp_path: Path) -> None:
    project = tmp_path / "tools"
    project.mkdir()
    (project / "tools.py").write_text("")
    initialise(project, "first")
    _direct(tmp_path / "site", {"url": f"file://{project}", "dir_info": {"editable": True}})
    commit = code_state(project).commit
    told = {"tools": f"0.1 (file://{project} @ {commit})"}
    assert installed_in(str(tmp_path / "site")) == told
    (project / ".git" / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n")
    (project / ".git" / "refs" / "heads" / "main").unlink()
    assert installed_in(str(tmp_path / "site")) == told


def test_a_package_from_a_repository_is_told_without_its_credentials(tmp_path: Path) -> None:
    url = "https://ada:s3cret@example.invalid/tools.git"
    _direct(tmp_path, {"url": url, "vcs_info": {"vcs": "git", "commit_id": "4f3a"}})
    told = "0.1 (https://***@example.invalid/tools.git @ 4f3a)"
    assert installed_in(str(tmp_path)) == {"tools": told}


@pytest.mark.parametrize("told", [[], {}, {"url": 1, "vcs_info": 3}, {"dir_info": {}}])
def test_a_damaged_note_of_where_it_came_from_costs_no_more_than_that(
    tmp_path: Path, told: object
) -> None:
    _direct(tmp_path, told)
    assert installed_in(str(tmp_path))["tools"].startswith("0.1")


def test_only_what_stands_before_a_host_is_a_credential() -> None:
    assert without_credentials("a@b http://h/x@y") == "a@b http://h/x@y"
    assert without_credentials("postgres://me:pw@db/x") == "postgres://***@db/x"
