"""A study of Optuna's, asked and told by the one process that owns it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.sweeps import MAXIMIZE, KnownTrial, Sweep
from mlbench.sweeps import decoding
from mlbench.sweeps.checking import check
from mlbench.sweeps.components import WholeGrid, make_pruner, make_sampler
from mlbench.sweeps.journal import open_storage
from mlbench.sweeps.quiet import optuna, quietly
from mlbench.sweeps.space import Space

_EXHAUSTED = "exhausted"
# In the notes of a trial: the number of the lost one whose parameters it has; that it was killed.
_INSTEAD_OF = "instead_of"
_KILLED = "killed"
_States = optuna.trial.TrialState
_Direction = optuna.study.StudyDirection


class _Stoppable(optuna.Study):
    """A study whose sampler may say that everything was tried, also where trials are told."""

    def stop(self) -> None:
        self.set_user_attr(_EXHAUSTED, True)


class OptunaStudy:
    """The one study of a journal: trials by number, parameters decoded.

    With a fixed seed and one job it draws what `optuna.create_study(…).optimize(…)` draws with the
    same sampler, pruner, name and objective.
    """

    def __init__(
        self, study: optuna.Study, storage: optuna.storages.BaseStorage, space: Space
    ) -> None:
        """What `open` found."""
        self._study = study
        self._storage = storage
        self._space = space
        self._id = storage.get_study_id_from_name(study.study_name)
        self._asked: dict[int, optuna.trial.Trial] = {}

    @classmethod
    def open(cls, journal: Path, sweep: Sweep, base: Mapping[str, Any]) -> OptunaStudy:
        """Load the study of a journal, or begin it; a torn end of the file is mended first.

        `base` has the values of the params files. SweepError where sampler, pruner or space don't
        fit Optuna or what the journal holds, or where the journal is damaged.
        """
        space = Space(sweep.space, base)
        # Before anything is written: a study that can't be drawn from should not come to be.
        check(sweep)
        storage = open_storage(journal)
        name = _begin(storage, sweep)
        id_ = storage.get_study_id_from_name(name)
        trials = storage.get_all_trials(id_, deepcopy=False)
        with quietly():
            space.refuse_change({k: v for trial in trials for k, v in trial.distributions.items()})
            begun = sum(trial.state is not _States.WAITING for trial in trials)
            study = _Stoppable(name, storage, make_sampler(sweep, begun), make_pruner(sweep))
        return cls(study, storage, space)

    @property
    def is_exhausted(self) -> bool:
        """Whether the sampler has drawn everything that there is, and nothing waits."""
        if self._study.get_trials(deepcopy=False, states=(_States.WAITING,)):
            return False
        sampler = self._study.sampler
        is_drawn = isinstance(sampler, WholeGrid) and sampler.has_drawn_all(self._study)
        return is_drawn or bool(self._study.user_attrs.get(_EXHAUSTED, False))

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Begin a trial: its number, and the values of the dimensions that are active.

        SweepError where the sampler can't give any; the trial counts as lost then.
        """
        with quietly():
            trial = self._study.ask()
            try:
                params = self._space.suggest(trial)
            except Exception as error:
                name = type(self._study.sampler).__name__.lstrip("_")
                is_ours = isinstance(error, SweepError)
                other = "give the sweep another sampler, or other options"
                told = str(error) if is_ours else f"{name} can't draw a trial: {error}; {other}"
                self.note(trial.number, "reason", told)
                self.fail(trial.number, lost=True)
                raise SweepError(told) from error
        self._asked[trial.number] = trial
        return trial.number, params

    def report(self, number: int, step: int, value: float) -> None:
        """Tell what a running trial's metric came to at a step; told again it is not changed.

        Of a study with several objectives Optuna keeps no steps, and nothing happens.
        """
        if len(self._study.directions) > 1 or step < 0:
            return
        if step not in self._running(number).intermediate_values:
            self._storage.set_trial_intermediate_value(self._trial_id(number), step, float(value))

    def should_prune(self, number: int) -> bool:
        """Whether the pruner gives a running trial up, by what was reported."""
        if len(self._study.directions) > 1:
            return False
        with quietly():
            return bool(self._study.pruner.prune(self._study, self._running(number)))

    def complete(
        self, number: int, values: Sequence[float], constraints: Mapping[str, float]
    ) -> None:
        """End a trial with a value an objective; constraints hold where they are 0 or less.

        A constraint that is no number does not hold. SweepError for values that are none, and for
        a trial that is not running; nothing is told then.
        """
        told = self._running(number).constraints
        if len(values) != len(self._study.directions) or any(map(math.isnan, values)):
            raise SweepError(f"trial {number}: {list(values)} are not a number an objective")
        for name, value in decoding.sound(constraints).items():
            if name not in told:
                self._trial(number).set_constraint(name, value)
        self._tell(number, _States.COMPLETE, [float(value) for value in values])

    def prune(self, number: int) -> None:
        """End a trial that was given up."""
        self._tell(number, _States.PRUNED)

    def fail(self, number: int, *, lost: bool = False) -> None:
        """End a trial that failed; `lost`: its process is gone, so it does not count."""
        if lost:
            self.note(number, decoding.LOST, True)
        self._tell(number, _States.FAIL)

    def lose(self, number: int, notes: Mapping[str, Any] | None = None) -> None:
        """End a trial whose process is gone, and have its parameters tried once more.

        Where a process is killed in the middle of this, doing it again finishes it. What was half
        asked for is asked for to its end, so that the other one has all parameters. SweepError
        where the space has changed so that they can't be tried; the trial is ended all the same.
        """
        self._running(number)
        try:
            if not self.is_handed_on(number):
                with quietly():
                    params = self._space.suggest(self._trial(number))
                self.enqueue(params, {**(notes or {}), _INSTEAD_OF: number})
        finally:
            self.fail(number, lost=True)

    def is_handed_on(self, number: int) -> bool:
        """Whether another trial has the parameters of this one, which is lost or about to be."""
        return any(trial.notes.get(_INSTEAD_OF) == number for trial in self.known())

    def enqueue(self, params: Mapping[str, Any], notes: Mapping[str, Any] | None = None) -> None:
        """Have these values tried next; parameters that are not named are sampled.

        `notes` are those of the trial that comes of it. SweepError for a name that is not of the
        space, for a value outside of its dimension, and for what a grid can't fill in.
        """
        with quietly():
            encoded = self._space.encode(params)
            missing = self._space.missing(params)
            if missing and isinstance(self._study.sampler, optuna.samplers.GridSampler):
                raise SweepError(
                    f"GridSampler can't fill in what is left out: name {', '.join(missing)}, too"
                )
            self._study.enqueue_trial(encoded, dict(notes or {}), skip_if_exists=False)

    def note(self, number: int, key: str, value: Any) -> None:
        """Write something beside a trial that has not ended; `value` is JSON's."""
        self._storage.set_trial_user_attr(self._trial_id(number), key, value)

    def note_killed(self, number: int) -> None:
        """Write down that a trial's process was killed from outside."""
        self.note(number, _KILLED, True)

    def times_killed(self, params: Mapping[str, Any]) -> int:
        """How often trials with these parameters were killed from outside."""
        return sum(one.params == params for one in self.known() if one.notes.get(_KILLED))

    def known(self) -> tuple[KnownTrial, ...]:
        """Every trial, by number; also one that was half written when a process was killed."""
        trials = self._study.get_trials(deepcopy=False)
        return tuple(decoding.known(trial, self._space) for trial in trials)

    def take_over(self, trials: Iterable[KnownTrial]) -> None:
        """Add complete and pruned trials of another study; those that are here already are not.

        SweepError where one has not ended well, or is outside this space: none is added then.
        """
        with quietly():
            here = set(map(decoding.identity, self._study.get_trials(deepcopy=False)))
            fitting = [decoding.frozen(trial, self._space) for trial in trials]
            self._study.add_trials(one for one in fitting if decoding.identity(one) not in here)

    def _tell(
        self, number: int, state: optuna.trial.TrialState, values: Sequence[float] | None = None
    ) -> None:
        self._running(number)
        with quietly():
            self._study.tell(number, values, state)
        self._asked.pop(number, None)

    def _running(self, number: int) -> optuna.trial.FrozenTrial:
        trial = self._storage.get_trial(self._trial_id(number))
        if trial.state is not _States.RUNNING:
            word = decoding.known(trial, self._space).state.word
            raise SweepError(f"trial {number} does not run: it is {word}")
        return trial

    def _trial_id(self, number: int) -> int:
        try:
            return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        except KeyError:
            raise SweepError(f"there is no trial {number}") from None

    def _trial(self, number: int) -> optuna.trial.Trial:
        """Optuna's own object; made anew for one that another process asked for."""
        if number not in self._asked:
            self._asked[number] = optuna.trial.Trial(self._study, self._trial_id(number))
        return self._asked[number]


def _begin(storage: optuna.storages.BaseStorage, sweep: Sweep) -> str:
    """Have the study in the journal, with its objectives' names; gives its name.

    SweepError where it has other objectives.
    """
    directions = [
        _Direction.MAXIMIZE if one.direction == MAXIMIZE else _Direction.MINIMIZE
        for one in sweep.objectives
    ]
    there = {study.study_name: study for study in storage.get_all_studies()}
    # optuna-dashboard can rename it.
    name = sweep.name if sweep.name in there else next(iter(there), sweep.name)
    if name not in there:
        storage.create_new_study(directions, name)
    elif there[name].directions != directions:
        raise SweepError(
            f"sweep {sweep.name}: this study was begun with other objectives; "
            "--restart begins a new one"
        )
    with quietly():
        study = optuna.load_study(study_name=name, storage=storage)
        names = [one.metric for one in sweep.objectives]
        if study.metric_names != names:
            study.set_metric_names(names)
    return name
