"""Which paths the watch never looks at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mlbench.domain.graph import overlaps
from mlbench.project.layout import CONFIG_NAME, LOCAL_CONFIG_NAME

_TOOL_FOLDERS = frozenset(
    (
        ".git .hg .svn .mlbench .dvc .venv venv .tox .nox node_modules __pycache__ .mypy_cache "
        ".ruff_cache .pytest_cache .hypothesis .ipynb_checkpoints .idea .vscode .cache"
    ).split()
)
_PATTERN_FILES = (".gitignore", ".dvcignore", ".mlbenchignore")
_EDITOR_SUFFIXES = ("~", ".swp", ".swx", ".swo", ".tmp", ".pyc")


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is what tools and editors leave in any folder."""
    return name in _TOOL_FOLDERS or name.endswith(_EDITOR_SUFFIXES) or name.startswith(".#")


class Ignored:
    """The ignore files of a project's top folder, and the folders of the usual tools."""

    def __init__(self, root: Path, deps: Iterable[str]) -> None:
        """What a stage names as a dep is looked at, whatever git ignores."""
        from pathspec import GitIgnoreSpec

        self._root = root
        # The configuration of one machine is ignored by git as a rule, and matters all the same.
        self._deps = (*deps, CONFIG_NAME, LOCAL_CONFIG_NAME)
        lines: list[str] = []
        for name in _PATTERN_FILES:
            path = root / name
            if path.is_file():
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
        self._spec = GitIgnoreSpec.from_lines(lines)

    def __call__(self, path: Path) -> bool:
        """Whether a change of this path is nobody's business."""
        try:
            relative = path.relative_to(self._root)
        except ValueError:
            return True
        name = relative.as_posix()
        if not relative.parts or any(is_left_behind(part) for part in relative.parts):
            return True
        if any(overlaps(name, dep) for dep in self._deps):
            return False
        return self._spec.match_file(name) or self._spec.match_file(f"{name}/")
