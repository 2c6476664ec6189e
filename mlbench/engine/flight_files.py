"""Runs on their way, written down so that the next holder of the loop can go on with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from mlbench.domain.plain import to_plain
from mlbench.domain.records import dataclass
from mlbench.domain.runs import CodeState, Scalar
from mlbench.engine.inputs import Kept
from mlbench.system.files import write_json
from mlbench.system.values import read_value


@dataclass(frozen=True, slots=True)
class Opening:
    """Where code and parameters stood when a run began."""

    code: CodeState = field(default_factory=CodeState)
    diff: str = ""
    params: Mapping[str, Scalar] = field(default_factory=dict)


class FlightFiles:
    """Two files a run in one folder: the flight, and where code and parameters stood."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made with the first file."""
        self._folder = folder

    def all(self) -> tuple[Kept, ...]:
        """Every flight that was not closed, oldest first."""
        if not self._folder.is_dir():
            return ()
        paths = sorted(self._folder.glob("*.flight.json"))
        return tuple(kept for path in paths if (kept := read_value(Kept, path)) is not None)

    def has(self, run: str) -> bool:
        """Whether this run is on its way."""
        return (self._folder / f"{run}.flight.json").exists()

    def write(self, kept: Kept) -> None:
        """Write a flight down, or write it anew."""
        self._write(f"{kept.run}.flight.json", kept)

    def write_opening(self, run: str, opening: Opening) -> None:
        """Keep where code and parameters stood."""
        self._write(f"{run}.opening.json", opening)

    def opening(self, run: str) -> Opening | None:
        """Where code and parameters stood when this run began; None where nobody wrote it down."""
        return read_value(Opening, self._folder / f"{run}.opening.json")

    def forget(self, run: str) -> None:
        """The run is closed."""
        for kind in ("flight", "opening"):
            (self._folder / f"{run}.{kind}.json").unlink(missing_ok=True)

    def _write(self, name: str, value: object) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / name, to_plain(value))
