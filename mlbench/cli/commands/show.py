"""`mlbench show`: everything about one run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbench.cli.commands.runs import as_plain
from mlbench.cli.output import coloured, print_json
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.phrases import duration, number, plural, size, took
from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Run, StageRecord, TestResult
from mlbench.domain.use import Use
from mlbench.engine.queries import Queries

_MOST_LINES = 6
_MOST_SAVED = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print a run with its stages, metrics, parameters and what it ran on."""
    queries = Queries.of(Path(options.folder))
    found = queries.run(options.name)
    folder = queries.run_folder(found)
    environment = queries.environment_of(found)
    tests = {
        name: queries.tests(queries.stage_folder(found, name))
        for name, stage in found.stages.items()
        if stage.tests is not None or stage.outcome is StageOutcome.FAILED
    }
    tests = {name: results for name, results in tests.items() if results}
    use = queries.system_use(found)
    saved = _saved(queries, found)
    if options.json:
        details = {
            "stages": to_plain(found.stages),
            "tests": to_plain(tests),
            "use": to_plain(use),
            "left_out": found.code.left_out,
            "saved": saved,
            "environment": environment,
            "folder": str(folder),
        }
        print_json(as_plain(found) | details)
    else:
        _print(found, tests, use, _study(queries, found))
        for name, files in saved.items():
            _print_saved(name, files)
        _print_environment(environment)
        print(f"folder  {folder}")
    return 0


def _study(queries: Queries, found: Run) -> str:
    """The study of which a run is a trial, by name and id; empty for others."""
    if not found.study:
        return ""
    # Late: few runs need it.
    from mlbench.engine.study_files import StudyFiles

    study = StudyFiles(queries.layout, found.study).study()
    return f"{study.name} ({found.study})" if study is not None else found.study


def _saved(queries: Queries, found: Run) -> dict[str, dict[str, int]]:
    """The size of each file or folder that the scripts saved, by stage and by its place there."""
    saved = {}
    for name, items in queries.saved(found).items():
        folder = queries.stage_folder(found, name)
        if items:
            saved[name] = {str(item.path.relative_to(folder)): item.size for item in items}
    return saved


def _print(
    found: Run,
    tests: Mapping[str, Sequence[TestResult]],
    use: Mapping[str, Mapping[str, Use]],
    study: str,
) -> None:
    outcome = found.outcome
    sign, word = _outcome(outcome)
    print(f"{sign} {coloured(found.name, 'strong')}  {found.id}  {word}")
    dirty = f", {found.code.changed_files} files differ" if found.code.dirty else ""
    commit = f"{found.code.commit[:12]}{dirty}" if found.code.commit else "no git commit"
    print(f"  {found.started}  {duration(found.seconds)}  {found.origin} by {found.by}  {commit}")
    if study:
        print(f"  trial {found.trial} of {study}")
    if found.code.left_out:
        print(f"  not in the patch: {', '.join(found.code.left_out)}")
    _print_marks(found)
    print("stages")
    for name, stage in found.stages.items():
        _print_stage(found, name, stage)
        if name in use:
            print(coloured(f"      {', '.join(_used(use[name]))}", "quiet"))
        for result in tests.get(name, ()):
            if result.outcome.is_bad:
                _print_test(result)
    _print_flat("metrics", {name: _metric(found, name) for name in found.metrics})
    _print_flat("params", {name: str(value) for name, value in found.params.items()})


def _print_marks(found: Run) -> None:
    marks = found.marks
    words = [
        *(["★ starred"] if marks.star else []),
        *([f"baseline since {marks.baseline_since}"] if marks.baseline_since else []),
        *(["archived"] if marks.archived else []),
        *(marks.tags),
    ]
    if words:
        print(f"  {'  '.join(words)}")
    if marks.note:
        print("\n".join(f"  {line}" for line in marks.note.splitlines()))
    if found.source:
        print(f"  from {found.source}")


