"""Which file the edit key opens, at which line, and by which command: pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.outcomes import ReasonKind
from mlbench.tui.draw.reasons import main_reason
from mlbench.tui.situation import Situation

_PLACE = re.compile(r"^([\w./-]+\.\w+)(?::(\d+))?: ")
_TEXT = (".py", ".toml", ".yaml", ".yml", ".json", ".md", ".txt", ".sh", ".cfg", ".ipynb")
_TAKE_LINE = ("vi", "vim", "nvim", "nano", "emacs", "micro", "kak", "ne", "joe")
CONFIG = "mlbench.toml"
PARAMS = "params.toml"


def place_to_edit(situation: Situation, root: Path) -> tuple[Path, int | None]:
    """The file behind what is looked at: where a fault is, what moved, else the stage's script."""
    problem = situation.board.problem or situation.surroundings.problem
    match = _PLACE.match(problem)
    if match and (root / match.group(1)).is_file():
        return root / match.group(1), int(match.group(2)) if match.group(2) else None
    for name in [*_moved(situation), *_scripts(situation)]:
        path = root / name
        if path.suffix in _TEXT and path.is_file():
            return path, None
    return root / CONFIG, None


def editor_command(variables: Mapping[str, str], path: Path, line: int | None) -> list[str]:
    """$VISUAL or $EDITOR, else vi, on this file, at the line where the editor takes `+line`."""
    words = shlex.split(variables.get("VISUAL") or variables.get("EDITOR") or "") or ["vi"]
    at = [f"+{line}"] if line is not None and Path(words[0]).name in _TAKE_LINE else []
    return [*words, *at, str(path)]


def _moved(situation: Situation) -> list[str]:
    stage = situation.board.stage(situation.stage)
    if stage is None:
        return []
    main = main_reason(stage.reasons or stage.because)
    if main is None:
        return []
    if main.kind is ReasonKind.PARAM:
        return [PARAMS, "params.yaml"]
    return [main.what] if main.kind in (ReasonKind.CODE, ReasonKind.FILE) else []


def _scripts(situation: Situation) -> list[str]:
    project = situation.surroundings.project
    names = [stage.name for stage in project.stages] if project else []
    if project is None or situation.stage not in names:
        return []
    stage = project.stage(situation.stage or "")
    words = [word for command in stage.commands for word in command.split()]
    return [str(Path(stage.wdir) / word) for word in words]
