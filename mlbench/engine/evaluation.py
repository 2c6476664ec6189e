"""Which stages evaluate a model, what they read beside it, and where that differs: pure.

The stages after a model's stage evaluate it. Their data and code are all that they read except the
model: the outs of its stage, its held-out rows apart, and what is made from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlbench.domain.expression import ExpressionError, names_in
from mlbench.domain.graph import Needs, in_order, overlaps, with_ancestors, with_descendants
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, StageRecord, data_read
from mlbench.domain.slices import DROP, parse_gate, slice_calls
from mlbench.domain.stages import ModelSpec, Project, Stage
from mlbench.release.gates import EXPORT_ROOT, OWN, PRODUCTION
from mlbench.release.leeway import LIVE_ROOTS, METRICS

# What an interpreter and its packages are is no part of the data and the code of an evaluation.
_OF_THE_MACHINE = (f"{ReasonKind.PYTHON.word}:", f"{ReasonKind.PACKAGE.word}:")
_OF_FILES = (f"{ReasonKind.FILE.word}:", f"{ReasonKind.CODE.word}:")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The stages that measure some metrics of a model anew, in the order in which they run.

    `measured` are the metrics that come from them, and the table to slice, `others` those that the
    model's stage or one before it gave; `own` are the paths that belong to the model or are made
    from it.
    """

    stages: tuple[Stage, ...]
    measured: frozenset[str]
    others: frozenset[str]
    own: tuple[str, ...]

    def reads(self, path: str, parts: Iterable[str]) -> bool:
        """Whether a file is among what its stages declare, or among these inputs of theirs."""
        named = {name.partition(":")[2] for name in parts if name.startswith(_OF_FILES)}
        deps = (dep for stage in self.stages for dep in stage.deps)
        return any(overlaps(path, name) for name in (*deps, *named) if not name.endswith("/"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stage read beside the model: hashes of files by path, and all else by its name.

    `others` are parameters, commands and variables; None where nobody knows them any more.
    """

    files: Mapping[str, str]
    others: Mapping[str, str] | None = None


def asked_of(model: ModelSpec, check: str) -> dict[str, frozenset[str]]:
    """What a gate names of each root, OWN for its run: metrics, and the table to slice.

    Nothing where it is no gate at all, which judging it says.
    """
    try:
        tree = parse_gate(check)
        calls = slice_calls(tree)
    except ExpressionError:
        return {}
    asked: dict[str, set[str]] = {}
    for name in names_in(tree):
        root, _, rest = name.partition(".")
        if root not in LIVE_ROOTS:
            asked.setdefault(OWN, set()).add(name.removeprefix(f"{METRICS}."))
        elif not rest.startswith(f"{EXPORT_ROOT}."):
            asked.setdefault(root, set()).add(rest)
    if calls and model.predictions is not None:
        asked.setdefault(OWN, set()).add(model.predictions)
        if any(call.function == DROP for call in calls):
            asked.setdefault(PRODUCTION, set()).add(model.predictions)
    return {root: frozenset(names) for root, names in asked.items()}


def evaluation_of(
    project: Project, model: ModelSpec, needs: Needs, run: Run, names: Iterable[str]
) -> Evaluation:
    """What measures these metrics and makes these files again, by what a run's stages gave."""
    after = with_descendants([model.stage], needs) - {model.stage}
    givers: dict[str, list[str]] = {}
    for stage, record in run.stages.items():
        for name in (*record.metrics, *record.outs):
            givers.setdefault(name, []).append(stage)
    wanted = {name: [giver for giver in givers.get(name, ()) if giver in after] for name in names}
    ends = {giver for found in wanted.values() for giver in found}
    between = with_ancestors(ends, needs) & after
    stages = tuple(project.stage(name) for name in in_order(needs) if name in between)
    makers = (project.stage(model.stage), *(project.stage(name) for name in after))
    own = tuple(path for stage in makers for path in stage.out_paths if path != model.sample)
    measured = frozenset(name for name, found in wanted.items() if found)
    others = frozenset(name for name in wanted if name in givers and name not in measured)
    return Evaluation(stages, measured, others, own)


def reading_of(parts: Mapping[str, str], own: Iterable[str]) -> Reading:
    """What is told by all the inputs of a stage, by kind and name."""
    kept = beside(parts, own)
    files = {
        name.partition(":")[2]: value for name, value in kept.items() if name.startswith(_OF_FILES)
    }
    others = {
        name: value
        for name, value in kept.items()
        if not name.startswith((*_OF_FILES, *_OF_THE_MACHINE))
    }
    return Reading(files, others)


def recorded_reading(record: StageRecord, own: Iterable[str]) -> Reading:
    """What is told by the record of a stage alone: its files."""
    own = tuple(own)
    return Reading(
        {
            path: value
            for path, value in record.inputs.items()
            if not any(overlaps(path, other) for other in own)
        }
    )


def beside(parts: Mapping[str, str], own: Iterable[str]) -> dict[str, str]:
    """The inputs of a stage without the model and what is made from it."""
    own = tuple(own)
    return {
        name: value
        for name, value in parts.items()
        if not name.startswith(_OF_FILES)
        or not any(overlaps(name.partition(":")[2], other) for other in own)
    }


def differing(one: Reading, other: Reading) -> list[str]:
    """What two readings differ in, by name; what only one of them knows of is passed over."""
    files = _keys_that_differ(one.files, other.files)
    if one.others is None or other.others is None:
        return files
    return files + _keys_that_differ(one.others, other.others)


def data_that_differs(model: ModelSpec, needs: Needs, one: Run, other: Run) -> list[str]:
    """The data, made by no stage, that the model's stage and those before it read otherwise.

    Nothing where the record of a run does not tell.
    """
    before = with_ancestors([model.stage], needs)
    first, second = data_read(one.stages, before), data_read(other.stages, before)
    return _keys_that_differ(first, second) if first and second else []


def _keys_that_differ(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
