"""DVCLive's folder: what a script that uses it leaves there, declared or not."""

from __future__ import annotations

import posixpath
from pathlib import Path

from mlbench.domain.stages import Stage

METRICS_PLOTS = "plots/metrics"
METRICS_NAME, PARAMS_NAME = "metrics.json", "params.yaml"
_DEFAULT = "dvclive"


def live_folders(root: Path, stage: Stage, since: float) -> list[str]:
    """The folders that DVCLive has written in since, below the root.

    One is where DVCLive puts it unasked, or is or holds what the stage declares.
    """
    declared = [*stage.out_paths, *stage.metrics]
    candidates = [
        posixpath.normpath(posixpath.join(stage.wdir, _DEFAULT)),
        *declared,
        *(posixpath.dirname(path) for path in declared),
    ]
    return [path for path in dict.fromkeys(candidates) if path and _is_live(root / path, since)]


def live_files(root: Path, stage: Stage, since: float, name: str) -> list[str]:
    """The files of this name in DVCLive's folders."""
    paths = (f"{folder}/{name}" for folder in live_folders(root, stage, since))
    return [path for path in paths if (root / path).is_file()]


def _is_live(folder: Path, since: float) -> bool:
    """Whether it has the files that DVCLive always writes, written since."""
    try:
        return (folder / METRICS_NAME).stat().st_mtime >= since and (
            folder / METRICS_PLOTS
        ).is_dir()
    except OSError:
        return False
