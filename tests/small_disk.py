"""A small file system in memory, which goes whatever becomes of the tests."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Waits for the end of its input, which comes also when the tests are killed. Lazily: a failed test
# may still have files open.
_KEEPER = 'trap "" INT TERM HUP; read line; umount -l "$1"; rmdir "$1"'


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """An empty disk of a size such as 512k; skips the test where none may be mounted.

    It lies outside of pytest's own folder, which nobody could remove while it is there.
    """
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    keep = ["sh", "-c", _KEEPER, "sh", str(folder)]
    with subprocess.Popen(keep, stdin=subprocess.PIPE, start_new_session=True, text=True) as keeper:
        try:
            with contextlib.suppress(FileNotFoundError):
                if not subprocess.run(mount, capture_output=True, check=False).returncode:
                    yield folder
                    return
            pytest.skip("no file system may be mounted here")
        finally:
            keeper.communicate("end\n")
