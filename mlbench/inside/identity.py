"""The ids of runs, which a training script of its own makes as the loop does."""

from __future__ import annotations

import os
import time


def new_run_id() -> str:
    """`20261123-091502-4f3a1c7d`: sorts by time, unique across machines.

    After the second in UTC, its fraction in 65,536ths and then a random number, in hexadecimal.
    """
    return run_id_of(time.time(), os.urandom(2))


def run_id_of(moment: float, chance: bytes) -> str:
    """The id of a run that began at this moment, in seconds since the epoch, with two bytes."""
    second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(moment))
    return f"{second}-{int(moment % 1 * 65536):04x}{chance.hex()}"
