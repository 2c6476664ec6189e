"""Where the kernel runs out of something: no change is lost, and the user is told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbench.pipeline.watching.ignored import Ignored, Rules
from tests.pipeline.watched import BOUND_SECONDS, Watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")

REPOSITORY = Path(__file__).parents[2]


class Gate:
    """Rules that keep the reader waiting at one name, as a machine without time for it does."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.is_at_gate = threading.Event()
        self.is_open = threading.Event()

    def ignores(self, name: str, is_folder: bool) -> bool:
        if name == "gate":
            self.is_at_gate.set()
            assert self.is_open.wait(BOUND_SECONDS)
        return self.rules.ignores(name, is_folder)

    def inside(self, name: str, is_new: bool = False) -> Rules:
        return self.rules.inside(name, is_new)

    def follows(self, name: str) -> bool:
        return self.rules.follows(name)


class GatedIgnored(Ignored):
    """Ignored, behind a gate that stays when the ignore files are read again."""

    gate: Gate | None = None

    @property
    def top(self) -> Rules:
        assert self.gate is not None
        return self.gate

    @top.setter
    def top(self, rules: Rules) -> None:
        self.gate = self.gate or Gate(rules)
        self.gate.rules = rules


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "model.py").write_text("x = 1\n")
    return root


def test_lost_events_are_told_as_everything_and_what_came_meanwhile_is_watched(root: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    ignored = GatedIgnored(root, ())
    watched = Watched(root, ignored=ignored)
    gate = ignored.gate
    assert gate is not None
    (root / "gate").touch()
    assert gate.is_at_gate.wait(BOUND_SECONDS)
    with (root / "src" / "one").open("wb", 0) as one, (root / "two").open("wb", 0) as two:
        for _ in range(limit // 2 + 10):
            # In turn, for the kernel drops repeats of one event.
            one.write(b"x")
            two.write(b"x")
    (root / "late" / "deep").mkdir(parents=True)
    (root / "src" / "model.py").rename(root / "src" / "renamed.py")
    gate.is_open.set()
    watched.until_everything()
    watched.write_until_told("late/deep/a.py")
    watched.write_until_told("src/renamed.py")
    watched.watch.stop()


SCRIPT = """
import json, pathlib, queue, sys
from mlbench.pipeline.watching.ignored import Ignored
from mlbench.pipeline.watching.watch import Watch

root, folders = pathlib.Path(sys.argv[1]), int(sys.argv[2])
calls, notices = queue.Queue(), queue.Queue()
watch = Watch(root, Ignored(root, ()), calls.put, notices.put)
watch.start()
said = {"at_start": watch.detail, "everything": False}
for number in range(folders):
    (root / f"folder{number}" / "deep").mkdir(parents=True)
if folders:
    said["notice"] = notices.get(timeout=30)
    while calls.get(timeout=30):
        pass
    said["everything"] = True
name = f"folder{folders - 1}/deep/a.py" if folders else "src/model.py"
(root / name).write_text("x = 2")
while name not in calls.get(timeout=30):
    pass
said["told"] = name
watch.stop()
print(json.dumps(said))
"""

Limited = Callable[[str, int, int], dict[str, Any]]


@pytest.fixture
def limited(root: Path) -> Limited:
    """Runs the script in a user namespace, whose limits are its own; skips where none is given."""

    def run(limit: str, allowed: int, folders: int) -> dict[str, Any]:
        set_limit = f"echo {allowed} > /proc/sys/user/{limit} || exit 77"
        done = subprocess.run(
            [
                *("unshare", "--user", "--map-root-user", "sh", "-c"),
                *(f'{set_limit}; exec "$@"', "sh", sys.executable, "-c", SCRIPT),
                *(str(root), str(folders)),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 77 or "unshare" in done.stderr:
            pytest.skip(f"no user namespaces here: {done.stderr}")
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    return run


@pytest.mark.parametrize(
    ("limit", "allowed", "cure"),
    [
        ("max_inotify_watches", 1, "max_user_watches"),
        ("max_inotify_instances", 0, "max_user_instances"),
    ],
)
def test_without_a_watch_at_start_it_polls_and_says_so(
    limited: Limited, limit: str, allowed: int, cure: str
) -> None:
    said = limited(limit, allowed, 0)
    assert said["at_start"].startswith("polling once a second: ")
    assert cure in said["at_start"]
    assert said["told"] == "src/model.py"


def test_when_watches_run_out_later_it_goes_over_to_polling_and_loses_nothing(
    limited: Limited,
) -> None:
    said = limited("max_inotify_watches", 6, 20)
    assert said["at_start"] == ""
    assert "max_user_watches" in said["notice"]
    assert said["everything"]
    assert said["told"] == "folder19/deep/a.py"
