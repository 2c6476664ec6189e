"""What became of runs that were brought in from another tracker."""

from __future__ import annotations

from mlbench.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many runs came in, and a sentence for each thing that didn't.

    `known` were here already; `deleted` are such there, and `going` have not ended yet.
    """

    imported: int = 0
    known: int = 0
    deleted: int = 0
    going: int = 0
    left_out: tuple[str, ...] = ()
