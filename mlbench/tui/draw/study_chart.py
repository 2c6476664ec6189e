"""Which charts a study has, what can be chosen for each, and the one that is wanted: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlbench.domain.study_analysis import Importances
from mlbench.domain.study_axes import short_names
from mlbench.domain.sweeps import StudyView
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.study_contour import contour_chart
from mlbench.tui.draw.study_curves import Logged, curves_chart
from mlbench.tui.draw.study_history import history_chart
from mlbench.tui.draw.study_importances import importances_chart
from mlbench.tui.draw.study_parallel import parallel_chart
from mlbench.tui.draw.study_pareto import pairs_of, pareto_chart
from mlbench.tui.draw.study_plot import Chart, Look, said
from mlbench.tui.draw.study_slice import slice_chart
from mlbench.tui.draw.study_timeline import timeline_chart

HISTORY, IMPORTANCES, SLICE, CONTOUR = "History", "Importances", "Slice", "Contour"
PARALLEL, PARETO, CURVES, TIMELINE = "Parallel", "Pareto", "Curves", "Timeline"
CHARTS = (HISTORY, IMPORTANCES, SLICE, CONTOUR, PARALLEL, PARETO, CURVES, TIMELINE)
BY_IMPORTANCES = (IMPORTANCES, PARALLEL)
_BY_OBJECTIVE = (HISTORY, IMPORTANCES, SLICE, CONTOUR, PARALLEL)
_SCALED = (HISTORY, SLICE, CONTOUR, PARALLEL, PARETO, CURVES)


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a study; `selected` is the trial that is marked."""

    view: StudyView
    importances: Importances | None = None
    curves: Logged | None = None
    selected: int | None = None

    def tells_as(self, other: Known, chart: str) -> bool:
        """Whether a chart drawn from either is the same: what was read once is the same object.

        To compare thousands of trials one by one would take as long as to draw them.
        """
        return (
            self.view is other.view
            and self.selected == other.selected
            and (chart not in BY_IMPORTANCES or self.importances is other.importances)
            and (chart != CURVES or self.curves is other.curves)
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user chose to see; places that a study does not have count from the start again."""

    chart: str = HISTORY
    objective: int = 0
    param: int = 0
    second: int = 1
    pair: int = 0
    is_log: bool = False

    def turned(self, view: StudyView, chart: str, first: int, second: int) -> Choice:
        """The next parameter, or the next pair of objectives; of a contour two differ always."""
        sweep = view.study.sweep
        if chart == PARETO:
            return replace(self, pair=(self.pair + first + second) % max(1, _pairs(view)))
        count = len(sweep.space)
        if not count:
            return self
        one, other = self.params(count)
        if chart != CONTOUR:
            return replace(self, param=(one + first) % count, second=other)
        if count < 2:
            return self
        one = _skipping((one + first) % count, other, first, count)
        other = _skipping((other + second) % count, one, second, count)
        return replace(self, param=one, second=other)

    def params(self, count: int) -> tuple[int, int]:
        """The places of two parameters of so many; two different ones where there are two."""
        one, other = self.param % count, self.second % count
        return one, (other + 1) % count if other == one else other


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A chart as it is wanted: of what, which, and how."""

    known: Known
    choice: Choice
    chart: str
    look: Look

    def is_as(self, other: Wanted) -> bool:
        """Whether what is drawn for either is the same."""
        return self.is_seen_as(other) and self.known.tells_as(other.known, self.chart)

    def is_seen_as(self, other: Wanted) -> bool:
        """Whether either may stand for the other, though more may be known of the study by now."""
        return (
            self.is_of_study(other)
            and (self.chart, self.choice) == (other.chart, other.choice)
            and replace(self.look, selected=None) == replace(other.look, selected=None)
        )

    def is_of_study(self, other: Wanted) -> bool:
        """Whether both are about one study."""
        return self.known.view.study.id == other.known.view.study.id

    def drawn(self) -> Chart:
        """That chart."""
        return drawn_chart(self.known, self.choice, self.chart, self.look)


def charts_of(view: StudyView) -> tuple[str, ...]:
    """The charts that say something about this study, by their titles."""
    sweep = view.study.sweep
    absent = {PARETO} if len(sweep.objectives) < 2 else set()
    absent |= {CONTOUR} if len(sweep.space) < 2 else set()
    return tuple(title for title in CHARTS if title not in absent)


def drawn_chart(known: Known, choice: Choice, chart: str, look: Look) -> Chart:
    """The chart with this title."""
    view = known.view
    sweep = view.study.sweep
    objective = choice.objective % len(sweep.objectives)
    count = len(sweep.space)
    if chart in (SLICE, CONTOUR) and count < 1 + (chart == CONTOUR):
        return said("The sweep has too few parameters for this.", look)
    match chart:
        case "History":
            return history_chart(view, objective, look)
        case "Importances":
            return importances_chart(known.importances, look)
        case "Slice":
            return slice_chart(view, objective, choice.params(count)[0], look)
        case "Contour":
            return contour_chart(view, objective, choice.params(count), look)
        case "Parallel":
            shares = known.importances.shares if known.importances else {}
            return parallel_chart(view, objective, shares, look)
        case "Pareto":
            return pareto_chart(view, choice.pair, look)
        case "Curves":
            return curves_chart(view, known.curves, look)
    return timeline_chart(view, look)


def choices_of(view: StudyView, choice: Choice, chart: str) -> list[Piece]:
    """What can be chosen for a chart, with its keys; a click does what the key does."""
    sweep = view.study.sweep
    pieces: list[Piece] = []
    if chart in (SLICE, CONTOUR) and sweep.space:
        short = list(short_names([each.name for each in sweep.space]).values())
        one, other = choice.params(len(short))
        pieces += _turning("across" if chart == CONTOUR else "", short[one], "[]", "parameter")
        if chart == CONTOUR:
            pieces += _turning("up", short[other], "↑↓", "second")
    if chart == PARETO and _pairs(view) > 1:
        place = choice.pair % _pairs(view)
        pair = " and ".join(sweep.objectives[at].metric for at in pairs_of(sweep.objectives)[place])
        pieces += _turning("", f"{pair} ({place + 1} of {_pairs(view)})", "[]", "parameter")
    if chart in _BY_OBJECTIVE and len(sweep.objectives) > 1:
        metric = sweep.objectives[choice.objective % len(sweep.objectives)].metric
        pieces.append(_key("M", "objective", metric, "objective", 1))
    if chart in _SCALED:
        pieces.append(_key("L", "log", "on" if choice.is_log else "off", "log-scale", 2))
    return pieces


def _turning(word: str, name: str, keys: str, action: str) -> list[Piece]:
    """A name between the keys that put the next or the one before in its place."""
    back, forth = keys[0], keys[1]
    return [
        Piece(line((f" {word}" if word else "", "$quiet")), rank=3),
        Piece(line((f" {back} ", "bold $info")), f"{action}-back"),
        Piece(line((name, "bold")), action),
        Piece(line((f" {forth} ", "bold $info")), action),
    ]


def _key(key: str, word: str, value: str, action: str, rank: int) -> Piece:
    return Piece(
        line((f" {key}", "bold $info"), (f" {word} ", "$quiet"), f"{value} "), action, rank
    )


def _pairs(view: StudyView) -> int:
    return len(pairs_of(view.study.sweep.objectives))


def _skipping(place: int, taken: int, by: int, count: int) -> int:
    """The place, or the next one in this direction where it is taken."""
    return (place + by) % count if by and place == taken else place
