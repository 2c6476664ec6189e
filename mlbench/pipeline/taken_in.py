"""What a stage wrote into files of its own, put into the run beside what it logged."""

from __future__ import annotations

from pathlib import Path

from mlbench.domain.curves import Points
from mlbench.domain.errors import ProjectFileError
from mlbench.domain.stages import Stage
from mlbench.inside.logged import LoggedWriter
from mlbench.inside.steplog import NAMES_SUFFIX, POINT, PREFIX, RECORD, RECORDS_SUFFIX
from mlbench.pipeline.dvclive import PARAMS_NAME, live_files, live_folders
from mlbench.project.params import read_params
from mlbench.system.files import write_atomically

_STEM = f"{PREFIX}plots"


def take_in_files(root: Path, stage: Stage, folder: Path, since: float) -> list[str]:
    """Write the curves of a stage that has ended as a step log, and DVCLive's parameters as logged.

    `since` is when the stage began, in seconds since the epoch. Gives what is wrong with what the
    stage declares, a sentence each; OSError where the folder doesn't take it.
    """
    if not stage.plots and not live_folders(root, stage, since):
        return []
    # Late: few stages write such files, and reading tables takes more of the standard library.
    from mlbench.pipeline.curve_files import CurveFiles

    files = CurveFiles(root, stage, since, is_ended=True)
    _write_log(folder, files.look())
    for name in live_files(root, stage, since, PARAMS_NAME):
        try:
            params = read_params(root, name)
        except ProjectFileError:
            continue
        writer = LoggedWriter(str(folder))
        writer.params(params)
        writer.close()
    return files.complaints


def _write_log(folder: Path, curves: Points) -> None:
    if not curves:
        return
    body = bytearray()
    for name_id, points in enumerate(curves.values()):
        # Rows have no times; where steps are equal, their order is that of the rows.
        for at, (step, value) in enumerate(points):
            body += RECORD.pack(step, value, float(at), name_id, POINT)
    lines = (name.replace("\n", " ") for name in curves)
    text = "".join(f"{line}\n" for line in lines)
    # Names first: whoever sees the records finds them.
    write_atomically(folder / f"{_STEM}{NAMES_SUFFIX}", text.encode("utf-8", "backslashreplace"))
    write_atomically(folder / f"{_STEM}{RECORDS_SUFFIX}", bytes(body))
