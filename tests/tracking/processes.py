"""Several processes that do something at the same moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

# Scripts call `ready` behind their imports, so that all of them begin their work together.
_READY = """
import sys
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def together(script: str, *arguments: Sequence[str]) -> list[str]:
    """Run a script in several processes at once, one for each list of words; what they printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _READY + script, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for words in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    printed = [""] * len(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for number, process in enumerate(processes):
        printed[number] = process.communicate()[0]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed
