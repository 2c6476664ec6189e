"""What machine and stage used while it ran, as the sampler beside its supervisor kept it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from mlbench.domain.use import Use
from mlbench.system.sampling import PREFIX, SUFFIX

_NAMESPACE = "system/"


def read_system(stage_folder: Path) -> dict[str, Use]:
    """`system/cpu`, `system/memory`, `system/machine/cpu` … of a stage, ended or not.

    They are no metrics of the run. Empty for a stage that took less than two seconds; a line that
    is torn, or holds something else, is passed over.
    """
    samples = [
        sample
        for path in sorted(stage_folder.glob(f"{PREFIX}*{SUFFIX}"))
        for sample in _samples(path)
    ]
    found: dict[str, list[tuple[float, float]]] = {}
    for at, values in sorted(samples, key=lambda sample: sample[0]):
        for name, value in values.items():
            found.setdefault(f"{_NAMESPACE}{name}", []).append((at, value))
    return {
        name: Use(tuple(at for at, _ in points), tuple(value for _, value in points))
        for name, points in found.items()
    }


def _samples(path: Path) -> Iterator[tuple[float, dict[str, float]]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            plain = json.loads(line)
            values = {str(name): float(value) for name, value in plain.items()}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        at = values.pop("at", math.nan)
        if math.isfinite(at):
            yield at, values