def _print_stage(found: Run, name: str, stage: StageRecord) -> None:
    elsewhere = f"  (ran in {stage.ran_in})" if stage.ran_in not in (None, found.id) else ""
    cost = []
    if told := took(stage.cpu_seconds or 0.0):
        cost.append(f"{told} of CPU")
    if stage.peak_memory:
        cost.append(f"{size(stage.peak_memory)} at most")
    sign, word = _outcome(stage.outcome)
    line = f"  {sign} {name:<16} {word:<10} {took(stage.seconds):<8}  {', '.join(cost)}{elsewhere}"
    print(line.rstrip())
    for reason in stage.reasons:
        detail = f"  {reason.detail}" if reason.detail else ""
        print(coloured(f"      {reason.kind.word} {reason.what}{detail}", "quiet"))
    if stage.message:
        print(f"      {stage.message}")


def _outcome(outcome: RunOutcome | StageOutcome | None) -> tuple[str, str]:
    """The sign and the word for how a run or a stage ended, or that it runs."""
    if outcome is None:
        return coloured("…", "info"), "running"
    return coloured(outcome.glyph, outcome.colour), outcome.word


def _used(use: Mapping[str, Use]) -> Iterator[str]:
    """What was used on average and at most, of what was sampled: `cpu 153% (at most 200%)`."""
    for name, one in use.items():
        is_memory = name.endswith("memory")
        mean, peak = (
            size(int(value)) if is_memory else f"{value:.0f}%" for value in (one.mean, one.peak)
        )
        if not name.endswith("processes"):
            yield f"{name.removeprefix('system/')} {mean} (at most {peak})"


def _metric(found: Run, name: str) -> str:
    """The last value and, where they tell something else, the least and the greatest."""
    last, extremes = number(found.metrics[name]), found.extremes.get(name)
    if extremes is None or not extremes.min < extremes.max:
        return last
    least = f"min {number(extremes.min)} at {extremes.min_step}"
    return f"{last:<10}  {least}, max {number(extremes.max)} at {extremes.max_step}"


def _print_saved(stage: str, files: Mapping[str, int]) -> None:
    """Artifacts, figures and tables by their places in the stage's folder, with their sizes."""
    shown = dict(list(files.items())[:_MOST_SAVED])
    _print_flat(f"saved by {stage}", {path: size(count) for path, count in shown.items()})
    if len(files) > len(shown):
        print(f"  and {len(files) - len(shown)} more")


def _print_environment(environment: Mapping[str, Any]) -> None:
    """What can be read at a glance; the whole is in the run's folder."""
    found = {name: value for name, value in environment.items() if value}
    shown: dict[str, str] = {name: str(found[name]) for name in ("host", "system") if name in found}
    if "cpu" in found:
        shown["cpu"] = f"{found['cpu']}, {plural(found.get('cores', 1), 'core')}"
    if isinstance(memory := found.get("memory"), int):
        shown["memory"] = size(memory)
    for place, gpu in enumerate(found.get("gpus", ())):
        shown[f"gpu {place}"] = f"{gpu['name']}, {size(gpu['memory'])}, driver {gpu['driver']}"
    if "cuda" in found:
        shown["cuda"] = str(found["cuda"])
    if "python" in found:
        shown["python"] = f"{found.get('python_version', '')}  {found['python']}".strip()
    for name in ("packages", "variables"):
        if name in found:
            shown[name] = f"{len(found[name])}, in environment.json"
    _print_flat("environment", shown)


def _print_test(result: TestResult) -> None:
    sign = coloured(result.outcome.glyph, result.outcome.colour)
    print(f"      {sign} {result.id}  {duration(result.seconds)}")
    for line in result.message.splitlines()[:_MOST_LINES]:
        print(f"          {line}")


def _print_flat(title: str, values: Mapping[str, str]) -> None:
    if values:
        print(title)
        width = max(len(name) for name in values)
        for name, value in values.items():
            print(f"  {name:<{width}}  {value}".rstrip())
