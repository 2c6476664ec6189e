"""One environment while it is changed: what is staged, what is settled, whose turn it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.events import Event, Notice
from mlbench.domain.plain import from_plain
from mlbench.domain.release import Candidate, DeployedModel
from mlbench.domain.serving import Traffic
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.engine.change import changing, is_broken_off
from mlbench.engine.hands.settling import settle_environments
from mlbench.engine.releases import Releases
from mlbench.project.layout import Layout
from mlbench.release.ledger import LedgerDamagedError
from mlbench.serving.state import ServerState, read_deployment, write_state
from mlbench.system.files import read_json
from mlbench.system.locks import FileLock
from tests.release.conftest import Shelf, entry

STAGING = EnvironmentSpec("staging", 8101)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def versions(layout: Layout) -> tuple[Candidate, ...]:
    shelf = Shelf(layout.shared)
    return tuple(shelf.registry.register(shelf.keep(number)) for number in (1, 2))


def promoted(
    releases: Releases, layout: Layout, version: Candidate, *, breaks_off: str = ""
) -> None:
    """Promote a version, or be interrupted before the `append` to the ledger or after it."""
    with changing(layout, releases, STAGING) as change:
        change.stage(version)
        if breaks_off == "before":
            raise OSError("the disk is full")
        change.append(entry("promote", version.version or 0, digest=version.digest))
        if breaks_off == "after":
            raise OSError("the disk is full")
        change.settle()


def deployed(layout: Layout) -> tuple[list[int], list[int], int]:
    """The versions that are live and staged by the file, and its order."""
    found = read_deployment(layout.deployment("staging"))
    assert found is not None
    live, staged = ([one.version for one in some] for some in (found.models, found.staged))
    return live, staged, found.order


def test_what_is_staged_stays_while_others_write_and_goes_when_it_breaks_off(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    promoted(releases, layout, versions[0])
    with changing(layout, releases, STAGING) as change:
        change.stage(versions[1])
        assert deployed(layout)[:2] == ([1], [2])
        Releases(layout).write_deployment(STAGING)
        assert deployed(layout)[:2] == ([1], [2])
    assert deployed(layout)[:2] == ([1], [])
    assert not layout.change_mark("staging").exists()


def test_whatever_is_raised_before_the_append_leaves_it_as_it_was(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    promoted(releases, layout, versions[0])
    with pytest.raises(OSError, match="full"):
        promoted(releases, layout, versions[1], breaks_off="before")
    assert deployed(layout)[:2] == ([1], [])
    assert len(releases.ledger.entries()) == 1


def test_what_broke_off_after_the_append_is_settled_by_the_next(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    promoted(releases, layout, versions[0])
    with pytest.raises(OSError, match="full"):
        promoted(releases, layout, versions[1], breaks_off="after")
    assert deployed(layout)[:2] == ([1], [2])
    assert is_broken_off(layout, "staging")
    assert "staging is behind the ledger" in (releases.behind() or "")
    with changing(layout, releases, STAGING):
        assert deployed(layout)[:2] == ([2], [])
    assert not is_broken_off(layout, "staging")
    assert releases.behind() is None


def test_order_grows_also_where_the_file_was_lost(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    promoted(releases, layout, versions[0])
    first = deployed(layout)[2]
    assert releases.write_deployment(STAGING).order == first + 1
    write_state(layout.server_state("staging"), ServerState(1, 8101, 40, {}, "", 41))
    layout.deployment("staging").unlink()
    assert releases.write_deployment(STAGING).order == 42


def test_somebody_elses_turn_is_waited_for(
    layout: Layout, versions: tuple[Candidate, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench.engine.change._PATIENCE_SECONDS", 0.05)
    lock = FileLock(layout.change_lock("staging"))
    lock.acquire()
    try:
        with pytest.raises(Exception, match="staging is being changed by another process"):
            promoted(Releases(layout), layout, versions[0])
    finally:
        lock.release()
    assert not layout.ledger.exists()


def test_nothing_is_added_to_a_ledger_that_was_cut(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    for version in versions:
        promoted(releases, layout, version)
    lines = layout.ledger.read_bytes().splitlines(keepends=True)
    layout.ledger.write_bytes(lines[0])
    with pytest.raises(LedgerDamagedError, match=r"^\.mlbench/ledger.jsonl: entry 2 is missing"):
        promoted(releases, layout, versions[0])
    with pytest.raises(LedgerDamagedError, match="entry 2 is missing"):
        releases.write_deployment(STAGING)
    assert deployed(layout)[:2] == ([2], [])
    layout.ledger.write_bytes(b"".join(lines))
    promoted(releases, layout, versions[0])
    assert deployed(layout)[:2] == ([1], [])


def test_a_version_of_another_format_is_live_and_not_served(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    shelf = Shelf(layout.shared)
    candidate, scratch = shelf.exported(3, b"rules")
    file = replace(candidate, model="rules", signature=None, parity=None, format="file")
    version = shelf.registry.register(shelf.registry.keep(file, scratch))
    with changing(layout, releases, STAGING) as change:
        assert change.stage(version).staged == ()
        change.append(entry("promote", 1, model="rules", digest=version.digest))
        assert change.settle().models == ()
        standing = change.standing("rules")
        assert standing is not None
        assert standing.version == 1


def settled(layout: Layout, on_promote: str | None = None) -> list[str]:
    """What a loop that begins says of the environment."""
    told: list[Event] = []
    environment = replace(STAGING, on_promote=on_promote)
    project = Project("p", "python", 1, (), environments=(environment,))
    settle_environments(layout, project, told.append)
    return [event.message for event in told if isinstance(event, Notice)]


def test_who_comes_next_says_what_became_of_it(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    promoted(releases, layout, versions[0])
    assert settled(layout) == []
    layout.change_mark("staging").write_text("")
    assert settled(layout) == ["a change of staging broke off; what was live there stays"]
    with pytest.raises(OSError, match="full"):
        promoted(releases, layout, versions[1], breaks_off="after")
    assert settled(layout, "make deploy") == [
        "the promotion of digits v2 to staging broke off, but the ledger has it: it is live; "
        "on_promote may not have run, `mlbench promote digits@2 staging` runs it"
    ]
    assert deployed(layout)[:2] == ([2], [])
    assert settled(layout) == []
    withdrawal = entry("withdraw", 2, digest=versions[1].digest)
    with changing(layout, releases, STAGING) as change:
        change.append(replace(withdrawal, why="it is no model"))
    told = "digits v2 was withdrawn from staging, which can't serve it: it is no model"
    assert settled(layout, "make deploy") == [told]
    assert deployed(layout)[:2] == ([1], [])
    with changing(layout, releases, STAGING) as change:
        change.append(entry("canary", 2, digest=versions[1].digest))
    told = "the canary of digits v2 in staging broke off, but the ledger has it"
    assert settled(layout, "make deploy") == [told]
    found = read_deployment(layout.deployment("staging"))
    assert found is not None
    assert found.traffic == (Traffic("digits", canary=2, canary_entry=4),)


def test_servers_are_told_once_of_what_they_may_load(
    layout: Layout, versions: tuple[Candidate, ...]
) -> None:
    releases = Releases(layout)
    releases.write_deployment(STAGING)
    known = [from_plain(DeployedModel, one) for one in read_json(layout.available)]
    assert [(one.name, one.version, one.digest) for one in known] == [
        ("digits", 2, versions[1].digest),
        ("digits", 1, versions[0].digest),
    ]
    assert all(Path(one.path).is_file() for one in known)
    before = layout.available.stat()
    releases.write_deployment(STAGING)
    assert layout.available.stat().st_mtime_ns == before.st_mtime_ns
    layout.available.write_text('[{"torn')
    shelf = Shelf(layout.shared)
    shelf.registry.register(shelf.keep(3))
    releases.write_available()
    assert [one["version"] for one in read_json(layout.available)] == [3, 2, 1]
