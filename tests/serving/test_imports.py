"""The engine imports this room's handles at no cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlbench.serving import supervise

HEAVY = {"numpy", "onnxruntime", "onnx", "orjson", "uvloop", "httptools", "asyncio", "http.client"}


def test_the_handles_load_no_heavy_library() -> None:
    code = "import sys, mlbench.serving.supervise, mlbench.serving.client; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(supervise.__file__).parents[2],
        check=True,
    )
    loaded = set(found.stdout.split())
    assert "mlbench.serving.client" in loaded
    assert loaded & HEAVY == set()
