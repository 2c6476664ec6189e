"""Curves in files that a stage writes: as `plots` declares them, and in DVCLive's folder.

They are read when the stage has ended, and followed while it runs: what was added to a table is
read alone, any other file anew when it has changed.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path, PurePosixPath

from mlbench.domain.curves import Points
from mlbench.domain.errors import ProjectFileError
from mlbench.domain.stages import Plot, Stage
from mlbench.pipeline.curve_rows import (
    DELIMITERS,
    TREES,
    NotByStepError,
    Point,
    RowsToPoints,
    header_of,
    rows_of_lines,
    rows_of_tree,
)
from mlbench.pipeline.dvclive import METRICS_PLOTS, live_folders
from mlbench.project.params import parse_tree

_LARGEST = 256 * 2**20


@dataclass(frozen=True, slots=True)
class CurveFile:
    """A file of rows; `name` is what its one curve is called, empty where its column says it."""

    path: str
    name: str
    plot: Plot


@dataclass(slots=True)
class _Followed:
    """How far a file has been read."""

    stamp: tuple[int, int, int] = (0, 0, 0)
    read_to: int = 0
    header: list[str] = dataclass_field(default_factory=list)
    rows: RowsToPoints | None = None
    points: dict[str, list[Point]] = dataclass_field(default_factory=dict)
    complaint: str = ""


class CurveFiles:
    """Follows the curve files of one stage that runs in the tree below `root`."""

    def __init__(self, root: Path, stage: Stage, since: float, *, is_ended: bool = False) -> None:
        """Of DVCLive's folders only what was written since counts.

        Once the stage has ended what follows the last newline is a row, too.
        """
        self._root = root
        self._stage = stage
        self._since = since
        self._is_ended = is_ended
        self._followed: dict[str, _Followed] = {}

    def look(self) -> Points:
        """All points as of now; a name whose points are the same has the same object."""
        files = curve_files(self._root, self._stage, self._since)
        for file in files:
            self._read(file, self._followed.setdefault(file.path, _Followed()))
        found = {file: self._followed[file.path].points for file in files}
        names = _names({file: tuple(columns) for file, columns in found.items()})
        return {name: found[file][column] for (file, column), name in names.items()}

    @property
    def complaints(self) -> list[str]:
        """What was declared of files and isn't so, a sentence each."""
        return [
            f"plots: {path}: {followed.complaint}"
            for path, followed in self._followed.items()
            if followed.complaint
        ]

    def _read(self, file: CurveFile, followed: _Followed) -> None:
        try:
            stat = os.stat(self._root / file.path)
        except OSError:
            return
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        if stamp == followed.stamp or stat.st_size > _LARGEST:
            return
        is_other = stat.st_ino != followed.stamp[2] or stat.st_size < followed.read_to
        suffix = PurePosixPath(file.path).suffix.lower()
        if is_other or suffix in TREES:
            _begin_again(followed, file.plot)
        followed.stamp = stamp
        if followed.rows is None:
            return
        try:
            added = self._new_points(file, suffix, followed, followed.rows)
        except NotByStepError as error:
            followed.rows, followed.points, followed.complaint = None, {}, str(error)
        except csv.Error as error:
            followed.rows, followed.points, followed.complaint = None, {}, f"no table: {error}"
        except (OSError, ProjectFileError, UnicodeDecodeError) as error:
            # Half written, or gone: the next look may find it whole.
            followed.stamp, followed.complaint = (0, 0, stamp[2]), str(error)
        else:
            for column, points in added.items():
                followed.points[column] = [*followed.points.get(column, ()), *points]

    def _new_points(
        self, file: CurveFile, suffix: str, followed: _Followed, rows: RowsToPoints
    ) -> dict[str, list[Point]]:
        path = self._root / file.path
        if suffix in TREES:
            return rows.points(rows_of_tree(parse_tree(file.path, path.read_text("utf-8"))))
        with path.open("rb") as table:
            table.seek(followed.read_to)
            data = table.read()
        whole = data if self._is_ended else data[: data.rfind(b"\n") + 1]
        followed.read_to += len(whole)
        lines = whole.decode("utf-8-sig", "replace").splitlines()
        delimiter = DELIMITERS[suffix]
        if lines and not followed.header:
            followed.header = header_of(lines[0], delimiter, is_header=file.plot.header)
            lines = lines[1:] if file.plot.header else lines
        return rows.points(rows_of_lines(lines, delimiter, followed.header))


def curve_files(root: Path, stage: Stage, since: float) -> list[CurveFile]:
    """The files in which a stage's curves may stand, as far as they are there."""
    plots = list(stage.plots)
    for folder in live_folders(root, stage, since):
        place = f"{folder}/{METRICS_PLOTS}"
        if not any(f"{place}/".startswith(f"{plot.path}/") for plot in plots):
            plots.append(Plot(place, x="step"))
    files: dict[str, CurveFile] = {}
    for plot in plots:
        for file in _files_of(root, plot):
            files.setdefault(file.path, file)
    return list(files.values())


def _names(columns: Mapping[CurveFile, Sequence[str]]) -> dict[tuple[CurveFile, str], str]:
    """What each curve is called: after its file in a folder of them, else after its column.

    Where several files have that column, with as much of the file's path as tells them apart.
    """
    names: dict[tuple[CurveFile, str], str] = {}
    entries = [(file, column) for file, its in columns.items() for column in its if not file.name]
    for file, its in columns.items():
        for column in its:
            if file.name:
                names[file, column] = file.name if len(its) == 1 else f"{file.name}.{column}"
                continue
            for length in range(len(_parts(file)) + 1):
                name = _tail(file, column, length)
                if [_tail(*entry, length) for entry in entries].count(name) == 1:
                    break
            names[file, column] = name
    return names


def _tail(file: CurveFile, column: str, length: int) -> str:
    parts = _parts(file)
    return ".".join((*parts[len(parts) - length :], column))


def _parts(file: CurveFile) -> tuple[str, ...]:
    return PurePosixPath(file.path).with_suffix("").parts


def _files_of(root: Path, plot: Plot) -> Iterator[CurveFile]:
    base = root / plot.path
    if base.is_file():
        if base.suffix.lower() in DELIMITERS.keys() | TREES:
            yield CurveFile(plot.path, "", plot)
        return
    # Of what DVCLive's plots folder holds only its metrics are curves by step.
    inner = next((p for p in (METRICS_PLOTS, "metrics") if (base / p).is_dir()), "")
    top = base / inner
    for path in sorted(top.rglob("*")):
        if path.suffix.lower() in DELIMITERS.keys() | TREES and path.is_file():
            name = ".".join(path.relative_to(top).with_suffix("").parts)
            yield CurveFile(path.relative_to(root).as_posix(), name, plot)


def _begin_again(followed: _Followed, plot: Plot) -> None:
    followed.read_to, followed.header, followed.points = 0, [], {}
    followed.rows, followed.complaint = RowsToPoints(plot), ""
