"""What importing the engine costs: a fresh interpreter looks at what came along."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "textual",
    "rich",
    "asyncio",
    "optuna",
    "onnx",
    "onnxruntime",
    "sklearn",
    "pandas",
    "numpy",
    "git",
    "watchdog",
)
# What starts, stops, watches, releases and copies, of mlbench and of the standard library.
DOERS = (
    "mlbench.engine.loop",
    "mlbench.engine.session",
    "mlbench.engine.release_desk",
    "mlbench.pipeline.builder",
    "mlbench.pipeline.watching.ignored",
    "mlbench.pipeline.seen",
    "mlbench.pipeline.snapshots.variant",
    "mlbench.serving.supervise",
    "mlbench.system.forkclient",
    "mlbench.system.proctable",
    "ctypes",
    "difflib",
    "logging",
    "platform",
    "random",
    "shlex",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "xml",
)
ENGINE = (
    "import mlbench.engine.loop, mlbench.engine.session, mlbench.engine.queries, "
    "mlbench.engine.sandbox, mlbench.engine.health"
)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_engine_loads_no_heavy_library() -> None:
    assert loaded_by(ENGINE) & set(HEAVY) == set()


@pytest.mark.parametrize("command", ["status", "run", "stop"])
def test_a_quick_command_loads_no_heavy_library(command: str) -> None:
    loaded = loaded_by(f"import mlbench.__main__, mlbench.cli.commands.{command}")
    assert loaded & set(HEAVY) == set()


@pytest.mark.parametrize("command", ["status", "run"])
def test_who_finds_nothing_to_do_loads_nothing_that_does_it(command: str) -> None:
    rooms = "mlbench.cli.main, mlbench.engine.queries, mlbench.pipeline.workspace"
    loaded = loaded_by(f"import mlbench.__main__, {rooms}, mlbench.cli.commands.{command}")
    assert {"mlbench.pipeline.workspace", "mlbench.domain.stages"} <= loaded
    assert loaded & {*DOERS, "orjson", "tinydb"} == set()


def test_judging_alone_loads_nothing_that_exports_or_promotes() -> None:
    loaded = loaded_by("import mlbench.engine.release_desk")
    assert "mlbench.engine.hands.judging" in loaded
    hands = {f"mlbench.engine.hands.{name}" for name in ("exporting", "releasing", "going_live")}
    assert loaded & {*hands, *HEAVY, "mlbench.release.limited", "ctypes", "subprocess"} == set()


def test_status_loads_neither_the_store_nor_what_is_told() -> None:
    loaded = loaded_by("import mlbench.__main__, mlbench.cli.commands.status")
    assert loaded & {"tinydb", "mlbench.domain.events", "mlbench.domain.runs"} == set()


def test_the_guard_itself_can_fail() -> None:
    assert "asyncio" in loaded_by("import asyncio")
