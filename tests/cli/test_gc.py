"""`mlbench gc`: what it prints, and what it leaves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from mlbench.system.content import ContentStore, hash_file
from tests.support import SmallProject


def junk(root: Path) -> Path:
    path = root / "junk"
    path.write_bytes(b"x" * 4000)
    store, digest = ContentStore(root / ".mlbench" / "cache"), hash_file(path)
    store.put(path, digest)
    long_ago = time.time() - 1e6
    os.utime(store.path_of(digest), (long_ago, long_ago))
    return store.path_of(digest)


def test_it_says_what_it_freed_and_what_it_kept_because_of_what(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    unneeded = junk(small.root)
    said = small.cli("gc", "--size", "0", "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "would free 4.0 KB" in said.stdout
    assert unneeded.exists()
    done = small.cli("gc", "--size", "0")
    assert "freed 4.0 KB: 1 objects of the cache" in done.stdout
    assert "stays for runs that passed in the last 14 days" in done.stdout
    assert "over its limit still" in done.stderr
    assert not unneeded.exists()


def test_json_is_one_document_in_bytes(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    junk(small.root)
    small.write(
        "mlbench.toml", small.read("mlbench.toml").replace("jobs = 2", 'jobs = 2\ncache = "1KB"')
    )
    found = json.loads(small.cli("gc", "--json").stdout)
    assert (found["freed"], found["objects"], found["limit"]) == (4000, 1, 1000)
    assert found["size"] == sum(found["kept"].values()) < 1000
    assert json.loads(small.cli("gc", "--json").stdout)["freed"] == 0


def test_a_size_that_is_none_ends_with_status_2(small: SmallProject) -> None:
    done = small.cli("gc", "--size", "big")
    assert done.returncode == 2
    assert '--size: "big" is no size' in done.stderr
