"""Which candidate goes where, whether it may, and what an environment then serves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import GateRefusedError, MlbenchError, UsageError
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.stages import EnvironmentSpec
from mlbench.release.promotion import (
    choose,
    deployed_model,
    deployment_of,
    objections,
    previous_version,
)
from tests.release.conftest import PASSED, SIGNATURE, entry, made, versioned

STAGING = EnvironmentSpec("staging", 8101)
PRODUCTION = EnvironmentSpec("production", 8100, require=("staging",))
MISSED = GateResult(
    "accuracy >= 0.95", "digits", "error", False, 0.912, 0.95, -0.038, "missed by 0.038"
)
WARNED = replace(MISSED, level="warn")


def chosen(
    which: str | None = None,
    environment: EnvironmentSpec = STAGING,
    candidates: tuple[Candidate, ...] = (),
    versions: tuple[Candidate, ...] = (),
    entries: tuple[LedgerEntry, ...] = (),
    *,
    force: bool = False,
) -> Candidate:
    return choose(
        "digits",
        which,
        environment,
        candidates=candidates,
        versions=versions,
        entries=entries,
        force=force,
    )


def test_without_a_choice_it_is_the_newest_that_passes() -> None:
    newest = made(3, gates=[MISSED])
    passing = made(2, gates=[PASSED, WARNED])
    assert chosen(candidates=(newest, passing, made(1))) == passing
    assert chosen(candidates=(newest,), versions=(versioned(1, 1),)) == versioned(1, 1)


def test_without_a_candidate_it_says_what_makes_one() -> None:
    with pytest.raises(UsageError, match=r"^digits: there is no candidate yet; .*`mlbench run`"):
        chosen()


def test_where_none_passes_the_newest_says_by_how_much() -> None:
    with pytest.raises(GateRefusedError) as refused:
        chosen(candidates=(made(3, gates=[PASSED, MISSED]), made(2, gates=[MISSED])))
    assert str(refused.value) == (
        "digits: no candidate passes its gates; "
        "the newest misses accuracy >= 0.95 (0.912, missed by 0.038)"
    )
    assert refused.value.exit_status == 3


def test_digits_are_a_version_and_all_else_is_a_run() -> None:
    candidates, versions = (made(3),), (versioned(2, 2), versioned(1, 1))
    assert chosen("2", candidates=candidates, versions=versions) == versions[0]
    assert chosen("run-003", candidates=candidates, versions=versions) == candidates[0]
    assert chosen("run-001", candidates=candidates, versions=versions) == versions[1]


def test_an_unknown_version_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"^digits@7: .* there are: 2, 1$") as refused:
        chosen("7", versions=(versioned(2, 2), versioned(1, 1)))
    assert refused.value.exit_status == 2
    with pytest.raises(UsageError, match=r"there are: none$"):
        chosen("7")


def test_a_run_whose_export_is_gone_says_why() -> None:
    with pytest.raises(UsageError, match=r"^digits@run-001: .*last five are kept"):
        chosen("run-001", candidates=(made(2),))


@given(st.text() | st.sampled_from(["²", "٣", "-1", "1.0", ""]))
def test_any_other_word_is_refused_with_a_sentence(word: str) -> None:
    with pytest.raises(UsageError, match="digits@"):
        chosen(word, candidates=(made(1),))


def test_production_takes_what_staging_serves() -> None:
    entries = (entry("promote", 1), entry("promote", 2), entry("rollback", 1))
    versions = (versioned(2, 2), versioned(1, 1))
    candidates = (made(9),)
    assert chosen(None, PRODUCTION, candidates, versions, entries) == versions[1]
    with pytest.raises(UsageError) as refused:
        chosen(None, PRODUCTION, candidates, versions, (entry("promote", 1, model="other"),))
    assert str(refused.value) == (
        "environments.production.require: staging serves no digits yet; "
        "`mlbench promote digits staging` comes first"
    )


def test_by_force_the_newest_goes_where_none_passes_and_none_was_before() -> None:
    missing = made(3, gates=[MISSED])
    assert chosen(candidates=(missing, made(2, gates=[MISSED])), force=True) == missing
    assert chosen(candidates=(missing, made(2)), force=True) == made(2)
    assert chosen(None, PRODUCTION, (missing,), force=True) == missing
    with pytest.raises(UsageError, match="there is no candidate yet"):
        chosen(None, PRODUCTION, force=True)


def against(
    environment: EnvironmentSpec,
    entries: tuple[LedgerEntry, ...] = (),
    gates: tuple[GateResult, ...] = (),
    *,
    dirty: bool = False,
    allow_dirty: bool = False,
) -> tuple[str, ...]:
    return objections(made(1), gates, environment, entries, dirty=dirty, allow_dirty=allow_dirty)


def test_a_gate_that_fails_today_refuses_with_the_margin() -> None:
    assert not against(STAGING, gates=(PASSED, WARNED, replace(MISSED, passed=None)))
    (sentence,) = against(STAGING, gates=(PASSED, MISSED))
    assert sentence == (
        "digits of run run-001 is not promoted: accuracy >= 0.95 (0.912, missed by 0.038)"
    )


def test_it_must_have_been_where_the_file_says() -> None:
    been = entry("promote", 1, digest=made(1).digest)
    for elsewhere in ((), (replace(been, environment="production"),), (entry("promote", 2),)):
        (sentence,) = against(PRODUCTION, elsewhere)
        assert "has not been in staging" in sentence
        assert "`mlbench promote digits@run-001 staging`" in sentence
    assert not against(PRODUCTION, (been, entry("promote", 2)))
    assert against(PRODUCTION, (been, entry("withdraw", 1)))


@pytest.mark.parametrize("production", [PRODUCTION, EnvironmentSpec("production", 8100)])
def test_production_takes_no_uncommitted_code_unless_told(production: EnvironmentSpec) -> None:
    been = (entry("promote", 1),)
    (sentence,) = against(production, been, dirty=True)
    assert "uncommitted code" in sentence
    assert "--allow-dirty" in sentence
    assert not against(production, been, dirty=True, allow_dirty=True)
    assert not against(STAGING, dirty=True)


def test_all_that_speaks_against_it_is_told_gates_first() -> None:
    told = against(PRODUCTION, (), (MISSED, replace(MISSED, gate="f1 > 0.9")), dirty=True)
    words = ("accuracy >= 0.95", "f1 > 0.9", "has not been in staging", "uncommitted code")
    assert [word in sentence for word, sentence in zip(words, told, strict=True)] == [True] * 4


def test_rollback_goes_to_what_stood_before() -> None:
    now, before = previous_version(
        (entry("promote", 1), entry("promote", 2), entry("promote", 9, "production")),
        "staging",
        "digits",
    )
    assert (now.version, before.version) == (2, 1)


@pytest.mark.parametrize(
    ("known", "had"),
    [((), "nothing"), ((entry("promote", 4),), "only version 4")],
)
def test_with_nothing_before_rollback_is_refused(known: tuple[LedgerEntry, ...], had: str) -> None:
    with pytest.raises(UsageError) as refused:
        previous_version(known, "staging", "digits")
    assert str(refused.value) == (
        f"staging: there is nothing to roll back to: it has had {had} of digits"
    )
    assert refused.value.exit_status == 2


def test_a_deployment_is_what_the_ledger_says() -> None:
    entries = (
        replace(entry("promote", 1), sequence=1),
        replace(entry("promote", 3, model="cats"), sequence=2),
        replace(entry("promote", 2), sequence=3),
        replace(entry("promote", 1, "production"), sequence=4),
        replace(entry("rollback", 1), sequence=5),
    )
    known = {
        ("digits", 1): (versioned(1, 1), "/models/digits/1/model.onnx"),
        ("cats", 3): (replace(versioned(3, 3), model="cats"), "/models/cats/3/model.onnx"),
    }
    deployment = deployment_of(STAGING, entries, known)
    assert (deployment.environment, deployment.port, deployment.sequence) == ("staging", 8101, 5)
    assert [(model.name, model.version, model.run) for model in deployment.models] == [
        ("cats", 3, "run-003"),
        ("digits", 1, "run-001"),
    ]
    assert deployment.models[1].path == "/models/digits/1/model.onnx"
    assert deployment.models[1].signature == SIGNATURE
    assert deployment_of(EnvironmentSpec("empty", 1), entries, known).models == ()


def test_a_live_version_that_is_gone_from_disk_is_named() -> None:
    with pytest.raises(MlbenchError) as refused:
        deployment_of(STAGING, (entry("promote", 3),), {})
    assert str(refused.value) == (
        "digits v3 is live in staging by the ledger, but .mlbench/models/digits/3 is missing or "
        "damaged; bring that folder back from a backup, or promote another version of digits"
    )


def test_what_is_gone_from_disk_stays_deployed_while_other_models_come() -> None:
    lost = deployed_model(versioned(1, 1), "/gone/model.onnx")
    assert lost is not None
    entries = (
        replace(entry("promote", 1), sequence=1),
        replace(entry("promote", 3, model="cats"), sequence=2),
    )
    known = {("cats", 3): (replace(versioned(3, 3), model="cats"), "/cats/model.onnx")}
    deployment = deployment_of(STAGING, entries, known, before=[lost])
    assert [model.path for model in deployment.models] == ["/cats/model.onnx", "/gone/model.onnx"]
    with pytest.raises(MlbenchError):
        deployment_of(STAGING, entries, known, before=[replace(lost, digest="another")])


def test_a_deployment_knows_the_ledger_it_came_from() -> None:
    entries = (
        replace(entry("promote", 1), sequence=1, checksum="one"),
        replace(entry("promote", 1, "production"), sequence=2, checksum="two"),
    )
    known = {("digits", 1): (versioned(1, 1), "model.onnx")}
    staged = deployed_model(versioned(2, 2), "other.onnx")
    assert staged is not None
    deployment = deployment_of(STAGING, entries, known, order=7, staged=[staged])
    assert (deployment.sequence, deployment.order) == (1, 7)
    assert (deployment.head, deployment.length) == ("two", 2)
    assert [model.version for model in deployment.models] == [1]
    assert [model.version for model in deployment.staged] == [2]
    empty = deployment_of(STAGING, (), {})
    assert (empty.head, empty.length, empty.order) == ("", 0, 0)


def test_what_is_no_onnx_is_live_without_being_served() -> None:
    file = replace(versioned(1, 1), signature=None, parity=None, format="file")
    assert deployed_model(file, "rules.txt") is None
    known = {("digits", 1): (file, "rules.txt")}
    assert deployment_of(STAGING, (entry("promote", 1),), known).models == ()
