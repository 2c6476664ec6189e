"""What there is of sweeps, read only: for both faces."""

from __future__ import annotations

from mlbench.domain.best_trials import best_of
from mlbench.domain.errors import MlbenchError, UsageError, nearest
from mlbench.domain.sweeps import Study, StudyView
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.engine.sweeping.inputs import inputs_of
from mlbench.engine.sweeping.spaces import moved_inputs
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout


def studies(layout: Layout) -> tuple[StudyView, ...]:
    """Every study, newest first; those that can't be read are left out."""
    looked = (view_of(files) for files in all_studies(layout))
    return tuple(view for view in looked if view is not None)


def find_study(layout: Layout, word: str) -> StudyFiles:
    """The study of an id, of a prefix of one, or the newest of a sweep's name; else UsageError."""
    known = all_studies(layout)
    for files in known:
        if files.id == word:
            return files
    names = {files.id: study.name for files in known if (study := files.study()) is not None}
    for files in known:
        if names.get(files.id) == word:
            return files
    begun = [files for files in known if files.id.startswith(word)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise UsageError(f'"{word}" begins the ids of {len(begun)} studies; give more of it')
    near = nearest(word, {*names.values()})
    raise UsageError(f'there is no study "{word}"{near}; `mlbench sweep` lists them')


def view_of(files: StudyFiles) -> StudyView | None:
    """One study as its files tell; None where it can't be read."""
    study = files.study()
    if study is None:
        return None
    trials = files.trials()
    return StudyView(
        study=study,
        trials=tuple(trials[number] for number in sorted(trials)),
        progress=files.progress(),
        is_running=files.is_running,
        best=best_of(trials.values(), study.sweep.objectives),
    )


def moved_since(layout: Layout, study: Study) -> tuple[str, ...]:
    """What was edited since a study began and its trials don't have: code, data, parameters.

    Nothing where it has not begun. ProjectFileError where the project can't be read now.
    """
    if not study.base:
        return ()
    project = load_project(layout)
    try:
        now = inputs_of(Workspace.open(layout), project, study.sweep)
    except MlbenchError as error:
        return (str(error),)
    return moved_inputs(study, study.sweep, now.others)
