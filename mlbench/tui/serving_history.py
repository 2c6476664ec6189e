"""What passed through servers in the last minutes, kept from polls of their counters: pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from mlbench.domain.records import dataclass
from mlbench.domain.tally import Tally, percentile

KEPT_SECONDS = 300.0
"""How far back charts can look."""

WINDOW_SECONDS = 2.0
"""A point tells of as long a time: long enough for a percentile, short enough to be live."""

_MOST_POINTS = 2000

Place = tuple[str, str, str]
"""An environment, a model and a version; model and version are empty for the whole of it."""


@dataclass(frozen=True, slots=True)
class Point:
    """How it went in the seconds before `at`: rates a second, percentiles in seconds.

    `failed` are answers of 5xx, `refused` of 4xx. `batches` counts calls since the point before by
    `BATCH_BOUNDS`; queue and flight are as they were at that moment.
    """

    at: float
    rate: float = 0.0
    failed: float = 0.0
    refused: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    queued: int = 0
    in_flight: int = 0
    rows: float = 0.0
    batches: tuple[int, ...] = ()

    @property
    def errors(self) -> float:
        """Requests a second that got no answer, whosever fault it was."""
        return self.failed + self.refused


Tallies = Mapping[Place, Tally]


class Meter:
    """Makes points of what was counted, each over the last `WINDOW_SECONDS` or the time before."""

    def __init__(self) -> None:
        """Know nothing: the first look gives no point."""
        self._looks: deque[tuple[float, Tallies]] = deque()

    def take(self, at: float, tallies: Iterable[tuple[str, Tally]]) -> dict[Place, Point]:
        """Points for every version and environment, from tallies of environments at a moment."""
        now: dict[Place, Tally] = {(e, tally.model, tally.version): tally for e, tally in tallies}
        # The look that opens the window is the newest one that is old enough.
        while len(self._looks) > 1 and self._looks[1][0] <= at - WINDOW_SECONDS:
            self._looks.popleft()
        looks, found = self._looks, dict[Place, Point]()
        if looks and at > looks[0][0]:
            seconds, before = at - looks[0][0], [tallies for _, tallies in looks]
            went = {place: _since(tally, place, before) for place, tally in now.items()}
            fresh = {
                place: _since(tally, place, before[-1:]).batches for place, tally in now.items()
            }
            for place, parts in _grouped(went).items():
                batches = [fresh[part] for part in parts]
                found[place] = _point(at, seconds, [went[part] for part in parts], batches)
        looks.append((at, now))
        return found


class Trail:
    """The points of one place, oldest first, as far back as charts look."""

    def __init__(self) -> None:
        """Begin with none."""
        self._points: deque[Point] = deque(maxlen=_MOST_POINTS)

    def add(self, point: Point) -> None:
        """Keep one more, and drop what is too old."""
        self._points.append(point)
        while self._points[0].at < point.at - KEPT_SECONDS:
            self._points.popleft()

    @property
    def points(self) -> tuple[Point, ...]:
        """All that are kept."""
        return tuple(self._points)


def keep(trails: dict[Place, Trail], points: Mapping[Place, Point]) -> None:
    """Add points to their trails; a place that is no more counted is forgotten."""
    for place in [place for place in trails if place not in points]:
        del trails[place]
    for place, point in points.items():
        trails.setdefault(place, Trail()).add(point)


def batches_within(points: Sequence[Point], seconds: float) -> tuple[int, ...]:
    """Calls by batch size in the last so many seconds."""
    last = points[-1].at if points else 0.0
    recent = [point.batches for point in points if point.at > last - seconds]
    return _summed(recent)


def _since(tally: Tally, place: Place, before: Sequence[Tallies]) -> Tally:
    """What was counted since the first of these looks that knew of it.

    One that is new may bring a long past along, of a server that was down: that is not now.
    """
    return tally.since(next((look[place] for look in before if place in look), tally))


def _grouped(went: Mapping[Place, Tally]) -> dict[Place, list[Place]]:
    """Each version by itself, and all of an environment together."""
    groups: dict[Place, list[Place]] = {}
    for place in went:
        groups[place] = [place]
        groups.setdefault((place[0], "", ""), []).append(place)
    return groups


def _point(
    at: float, seconds: float, tallies: Sequence[Tally], batches: Sequence[tuple[int, ...]]
) -> Point:
    latencies = _summed([tally.latencies for tally in tallies])
    return Point(
        at,
        rate=sum(tally.ended for tally in tallies) / seconds,
        failed=sum(tally.failed for tally in tallies) / seconds,
        refused=sum(tally.refused for tally in tallies) / seconds,
        p50=percentile(latencies, 0.5),
        p95=percentile(latencies, 0.95),
        p99=percentile(latencies, 0.99),
        queued=sum(tally.queued for tally in tallies),
        in_flight=sum(tally.in_flight for tally in tallies),
        rows=sum(tally.rows for tally in tallies) / seconds,
        batches=_summed(batches),
    )


def _summed(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if len(rows) == 1:
        return rows[0]
    return tuple(map(sum, zip(*rows, strict=True)))
