"""The versions of the packages that a stage was seen to import."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from mlbench.pipeline.digests import is_racy
from mlbench.pipeline.tree import DiskTree, Stat
from mlbench.project.installed import METADATA, normalised
from mlbench.system.content import hash_bytes

_SITE = re.compile(r"(.*/(?:site|dist)-packages)/")
_RECORDED_TOP = re.compile(rb"^([^/,\r\n]+)", re.MULTILINE)
_SHORT = 8


class Packages:
    """Names packages by `distribution@site folder`, and tells their versions.

    A version is the one in the name of the distribution's metadata folder, which is new whenever
    a package is installed. Where it did not come from an index (a wheel, a folder, a repository),
    and the same version may so hold something else, a hash of the files in its RECORD follows.
    What no distribution owns is named `file@site folder` and counts by a hash of that file: for a
    package that was copied there, of its `__init__` alone. Edits of an installed file aren't seen.
    """

    def __init__(self) -> None:
        """Nothing is looked at yet."""
        self._stat = DiskTree().stat
        self._sites: dict[str, _Site] = {}

    def seen(self, files: Iterable[str]) -> dict[str, str]:
        """The version of each package that files in site-packages belong to, by its key."""
        found = {}
        for file in sorted(files):
            match = _SITE.match(file)
            if match is not None:
                site = self._site(match[1])
                name = site.owner(file[match.end() :]) or file[match.end() :]
                version = site.version(name)
                if version is not None:
                    found[f"{name}@{match[1]}"] = version
        return found

    def version(self, key: str) -> str | None:
        """The version now of a package that was seen; None where it is gone."""
        name, _, folder = key.partition("@/")
        return self._site(f"/{folder}").version(name)

    def _site(self, folder: str) -> _Site:
        begun, stat = time.time_ns(), self._stat(Path(folder))
        known = self._sites.get(folder)
        if known is None or known.stat != stat:
            known = _Site(folder, stat)
            if stat is not None and not is_racy(stat, begun):
                self._sites[folder] = known
        return known


class _Site:
    """One site-packages folder as it was at one moment."""

    def __init__(self, folder: str, stat: Stat | None) -> None:
        self.stat = stat
        self._folder = folder
        self._metadata: dict[str, list[str]] = {}
        self._versions: dict[str, str] = {}
        self._owners: dict[str, str | None] = {}
        self._tops: dict[str, list[str]] | None = None
        for name in sorted(os.listdir(folder)) if stat is not None else ():
            match = METADATA.fullmatch(name)
            if match is not None:
                self._metadata.setdefault(normalised(match["name"]), []).append(name)

    def owner(self, file: str) -> str | None:
        """The distribution that has installed a file, None where none says so."""
        if file not in self._owners:
            self._owners[file] = self._find_owner(file)
        return self._owners[file]

    def _find_owner(self, file: str) -> str | None:
        top = file.partition("/")[0]
        guess = normalised(top.partition(".")[0])
        if any(self._has(name, file) for name in self._metadata.get(guess, ())):
            return guess
        for name in self._by_top().get(top, ()):
            if self._has(name, file):
                return _distribution(name)
        return None

    def version(self, name: str) -> str | None:
        """The version of a distribution, or of a file that none has installed."""
        if "." in name:  # no normalised name has one, and every file of Python does
            return self._file_version(name)
        if name not in self._versions and name in self._metadata:
            self._versions[name] = ", ".join(map(self._version_of, self._metadata[name]))
        return self._versions.get(name)

    def _version_of(self, metadata: str) -> str:
        match = METADATA.fullmatch(metadata)
        version = match["version"] if match is not None else ""
        if not os.path.exists(f"{self._folder}/{metadata}/direct_url.json"):
            return version
        # What pip notes about the installing itself, in the metadata folder, is no content.
        lines = self._read(f"{metadata}/RECORD").splitlines()
        content = [line for line in lines if not line.startswith(metadata.encode() + b"/")]
        return f"{version} ({hash_bytes(b''.join(sorted(content)))[:_SHORT]})"

    def _file_version(self, file: str) -> str | None:
        if not os.path.isfile(f"{self._folder}/{file}"):
            return None
        return hash_bytes(self._read(file))[:_SHORT]

    def _has(self, metadata: str, file: str) -> bool:
        record = self._read(f"{metadata}/RECORD")
        if record:
            return f"\n{file},".encode() in b"\n" + record
        return file.partition("/")[0].partition(".")[0].encode() in self._listed_tops(metadata)

    def _by_top(self) -> dict[str, list[str]]:
        """The metadata folders that have something in each top folder or module."""
        if self._tops is None:
            self._tops = {}
            for metadata in (name for names in self._metadata.values() for name in names):
                record = self._read(f"{metadata}/RECORD")
                tops = set(_RECORDED_TOP.findall(record)) or self._listed_tops(metadata)
                for top in tops:
                    self._tops.setdefault(os.fsdecode(top), []).append(metadata)
        return self._tops

    def _listed_tops(self, metadata: str) -> set[bytes]:
        """What setuptools and Debian write where there is no RECORD."""
        listed = set(self._read(f"{metadata}/top_level.txt").split())
        return listed | {top + b".py" for top in listed}

    def _read(self, name: str) -> bytes:
        try:
            with open(f"{self._folder}/{name}", "rb") as file:
                return file.read()
        except OSError:
            return b""


def _distribution(metadata: str) -> str:
    match = METADATA.fullmatch(metadata)
    return normalised(match["name"]) if match is not None else metadata
