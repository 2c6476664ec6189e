"""The sample project that ships with mlbench, and copies of it to try things on."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from mlbench.domain.errors import UsageError
from mlbench.project.git import initialise
from mlbench.project.layout import LOCAL_CONFIG_NAME
from mlbench.project.toml_file import TomlFile

_PACKAGE = Path(__file__).parents[1]
_LEFT_OUT = shutil.ignore_patterns("build", ".mlbench", "__pycache__", ".*_cache")


def shipped(name: str) -> Path:
    """A folder that ships with mlbench: inside an installed package, beside it in a checkout."""
    inside = _PACKAGE / "_shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def copy_sample(target: Path) -> Path:
    """Copy the sample to a new folder, with a first commit; UsageError where something is there."""
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target}: is no folder; name one that does not exist yet")
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target}: is not empty; name a folder that does not exist yet")
    shutil.copytree(shipped("sample_project"), target, ignore=_LEFT_OUT, dirs_exist_ok=True)
    initialise(target, "The sample project of mlbench")
    _avoid_taken_ports(target)
    return target


def is_free(port: int) -> bool:
    """Whether nothing listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _avoid_taken_ports(target: Path) -> None:
    """Give environments whose port is taken another one, in the file for this machine alone."""
    environments = TomlFile.read(target / "mlbench.toml").value["environments"]
    taken = [name for name, table in environments.items() if not is_free(table["port"])]
    if taken:
        lines = [f"[environments.{name}]\nport = {_free_port()}\n" for name in taken]
        (target / LOCAL_CONFIG_NAME).write_text("\n".join(lines), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
