"""What building a stage again showed, as data that the faces only phrase."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mlbench.pipeline.comparing.compare import Difference

TOLERANCE = 1e-6
METRICS_TOLERANCE = 0.05


class Verdict(Enum):
    """What building a stage again showed: the word, the glyph and the colour name."""

    SAME_BYTES = ("same bytes", "✓", "ok")
    SAME_VALUES = ("same values", "✓", "ok")
    SAME_METRICS = ("same metrics", "✓", "ok")
    SKIPPED = ("skipped", "–", "quiet")
    DIFFERS = ("differs", "✗", "fail")
    FAILED = ("failed", "✗", "fail")
    OVERTAKEN = ("overtaken", "»", "warn")

    def __init__(self, word: str, glyph: str, colour: str) -> None:
        """Name the three parts of each member."""
        self.word = word
        self.glyph = glyph
        self.colour = colour

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against what is on record."""
        return self in _HOLDING


_HOLDING = (Verdict.SAME_BYTES, Verdict.SAME_VALUES, Verdict.SAME_METRICS, Verdict.SKIPPED)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far numbers may be apart, relative to the larger: in outs, and in metrics alone."""

    values: float = TOLERANCE
    metrics: float = METRICS_TOLERANCE


@dataclass(frozen=True, slots=True)
class MetricPair:
    """A metric of a stage that is not deterministic, as recorded and as built again."""

    name: str
    recorded: float
    rebuilt: float


@dataclass(frozen=True, slots=True)
class StageCheck:
    """What came of one stage; `kept` is the folder with the log, and with outs that differ."""

    name: str
    verdict: Verdict
    seconds: float = 0.0
    message: str = ""
    differences: tuple[Difference, ...] = ()
    metrics: tuple[MetricPair, ...] = ()
    kept: Path | None = None
