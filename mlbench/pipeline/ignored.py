"""Which paths the watch never looks at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mlbench.domain.graph import overlaps

_TOOL_FOLDERS = frozenset(
    (
        ".git .hg .svn .mlbench .dvc .venv venv .tox .nox node_modules __pycache__ .mypy_cache "
        ".ruff_cache .pytest_cache .hypothesis .ipynb_checkpoints .idea .vscode .cache"
    ).split()
)
_PATTERN_FILES = (".gitignore", ".dvcignore", ".mlbenchignore")
_EDITOR_SUFFIXES = ("~", ".swp", ".swx", ".swo", ".tmp", ".pyc")


class Ignored:
    """The ignore files of a project's top folder, and the folders of the usual tools."""

    def __init__(self, root: Path, deps: Iterable[str]) -> None:
        """What a stage names as a dep is looked at, whatever git ignores."""
        from pathspec import GitIgnoreSpec

        self._root = root
        self._deps = tuple(deps)
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
        if not relative.parts or _TOOL_FOLDERS.intersection(relative.parts):
            return True
        if name.endswith(_EDITOR_SUFFIXES) or relative.name.startswith(".#"):
            return True
        if any(overlaps(name, dep) for dep in self._deps):
            return False
        return self._spec.match_file(name) or self._spec.match_file(f"{name}/")
