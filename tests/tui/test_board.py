"""Events fold into the board: what screen 1 shows follows from what was told, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.events import (
    CandidateKept,
    Event,
    ExportStarted,
    LoopStarted,
    Notice,
    PlanMade,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    WatchChanged,
)
from mlbench.domain.outcomes import ReasonKind, RunOutcome, StageOutcome, StageState
from mlbench.domain.plan import Plan, Reason, StageStatus
from mlbench.domain.release import Parity
from mlbench.tui.board import Board, Phase, followed, seconds_of, update_all

AT = "2026-11-23T09:15:02.120Z"
EDIT = Reason(ReasonKind.PARAM, "train.alpha", "0.1 → 0.2")
NEEDS: dict[str, tuple[str, ...]] = {"prepare": (), "train": ("prepare",), "tests": ("train",)}


def plan(**states: StageState) -> PlanMade:
    stages = tuple(
        StageStatus(name, state, () if state is StageState.FRESH else (EDIT,), "k", 2.0)
        for name, state in states.items()
    )
    return PlanMade(AT, Plan(stages, NEEDS))


FRESH = plan(prepare=StageState.FRESH, train=StageState.FRESH, tests=StageState.FRESH)
STALE = plan(prepare=StageState.FRESH, train=StageState.STALE, tests=StageState.STALE)
STARTED = RunStarted(AT, "r1", "brave-otter", "watch", tuple(NEEDS))


def ended(name: str, outcome: StageOutcome, message: str = "") -> StageFinished:
    return StageFinished(name, AT, "r1", outcome, 1.5, (EDIT,), message)


def over(outcome: RunOutcome = RunOutcome.PASSED) -> RunFinished:
    return RunFinished(AT, "r1", "brave-otter", outcome, 3.0, {}, {}, ())


def test_a_run_is_followed_stage_by_stage() -> None:
    events: list[Event] = [STALE, STARTED, ended("prepare", StageOutcome.UNCHANGED)]
    board = update_all(Board(), [*events, StageStarted("train", AT, "r1", (EDIT,))])
    prepare, train, tests = board.stages
    assert (prepare.phase, prepare.outcome) == (Phase.ENDED, StageOutcome.UNCHANGED)
    assert (train.phase, train.started, train.because) == (Phase.RUNNING, seconds_of(AT), (EDIT,))
    assert train.run == "r1"
    assert tests.phase is Phase.WAITING
    assert board.is_busy
    assert board.running == (train,)
    board = update_all(board, [ended("train", StageOutcome.RAN), ended("tests", StageOutcome.RAN)])
    assert not board.is_busy
    assert update_all(board, [over()]).flight is None


def test_a_run_in_a_snapshot_says_nothing_of_the_project_s_stages() -> None:
    board = update_all(Board(), [FRESH, STARTED, StageStarted("train", AT, "r1", (EDIT,))])
    apart = RunStarted(AT, "r2", "calm-fox", "manual", tuple(NEEDS), params={"train.alpha": 2})
    events: list[Event] = [
        apart,
        StageStarted("train", AT, "r2", (EDIT,)),
        StageFinished("train", AT, "r2", StageOutcome.FAILED, 1.0),
        replace(over(RunOutcome.FAILED), run="r2", flight="r2"),
    ]
    assert replace(update_all(board, events), apart=frozenset()) == board


def test_a_result_that_an_edit_makes_stale_is_forgotten() -> None:
    done = update_all(Board(), [STALE, STARTED, ended("train", StageOutcome.RAN), over(), FRESH])
    kept = done.stage("train")
    assert kept is not None
    assert kept.outcome is StageOutcome.RAN
    stale = update_all(done, [STALE]).stage("train")
    assert stale is not None
    assert (stale.outcome, stale.state, stale.reasons) == (None, StageState.STALE, (EDIT,))


def test_a_failure_stays_until_it_is_mended() -> None:
    failing: list[Event] = [STARTED, ended("train", StageOutcome.FAILED, "exit status 1")]
    failed = update_all(Board(), [STALE, *failing, over(RunOutcome.FAILED), STALE])
    stage = failed.stage("train")
    assert stage is not None
    assert (stage.outcome, stage.message) == (StageOutcome.FAILED, "exit status 1")
    mended = update_all(failed, [FRESH]).stage("train")
    assert mended is not None
    assert (mended.outcome, mended.message, mended.state) == (None, "", StageState.FRESH)


def test_a_broken_project_file_is_a_problem_until_the_next_plan() -> None:
    board = update_all(Board(), [STALE, Notice(AT, "error", "mlbench.toml:3: cdm: unknown key")])
    assert board.problem == "mlbench.toml:3: cdm: unknown key"
    assert update_all(board, [FRESH]).problem == ""


def test_an_export_that_fails_stays_said_after_the_next_plan() -> None:
    ends = [ended(name, StageOutcome.RAN) for name in NEEDS]
    events: list[Event] = [STALE, STARTED, *ends, ExportStarted(AT, "r1", "digits")]
    exporting = update_all(Board(), events)
    assert exporting.exporting == "digits"
    board = update_all(exporting, [Notice(AT, "error", "digits: can't be exported"), over(), FRESH])
    assert board.run_problem == "digits: can't be exported"
    assert (board.problem, board.exporting) == ("", None)
    assert update_all(board, [STARTED]).run_problem == ""


def test_a_kept_candidate_ends_the_export() -> None:
    parity = Parity(True, 10, 0.0, 0.0, 0, 0)
    events: list[Event] = [ExportStarted(AT, "r1", "digits")]
    board = update_all(Board(), [*events, CandidateKept(AT, "r1", "digits", "abc", parity)])
    assert board.exporting is None


def test_who_takes_the_loop_over_finds_nothing_in_flight() -> None:
    events: list[Event] = [STALE, STARTED, StageStarted("train", AT, "r1")]
    board = update_all(Board(), [*events, LoopStarted(AT, 7, "digits")])
    assert board.flight is None
    assert not board.running


def test_the_cursor_follows_what_runs_then_what_failed() -> None:
    board = update_all(Board(), [STALE, STARTED, StageStarted("train", AT, "r1")])
    assert followed(board, "prepare") == "train"
    assert followed(update_all(board, [ended("train", StageOutcome.RAN)]), "train") == "train"
    failed = update_all(board, [ended("train", StageOutcome.FAILED)])
    assert followed(failed, "prepare") == "train"


names = st.sampled_from([*NEEDS, "other"])
events_of_any_order = st.lists(
    st.one_of(
        st.sampled_from([FRESH, STALE, STARTED, over(), WatchChanged(AT, True)]),
        st.builds(lambda name: StageStarted(name, AT, "r1"), names),
        st.builds(ended, names, st.sampled_from(StageOutcome)),
        st.just(LoopStarted(AT, 1, "p")),
        st.just(Notice(AT, "error", "broken")),
    ),
    max_size=30,
)


@given(events_of_any_order)
def test_any_order_of_events_gives_a_board_without_contradictions(events: list[Event]) -> None:
    board = update_all(Board(), events)
    assert len({stage.name for stage in board.stages}) == len(board.stages)
    for stage in board.stages:
        assert (stage.outcome is not None) or stage.phase is not Phase.ENDED
        assert stage.phase is not Phase.RUNNING or stage.started is not None
    assert followed(board, None) in (None, *(stage.name for stage in board.stages))


@given(events_of_any_order, st.integers(0, 30))
def test_events_in_two_batches_give_what_they_give_in_one(events: list[Event], cut: int) -> None:
    halved = update_all(update_all(Board(), events[:cut]), events[cut:])
    assert halved == update_all(Board(), events)
    assert replace(halved) == halved
