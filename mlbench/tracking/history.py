"""The runs of a project as one sequence, of which only what is touched is decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, overload

from mlbench.domain.runs import Run
from mlbench.tracking.index import line_of, run_of
from mlbench.tracking.lines import id_of
from mlbench.tracking.peek import peek_first


class History(Sequence[Run]):
    """Runs over their undecoded lines of the index; a slice is a history, too."""

    __slots__ = ("lines",)

    def __init__(self, lines: Sequence[bytes]) -> None:
        """Keep lines as `tracking/index.py` writes them; nothing is decoded yet."""
        self.lines = lines

    @classmethod
    def of(cls, runs: Iterable[Run]) -> History:
        """The history of these runs, as far as the index holds them."""
        return cls([line_of(run) for run in runs])

    def ids(self) -> list[str]:
        """The id of each run."""
        return [id_of(line) for line in self.lines]

    def values(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """The values of these names for each run, as `--sort` finds them; None for none."""
        reads = [peek_first(name) for name in names]
        return (tuple(read(line) for read in reads) for line in self.lines)

    def mentioning(self, ids: Collection[str]) -> History:
        """The runs that refer to one of these: themselves, nested in one, or with a stage of it."""
        wanted = [run_id.encode() for run_id in ids]
        return History([line for line in self.lines if any(one in line for one in wanted)])

    def __len__(self) -> int:
        """How many runs there are."""
        return len(self.lines)

    @overload
    def __getitem__(self, at: int) -> Run: ...

    @overload
    def __getitem__(self, at: slice) -> History: ...

    def __getitem__(self, at: int | slice) -> Run | History:
        """One run, decoded now, or a part of the history."""
        return History(self.lines[at]) if isinstance(at, slice) else run_of(self.lines[at])

    def __iter__(self) -> Iterator[Run]:
        """Each run, decoded as it comes."""
        return map(run_of, self.lines)
