"""Hiding secrets in files that are there already, such as a stage's log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_BLOCK = 4 * 1024 * 1024


def hide_in_file(path: Path, secrets: Sequence[str]) -> None:
    """Put asterisks over these values wherever they are in a file.

    In place and of the same length: who has read on to some offset, or has the file open, goes on
    as before. Where there is no file, or it can't be written, nothing happens.
    """
    hidden = [secret.encode("utf-8", "surrogateescape") for secret in secrets if secret]
    if not hidden:
        return
    try:
        with open(path, "r+b", buffering=0) as file:
            _hide(file.fileno(), hidden)
    except OSError:
        return


def _hide(descriptor: int, secrets: Sequence[bytes]) -> None:
    overlap = max(map(len, secrets)) - 1
    start = 0
    while block := os.pread(descriptor, _BLOCK + overlap, start):
        for secret in secrets:
            at = block.find(secret)
            while at >= 0:
                os.pwrite(descriptor, b"*" * len(secret), start + at)
                at = block.find(secret, at + len(secret))
        start += _BLOCK
