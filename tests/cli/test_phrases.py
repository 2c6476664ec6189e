"""What the command line says of events."""

from __future__ import annotations

import pytest

from mlbench.cli.phrases import phrase
from mlbench.domain.events import CandidateKept
from mlbench.domain.release import Parity, ParityCheck

COMPARED = Parity(True, 360, 1.84e-7, 2e-7, 1, 3, checks=(ParityCheck("held-out", True, 360),))
ALONE = Parity(True, 1, 0.0, 0.0, 0, 0, checks=(ParityCheck("held-out", None, 1),))


@pytest.mark.parametrize(
    ("parity", "said"),
    [
        (COMPARED, "a candidate: parity on 360 rows, largest error 1.84e-7, 1 label flips"),
        (ALONE, "a candidate: it answers 1 row, and there is no original to compare with"),
        (None, "a candidate, as the file it is"),
    ],
)
def test_a_candidate_is_told_with_what_was_compared(parity: Parity | None, said: str) -> None:
    [line] = phrase(CandidateKept("2026-11-23T09:15:02.120Z", "run-1", "digits", "d", parity))
    assert said in line
