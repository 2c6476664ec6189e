"""`mlbench gc`: bring the cache under its limit, and clear what crashes left."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json
from mlbench.domain.errors import UsageError
from mlbench.domain.phrases import bytes_in, size
from mlbench.engine.collecting import Collection, Collector, limit_of
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument(
        "--size", metavar="SIZE", help='how large the cache may be, such as "20GB"; 0 for nothing'
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Remove what was used longest ago and nothing needs; say what it freed and what it kept."""
    wanted = bytes_in(options.size) if options.size is not None else None
    if options.size is not None and wanted is None:
        raise UsageError(f'--size: "{options.size}" is no size such as 20GB, 512MB or 1.5GiB')
    queries = Queries.of(Path(options.folder))
    project = queries.project()
    limit = limit_of(project, queries.layout) if wanted is None else wanted
    done = Collector(queries.layout).collect(project, limit, dry_run=options.dry_run)
    if options.json:
        print_json(as_plain(done))
    else:
        _print(done)
    return 0


def as_plain(done: Collection) -> dict[str, object]:
    """What `gc --json` gives, in bytes."""
    return {
        "freed": done.freed,
        "freed_in_cache": done.cache,
        "freed_leftovers": done.leftovers,
        "objects": done.objects,
        "size": done.size,
        "limit": done.limit,
        "kept": dict(done.kept),
        "dry_run": done.dry_run,
    }


def _print(done: Collection) -> None:
    verb = "would free" if done.dry_run else "freed"
    print(
        f"{verb} {size(done.freed)}: {done.objects} objects of the cache ({size(done.cache)}), "
        f"{size(done.leftovers)} that crashes and old runs had left"
    )
    print(f"the cache holds {size(done.size)} of {size(done.limit)}")
    for why, count in sorted(done.kept.items(), key=lambda pair: -pair[1]):
        print(f"  {size(count):>8}  stays for {why}")
    if done.is_over:
        narrate(
            "it is over its limit still, for all of that has to stay; "
            "raise project.cache, or give --size again once the runs are older"
        )
