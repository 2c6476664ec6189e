"""kill -9 of the process that holds the loop, at any moment: the next run is right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlbench.project.layout import Layout
from mlbench.system.locks import is_held
from tests.support import SmallProject

ROUNDS = 2 * int(os.environ.get("MLBENCH_KILLS", "4"))
pytestmark = pytest.mark.long
_LONGEST = 1.5


def processes_of(root: Path) -> list[str]:
    """What lives of the project's stages."""
    mark = f"MLBENCH_STAGE_DIR={root}/".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes():
                found.append(environment.parent.joinpath("cmdline").read_bytes().decode())
        except OSError:
            continue
    return found


def expected(number: int) -> dict[str, str]:
    return {
        "clean.txt": f"row {number}",
        "model.txt": f"model 0.5 of row {number}",
        "report.txt": str(len(f"row {number}")),
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_the_next_run_is_right_and_nothing_is_left(small: SmallProject, seed: int) -> None:
    layout = Layout(small.root.resolve())
    dice = random.Random(seed)
    killed = 0
    for number in range(ROUNDS):
        small.write("data.txt", f"Row {number}\n")
        words = [sys.executable, "-m", "mlbench", "run"]
        with subprocess.Popen(
            words, cwd=small.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as holder:
            time.sleep(dice.random() * _LONGEST)
            holder.send_signal(signal.SIGKILL)
        killed += holder.returncode == -signal.SIGKILL
        done = small.cli("run")
        assert done.returncode == 0, done.stderr
        assert {name: small.read(f"build/{name}") for name in expected(number)} == expected(number)
        assert not list((layout.state / "intents").glob("*.json"))
        assert not [path for path in layout.aside.rglob("*") if path.is_file()]
        assert not any(map(is_held, (layout.state / "locks").glob("*.lock")))
        assert processes_of(layout.root) == []
        again = small.cli("run", "--json")
        assert again.stdout.count('"outcome":"unchanged"') + again.stdout.count(
            '"outcome": "unchanged"'
        ) == len(expected(number))
    assert killed
