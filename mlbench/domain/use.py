"""What a stage or the machine used of something while the stage ran."""

from __future__ import annotations

from mlbench.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One quantity over time, never empty: seconds since the epoch, and the values then.

    Percentages are averages since the sample before, memory is in bytes.
    """

    at: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the time that was sampled, for samples get rarer: each up to its moment."""
        spans = [after - before for before, after in zip(self.at, self.at[1:], strict=False)]
        whole = sum(spans)
        if whole <= 0:
            return self.values[-1]
        weighed = zip(spans, self.values[1:], strict=True)
        return sum(span * value for span, value in weighed) / whole

    @property
    def peak(self) -> float:
        """The greatest of all samples."""
        return max(self.values)
