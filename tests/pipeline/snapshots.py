"""A small project for tests of snapshots, and what lies in one."""

from __future__ import annotations

import sys
from pathlib import Path

from mlbench.domain.stages import Out, ParamKeys, Project, Stage

PREPARE = Stage("prepare", ("true",), deps=("data/raw.csv",), outs=(Out("build/clean.csv"),))
TRAIN = Stage(
    "train",
    ("true",),
    deps=("build/clean.csv",),
    params=(ParamKeys("params.toml", ("rate",)),),
    outs=(Out("build/model.bin"),),
)
PROJECT = Project("p", sys.executable, 1, (PREPARE, TRAIN))
FILES = {
    ".gitignore": "build/\ndata/\nparams.toml\nscratch.txt\n",
    "mlbench.toml": "",
    "params.toml": "rate = 1\n",
    "train.py": "x = 1\n",
    "pkg/deep/rule.py": "y = 1\n",
    "notes.txt": "untracked, yet nobody ignores it\n",
    "data/raw.csv": "1,2\n",
    "data/other.csv": "3,4\n",
    "build/clean.csv": "1\n",
    "build/model.bin": "model\n",
    "scratch.txt": "ignored\n",
    "__pycache__/train.cpython-311.pyc": "compiled\n",
}
OWN = {".gitignore", "mlbench.toml", "train.py", "pkg/deep/rule.py", "notes.txt"}


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names_in(folder: Path) -> set[str]:
    """Every file and link below a folder, mlbench's own apart."""
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    return {name for name in found if not name.startswith(".mlbench/")}


def fill(root: Path) -> Path:
    """Write the project; gives its folder as mlbench names it."""
    for name, text in FILES.items():
        write(root, name, text)
    return root.resolve()
