"""schemathesis, in an environment of its own, against a live server and its own document."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import python_with
from mlbench.domain.release import DeployedModel
from tests.serving.conftest import Sandbox

# What a worker may grow by: caches fill, and memory is given back late.
MEGABYTES = 64
SECONDS = int(os.environ.get("MLBENCH_FUZZ_SECONDS", "60"))
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.mark.long
def test_schemathesis_finds_nothing(make_sandbox: Callable[[], Sandbox], tmp_path: Path) -> None:
    program = Path(python_with("schemathesis")).with_name("schemathesis")
    sandbox = make_sandbox()
    live = sandbox.serve(sandbox.model(3), _named_columns(sandbox))
    token = sandbox.layout.server_token.read_text().strip()
    before = _memory(sandbox)
    done = subprocess.run(
        [
            *(str(program), "run", f"{live.address}/openapi.json"),
            *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
            *("--header", f"Authorization: Bearer {token}", "--continue-on-failure"),
            *(f"--max-time={SECONDS}", "--suppress-health-check=all", "--warnings=off"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS + 300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    # Whatever it tried, requests that the document allows were among it, and the server lives on.
    for name in ("multiplier", "columns"):
        (found,) = sandbox.ask("GET", f"/v2/models/{name}/stats").body["model_stats"]
        assert found["inference_stats"]["success"]["count"] > 0
    assert sandbox.status().restarts == 0
    assert _memory(sandbox) < before + MEGABYTES * len(sandbox.status().workers)
    print(done.stdout[-2000:])


def _memory(sandbox: Sandbox) -> float:
    """The megabytes that all workers hold; 0 where the system has no /proc to say."""
    files = [Path(f"/proc/{pid}/statm") for pid in sandbox.status().workers]
    pages = sum(int(file.read_text().split()[1]) for file in files if file.exists())
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _named_columns(sandbox: Sandbox) -> DeployedModel:
    """A model whose features have names, so that records are asked for by column."""
    model = sandbox.model(1, "columns")
    signature = replace(model.signature, columns=("width", "height", "depth"))
    return replace(model, signature=signature)
