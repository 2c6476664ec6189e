"""Writing a first mlbench.toml from what a folder holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from mlbench.domain.errors import UsageError
from mlbench.project.layout import CONFIG_NAME

# The order in which these words of a script's name usually stand in a pipeline.
_KNOWN_STEPS = (
    "prepare",
    "preprocess",
    "clean",
    "featurize",
    "features",
    "train",
    "fit",
    "evaluate",
    "eval",
)
# "2_clean.py": what else it is called must do as the name of a stage and in a command.
_NUMBERED = re.compile(r"([0-9]{1,9})[A-Za-z0-9_.@-]*\.py")
_PARAMS = ("params.toml", "params.yaml", "params.json")
_DOCUMENTATION = "README.md, section mlbench.toml, lists every key"


def write_config(root: Path) -> tuple[Path, list[str]]:
    """Write a configuration with a stage for each script found; gives its path and the stages.

    UsageError where there is a configuration already.
    """
    path = root / CONFIG_NAME
    if path.exists():
        raise UsageError(f"{CONFIG_NAME}: is there already; it was left as it is")
    scripts = find_scripts(root)
    has_tests = (root / "tests").is_dir() or any(root.glob("test_*.py"))
    text, stages = render(root.name, scripts, has_tests, _params_file(root))
    path.write_text(text, encoding="utf-8")
    return path, stages


def find_scripts(root: Path) -> list[str]:
    """The scripts of a folder that look like steps of a pipeline, in their usual order."""
    found = {path.stem.lower(): path.name for path in sorted(root.glob("*.py"))}
    ordered = [found[step] for step in _KNOWN_STEPS if step in found]
    numbers = {name: match for name in found.values() if (match := _NUMBERED.fullmatch(name))}
    return ordered or sorted(numbers, key=lambda name: (int(numbers[name].group(1)), name))


def render(
    name: str, scripts: Iterable[str], has_tests: bool, params: str | None
) -> tuple[str, list[str]]:
    """The text of a configuration and the names of its stages; pure."""
    lines = [f"# {_DOCUMENTATION}.", "[project]", f"name = {_toml_text(name)}", ""]
    stages = []
    for script in scripts:
        stage = Path(script).stem
        stages.append(stage)
        lines += [
            f"[stages.{json.dumps(stage) if not stage.isidentifier() else stage}]",
            f'cmd = "python {script}"',
            "deps = []     # files and folders that it reads; code that it imports is found",
            "outs = []     # files and folders that it writes",
        ]
        if params:
            lines.append(
                "params = []   # keys of " + params + ' that it uses, such as "train.alpha"'
            )
        lines.append("")
    if has_tests:
        stages.append("tests")
        lines += ["[stages.tests]", 'kind = "test"', 'cmd = "python -m pytest -q"', "deps = []", ""]
    if not stages:
        lines += ["# [stages.train]", '# cmd = "python train.py"', '# outs = ["model.joblib"]', ""]
    return "\n".join(lines), stages


def _toml_text(text: str) -> str:
    """A TOML string, which is JSON's but for surrogates and the one control sign it lets pass."""
    readable = text.encode("utf-8", "replace").decode()
    return json.dumps(readable, ensure_ascii=False).replace("\x7f", "\\u007F")


def _params_file(root: Path) -> str | None:
    return next((name for name in _PARAMS if (root / name).is_file()), None)
