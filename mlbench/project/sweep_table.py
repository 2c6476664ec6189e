"""`[sweeps.NAME]` tables to sweeps."""

from __future__ import annotations

from mlbench.domain.errors import nearest
from mlbench.domain.expression import ExpressionError, parse
from mlbench.domain.objectives import read_metric, read_objective
from mlbench.domain.sweeps import MAXIMIZE, MINIMIZE, USUAL_TRIALS, Component, Objective, Sweep
from mlbench.project import keys
from mlbench.project.fields import Table
from mlbench.project.space_table import read_space

_DIRECTIONS = (MAXIMIZE, MINIMIZE)


def read_sweep(table: Table, name: str, usual: str | None = None) -> Sweep:
    """The sweep of a table; ProjectFileError for an unknown key or a wrong value.

    `usual` is the project's objective, for a sweep that has none of its own.
    """
    table.file.refuse_unknown(table.value, keys.SWEEP, table.where)
    table.check_name(name, "a sweep")
    stage = table.text("stage")
    if stage is None:
        table.fail("stage", "a sweep needs the stage that its trials run")
    objectives = _objectives(table, usual)
    return Sweep(
        name=name,
        stage=stage,
        objectives=objectives,
        space=read_space(table.inner("space")),
        trials=table.whole("trials", least=1) or USUAL_TRIALS,
        jobs=table.whole("jobs", least=1),
        sampler=_component(table, "sampler", Component("TPESampler")),
        pruner=_component(table, "pruner", Component("NopPruner")),
        constraints=_constraints(table),
        timeout=table.seconds("timeout"),
        patience=table.whole("patience", least=1),
        repeats=table.whole("repeats", least=1) or 1,
        seeds=table.texts("seed"),
        intermediate=_intermediate(table, objectives[0]),
    )


def _objectives(table: Table, usual: str | None) -> tuple[Objective, ...]:
    texts = table.texts("objective") or ((usual,) if usual else ())
    if not texts:
        table.fail("objective", 'a sweep needs an objective such as "maximize accuracy"')
    objectives = tuple(_objective(table, "objective", text) for text in texts)
    if len({one.metric for one in objectives}) < len(objectives):
        table.fail("objective", "has one metric twice")
    return objectives


def _objective(table: Table, key: str, text: str) -> Objective:
    objective = read_objective(text)
    if objective is None:
        near = nearest(text.partition(" ")[0], _DIRECTIONS)
        table.fail(key, f'"{text}" must be "maximize METRIC" or "minimize METRIC"{near}')
    return objective


def _intermediate(table: Table, objective: Objective) -> Objective | None:
    text = table.text("intermediate")
    if text is None:
        return None
    metric = read_metric(text)
    if not metric:
        table.fail("intermediate", 'must name a metric, as "minimize loss"')
    if metric == text.strip() and " " in metric:
        return _objective(table, "intermediate", text)
    return Objective(metric, objective.direction)


def _component(table: Table, key: str, usual: Component) -> Component:
    value = table.value.get(key)
    if value is None:
        return usual
    if isinstance(value, str):
        return Component(value)
    options = dict(table.inner(key).value)
    name = options.pop("name", None)
    if not isinstance(name, str):
        table.fail(key, f'must be a name such as "{usual.name}", or a table with name and options')
    return Component(name, options)


def _constraints(table: Table) -> tuple[str, ...]:
    constraints = table.texts("constraints")
    for text in constraints:
        try:
            parse(text)
        except ExpressionError as error:
            table.fail("constraints", f'"{text}": {error}')
    return constraints
