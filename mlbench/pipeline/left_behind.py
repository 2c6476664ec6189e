"""The names of what tools and editors leave in any folder: never an input, never news."""

from __future__ import annotations

import functools

_TOOL_FOLDERS = frozenset(
    (
        ".git .hg .svn .mlbench .dvc .venv venv .tox .nox node_modules __pycache__ .mypy_cache "
        ".ruff_cache .pytest_cache .hypothesis .ipynb_checkpoints .idea .vscode .cache"
    ).split()
)
_PREFIXES = (".#", ".~", ".goutputstream-", "pytest-cache-files-")
_SUFFIXES = tuple("~ .swp .swx .swo .tmp .pyc .kate-swp ___jb_tmp___ ___jb_old___".split())


@functools.lru_cache(maxsize=1 << 14)
def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is what tools and editors leave in any folder."""
    return (
        name in _TOOL_FOLDERS
        or name.endswith(_SUFFIXES)
        or name.startswith(_PREFIXES)
        or (name.startswith("#") and name.endswith("#"))
    )
