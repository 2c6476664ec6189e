"""The whole story on the screen: an edit, its run, the history, a promotion, an answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from mlbench.project.sample import copy_sample
from mlbench.tui.app import Workbench
from tests.support import PATIENCE_SECONDS, SmallProject, ask, free_ports

# What another program does: an editor that saves by writing beside and renaming over.
ATOMIC_SAVE = """\
import os, pathlib, sys
path, old, new = sys.argv[1:]
text = pathlib.Path(path).read_text()
assert old in text
pathlib.Path(path + ".new").write_text(text.replace(old, new))
os.replace(path + ".new", path)
"""


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[SmallProject]:
    root = copy_sample(tmp_path / "digits")
    staging, production = free_ports(2)
    project = SmallProject(root)
    project.write(
        "mlbench.local.toml",
        f"[environments.staging]\nport = {staging}\n"
        f"[environments.production]\nport = {production}\n",
    )
    yield project
    project.cli("serve", "--stop")


def text_of(app: App[int]) -> str:
    """What a user sees, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def see(pilot: Pilot[int], what: Callable[[str], bool], story: str) -> str:
    """Wait until the screen shows something, and give the whole of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        await pilot.pause()
        shown = text_of(pilot.app)
        if what(shown):
            return shown
        assert time.monotonic() < deadline, f"{story}\n{shown}"
        await asyncio.sleep(0.02)


def line_with(shown: str, *words: str) -> str:
    return next((line for line in shown.splitlines() if all(w in line for w in words)), "")


async def test_an_edit_is_seen_run_recorded_promoted_and_served(sample: SmallProject) -> None:
    port = int(sample.read("mlbench.local.toml").split("port = ")[1].split()[0])
    app = Workbench(sample.root)
    async with app.run_test(size=(140, 40)) as pilot:
        await see(pilot, lambda shown: "4 of 4 stages ran" in shown, "the first build")
        await see(pilot, lambda shown: "p promotes" in shown, "the first candidate")

        await asyncio.to_thread(
            subprocess.run,
            [
                sys.executable,
                "-c",
                ATOMIC_SAVE,
                "train.py",
                'params["seed"])',
                'params["seed"] + 1)',
            ],
            cwd=sample.root,
            check=True,
        )
        shown = await see(
            pilot,
            lambda shown: "running 0:0" in shown and "train.py" in line_with(shown, "why"),
            "train runs again",
        )
        assert "changed" in line_with(shown, "why", "train.py")
        assert "unchanged" in line_with(shown, "= prepare")
        await see(pilot, lambda shown: "3 of 4 stages ran" in shown, "the edit's run")
        await see(pilot, lambda shown: "p promotes" in shown, "the second candidate")

        await pilot.press("2")
        shown = await see(
            pilot, lambda shown: shown.count("watch ") >= 2, "two runs in the history"
        )
        newest = json.loads(sample.cli("runs", "--json").stdout)[0]
        assert newest["name"] in shown
        assert newest["dirty"] is True

        await pilot.press("1", "p")
        await see(pilot, lambda shown: "staging v1 ●" in shown, "staging serves it")
        status, metadata = ask(port, "/v2/models/digits")
        assert (status, metadata["versions"]) == (200, ["1"])
        (live,) = json.loads(sample.cli("ledger", "--json").stdout)
        assert live["run"] == newest["id"]

        row = [0.0] * 64
        request = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 64], "data": row}]}
        status, answer = ask(port, "/v2/models/digits/infer", request)
        assert status == 200
        assert answer["model_version"] == "1"
        assert sample.cli("predict", "staging", "--row", "3").returncode == 0

        await pilot.press("4")
        shown = await see(pilot, lambda shown: "● staging" in shown, "the version on its screen")
        assert newest["name"] in line_with(shown, "v1", "● staging", "KB")
