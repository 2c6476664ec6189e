"""Which mounts are another machine's: the kernel tells nobody here of changes made over there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# By the names in /proc/filesystems; 9p is WSL's and many a virtual machine's, virtiofs and the
# next three are shared folders of a host, the rest cluster file systems.
_REMOTE = frozenset(
    (
        "nfs nfs4 cifs smb3 smbfs smb2 9p afs ncpfs ceph webdav afpfs osxfs fakeowner "
        "virtiofs vboxsf prl_fs vmhgfs "
        "lustre gpfs beegfs glusterfs gfs2 ocfs2 orangefs panfs"
    ).split()
)
# What FUSE serves may be changed behind it; these few are known to be this machine's own.
_LOCAL_FUSE = frozenset(
    "fuse.portal fuse.gvfsd-fuse fuse.ntfs-3g fuse.encfs fuse.gocryptfs fuse.mergerfs".split()
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
_MAC_LINE = re.compile(r"^.+? on (?P<point>/.*) \((?P<kind>[^,)]+)")


def is_remote(kind: str) -> bool:
    """Whether a file system of this kind may change without an event here."""
    return kind in _REMOTE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def kinds_in_mountinfo(text: str) -> dict[str, str]:
    """Mount points with their file systems, of proc(5)'s mountinfo; a later one hides others."""
    kinds = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) > 4 and rest[0]:
            kinds[_ESCAPE.sub(lambda code: chr(int(code[1], 8)), fields[4])] = rest[0]
    return kinds


def kinds_in_mount_output(text: str) -> dict[str, str]:
    """Mount points with their file systems, of what macOS's `mount` prints."""
    found = (_MAC_LINE.match(line) for line in text.splitlines())
    return {line["point"]: line["kind"] for line in found if line}


class Mounts:
    """The mounts of this machine, as they were at one moment."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """Take mount points with their file systems."""
        self._kinds = kinds
        self._any_remote = any(map(is_remote, kinds.values()))

    def remote_kind(self, path: str) -> str:
        """The file system that a real, absolute path lies on where it is remote, otherwise ''."""
        if not self._any_remote:
            return ""
        while path not in self._kinds and path != os.path.dirname(path):
            path = os.path.dirname(path)
        kind = self._kinds.get(path, "")
        return kind if is_remote(kind) else ""


def mounts_now() -> Mounts:
    """The machine's mounts; none where it does not say."""
    try:
        if sys.platform == "darwin":
            done = subprocess.run(["mount"], capture_output=True, text=True, timeout=5, check=False)
            return Mounts(kinds_in_mount_output(done.stdout))
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, subprocess.TimeoutExpired):
        return Mounts({})
    return Mounts(kinds_in_mountinfo(text))
