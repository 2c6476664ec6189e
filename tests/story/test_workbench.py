"""The whole story on the screen: an edit, its run, the history, a promotion, an answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.project.sample import copy_sample
from mlbench.tui.app import Workbench
from tests.support import SmallProject, ask, free_ports
from tests.tui.screen import line_with, see

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


async def test_an_edit_is_seen_run_recorded_promoted_and_served(sample: SmallProject) -> None:
    port = int(sample.read("mlbench.local.toml").split("port = ")[1].split()[0])
    app = Workbench(sample.root)
    async with app.run_test(size=(140, 40)) as pilot:
        await see(pilot, "4 of 4 stages ran", "p promotes")
        await pilot.press("p")
        await see(pilot, "staging v1 ●")
        first_answer = infer(port)
        server = server_of(sample)

        await asyncio.to_thread(save_from_another_program, sample.root)
        await see(pilot, "running 0:0", "why  λ train.py  changed")
        assert "unchanged" in line_with(app, "= prepare")
        await see(pilot, "3 of 4 stages ran")

        await pilot.press("2")
        newest = json.loads(sample.cli("runs", "--json").stdout)[0]
        await see(pilot, newest["name"], "2 runs")
        assert newest["dirty"] is True

        await pilot.press("1")
        await see(pilot, f"p promotes {newest['name']} to staging")
        await pilot.press("p")
        await see(pilot, "staging v2 ●")
        answer = infer(port)
        assert (first_answer["model_version"], answer["model_version"]) == ("1", "2")
        assert answer["outputs"][1]["data"] != first_answer["outputs"][1]["data"]
        assert server_of(sample) == server, "the version changed without a restart"
        status, metadata = ask(port, "/v2/models/digits")
        assert (status, metadata["versions"]) == (200, ["2"])

        await pilot.press("4")
        await see(pilot, "● staging")
        assert newest["name"] in line_with(app, "v2", "● staging")
    entries = json.loads(sample.cli("ledger", "--json").stdout)
    assert [(entry["version"], entry["environment"]) for entry in entries] == [
        (1, "staging"),
        (2, "staging"),
    ]
    assert entries[-1]["run"] == newest["id"]


def save_from_another_program(root: Path) -> None:
    edit = ("train.py", 'params["seed"])', 'params["seed"] + 1)')
    subprocess.run([sys.executable, "-c", ATOMIC_SAVE, *edit], cwd=root, check=True)


def infer(port: int) -> dict[str, Any]:
    """What a client gets for one picture that is grey all over."""
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 64], "data": [8.0] * 64}
    status, answer = ask(port, "/v2/models/digits/infer", {"inputs": [tensor]})
    assert status == 200
    return dict(answer)


def server_of(sample: SmallProject) -> int:
    state = json.loads(sample.read(".mlbench/serving/staging.state.json"))
    return int(state["pid"])
