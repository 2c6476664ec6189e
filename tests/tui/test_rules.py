"""Which keys work where, why others don't, what is asked and what is told: pure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.commands import Promote, Rollback, RunStages, SetWatch
from mlbench.domain.events import CommandDone, Event, Notice, Promoted
from mlbench.domain.ledger import history_of
from mlbench.domain.outcomes import ReasonKind, RunOutcome, StageState
from mlbench.domain.plan import Reason
from mlbench.domain.release import (
    Candidate,
    EnvironmentStatus,
    GateResult,
    LedgerEntry,
    Parity,
    Signature,
)
from mlbench.domain.runs import CodeState, Run
from mlbench.domain.stages import EnvironmentSpec, ModelSpec, Project, Stage
from mlbench.tui.actions import ACTIONS, action_of, command_for, for_key
from mlbench.tui.board import Board, Phase, StageView
from mlbench.tui.deploys import ways_back
from mlbench.tui.draw.keys import help_lines, key_pieces
from mlbench.tui.draw.ledger import LedgerTable
from mlbench.tui.draw.release_page import Page, proof_lines
from mlbench.tui.draw.releases import ModelTable
from mlbench.tui.editor import editor_command, place_to_edit
from mlbench.tui.history import History, PassedBefore
from mlbench.tui.memory import Memory, load_memory, save_memory
from mlbench.tui.questions import ask_quit
from mlbench.tui.reading import Released, Releases, Surroundings
from mlbench.tui.release_questions import ask_promote, ask_rollback, ask_where, next_promotions
from mlbench.tui.situation import (
    COMPARISON,
    CURVES,
    MODELS,
    ON_MODELS,
    RUN,
    RUNS,
    Situation,
    compared,
    subjects,
    with_surroundings,
)
from mlbench.tui.toasts import toasts_for

AT = "2026-11-23T09:15:02.120Z"
HELD = GateResult("accuracy >= 0.95", "digits", "error", True, 0.97, 0.95, 0.02)
MISSED = GateResult(
    "accuracy >= 0.95", "digits", "error", False, 0.91, 0.95, -0.04, "missed by 0.04"
)
PROJECT = Project(
    "digits",
    "python",
    2,
    (Stage("train", ("python train.py",)),),
    (ModelSpec("digits", "train", "model.joblib", "test.npz"),),
    (EnvironmentSpec("staging", 8101), EnvironmentSpec("production", 8100, ("staging",))),
)


def candidate(run: str, version: int | None = None, *gates: GateResult) -> Candidate:
    return Candidate(
        "digits", run, f"digest-{run}", "s", "t", "models", AT, 40266,
        Parity(True, 360, 4.2e-7, 5.8e-7, 0, 51), Signature((), ()), {"p99_ms": 0.02},
        gates or (HELD,), version,
    )  # fmt: skip


def entry(sequence: int, action: str, environment: str, version: int) -> LedgerEntry:
    return LedgerEntry(
        sequence,
        AT,
        action,
        environment,
        "digits",
        version,
        f"digest-{version:06x}",
        f"x-{version:06x}",
        "me",
    )


def run_of(run_id: str, *, dirty: bool = False) -> Run:
    code = CodeState("1ae7cf91", "main", dirty, 1)
    return Run(run_id, "brave-otter", RunOutcome.PASSED, "watch", "me", AT, 1.0, code, {}, {}, {})


NEW = Released(candidate("x-00000a"), (), run_of("x-00000a"))
STAGED = Released(candidate("x-000002", 2), ("staging",), run_of("x-000002"))
LEDGER = (entry(1, "promote", "staging", 1), entry(2, "promote", "staging", 2))
UP = EnvironmentStatus("staging", 8101, 77, {"digits": 2}, {"digits": 2})
DOWN = EnvironmentStatus("production", 8100, None)


def known(*rows: Released, **fields: object) -> Situation:
    situation = Situation(
        board=Board((StageView("train", (), StageState.FRESH),), is_planned=True, watching=True),
        surroundings=Surroundings(PROJECT, "", (UP, DOWN)),
        releases=Releases(rows, LEDGER if STAGED in rows else (), is_read=True),
        stage="train",
    )
    return replace(situation, **fields)  # type: ignore[arg-type]


def why(action: str, situation: Situation) -> str:
    return action_of(action).blocked(situation)


def test_p_promotes_exactly_the_newest_candidate_to_the_first_environment() -> None:
    situation = known(NEW, STAGED)
    assert why("promote", situation) == ""
    assert command_for("promote", situation) == Promote("staging", "digits", "x-00000a")


def test_p_on_the_models_screen_promotes_the_row_under_the_cursor() -> None:
    older = Released(candidate("x-000001", 1))
    situation = known(NEW, STAGED, screen=MODELS, release=older)
    assert command_for("promote", situation) == Promote("staging", "digits", "1")


@pytest.mark.parametrize(
    ("situation", "said"),
    [
        (known(), "there is no candidate yet: a passing run makes one"),
        (known(STAGED), "staging serves digits v2 already"),
        (
            known(NEW, surroundings=Surroundings(replace(PROJECT, models=()))),
            "mlbench.toml names no model to release: add [models.NAME]",
        ),
        (
            known(NEW, surroundings=Surroundings(replace(PROJECT, environments=()))),
            "mlbench.toml names no such environment: add [environments.NAME] with a port",
        ),
    ],
)
def test_p_says_why_it_can_not_work(situation: Situation, said: str) -> None:
    assert why("promote", situation) == said


def test_what_is_live_but_down_can_be_promoted_again_to_bring_it_up() -> None:
    down = Surroundings(PROJECT, "", (replace(UP, pid=None, serving={}), DOWN))
    assert why("promote", known(STAGED, surroundings=down)) == ""


def test_a_gate_that_refuses_dims_the_key_but_leaves_the_last_word_to_the_loop() -> None:
    situation = known(Released(candidate("x-00000a", None, MISSED)))
    assert action_of("promote").doubted(situation) == "accuracy >= 0.95 missed by 0.04"
    assert why("promote", situation) == ""


def test_production_takes_what_staging_serves_and_asks() -> None:
    situation = known(NEW, Released(candidate("000002", 2), ("staging",), run_of("000002")))
    situation = replace(situation, releases=replace(situation.releases, ledger=LEDGER))
    (promotion,) = next_promotions(situation)
    question = ask_promote(promotion)
    assert question.choices[0].value == Promote("production", "digits", "2")
    assert "It serves nothing; it will serve digits v2" in question.lines[0].plain
    assert any("accuracy >= 0.95" in text.plain for text in question.lines)


def test_production_says_what_has_to_come_first() -> None:
    assert why("promote-on", known(NEW)).endswith("staging serves nothing yet")
    selected = known(NEW, STAGED, screen=MODELS, release=NEW)
    said = "production takes what has been in staging: press p first"
    assert action_of("promote-on").doubted(selected) == said


def test_what_has_not_been_in_staging_goes_to_production_by_force_and_with_a_reason_alone() -> None:
    selected = known(NEW, STAGED, screen=MODELS, release=NEW)
    assert why("promote-on", selected) == ""
    (promotion,) = next_promotions(selected)
    question = ask_promote(promotion)
    said = "✗ it has not been in staging: production takes it by force alone"
    assert said in [text.plain for text in question.lines]
    forced = question.choices[-1]
    assert forced.value == Promote("production", "digits", "x-00000a", force=True)
    assert forced.asks_why


def test_with_several_environments_left_it_asks_where_the_likeliest_first() -> None:
    canary = EnvironmentSpec("canary", 8102, ("staging",))
    edge = EnvironmentSpec("edge", 8103, ("canary",))
    chain = replace(PROJECT, environments=(PROJECT.environments[0], edge, canary))
    row = Released(candidate("000002", 2), ("staging",))
    situation = known(row, surroundings=Surroundings(chain, "", (UP,)))
    situation = replace(situation, releases=Releases((row,), LEDGER, is_read=True))
    question = ask_where(next_promotions(replace(situation, screen=MODELS, release=row)))
    assert [choice.value for choice in question.choices] == ["canary", "edge"]
    assert question.choices[1].label.endswith("not in canary yet")
    # Away from screen 4 each environment is offered what the one before it serves.
    assert [item.environment for item in next_promotions(situation)] == [canary]


def test_uncommitted_code_is_said_before_production_refuses_it() -> None:
    dirty = Released(candidate("000002", 2), ("staging",), run_of("000002", dirty=True))
    situation = known(dirty)
    situation = replace(situation, releases=replace(situation.releases, ledger=LEDGER))
    assert action_of("promote-on").doubted(situation) == "it is from uncommitted code"
    (promotion,) = next_promotions(situation)
    question = ask_promote(promotion)
    assert "production will refuse it" in question.lines[-1].plain


def test_the_way_back_is_read_off_the_ledger() -> None:
    assert [e.version for e in history_of(LEDGER, "staging", "digits")] == [1, 2]
    back = (*LEDGER, entry(3, "rollback", "staging", 1))
    assert [e.version for e in history_of(back, "staging", "digits")] == [1]
    assert ways_back(back) == ()
    question = ask_rollback(known(STAGED))
    assert question is not None
    assert question.choices[0].value == Rollback("staging", "digits")
    assert question.choices[0].label.startswith("staging: digits v2 → v1")
    assert why("rollback", known(NEW)).startswith("there is nothing to roll back to")


def test_quitting_asks_only_where_something_goes_on() -> None:
    idle = known(surroundings=Surroundings(PROJECT, "", (DOWN,)))
    assert ask_quit(idle) is None
    serving = ask_quit(known())
    assert serving is not None
    assert [choice.value for choice in serving.choices] == ["quit", "quit-and-stop"]
    running = replace(
        idle.board,
        flights=(),
        stages=(StageView("train", phase=Phase.RUNNING, started=0.0),),
    )
    assert ask_quit(replace(idle, board=running)) is None, "stages without a run are no run"


def test_other_commands_follow_the_situation() -> None:
    assert command_for("run", known()) == RunStages()
    assert command_for("force", known()) == RunStages(("train",), force=True)
    assert command_for("watch", known()) == SetWatch(False)
    assert why("stop", known()) == "nothing is running"


def test_fewer_than_two_marked_are_compared_with_what_there_is() -> None:
    first, second, third = (run_of(f"2026-{n}") for n in range(3))
    nothing = known(screen=RUNS, run=first)
    assert why("compare", nothing) == "no run passed before it; mark two runs with space"
    assert compared(replace(nothing, marked=(third, second))) == (second.id, third.id)
    assert compared(replace(nothing, marked=(third,))) == (first.id, third.id)
    newest_first = (third, second, first)
    before = PassedBefore(newest_first, [run.id for run in newest_first])
    history = History(before=before)
    assert compared(known(screen=RUNS, run=third, history=history)) == (second.id, third.id)
    against = replace(history, baseline=first)
    assert compared(known(screen=RUN, run=third, history=against)) == (first.id, third.id)
    assert compared(known(screen=RUN, run=first, history=against)) == (), "with itself"


def test_what_is_done_to_the_record_is_done_to_the_marked_runs_and_waits_for_their_end() -> None:
    one, going = run_of("one"), replace(run_of("going"), outcome=None)
    assert why("tags", known(screen=RUNS)) == "there is no run under the cursor"
    assert subjects(known(screen=RUNS, run=one, marked=(going,))) == (going,)
    marked = known(screen=RUNS, run=one, marked=(one, going))
    assert "is still going" in why("delete", marked)
    assert why("delete", replace(marked, marked=(one,))) == ""
    assert why("undo", marked) == "there is nothing to undo"
    assert why("undo", replace(marked, history=History(undoable="noted x"))) == ""
    assert why("metric", known(screen=COMPARISON)).startswith("it is for the curves")
    assert why("metric", known(screen=COMPARISON, view=CURVES)) == ""


def test_one_key_does_one_thing_on_each_screen() -> None:
    for screen in ("pipeline", "runs", "run", "comparison", *ON_MODELS):
        keys = [key for a in ACTIONS if a.works_on(screen) for key in a.key.split(",")]
        assert len(keys) == len(set(keys)), screen
        assert for_key("q", screen) is action_of("quit")


def test_a_key_that_can_not_work_stays_visible_and_help_says_why() -> None:
    situation = known()
    shown = {piece.action: piece.content for piece in key_pieces(situation)}
    assert shown["stop"].plain == " s·stop "
    assert shown["run"].plain == " r run "
    told = "\n".join(text.plain for text in help_lines(situation, 78))
    assert "not now: nothing is running" in told
    assert "mlbench run STAGE --force" in told


def test_a_mended_configuration_takes_its_problem_along() -> None:
    broken = with_surroundings(known(), Surroundings(problem="mlbench.toml:3: no"))
    assert broken.surroundings.project is PROJECT, "what was known stays known"
    told = replace(broken, board=replace(broken.board, problem="mlbench.toml:3: no"))
    assert with_surroundings(told, Surroundings(PROJECT)).board.problem == ""
    other = replace(told, board=replace(told.board, problem="params.toml: no key train.alpha"))
    assert with_surroundings(other, Surroundings(PROJECT)).board.problem != ""


def test_a_refusal_is_a_warning_and_a_promotion_names_its_address() -> None:
    events: tuple[Event, ...] = (
        Promoted(AT, "promote", "staging", "digits", 2, "x-000002", "http://127.0.0.1:8101"),
        CommandDone(AT, "mine", 0, "staging serves digits v2 at http://127.0.0.1:8101"),
        CommandDone(AT, "refused", 3, "digits is not promoted: accuracy >= 0.95"),
        CommandDone(AT, "theirs", 1, "nobody here asked"),
        Notice(AT, "warn", "train was interrupted"),
    )
    replies = {"mine": Promote("staging"), "refused": Promote("production")}
    toasts = toasts_for(events, replies)
    assert [(toast.severity, toast.title) for toast in toasts] == [
        ("information", "Promoted"),
        ("warning", "Not promoted"),
        ("warning", ""),
    ]
    assert toasts[0].message.endswith("at http://127.0.0.1:8101")


def test_models_and_ledger_as_text() -> None:
    table = ModelTable((NEW, STAGED), 120, 0.0)
    assert table.header.plain.split() == [
        "model", "version", "run", "when", "gates", "parity", "size", "p99", "live", "in",
    ]  # fmt: skip
    assert "candidate" in table.row(0, 0.0).plain
    assert "● staging" in table.row(1, 0.0).plain
    assert "✓ 1 of 1  +.02" in table.row(1, 0.0).plain
    page = "\n".join(text.plain for text in proof_lines(Page(NEW), 60))
    assert "max error 4.2e-7, row 51" in page
    newest = LedgerTable(tuple(reversed(LEDGER)), LEDGER).row(0, 80).plain
    assert "staging" in newest
    assert "digits v2" in newest
    assert "by me" in newest


def test_the_edit_key_opens_what_matters(tmp_path: Path) -> None:
    for name in ("mlbench.toml", "train.py", "rule.py", "params.toml"):
        (tmp_path / name).write_text("")
    calm = known()
    assert place_to_edit(calm, tmp_path) == (tmp_path / "train.py", None)
    broken = replace(calm, board=replace(calm.board, problem="mlbench.toml:12: stages.x: no"))
    assert place_to_edit(broken, tmp_path) == (tmp_path / "mlbench.toml", 12)
    for reason, name in (
        (Reason(ReasonKind.CODE, "rule.py", "changed"), "rule.py"),
        (Reason(ReasonKind.PARAM, "train.rate", "1 → 2"), "params.toml"),
    ):
        stage = replace(calm.board.stages[0], because=(reason,))
        ran = replace(calm, board=replace(calm.board, stages=(stage,)))
        assert place_to_edit(ran, tmp_path) == (tmp_path / name, None)


def test_the_editor_is_the_users_own() -> None:
    path = Path("a.toml")
    assert editor_command({"EDITOR": "vim"}, path, 12) == ["vim", "+12", "a.toml"]
    assert editor_command({"EDITOR": "vi", "VISUAL": "code --wait"}, path, 12) == [
        "code", "--wait", "a.toml",
    ]  # fmt: skip
    assert editor_command({}, path, None) == ["vi", "a.toml"]


def test_what_is_remembered_survives_and_what_is_broken_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "workbench.json"
    kept = Memory("monochrome", "runs", "accuracy", False, True, "alpha")
    save_memory(path, kept)
    assert load_memory(path) == kept
    path.write_text('{"theme": 7, "screen": "models", "unknown": 1}')
    assert load_memory(path) == Memory(screen="models")
    path.write_text("{")
    assert load_memory(path) == Memory()
    save_memory(tmp_path / "missing" / "workbench.json", kept)
