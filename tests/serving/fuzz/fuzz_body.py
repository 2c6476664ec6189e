"""Fuzzes the body parser: `python -m tests.serving.fuzz.fuzz_body SEED_FOLDER [libFuzzer's flags]`.

Anything that is no refusal with status 400, and memory over its limit, ends it with a status other
than 0 and the input in a file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mlbench.serving.protocol"]):
    from tests.serving.fuzz.bodies import check, dictionary, seeds


def one_input(data: bytes) -> None:
    """What the fuzzer calls."""
    check(data)


def prepare(folder: Path) -> Path:
    """Put the seeds into a folder; gives the file of the protocol's words, beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.with_name(f"{folder.name}.dict")
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in dictionary()]
    words.write_text("\n".join(lines) + "\n")
    return words


if __name__ == "__main__":
    name, folder, *flags = sys.argv
    words = prepare(Path(folder))
    atheris.Setup([name, folder, f"-dict={words}", *flags], one_input)
    atheris.Fuzz()
