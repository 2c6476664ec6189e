"""What is drawn, as text: lanes, bars, curves, gates, words, the sentence of a run."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.curves import Curve
from mlbench.domain.events import RunFinished
from mlbench.domain.outcomes import ReasonKind, RunOutcome, StageOutcome, StageState
from mlbench.domain.phrases import ago, clock, duration, number, size
from mlbench.domain.plan import Reason
from mlbench.domain.release import GateResult
from mlbench.domain.runs import CodeState, Run, StageRecord
from mlbench.domain.runs import TestCounts as Counts
from mlbench.tui.board import Board, Phase, StageView
from mlbench.tui.draw.ansi import plain, styled, tidy
from mlbench.tui.draw.bars import Piece, action_at, fitting
from mlbench.tui.draw.gates import gate_lines, gates_by_model
from mlbench.tui.draw.lanes import bar, lanes, stage_lines
from mlbench.tui.draw.lines import cell, line
from mlbench.tui.draw.reasons import in_full, in_short
from mlbench.tui.draw.stage import stage_head
from mlbench.tui.draw.status import status_pieces
from mlbench.tui.draw.story import story
from mlbench.tui.history import History
from mlbench.tui.situation import Situation
from mlbench.tui.words import arrow, signed

AT = "2026-11-23T09:15:02.120Z"


def run(name: str, accuracy: float, alpha: float, **fields: object) -> Run:
    whole = Run(
        id=f"id-{name}",
        name=name,
        outcome=RunOutcome.PASSED,
        origin="watch",
        by="me",
        started=AT,
        seconds=6.1,
        code=CodeState("1ae7cf91eaa4", "main", True, 2),
        params={"train.alpha": alpha, "seed": 7},
        metrics={"accuracy": accuracy, "recall.0": 1.0, "loss": 0.25},
        stages={},
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def test_stages_stand_below_what_they_wait_for() -> None:
    needs = {
        "prepare": (),
        "train": ("prepare",),
        "evaluate": ("prepare", "train"),
        "tests": ("prepare", "train"),
        "report": ("prepare",),
    }
    assert [lane.branch + lane.name for lane in lanes(needs)] == [
        "prepare",
        "├─train",
        "│ ├─evaluate",
        "│ └─tests",
        "└─report",
    ]


@given(st.lists(st.lists(st.integers(0, 20), max_size=4), max_size=20))
def test_every_stage_has_one_lane_below_its_needs(graph: list[list[int]]) -> None:
    needs = {
        str(index): tuple(str(other) for other in before if other < index)
        for index, before in enumerate(graph)
    }
    order = [lane.name for lane in lanes(needs)]
    assert sorted(order) == sorted(needs)
    for name, before in needs.items():
        last = max(before, key=int, default=None)
        assert last is None or order.index(last) < order.index(name)


def test_a_row_says_how_a_stage_stands_and_why() -> None:
    edit = Reason(ReasonKind.PARAM, "train.alpha", "0.1 → 0.2")
    stages = [
        StageView(
            "prepare", (), StageState.FRESH, phase=Phase.ENDED, outcome=StageOutcome.UNCHANGED
        ),
        StageView(
            "train",
            ("prepare",),
            usual_seconds=20.0,
            phase=Phase.RUNNING,
            started=100.0,
            because=(edit,),
        ),
        StageView("tests", ("train",), phase=Phase.WAITING),
    ]
    drawn = lanes({stage.name: stage.needs for stage in stages})
    rows = [row.plain.rstrip() for row in stage_lines(stages, drawn, 60, 110.0)]
    assert rows[0].split() == ["=", "prepare", "unchanged"]
    assert "↻ train" in rows[1]
    assert "━━━" in rows[1]
    assert rows[1].endswith("0:10  alpha 0.1 → 0.2")
    assert rows[2].endswith("· tests  after train")


@given(st.floats(-1, 3, allow_nan=False), st.integers(1, 40))
def test_a_bar_is_as_wide_as_asked(share: float, width: int) -> None:
    drawn = bar(share, width).plain
    assert len(drawn) == width
    assert drawn.count("━") <= width


GATES = (
    GateResult("accuracy >= 0.95", "digits", "error", True, 0.971, 0.95, 0.021),
    GateResult("tests.passed", "digits", "error", True),
    GateResult("onnx.p99_ms < 5", "digits", "warn", False, 6.2, 5.0, -1.2, "missed by 1.2"),
    GateResult(
        "accuracy >= production.accuracy", "digits", "error", None, why="nothing is live yet"
    ),
)


def test_gates_show_value_and_margin_and_never_colour_alone() -> None:
    rows = [row.plain.rstrip() for row in gate_lines(GATES, 60, Counts(14, 0, 0))]
    assert rows[0].split() == ["✓", "accuracy", ">=", "0.95", "0.971", "+.021"]
    assert "14 of 14" in rows[1]
    assert rows[2].startswith("! onnx.p99_ms < 5")
    assert rows[2].endswith("−1.2")
    assert rows[3].startswith("– accuracy >= production.accuracy")


@given(st.integers(20, 120))
def test_gates_fit_every_width(width: int) -> None:
    assert all(row.cell_length <= width for row in gate_lines(GATES, width))


def test_gates_of_several_models_stand_below_their_names() -> None:
    other = [replace(gate, model="other") for gate in GATES[:1]]
    assert gates_by_model(GATES, 60) == gate_lines(GATES, 60)
    rows = [row.plain.strip() for row in gates_by_model([*GATES, *other], 60)]
    assert [rows.index(name) for name in (GATES[0].model, "other")] == [0, len(GATES) + 1]
    assert rows[-1] == rows[1]


def test_a_reason_in_three_words_and_in_full() -> None:
    reasons = (
        Reason(ReasonKind.UPSTREAM, "prepare", "prepare has to run first"),
        Reason(ReasonKind.CODE, "src/model.py", "changed (train.py → src/model.py)"),
    )
    assert in_short(reasons) == "model.py changed"
    assert (
        in_short((*reasons, Reason(ReasonKind.PARAM, "train.alpha", "1 → 2"))) == "alpha 1 → 2  +1"
    )
    assert [text.plain for text in in_full(reasons)] == [
        "λ src/model.py  changed (train.py → src/model.py)",
        "↑ prepare has to run first",
    ]


def finished(outcome: RunOutcome = RunOutcome.PASSED) -> RunFinished:
    stages = {"prepare": StageOutcome.UNCHANGED, "train": StageOutcome.RAN}
    return RunFinished(AT, "id-b", "b", outcome, 6.1, stages, {"accuracy": 0.968, "loss": 0.25}, ())


def test_the_sentence_says_what_changed_and_what_it_did() -> None:
    before, after = run("a", 0.964, 0.1), run("b", 0.968, 0.2)
    told = story(Board(last=finished()), after, before, "maximize accuracy", 200).plain
    assert told == (
        "✓ b  train.alpha 0.1 → 0.2 · accuracy 0.968 ▲ 0.004 · loss 0.25 = · "
        "1 of 2 stages ran, 6.1 s"
    )


def test_the_sentence_gives_metrics_up_before_the_rest() -> None:
    before, after = run("a", 0.964, 0.1), run("b", 0.968, 0.2)
    told = story(Board(last=finished()), after, before, "maximize accuracy", 80).plain
    assert told == "✓ b  train.alpha 0.1 → 0.2 · accuracy 0.968 ▲ 0.004 · 1 of 2 stages ran, 6.1 s"


def test_without_a_changed_parameter_the_sentence_names_the_edit() -> None:
    why = (Reason(ReasonKind.CODE, "train.py", "changed"),)
    board = Board((StageView("train", because=why),), last=finished())
    told = story(board, run("b", 0.968, 0.1), run("a", 0.964, 0.1), None, 200).plain
    assert told.startswith("✓ b  train.py changed · ")


def test_a_failed_run_says_where_and_why() -> None:
    stage = StageView(
        "train", outcome=StageOutcome.FAILED, message="exit status 1: ValueError: no\nmore"
    )
    failed = replace(finished(RunOutcome.FAILED), stages={"train": StageOutcome.FAILED})
    told = story(Board((stage,), last=failed), None, None, None, 200).plain
    assert told == "✗ b failed at train: exit status 1: ValueError: no · 1 of 1 stages ran, 6.1 s"


def test_a_stage_that_failed_shows_its_message_before_anything_else() -> None:
    stage = StageView(
        "train", phase=Phase.ENDED, outcome=StageOutcome.FAILED, message="exit status 1"
    )
    lines = [text.plain for text in stage_head(stage, (), 60, 10, 0.0)]
    assert lines[:2] == ["✗ failed after 0.0 s", "exit status 1"]


@given(st.integers(1, 200), st.integers(1, 60))
def test_the_head_of_a_stage_never_outgrows_its_place(width: int, height: int) -> None:
    columns = tuple((float(v * v), float(v * v), float(v * v)) for v in range(50))
    curves = tuple(
        Curve(name, 0, 49, 2401.0, 0.0, 0, 2401.0, 49, columns)
        for name in ("loss", "accuracy", "f1")
    )
    reasons = tuple(Reason(ReasonKind.PARAM, f"p{n}", "1 → 2") for n in range(9))
    stage = StageView("train", phase=Phase.RUNNING, started=0.0, usual_seconds=9.0, because=reasons)
    assert 1 <= len(stage_head(stage, curves, width, height, 3.0)) <= height


def test_logs_keep_colours_and_lose_what_steers_the_terminal() -> None:
    raw = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x1b[1A[bold]not markup[/bold]\x08"
    assert plain(tidy(raw)) == "red [bold]not markup[/bold]"
    assert styled(tidy(raw)).plain == "red [bold]not markup[/bold]"
    assert styled(tidy(raw)).spans
    assert tidy("10%\r50%\r100%\r") == "100%"


STEERING = st.sampled_from(
    ["\x1b", "\x1b[", "\x1b]", "\x1b[31m", "2J", "\x9b", "\r", "m", ";", "\x07"]
)


@given(st.lists(st.one_of(STEERING, st.text(max_size=3)), max_size=20).map("".join))
def test_no_log_line_can_steer_the_terminal(raw: str) -> None:
    shown = styled(tidy(raw)).plain
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)


@given(st.text(max_size=40), st.integers(1, 40), st.booleans())
def test_a_cell_is_exactly_as_wide_as_asked(text: str, width: int, right: bool) -> None:
    shown = line(text.replace("\n", " ").replace("\t", " "))
    assert cell(shown, width, right=right).cell_length == width


def test_what_does_not_fit_gives_way_by_rank_and_keeps_its_order() -> None:
    pieces = [
        Piece(line("aaaa"), "a", 2),
        Piece(line("bbb"), "b", 0),
        Piece(line("cc"), "c", 1),
    ]
    kept = fitting(pieces, 6)
    assert [piece.action for piece in kept] == ["b", "c"]
    assert [action_at(kept, x) for x in (0, 2, 3, 4, 5)] == ["b", "b", "c", "c", ""]


def test_numbers_and_times_read_as_people_write_them() -> None:
    assert [number(v) for v in (0.98611, 12.0, 5.76e-7, 12345.0, math.nan)] == [
        "0.9861", "12", "5.76e-7", "12345", "nan",
    ]  # fmt: skip
    assert (signed(0.021), signed(-1.2)) == ("+.021", "−1.2")
    assert (arrow(0.004), arrow(-2.0), arrow(0.0)) == ("▲ 0.004", "▼ 2", "=")
    assert [duration(v) for v in (0.24, 6.1, 42.3, 65.0)] == ["0.2 s", "6.1 s", "42 s", "1:05"]
    assert (clock(14.9), clock(7390.0)) == ("0:14", "2:03:10")
    assert [size(v) for v in (512, 40266, 1_240_000)] == ["512 B", "40 KB", "1.2 MB"]
    assert [ago(0, v) for v in (1, 12, 180, 7200, 200000)] == [
        "now", "12 s ago", "3 min ago", "2 h ago", "2 days ago",
    ]  # fmt: skip


def test_advice_stands_below_the_reasons_with_the_line_to_add() -> None:
    sentence = 'reads data/extra.csv undeclared; add to [stages.train]: deps = ["data/extra.csv"]'
    stage = StageView("train", outcome=StageOutcome.RAN, advice=(sentence,))
    shown = [item.plain.rstrip() for item in stage_head(stage, (), 100, 20, 0.0)]
    assert shown[1] == f"!    {sentence}"
    narrow = [item.plain for item in stage_head(stage, (), 40, 20, 0.0)]
    assert "".join(text[5:].rstrip() for text in narrow[1:]).replace(" ", "") == sentence.replace(
        " ", ""
    )
    many = stage_head(replace(stage, advice=(sentence,) * 5), (), 100, 20, 0.0)
    assert "and 2 more" in many[-1].plain


def test_what_is_said_of_the_last_run_is_never_of_a_scripts_own() -> None:
    going = run("own-going", 0.5, 0.1, origin="script", outcome=None)
    ended = run("own-ended", 0.5, 0.1, origin="script")
    built = run("of-stages", 0.9, 0.1, stages={"train": StageRecord(StageOutcome.RAN, 1, "k", "")})
    for state in (StageState.FRESH, StageState.STALE):
        board = Board((StageView("train", state=state),), is_planned=True)
        known = Situation(board=board, history=History(recent=(going, ended, built)))
        (said,), _ = status_pieces(known, 120)
        assert "of-stages" in said.content.plain
