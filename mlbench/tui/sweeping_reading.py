"""What is read about studies in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError
from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import StudyView, Trial
from mlbench.tui.background import Background
from mlbench.tui.reading import queries_of
from mlbench.tui.studied import Studied, studied
from mlbench.tui.trial_order import NUMBER, in_order, text_of

if TYPE_CHECKING:
    from mlbench.domain.study_analysis import Importances
    from mlbench.engine.sweeping.study_watch import StudyWatch

_SHOWN_SECONDS, _UNSEEN_SECONDS, _MOVED_SECONDS = 0.25, 1.0, 4.0
Curves = Mapping[int, Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class SweepQuestion:
    """Whose trials to show, in which order, with which words; the newest study where none is."""

    study: str = ""
    sort: str = NUMBER
    descending: bool = True
    words: str = ""


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Every study, newest first, and the rows of the chosen one; `curves` are by trial and step."""

    question: SweepQuestion = field(default_factory=SweepQuestion)
    studies: tuple[Studied, ...] = ()
    chosen: Studied | None = None
    rows: tuple[Trial, ...] = ()
    curves: Curves = field(default_factory=dict)
    is_read: bool = False
    problem: str = ""

    @property
    def running(self) -> tuple[Studied, ...]:
        """The studies whose coordinator lives."""
        return tuple(study for study in self.studies if study.view.is_running)


@dataclass(frozen=True, slots=True)
class ImportancesQuestion:
    """For which study and which of its objectives to work out what matters."""

    study: str
    objective: int = 0


@dataclass(frozen=True, slots=True)
class FoundImportances:
    """How much each parameter matters."""

    question: ImportancesQuestion
    found: Importances


@dataclass(frozen=True, slots=True)
class Moved:
    """Which inputs of a study changed in the project since it began."""

    study: str
    inputs: tuple[str, ...]


class SweepReaders:
    """A thread that follows every study, and one each for what takes long to work out."""

    def __init__(self, folder: Path, deliver: Callable[[object], object]) -> None:
        """Read the project that this folder belongs to."""
        self._folder, self._deliver = folder, deliver
        self._watch: StudyWatch | None = None
        self._known = Sweeps()
        self._looked: tuple[StudyView, ...] = ()
        self._thread: Background[SweepQuestion, Sweeps] | None = None
        self._importances: Background[ImportancesQuestion, FoundImportances] | None = None
        self._moved: Background[str, Moved] | None = None
        self._at = self._moved_at = -_MOVED_SECONDS
        self._asked = SweepQuestion()

    def tick(self, elapsed: float, question: SweepQuestion, *, is_shown: bool) -> None:
        """Look at the studies, often while the screen is seen, at once for another question."""
        every = _SHOWN_SECONDS if is_shown else _UNSEEN_SECONDS
        if elapsed - self._at >= every or question != self._asked:
            self._at = elapsed
            self.ask(question)

    def ask(self, question: SweepQuestion) -> None:
        """Look now."""
        self._asked = question
        self._thread = self._thread or Background(self.look, self._deliver)
        self._thread.ask(question)

    def close(self) -> None:
        """Let the threads end."""
        if self._thread is not None:
            self._thread.close()
        if self._importances is not None:
            self._importances.close()
        if self._moved is not None:
            self._moved.close()

    def ask_importances(self, question: ImportancesQuestion) -> None:
        """Work out what matters."""
        self._importances = self._importances or Background(self._work_out, self._deliver)
        self._importances.ask(question)

    def look_what_moved(self, elapsed: float, study: str) -> None:
        """Look now and then what changed in the project since a study began."""
        if elapsed - self._moved_at >= _MOVED_SECONDS:
            self._moved_at = elapsed
            self._moved = self._moved or Background(self._look_what_moved, self._deliver)
            self._moved.ask(study)

    def look(self, question: SweepQuestion) -> Sweeps:
        """Every study now; the same answer again where nothing changed."""
        from mlbench.engine.sweeping.study_watch import StudyWatch

        try:
            self._watch = self._watch or StudyWatch(queries_of(self._folder).layout)
            looked = self._watch.look()
        except (MlbenchError, OSError) as error:
            return Sweeps(question, is_read=True, problem=str(error))
        before = self._known
        is_same = len(looked) == len(self._looked) and all(
            one is other for one, other in zip(looked, self._looked, strict=True)
        )
        if before.is_read and is_same and question == before.question:
            return before
        self._looked = looked
        counted = {id(study.view): study for study in before.studies}
        studies = tuple(counted.get(id(view)) or studied(view) for view in looked)
        chosen = next((study for study in studies if study.id == question.study), None)
        chosen = chosen or next(iter(studies), None)
        rows = _rows(chosen.view.trials, question) if chosen is not None else ()
        curves = self._watch.curves(chosen.id) if chosen is not None else {}
        self._known = Sweeps(question, studies, chosen, rows, curves, is_read=True)
        return self._known

    def _work_out(self, question: ImportancesQuestion) -> FoundImportances:
        from mlbench.domain.study_analysis import Importances
        from mlbench.engine.study_files import StudyFiles
        from mlbench.engine.sweeping.analysis import importances

        try:
            files = StudyFiles(queries_of(self._folder).layout, question.study)
            study = files.study()
            if study is None:
                return FoundImportances(question, Importances("", because="the study is gone"))
            found = importances(files, study, question.objective)
            return FoundImportances(question, found)
        except (MlbenchError, OSError) as error:
            return FoundImportances(question, Importances("", because=str(error)))

    def _look_what_moved(self, study_id: str) -> Moved:
        from mlbench.engine.study_files import StudyFiles
        from mlbench.engine.sweeping.queries import moved_since

        try:
            layout = queries_of(self._folder).layout
            study = StudyFiles(layout, study_id).study()
            return Moved(study_id, moved_since(layout, study) if study is not None else ())
        except (MlbenchError, OSError):
            # What is wrong with the project is said where its files are read.
            return Moved(study_id, ())


def _rows(trials: Sequence[Trial], question: SweepQuestion) -> tuple[Trial, ...]:
    words = question.words.split()
    shown = trials
    if words:
        shown = [t for t in trials if all(word in text_of(t) for word in words)]
    return tuple(in_order(shown, question.sort, descending=question.descending))
