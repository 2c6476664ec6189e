"""Writing a trial's parameters into the params files, and showing before what that changes."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from mlbench.domain.errors import ProjectFileError, UsageError
from mlbench.domain.records import dataclass
from mlbench.domain.spaces import leaves
from mlbench.domain.sweeps import Study, Trial
from mlbench.project.assignments import revived
from mlbench.project.edit_params import value_at, with_values
from mlbench.project.layout import Layout
from mlbench.project.params import name_on_disk, parse_params
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.system.files import writable, write_atomically


@dataclass(frozen=True, slots=True)
class _Edit:
    """One params file as it is, and as it is to be."""

    name: str
    path: Path
    before: str
    after: str


def preview(layout: Layout, study: Study, trial: Trial) -> str:
    """What `apply` would change, as a unified diff; empty where the files say so already.

    UsageError where a parameter is not there any more, or can't be set.
    """
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for edit in _edits(layout, study, trial)
        for line in difflib.unified_diff(
            _lines(edit.before), _lines(edit.after), f"a/{edit.name}", f"b/{edit.name}"
        )
    )


def apply(layout: Layout, study: Study, trial: Trial) -> tuple[str, ...]:
    """Set a trial's parameters in the params files: all of them or none; gives whose text changed.

    Comments and layout stay, and so does what the trial has no value for, as a parameter whose
    condition did not hold. UsageError as with `preview`.
    """
    written: list[_Edit] = []
    edits = _edits(layout, study, trial)
    with writable(layout.root):
        try:
            for edit in edits:
                # First, for a replacement that fails after its rename has to be taken back, too.
                written.append(edit)
                _replace(edit.path, edit.after)
        except BaseException:
            for edit in written:
                if _text(edit.path) != edit.before:
                    _replace(edit.path, edit.before)
            raise
    return tuple(edit.name for edit in edits)


def _edits(layout: Layout, study: Study, trial: Trial) -> list[_Edit]:
    """One edit for each params file that is to change, in the order of the space."""
    by_file: dict[str, dict[str, object]] = {}
    order = [dimension.name for dimension in study.sweep.space]
    for place in dict.fromkeys((*order, *trial.params)):
        given = leaves(place, trial.params[place]) if place in trial.params else ()
        for name, value in given:
            file, _, key = name.rpartition(":")
            by_file.setdefault(file or DEFAULT_PARAMS, {})[key] = value
    try:
        edits = [_edit(layout.root, file, values) for file, values in by_file.items()]
    except ProjectFileError as error:
        raise UsageError(
            f"trial {trial.number} of {study.name} can't be applied, and nothing was changed: "
            f"{error}"
        ) from None
    return [edit for edit in edits if edit.after != edit.before]


def _edit(root: Path, file: str, values: dict[str, object]) -> _Edit:
    name = name_on_disk(file, lambda name: (root / name).is_file())
    path = Path(os.path.realpath(root / name))
    try:
        before = _text(path)
    except OSError as error:
        raise ProjectFileError(f"can't be read: {error.strerror}", file=name) from None
    except UnicodeDecodeError:
        raise ProjectFileError("is not UTF-8 text", file=name) from None
    tree = parse_params(name, before.replace("\r\n", "\n"))
    wanted = {}
    for key, value in values.items():
        present = value_at(tree, key, name)
        # What is the same stays as it is written: 1e-3 does not become 0.001.
        if repr(present) != repr(revived(present, value)):
            wanted[key] = revived(present, value)
    return _Edit(name, path, before, with_values(name, before, wanted))


def _lines(text: str) -> list[str]:
    """Lines with their ends; a form feed ends none."""
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [
        line for line in text.split("\n")[-1:] if line
    ]


def _text(path: Path) -> str:
    return path.read_bytes().decode()


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode
    write_atomically(path, text.encode())
    path.chmod(mode)
