"""One `[stages.NAME]` table to a Stage, with the meaning that dvc.yaml gives its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlbench.domain.stages import ParamKeys, Resources, Stage
from mlbench.project import keys
from mlbench.project.fields import Table
from mlbench.project.stage_paths import deps_of, items_of, outs_of, outside, place, plots_of

DEFAULT_PARAMS = "params.toml"

_KNOWN = dict.fromkeys(keys.STAGE)


def read_stage(table: Table, name: str) -> Stage:
    """The stage of a table; ProjectFileError for an unknown key or a wrong value."""
    table.file.refuse_unknown(table.value, _KNOWN, table.where)
    table.check_name(name, "a stage")
    commands = table.texts("cmd")
    if not commands or not all(command.strip() for command in commands):
        table.fail("cmd", "a stage needs a command")
    given = table.value
    wdir = place(table, "wdir", ".", table.text("wdir") or ".") if "wdir" in given else "."
    deps, stat_deps = deps_of(table, wdir)
    outs = outs_of(table, "outs", wdir)
    metrics = outs_of(table, "metrics", wdir)
    plot_outs, plots = plots_of(table, wdir)
    # Only what is written is read: a dvc.yaml may have thousands of stages, of three keys each.
    plain = {key: read(table) for key, read in _PLAIN.items() if key in given}
    return Stage(
        name=name,
        commands=commands,
        wdir=wdir,
        deps=deps,
        stat_deps=stat_deps,
        params=_params(table, wdir),
        outs=(*outs, *outside(outs, (*metrics, *plot_outs))),
        metrics=tuple(out.path for out in metrics),
        plots=plots,
        **plain,
    )


def _params(table: Table, wdir: str) -> tuple[ParamKeys, ...]:
    """The wanted keys of each params file, those of the project's own first."""
    if "params" not in table.value:
        return ()
    default: list[str] = []
    named: list[ParamKeys] = []
    for item in items_of(table, "params"):
        if isinstance(item, str):
            default.append(item)
            continue
        for file, wanted in item.items():
            wanted_keys = [wanted] if isinstance(wanted, str) else wanted or []
            is_list = isinstance(wanted_keys, list)
            if not is_list or not all(isinstance(key, str) for key in wanted_keys):
                table.fail("params", f"the keys of {file} must be a list of strings")
            named.append(ParamKeys(place(table, "params", wdir, file), tuple(wanted_keys)))
    own = (ParamKeys(DEFAULT_PARAMS, tuple(default)),) if default else ()
    return (*own, *named)


def _resources(table: Table) -> Resources:
    table.file.refuse_unknown(table.value, keys.RESOURCES, table.where)
    return Resources(
        cpu=table.whole("cpu", least=1),
        gpu=table.whole("gpu", least=0) or 0,
        memory=table.size("memory"),
    )


# The keys that mean themselves: each is the field of Stage with its name.
_PLAIN: dict[str, Callable[[Table], Any]] = {
    "env": lambda table: table.texts("env"),
    "kind": lambda table: table.choice("kind", ("build", "test")),
    "timeout": lambda table: table.seconds("timeout"),
    "retries": lambda table: table.whole("retries", least=0),
    "on_edit": lambda table: table.choice("on_edit", ("auto", "restart", "finish")),
    "deterministic": lambda table: table.flag("deterministic", True),
    "isolate": lambda table: table.flag("isolate", False),
    "launch": lambda table: table.words("launch"),
    "resources": lambda table: _resources(table.inner("resources")),
    "frozen": lambda table: table.flag("frozen", False),
    "always_changed": lambda table: table.flag("always_changed", False),
    "desc": lambda table: table.text("desc"),
}
