"""A run of the coverage-guided fuzzer, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SECONDS = int(os.environ.get("MLBENCH_FUZZ_SECONDS", "60"))
MEGABYTES = 400


@pytest.mark.long
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine")
def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    flags = [f"-max_total_time={SECONDS}", f"-rss_limit_mb={MEGABYTES}", "-timeout=5"]
    # By a shell: a process begins with the peak of the one that it is forked from as its own, and
    # libFuzzer holds that to its limit.
    done = subprocess.run(
        [
            *("/bin/sh", "-c", '"$@"; exit $?', "sh"),
            *(sys.executable, "-m", "tests.serving.fuzz.fuzz_body"),
            *(str(tmp_path / "corpus"), f"-artifact_prefix={tmp_path}/", *flags),
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS + 120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-4000:]
    assert int(runs[1]) > 100 * SECONDS
    print(done.stderr[-200:])
