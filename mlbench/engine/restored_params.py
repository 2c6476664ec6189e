"""Which parameters a run had otherwise than the params files have now, and setting them back."""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Scalar
from mlbench.domain.stages import Project
from mlbench.inside.secrets import HIDDEN, is_secret
from mlbench.pipeline.fingerprint import param_value, part_name
from mlbench.project.assignments import revived
from mlbench.project.edit_params import with_values
from mlbench.project.params import flatten, name_on_disk, parse_params
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.project.toml_file import read_text
from mlbench.system.files import write_atomically

_PARAM = part_name(ReasonKind.PARAM, "")


@dataclass(frozen=True, slots=True)
class ParamChange:
    """One parameter of a params file, as it is and as the run had it."""

    file: str
    key: str
    before: Any
    after: Any

    @property
    def shown(self) -> tuple[str, str]:
        """Both values for people, hidden where the name says that they are secret."""
        return _shown(self.key, self.before), _shown(self.key, self.after)


@dataclass(frozen=True, slots=True)
class ParamChanges:
    """What to set, and one sentence for each parameter that can't be set back."""

    changes: tuple[ParamChange, ...] = ()
    notes: tuple[str, ...] = ()


def changes_in(
    root: Path,
    project: Project,
    parts: Iterable[Mapping[str, str]],
    recorded: Mapping[str, Scalar],
) -> ParamChanges:
    """How the project's params files differ from a run's.

    `parts` are the inputs of its stages as their traces have them, with each value exactly;
    `recorded` are all its parameters, flat, of whichever file. ProjectFileError for a file that
    can't be read.
    """
    names = {
        wanted.file: name_on_disk(wanted.file, lambda name: (root / name).exists())
        for stage in project.stages
        for wanted in stage.params
    }
    files = {
        name: flatten(parse_params(name, read_text(root / name, name)))
        for name in names.values()
        if (root / name).exists()
    }
    traced: dict[str, dict[str, str]] = {}
    for part, value in (item for of in parts for item in of.items()):
        if part.startswith(_PARAM):
            file, _, key = part.removeprefix(_PARAM).rpartition(":")
            traced.setdefault(names.get(file or DEFAULT_PARAMS, file), {})[key] = value
    return compared(files, traced, recorded)


def compared(
    files: Mapping[str, Mapping[str, Any]],
    traced: Mapping[str, Mapping[str, str]],
    recorded: Mapping[str, Scalar],
) -> ParamChanges:
    """The differences between flat params files and what a run had of each; pure."""
    changes: list[ParamChange] = []
    notes: list[str] = []
    for file, values in traced.items():
        for key, text in values.items():
            if key not in files.get(file, {}):
                notes.append(f"{file}: {key} is not there any more; it was {_shown(key, text)}")
                continue
            now = files[file][key]
            if param_value(key, now) == text:
                continue
            if is_secret(key):
                notes.append(f"{file}: {key} was another; it is not on record, so set it by hand")
            else:
                changes.append(ParamChange(file, key, now, revived(now, json.loads(text))))
    in_files = Counter(key for values in files.values() for key in values)
    for file, values in files.items():
        for key, now in values.items():
            # The record does not tell the files apart.
            if key in recorded and key not in traced.get(file, {}) and in_files[key] == 1:
                after, is_known = _as_recorded(now, recorded[key])
                if not is_known:
                    was = _shown(key, recorded[key])
                    notes.append(f"{file}: {key} was {was}; set it by hand")
                elif repr(after) != repr(now):
                    changes.append(ParamChange(file, key, now, after))
    return ParamChanges(tuple(changes), tuple(notes))


def set_back(root: Path, changes: Iterable[ParamChange]) -> None:
    """Write the values into their files, with comments and layout kept.

    ProjectFileError where a file has no word for a value, with nothing written.
    """
    by_file: dict[str, dict[str, Any]] = {}
    for change in changes:
        by_file.setdefault(change.file, {})[change.key] = change.after
    edited: dict[Path, str] = {}
    for name, values in by_file.items():
        path = Path(os.path.realpath(root / name))
        edited[path] = with_values(name, path.read_bytes().decode(), values)
    for path, text in edited.items():
        mode = path.stat().st_mode
        write_atomically(path, text.encode())
        path.chmod(mode)


def _shown(key: str, value: Any) -> str:
    return HIDDEN if is_secret(key) else str(value)


def _as_recorded(now: Any, recorded: Scalar) -> tuple[Any, bool]:
    """The value that a record stands for, and whether it tells: what is no scalar it has as text.

    Secrets are not in it.
    """
    if isinstance(now, (str, int, float, bool)) or now is None:
        is_hidden = isinstance(recorded, str) and HIDDEN in recorded
        return (now, True) if is_hidden else (recorded, True)
    if str(now) == str(recorded):
        return now, True
    try:
        value = ast.literal_eval(str(recorded))
    except (ValueError, SyntaxError, RecursionError):
        return None, False
    return value, type(value) is type(now)
