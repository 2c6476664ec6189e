"""`mlbench sweep`: try many parameters, and follow how that goes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.cli.sweep_follow import follow
from mlbench.cli.sweep_list import print_sweeps
from mlbench.cli.sweep_voices import JsonVoice, TextVoice
from mlbench.domain.clock import utc
from mlbench.domain.errors import UsageError
from mlbench.domain.graph import needs_of
from mlbench.domain.objectives import read_metric
from mlbench.domain.stages import Project
from mlbench.domain.sweeps import MAXIMIZE, MINIMIZE, Component, Sweep
from mlbench.engine.queries import Queries
from mlbench.engine.sweeping.queries import find_study, moved_since, studies, view_of

# Of `--apply` alone: the best trial, whichever that is.
_BEST = -1
_ALONE = "stage sampler pruner repeats seed objectives".split()


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a sweep, or a study by its id")
    parser.add_argument("--trials", type=int, metavar="N", help="so many in all")
    parser.add_argument("--jobs", type=int, metavar="N", help="so many at once")
    parser.add_argument("--restart", action="store_true", help="begin anew")
    parser.add_argument("--detach", action="store_true", help="begin, and don't follow")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--stop", action="store_true", help="begin no more trials")
    action.add_argument("--enqueue", nargs="+", metavar="KEY=VALUE", help="try this next")
    action.add_argument("--show", action="store_true", help="what the trials tell so far")
    action.add_argument("--html", metavar="DIR", help="the same as pages, with Optuna's figures")
    action.add_argument(
        "--apply",
        nargs="?",
        type=int,
        const=_BEST,
        metavar="TRIAL",
        help="write the params of the best trial, or of this one, into the params file",
    )
    action.add_argument(
        "--over", action="append", metavar="SPACE", help='such as "train.alpha=log(1e-5,1e-1)"'
    )
    parser.add_argument("--now", action="store_true", help="with --stop: stop those that run, too")
    parser.add_argument("--yes", action="store_true", help="with --apply: don't ask")
    parser.add_argument("--json", action="store_true", help="one JSON object an event")
    _configure_on_the_spot(parser)


def _configure_on_the_spot(parser: argparse.ArgumentParser) -> None:
    """What belongs to --over, since no file says it."""
    for direction in (MAXIMIZE, MINIMIZE):
        parser.add_argument(
            f"--{direction}",
            action="append",
            dest="objectives",
            # One list for both, for objectives are told in the order in which they were typed.
            type=f"{direction} {{}}".format,
            metavar="METRIC",
            help="the objective; again for several",
        )
    parser.add_argument("--stage", metavar="STAGE", help="what each trial runs, with its needs")
    parser.add_argument("--sampler", metavar="SAMPLER", help="Optuna's name of it")
    parser.add_argument("--pruner", metavar="PRUNER", help="Optuna's name of it")
    parser.add_argument("--repeats", type=int, metavar="N", help="runs of each trial")
    parser.add_argument("--seed", type=int, metavar="N", help="the sampler's")


def run(options: argparse.Namespace) -> int:
    """List sweeps; begin, go on with or follow one; or act on a study that is there."""
    _check(options)
    queries = Queries.of(Path(options.folder))
    if options.over:
        return _begin(queries, _on_the_spot(queries, options), options)
    if options.stop or options.enqueue or options.show or options.html or options.apply is not None:
        return _act(queries, options)
    if options.name is None:
        print_sweeps(queries.project().sweeps, studies(queries.layout), options.json)
        return 0
    return _begin(queries, _named(queries, options.name), options)


def _check(options: argparse.Namespace) -> None:
    for name in ("trials", "jobs", "repeats"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name}: must be 1 or more")
    if options.over:
        if not options.objectives:
            raise UsageError(
                "--over: say what is better, with --maximize METRIC or --minimize METRIC"
            )
        return
    for name in _ALONE:
        if getattr(options, name) is not None:
            word = "maximize or --minimize" if name == "objectives" else name
            raise UsageError(f"--{word} is for a sweep on the spot; give --over, too")


def _act(queries: Queries, options: argparse.Namespace) -> int:
    # Late: whoever begins a sweep needs nothing of it.
    from mlbench.cli import sweep_actions

    if options.stop:
        return sweep_actions.stop(queries, options.name, at_once=options.now)
    if options.enqueue:
        return sweep_actions.enqueue(queries, options.name, options.enqueue)
    if options.apply is not None:
        return sweep_actions.apply(queries, options.name, options)
    return sweep_actions.show(queries, options.name, options)


def _named(queries: Queries, name: str) -> Sweep:
    """The configured sweep of this name; else that of the study, which was begun on the spot."""
    from mlbench.engine.sweeping.starting import configured_sweep

    project = queries.project()
    if name in {sweep.name for sweep in project.sweeps}:
        return configured_sweep(project, name)
    try:
        view = view_of(find_study(queries.layout, name))
    except UsageError:
        view = None
    if view is None:
        return configured_sweep(project, name)
    configured = [sweep for sweep in project.sweeps if sweep.name == view.study.name]
    return configured[0] if configured else view.study.sweep


def _on_the_spot(queries: Queries, options: argparse.Namespace) -> Sweep:
    from mlbench.engine.sweeping.on_the_spot import sweep_on_the_spot

    project = queries.project()
    if options.name in {sweep.name for sweep in project.sweeps}:
        raise UsageError(f"sweep {options.name} is in mlbench.toml; --over needs another name")
    made = sweep_on_the_spot(
        project,
        stage=options.stage or _measuring_stage(queries, project, options.objectives[0]),
        over=options.over,
        objectives=options.objectives,
        trials=options.trials,
        jobs=options.jobs,
    )
    sampler = Component(options.sampler) if options.sampler else made.sampler
    if options.seed is not None:
        sampler = replace(sampler, options={**sampler.options, "seed": options.seed})
    return replace(
        made,
        name=options.name or made.name,
        sampler=sampler,
        pruner=Component(options.pruner) if options.pruner else made.pruner,
        repeats=options.repeats or made.repeats,
    )


def _begin(queries: Queries, sweep: Sweep, options: argparse.Namespace) -> int:
    """Begin a study, go on with it, or follow one that runs; gives the exit status."""
    from mlbench.engine.sweeping.starting import begin

    if not options.restart:
        _refuse_change_of_a_running(queries, sweep, options)
    since = utc()
    begun = begin(
        queries.layout,
        queries.project(),
        sweep,
        restart=options.restart,
        trials=options.trials,
        jobs=options.jobs,
    )
    for sentence in begun.told:
        narrate(sentence)
    study = begun.files.study()
    moved = moved_since(queries.layout, study) if study is not None else ()
    if moved:
        goes_on = f"its trials work on what {sweep.name} began with; --restart begins anew"
        narrate(f"edited since: {', '.join(moved)}; {goes_on}")
    if options.detach:
        if options.json:
            print_json({"event": "study_started", "study": begun.files.id, "sweep": sweep.name})
        narrate(f"study {begun.files.id} runs; `mlbench sweep {sweep.name}` follows it")
        return 0
    return follow(begun.files, JsonVoice() if options.json else TextVoice(), since)


def _refuse_change_of_a_running(
    queries: Queries, sweep: Sweep, options: argparse.Namespace
) -> None:
    if options.trials is None and options.jobs is None:
        return
    if any(view.is_running and view.study.name == sweep.name for view in studies(queries.layout)):
        raise UsageError(
            f"{sweep.name} is running, and --trials and --jobs are for its start; stop it first: "
            f"`mlbench sweep {sweep.name} --stop`"
        )


def _measuring_stage(queries: Queries, project: Project, objective: str) -> str:
    """The stage that gave the objective's metric in the newest run that passed.

    Where none did, the only one that nothing else is built on.
    """
    names = [stage.name for stage in project.stages]
    metric = read_metric(objective.partition(" ")[2]).removeprefix("metrics.")
    try:
        record = queries.run("@last").stages
    except UsageError:
        record = {}
    giving = [name for name in names if name in record and metric in record[name].metrics]
    found = giving or _ends(project)
    if len(found) != 1:
        there = ", ".join(giving or names)
        raise UsageError(f"--over: say what a trial runs, with --stage; there is {there}")
    return found[0]


def _ends(project: Project) -> list[str]:
    builds = [stage for stage in project.stages if not stage.is_test]
    needs = needs_of(builds)
    used = frozenset().union(*needs.values())
    return [name for name in needs if name not in used]
