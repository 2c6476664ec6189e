"""What a project's interpreter is and has: its version, and the packages that it finds."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.records import dataclass
from mlbench.system.files import read_json, write_json

METADATA = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+?)(?:-py[\d.]+)?\.(?:dist|egg)-info$")
"""A distribution's metadata folder or file in site-packages."""

_ASK = (
    "import json, sys; "
    "print(json.dumps([sys.version.split()[0], sys.implementation.name, sys.path]))"
)
_ASK_SECONDS = 30
_SITES = ("/site-packages", "/dist-packages")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python's version (`3.11.7`), its implementation, and where it looks for packages."""

    version: str
    implementation: str
    sites: tuple[str, ...]


UNKNOWN = Interpreter("", "", ())


def interpreter_of(python: str, memory: Path) -> Interpreter:
    """What the interpreter says of itself; UNKNOWN where it can't be asked.

    It is asked once: `memory` is the file that keeps its answer until the binary changes.
    """
    if _is_ours(python):
        own = sys.version.split()[0], sys.implementation.name, sys.path
        return _told(*own)
    key = _key(python)
    known = read_json(memory)
    try:
        if known["key"] == key:
            return from_plain(Interpreter, known["interpreter"])
    except (TypeError, KeyError, ValueError):
        pass
    asked = _ask(python)
    if asked is not UNKNOWN:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"key": key, "interpreter": to_plain(asked)})
    return asked


def installed_in(site: str) -> dict[str, str]:
    """The packages of one site-packages folder by normalised name, with their versions.

    What did not come from an index has its place too: `0.1 (file:///home/ada/tools @ 4f3a1c…)`.
    """
    try:
        names = sorted(os.listdir(site))
    except OSError:
        return {}
    found = {}
    for name in names:
        match = METADATA.fullmatch(name)
        if match is not None:
            source = _source(f"{site}/{name}/direct_url.json")
            version = f"{match['version']} ({source})" if source else match["version"]
            found[normalised(match["name"])] = version
    return found


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_credentials(text: str) -> str:
    """The text with `***@` for what stands before the host in a URL."""
    return _CREDENTIALS.sub("***@", text)


def _is_ours(python: str) -> bool:
    """Whether it is the interpreter that runs this: of the same environment and binary."""
    here = os.path.dirname(os.path.dirname(python)) == sys.prefix
    return here and os.path.realpath(python) == os.path.realpath(sys.executable)


def _key(python: str) -> list[Any]:
    key: list[Any] = [python]
    environment = os.path.dirname(os.path.dirname(python))
    for path in (os.path.realpath(python), f"{environment}/pyvenv.cfg"):
        try:
            stat = os.stat(path)
        except OSError:
            key.append(None)
        else:
            key.append([path, stat.st_size, stat.st_mtime_ns, stat.st_ino])
    return key


def _ask(python: str) -> Interpreter:
    # Late: a project's interpreter is mostly known, and who only looks at the tree asks none.
    import subprocess

    try:
        done = subprocess.run(
            [python, "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=True,
        )
        return _told(*json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, IndexError):
        return UNKNOWN


def _told(version: str, implementation: str, path: list[str]) -> Interpreter:
    sites = dict.fromkeys(entry.rstrip("/") for entry in path)
    return Interpreter(
        version, implementation, tuple(each for each in sites if each.endswith(_SITES))
    )


def _source(file: str) -> str:
    """Where pip says that a package came from, by PEP 610; nothing for one from an index."""
    try:
        with open(file, "rb") as opened:
            told = json.load(opened)
        url = without_credentials(str(told["url"]))
        commit = told.get("vcs_info", {}).get("commit_id", "")
        is_folder = url.startswith("file://") and "dir_info" in told
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ""
    commit = commit or (_commit_of(url.removeprefix("file://")) if is_folder else "")
    return f"{url} @ {commit}" if commit else url


def _commit_of(folder: str) -> str:
    """The commit that a folder's repository is at, by git's own files; nothing where not."""
    for above in (Path(folder), *Path(folder).parents):
        if (above / ".git").is_dir():
            return _head_of(above / ".git")
    return ""


def _head_of(git: Path) -> str:
    """The commit of HEAD; nothing where git keeps it in a way that only git itself reads."""
    head = _text(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    return _text(git / name) or next(_packed(_text(git / "packed-refs"), name), "")


def _packed(refs: str, name: str) -> Iterator[str]:
    for line in refs.splitlines():
        commit, _, its_name = line.partition(" ")
        if its_name == name:
            yield commit


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
