"""The format of a step log, shared by the process that writes it and by those that read it.

One writing process has two files in its stage's folder:

- `steps-<pid>-<start ns>.bin`: records of 32 bytes, little endian, in the order they were logged.
  The file grows in chunks of zeros ahead of what is written, so the first record of kind `FREE`
  is the end. A writer sets a record's kind after everything else in it, and never touches it
  again: a reader that has seen the kind finds the rest whole. Unknown kinds are to be skipped.
- `steps-<pid>-<start ns>.names`: one metric name a line in UTF-8; the line's number, from 0, is
  the name's id. A name stands there, with its newline, before the first record that needs it.

A file that is being written must not be truncated: its writer has it mapped, and would be killed.

Other languages may write `steps-<anything>.jsonl` instead, one
`{"name": "loss", "step": 3, "value": 0.25, "at": 1795424102.1}` a line.
"""

from __future__ import annotations

import struct

FOLDER_VARIABLE = "MLBENCH_STAGE_DIR"
"""Names the environment variable with the folder of the stage that this process is part of."""

PREFIX = "steps-"
RECORDS_SUFFIX = ".bin"
NAMES_SUFFIX = ".names"
LINES_SUFFIX = ".jsonl"

FREE = 0
POINT = 1

RECORD = struct.Struct("<qddIB3x")
"""Step, value, wall time in seconds since the epoch, name id, kind; every field is aligned."""

KIND_OFFSET = 28
