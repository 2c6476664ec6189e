"""Setting parameters in the params files of a snapshot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.spaces import leaves
from mlbench.project.params import name_on_disk, parse_params
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.project.toml_file import text_of
from mlbench.system.files import write_atomically


def set_params(root: Path, params: Mapping[str, Any]) -> None:
    """Set parameters below `root`, by their dotted keys, after their file and a colon if need be.

    A table sets what is in it, and leaves the rest of the one in the file. ProjectFileError for one
    that is not there, or whose file no stage of the snapshot reads.
    """
    by_file: dict[str, dict[str, Any]] = {}
    for name, given in params.items():
        for place, value in leaves(name, given):
            file, _, key = place.rpartition(":")
            by_file.setdefault(file or DEFAULT_PARAMS, {})[key] = value
    for file, values in by_file.items():
        name = name_on_disk(file, lambda name: (root / name).is_file())
        path = Path(os.path.realpath(root / name))
        if path.is_relative_to(os.path.realpath(root)) and path.is_file():
            _set_values(path, name, values)
        else:
            raise ProjectFileError("no stage that is to run reads it", file=name)


def _set_values(path: Path, name: str, values: Mapping[str, Any]) -> None:
    # Every run loads this file, and few set anything.
    from mlbench.project.assignments import revived
    from mlbench.project.edit_params import value_at, with_values

    data = path.read_bytes()
    tree = parse_params(name, text_of(lambda: data, name))
    text = data.decode()
    wanted = {key: revived(value_at(tree, key, name), value) for key, value in values.items()}
    edited = with_values(name, text, wanted)
    if edited != text:
        mode = path.stat().st_mode
        write_atomically(path, edited.encode())
        path.chmod(mode)
