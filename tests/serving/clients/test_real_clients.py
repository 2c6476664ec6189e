"""Triton's and KServe's own clients, in virtual environments of their own, against our server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.peers import python_with
from mlbench.domain.plain import to_plain
from mlbench.serving.token import read_token
from mlbench.system.files import write_json
from tests.serving.conformance.models import TYPES, echo

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def offered(make_sandbox: Callable[[], Sandbox]) -> Sandbox:
    """Version 3 of the multiplier live, version 2 to be loaded, and every datatype."""
    sandbox = make_sandbox()
    every = echo(sandbox, "every", list(TYPES), (-1, 2))
    live, other = sandbox.model(3), sandbox.model(2)
    sandbox.layout.available.parent.mkdir(parents=True, exist_ok=True)
    write_json(sandbox.layout.available, to_plain([live, other, every]))
    sandbox.serve(live, every)
    return sandbox


def _hold(python: str, script: str, *words: str) -> None:
    done = subprocess.run(
        [python, str(FOLDER / script), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("all held\n")


def test_tritons_client_does_all_it_offers(offered: Sandbox) -> None:
    python = python_with("tritonclient", "tritonclient[http]")
    address = f"127.0.0.1:{offered.environment.port}"
    token = read_token(offered.layout.server_token)
    _hold(python, "with_tritonclient.py", address, token)


def test_kserves_client_does_all_it_offers(offered: Sandbox) -> None:
    _hold(python_with("kserve"), "with_kserve.py", f"http://127.0.0.1:{offered.environment.port}")
