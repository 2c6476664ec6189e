"""`import mlbench` in the user's interpreter: cheap, found anywhere, and alone."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

import mlbench
from mlbench.inside.steplog import RECORDS_SUFFIX
from tests.inside.conftest import ONPATH, Finish

PACKAGE = Path(mlbench.__file__).parent
ALLOWED = {"__future__", "_struct", "_thread", "atexit", "mmap", "os", "struct", "sys", "time"}
_INSIDE = ("", ".log", ".place", ".run", ".say", ".steplog", ".stepwriter")
OURS = {"mlbench"} | {f"mlbench.inside{name}" for name in _INSIDE}
BARE = (sys.executable, "-S")


@pytest.mark.parametrize("entry", [PACKAGE.parent, ONPATH])
def test_import_loads_next_to_nothing(finish: Finish, entry: Path) -> None:
    script = f"""
        import os, sys
        sys.path.insert(0, {str(entry)!r})
        before = set(sys.modules)
        import mlbench
        after = set(sys.modules)
        mlbench.log
        import json
        print(json.dumps([sorted(after - before), sorted(after)]))
    """
    loaded, everything = json.loads(finish(script, None, BARE).stdout)
    assert set(loaded) <= OURS | ALLOWED
    assert set(loaded) >= OURS
    assert not {"json", "typing", "dataclasses", "asyncio", "collections"} & set(everything)


def test_a_bare_interpreter_elsewhere_logs_through_the_folder_on_its_path(
    finish: Finish, stage: Path
) -> None:
    script = """
        import mlbench, mlbench.inside.log
        assert mlbench.log is mlbench.inside.log.log
        mlbench.log(loss=0.5)
        print(mlbench.__file__)
    """
    done = finish(script, stage, BARE)
    assert done.stderr == ""
    assert Path(done.stdout.strip()).is_relative_to(ONPATH)
    assert len(list(stage.glob(f"*{RECORDS_SUFFIX}"))) == 1


def test_nothing_else_of_mlbench_gets_onto_the_users_path(finish: Finish) -> None:
    script = """
        import importlib.util, sys
        before = list(sys.path)
        import mlbench
        assert sys.path == before
        print([name for name in ("numpy", "textual", "tinydb") if importlib.util.find_spec(name)])
    """
    assert finish(script, None, BARE).stdout == "[]\n"
    there = {path.name for path in ONPATH.iterdir()} - {"__pycache__"}
    assert {name for name in there if not name.endswith(".dist-info")} == {
        "mlbench",
        "sitecustomize.py",
    }


def test_the_folder_on_the_path_hands_on_what_the_package_does(finish: Finish) -> None:
    done = finish("import mlbench; print(*mlbench.__all__)", None)
    assert done.stdout.split() == mlbench.__all__


@pytest.mark.parametrize(
    "file",
    [PACKAGE / "__init__.py", *sorted((PACKAGE / "inside").rglob("*.py"))],
    ids=lambda file: str(file.relative_to(PACKAGE)),
)
def test_the_syntax_is_that_of_older_pythons(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 9))
