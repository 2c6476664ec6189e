"""Which file systems are another machine's, read from what the system prints."""

from __future__ import annotations

import sys

import pytest

from mlbench.pipeline.watching.mounts import (
    Mounts,
    is_remote,
    kinds_in_mount_output,
    kinds_in_mountinfo,
    mounts_now,
)

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 0:50 / /home/me/lab\\040data rw,relatime shared:9 master:2 - nfs4 server:/export rw,vers=4.2
41 40 0:51 / /home/me/lab\\040data/scratch rw - tmpfs tmpfs rw
42 27 0:52 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync
43 27 0:53 / /home/me/remote rw,nosuid - fuse.sshfs me@host: rw,user_id=1000
44 27 0:54 / /media/stick rw - fuseblk /dev/sdb1 rw
a line that is torn
"""
MAC = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//me@nas/share on /Volumes/my share (smbfs, nodev, nosuid, mounted by me)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", ""),
        ("/home/me/project", ""),
        ("/home/me/lab data", "nfs4"),
        ("/home/me/lab data/deep/down", "nfs4"),
        ("/home/me/lab database", ""),
        ("/home/me/lab data/scratch/x", ""),
        ("/mnt/c/Users/me", "9p"),
        ("/home/me/remote/x", "fuse.sshfs"),
        ("/media/stick/x", ""),
    ],
)
def test_a_path_lies_on_the_nearest_mount_above_it(path: str, kind: str) -> None:
    assert Mounts(kinds_in_mountinfo(MOUNTINFO)).remote_kind(path) == kind


def test_what_is_mounted_over_another_counts() -> None:
    over = MOUNTINFO + "50 40 0:60 / /home/me/lab\\040data rw - ext4 /dev/sdc rw\n"
    assert Mounts(kinds_in_mountinfo(over)).remote_kind("/home/me/lab data/x") == ""


@pytest.mark.parametrize(
    ("path", "kind"), [("/Users/me", ""), ("/Volumes/my share/project", "smbfs")]
)
def test_macos_prints_them_in_its_own_way(path: str, kind: str) -> None:
    assert Mounts(kinds_in_mount_output(MAC)).remote_kind(path) == kind


@pytest.mark.parametrize("kind", "nfs nfs4 cifs smb3 9p virtiofs vboxsf fuse.rclone".split())
def test_shares_of_other_machines_are_remote(kind: str) -> None:
    assert is_remote(kind)


@pytest.mark.parametrize("kind", "ext4 btrfs xfs zfs tmpfs overlay fuseblk apfs".split())
def test_disks_of_this_machine_are_not(kind: str) -> None:
    assert not is_remote(kind)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_says_where_proc_is_and_that_it_is_no_other_machines() -> None:
    assert mounts_now().remote_kind("/proc") == ""
