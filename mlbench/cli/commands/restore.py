"""`mlbench restore`: bring a run's outputs and params back, here or in a worktree."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlbench.cli.output import coloured, confirmed, narrate, print_json
from mlbench.domain.commands import RestoreRun
from mlbench.domain.errors import UsageError
from mlbench.domain.plan import StageStatus
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries
from mlbench.engine.restoring import (
    Restoration,
    kept_at,
    refusal,
    restoration,
    said,
)
from mlbench.engine.way_to_code import way_to_code


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument(
        "--worktree", metavar="DIR", help="in a new git worktree, with code and inputs as well"
    )
    parser.add_argument("--force", action="store_true", help="replace changed files unasked")
    parser.add_argument("--dry-run", action="store_true", help="only say what it would change")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Bring back what the cache has, and say what it has not and where the code lies."""
    folder = Path(options.folder)
    queries = Queries.of(folder)
    found = queries.run(options.name)
    if options.worktree is not None:
        if options.dry_run:
            raise UsageError("--worktree and --dry-run exclude each other")
        return _in_worktree(queries, found, folder / options.worktree, options.json)
    return _here(queries, found, options)


def _here(queries: Queries, found: Run, options: argparse.Namespace) -> int:
    wanted = restoration(queries.layout, found)
    kept = kept_at(queries.layout, wanted)
    if not options.dry_run:
        if wanted.changed and not options.force and not _is_wanted(found, wanted):
            narrate("nothing was brought back")
            return 0
        _carry_out(Path(options.folder), found, wanted)
    stale = () if options.dry_run else queries.status().stale
    commands = way_to_code(queries.layout, found)
    if options.json:
        plain = _plain(found, wanted, stale)
        plain["kept"] = {path: str(place) for path, place in kept.items()}
        print_json(plain | {"commands": list(commands), "dry_run": options.dry_run})
        return 0
    _print(found, wanted, options.dry_run)
    verb = "would be kept as" if options.dry_run else "is kept as"
    for path, place in kept.items():
        print(coloured(f"{path} as it was {verb} {os.path.relpath(place)}", "quiet"))
    if commands:
        print("its code comes back with")
        print("\n".join(f"  {command}" for command in commands))
    _print_stale(stale)
    return 0


def _is_wanted(found: Run, wanted: Restoration) -> bool:
    """Whether somebody says so; UsageError where there is nobody, naming the files."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(refusal(found, wanted))
    listed = ", ".join(wanted.changed)
    return confirmed(f"{listed} changed since a run gave it; put that of {found.name} there?")


def _carry_out(folder: Path, found: Run, wanted: Restoration) -> None:
    """Have it done by the holder of the loop, be it this process."""
    # Late: to say what would be done nobody needs a loop.
    from mlbench.cli.follow import carry_out, session

    command = RestoreRun(found.id, wanted.stages, overwrite=bool(wanted.changed))
    with session(folder) as line:
        carry_out(line, command, lambda _event, _command: None)


def _in_worktree(queries: Queries, found: Run, folder: Path, as_json: bool) -> int:
    # Late: it needs much that the other way does not.
    from mlbench.engine.restored_worktree import restore_in_worktree

    made = restore_in_worktree(queries.layout, found, folder)
    if as_json:
        plain = _plain(found, made.done, made.stale)
        inputs = {"linked": list(made.linked), "missing": list(made.missing)}
        print_json(plain | inputs | {"worktree": str(made.folder)})
        return 0
    _print(found, made.done, dry_run=False)
    if made.linked:
        print(f"inputs that git does not have: {', '.join(made.linked)}")
    for path in made.missing:
        print(
            coloured(f"! {path}: neither git, the cache nor another tree has what it read", "warn")
        )
    _print_stale(made.stale)
    print(f"{found.name} stands in {os.path.relpath(made.folder)}")
    return 0


def _print(found: Run, wanted: Restoration, dry_run: bool) -> None:
    verb = "would bring back" if dry_run else "brought back"
    for out in wanted.outs:
        print(f"{verb} {out.path}  ({out.stage})")
    verb = "would set" if dry_run else "set"
    for one in wanted.params:
        before, after = one.shown
        print(f"{verb} {one.key}  {before} → {after}  ({one.file})")
    for out in wanted.gone:
        told = f"! {out.path}: the cache does not have it; `mlbench run {out.stage}` makes it"
        print(coloured(told, "warn"))
    for note in wanted.notes:
        narrate(note)
    if not (wanted.outs or wanted.params):
        narrate(said(found, wanted))


def _print_stale(stale: Iterable[StageStatus]) -> None:
    for status in stale:
        reasons = "; ".join(
            f"{reason.kind.word} {reason.what} {reason.detail}" for reason in status.reasons
        )
        print(f"{status.name} is {status.state.word} here: {reasons}")


def _plain(found: Run, wanted: Restoration, stale: Iterable[StageStatus]) -> dict[str, Any]:
    return {
        "run": found.id,
        "outs": [out.path for out in wanted.outs],
        "standing": list(wanted.standing),
        "gone": [{"path": out.path, "stage": out.stage} for out in wanted.gone],
        "changed": list(wanted.changed),
        "params": [
            {"file": one.file, "key": one.key, "before": one.shown[0], "after": one.shown[1]}
            for one in wanted.params
        ],
        "notes": list(wanted.notes),
        "stale": [status.name for status in stale],
    }
