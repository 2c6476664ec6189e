"""The record of a run, put together from what its stages and their scripts tell."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mlbench.domain.curves import Summary
from mlbench.domain.events import StageFinished
from mlbench.domain.outcomes import ReasonKind, RunOutcome, StageOutcome
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.plan import Reason
from mlbench.domain.runs import CodeState, Extremes, Run
from mlbench.engine.assembling import Said, assemble, user_name, without_secrets_in
from mlbench.engine.flight_files import Opening
from mlbench.engine.inputs import Kept, StageDone
from mlbench.engine.state import Flight
from mlbench.engine.steps.holders import to_keep, told_again
from mlbench.pipeline.job import BuildResult
from mlbench.pipeline.traces import Trace

RAN, FAILED = StageOutcome.RAN, StageOutcome.FAILED
RUN = "20261123-091502-4f3a1c7d"


def _flight(outcomes: Mapping[str, StageOutcome], **others: Any) -> Flight:
    names = tuple(outcomes)
    return Flight(
        run=RUN,
        name="brave-owl",
        origin="manual",
        started=1795424102.0,
        order=names,
        reads={},
        needs={},
        stages={},
        jobs=1,
        outcomes=outcomes,
        **others,
    )


def _ran(stage: str, metrics: Mapping[str, float] | None = None, **others: Any) -> BuildResult:
    trace = Trace(stage, "key", {}, {"out": "hash"}, RUN, 1.0, metrics or {})
    return BuildResult(stage, RAN, 1.0, key="key", trace=trace, **others)


def _logged(**values: float) -> dict[str, Summary]:
    return {
        name: Summary(2, 0, 1, last, Extremes(last - 1, 0, last, 1))
        for name, last in values.items()
    }


def test_extremes_are_those_of_the_stage_whose_last_value_counts() -> None:
    results = {
        "warm": _ran("warm", {"loss": 0.5, "acc": 0.7, "lr": 1.0}),
        "train": _ran("train", {"loss": 0.2, "acc": 0.9}),
    }
    said = {"warm": Said(_logged(loss=0.5, acc=0.7, lr=1.0)), "train": Said(_logged(loss=0.2))}
    run = assemble(_flight({"warm": RAN, "train": RAN}), results, Opening(), said)
    assert run.metrics == {"loss": 0.2, "acc": 0.9, "lr": 1.0}
    # The second stage gave its accuracy in a file: nobody knows its extremes.
    assert set(run.extremes) == {"loss", "lr"}
    assert run.extremes["loss"].max == 0.2


def test_what_a_stage_logged_before_it_failed_is_on_record() -> None:
    result = BuildResult("train", FAILED, 3.0, message="exit status 1", cpu_seconds=2.5)
    said = {"train": Said(_logged(loss=0.4))}
    run = assemble(_flight({"train": FAILED}), {"train": result}, Opening(), said)
    assert run.outcome is RunOutcome.FAILED
    assert (run.metrics, run.extremes["loss"].min) == ({"loss": 0.4}, -0.6)
    assert (run.stages["train"].message, run.stages["train"].cpu_seconds) == ("exit status 1", 2.5)


def test_inputs_are_files_with_their_hashes() -> None:
    parts = {
        "file:data.csv": "d1",
        "file:data/": "listing",
        "file:lost.csv": "missing",
        "file:data": "folder",
        "code:train.py": "c1",
        "param:train.rate": "0.1",
        "env:HOME": "e1",
        "package:numpy@/site": "2.4",
    }
    results = {"train": _ran("train", parts=parts)}
    run = assemble(_flight({"train": RAN}), results, Opening())
    assert run.stages["train"].inputs == {"data.csv": "d1", "train.py": "c1"}
    assert run.params == {"train.rate": 0.1}


def test_declared_parameters_win_and_a_conflict_is_kept_under_its_stage() -> None:
    results = {"train": _ran("train", parts={"param:rate": "0.1"}), "test": _ran("test")}
    said = {
        "train": Said(params={"rate": 0.2, "depth": 3}, tags=("good", "team=a")),
        "test": Said(params={"rate": 0.1, "depth": 4}, tags=("good",)),
    }
    opening = Opening(params={"rate": 0.3, "seed": 1})
    run = assemble(_flight({"train": RAN, "test": RAN}), results, opening, said)
    assert run.params == {"rate": 0.1, "seed": 1, "train.rate": 0.2, "depth": 3, "test.depth": 4}
    assert run.marks.tags == ("good", "team=a")


def test_of_a_stage_that_the_holder_before_saw_fail_its_words_are_on_record() -> None:
    reason = Reason(ReasonKind.PARAM, "rate", "0.1 → 0.2")
    ending = StageDone(RUN, "train", FAILED, 2.0, "key", (reason,), "exit status 3")
    run = assemble(_flight({"train": FAILED}, endings={"train": ending}), {}, Opening())
    record = run.stages["train"]
    assert (record.seconds, record.key, record.ran_in) == (2.0, "key", RUN)
    assert (record.reasons, record.message) == ((reason,), "exit status 3")


def test_why_a_stage_failed_goes_over_to_the_next_holder_and_to_late_faces() -> None:
    reason = Reason(ReasonKind.PARAM, "rate", "0.1 → 0.2")
    ending = StageDone(RUN, "train", FAILED, 2.0, "key", (reason,), "exit status 3")
    flight = replace(
        _flight({"prepare": RAN}),
        order=("prepare", "train"),
        needs={"prepare": frozenset(), "train": frozenset()},
    )
    flight = flight.laid_out().with_ending(ending)
    kept = to_keep(flight, was_left=True)
    assert from_plain(Kept, json.loads(json.dumps(to_plain(kept)))).endings == {"train": ending}
    told = [event for event in told_again(flight) if isinstance(event, StageFinished)]
    assert {event.stage: event.message for event in told} == {
        "prepare": "",
        "train": "exit status 3",
    }


def test_a_stage_that_never_began_has_no_log() -> None:
    ending = StageDone(RUN, "big", FAILED, 0.0, None, message="asks for 4 GPUs")
    flight = _flight({"big": FAILED, "after": StageOutcome.BLOCKED}, endings={"big": ending})
    run = assemble(flight, {}, Opening())
    assert [record.ran_in for record in run.stages.values()] == [None, None]
    assert run.stages["big"].message == "asks for 4 GPUs"


SECRET = "sk-1234567890"


def _with_secrets() -> Run:
    reasons = (
        Reason(ReasonKind.PARAM, "hub.token", "abc → def"),
        Reason(ReasonKind.COMMAND, "cmd", f"curl {SECRET} → curl"),
        Reason(ReasonKind.FILE, "data.csv", "changed"),
    )
    result = BuildResult("train", FAILED, 1.0, reasons, f"curl {SECRET}: exit status 1")
    opening = Opening(
        params={"hub.token": "abc", "url": f"x/{SECRET}", "key_dim": 64, "api_key": 5}
    )
    said = {"train": Said(tags=(f"by={SECRET}",))}
    return assemble(_flight({"train": FAILED}), {"train": result}, opening, said)


def test_secrets_are_hidden_wherever_they_turn_up() -> None:
    run = without_secrets_in(_with_secrets(), (SECRET,))
    assert SECRET not in repr(run)
    assert run.params == {"hub.token": "***", "url": "x/***", "key_dim": 64, "api_key": "***"}
    assert run.marks.tags == ("by=***",)
    record = run.stages["train"]
    assert [reason.detail for reason in record.reasons] == ["***", "curl *** → curl", "changed"]
    assert record.message == "curl ***: exit status 1"


def test_a_user_whom_the_system_does_not_know_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert user_name().isdigit()


def test_where_the_code_stood_is_as_noted_at_the_beginning() -> None:
    code = CodeState("4f3a", "main", True, 2, ("weights.bin",))
    run = assemble(_flight({"train": RAN}), {"train": _ran("train")}, Opening(code))
    assert (run.code, run.started) == (code, "2026-11-23T08:55:02.000Z")


@pytest.mark.parametrize(
    ("part", "differs"),
    [
        ("file:data.csv", True),
        ("file:rows/a.csv", True),
        ("code:train.py", False),
        ("file:out", False),
    ],
)
def test_runs_on_other_data_are_told_apart(part: str, differs: bool) -> None:
    parts = {"file:data.csv": "1", "file:rows/a.csv": "1", "code:train.py": "1", "file:out": "1"}

    def data(parts: Mapping[str, str]) -> str:
        return assemble(
            _flight({"train": RAN}), {"train": _ran("train", parts=parts)}, Opening()
        ).data

    assert (data(parts) != data({**parts, part: "2"})) is differs
