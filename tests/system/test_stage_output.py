"""What a stage writes is in its log whole, in order and at once, however much and fast it comes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_LINES = 150_000
_LONG_LINES = 12
_MEGABYTE = 1_000_000

# Two processes write to standard output and error by turns, each line in one write.
_FLOOD = f"""
import os
child = os.fork() == 0
who = b"child" if child else b"main"
for number in range({_LINES}):
    os.write(1 + number % 2, b"%s %d\\n" % (who, number))
if child:
    os._exit(0)
os.wait()
"""

_LONG = f"""
import os
child = os.fork() == 0
letter = b"c" if child else b"m"
for number in range({_LONG_LINES}):
    line = b"%d %s\\n" % (number, letter * {_MEGABYTE})
    while line:
        written = os.write(1 + number % 2, line)
        assert written == len(line), written
        line = line[written:]
if child:
    os._exit(0)
os.wait()
"""


def _command(tmp_path: Path, text: str) -> str:
    (tmp_path / "writer.py").write_text(text)
    return f"exec {json.dumps(sys.executable)} -I -S {tmp_path / 'writer.py'}"


def _followed(stage: Any) -> bytes:
    """The log as one sees it who reads on and on while it is written."""
    log, exit_file = stage.folder / "log", stage.folder / "exit.json"
    while not log.exists():
        assert not exit_file.exists()
    seen = bytearray()
    with log.open("rb", buffering=0) as file:
        ended = False
        while data := file.read(1 << 20) or not ended:
            if isinstance(data, bytes):
                seen += data
            ended = ended or exit_file.exists()
    return bytes(seen)


def test_a_flood_of_lines_from_two_processes_is_whole_and_in_order(
    start: Any, tmp_path: Path
) -> None:
    stage = start(_command(tmp_path, _FLOOD))
    seen = _followed(stage)
    assert stage.wait().succeeded
    assert seen == (tmp_path / "stage" / "log").read_bytes()
    lines = seen.split(b"\n")
    assert lines.pop() == b""
    for who in (b"main", b"child"):
        numbers = [int(line[len(who) :]) for line in lines if line.startswith(who)]
        assert numbers == list(range(_LINES))
    assert len(lines) == 2 * _LINES


def test_lines_of_a_megabyte_are_neither_cut_nor_mixed(start: Any, tmp_path: Path) -> None:
    stage = start(_command(tmp_path, _LONG))
    seen = _followed(stage)
    assert stage.wait().succeeded
    assert seen == (tmp_path / "stage" / "log").read_bytes()
    lines = seen.split(b"\n")
    assert lines.pop() == b""
    for letter in (b"m", b"c"):
        own = [line for line in lines if line.endswith(letter)]
        assert own == [b"%d %s" % (n, letter * _MEGABYTE) for n in range(_LONG_LINES)]
    assert len(lines) == 2 * _LONG_LINES


def test_a_line_is_there_before_the_stage_has_ended(start: Any, pipe: Any, tmp_path: Path) -> None:
    stage = start("echo early; exec 9>pipe; mkfifo go; echo ready >&9; read line <go")
    assert pipe.line() == "ready"
    assert (tmp_path / "stage" / "log").read_text() == "early\n"
    (tmp_path / "go").write_text("go\n")
    assert stage.wait().succeeded
