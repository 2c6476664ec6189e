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
    "numpy",
    "git",
    "watchdog",
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


def test_status_loads_neither_the_store_nor_the_loop() -> None:
    loaded = loaded_by("import mlbench.__main__, mlbench.cli.commands.status")
    assert loaded & {"tinydb", "mlbench.engine.loop", "mlbench.serving.supervise"} == set()


def test_the_guard_itself_can_fail() -> None:
    assert "asyncio" in loaded_by("import asyncio")
