"""Versions, one in full, two side by side, the ledger and a card, as text: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.commands import ExportRun, Promote, Rollback, RunStages
from mlbench.domain.events import CommandDone, Notice
from mlbench.domain.release import Candidate, GateResult, LedgerEntry, Parity, ParityCheck
from mlbench.domain.stages import EnvironmentSpec, Project
from mlbench.engine.release_queries import SIDES, Side, compare_releases
from mlbench.tui.actions import command_for
from mlbench.tui.draw.card import card_lines
from mlbench.tui.draw.gates import gates_in_short, told_gates
from mlbench.tui.draw.ledger import LedgerTable, entry_lines, live_lines
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.release_page import Page, fact_lines, proof_lines
from mlbench.tui.draw.releases import ModelTable
from mlbench.tui.draw.status import status_pieces
from mlbench.tui.draw.versions import TITLES, versions_lines
from mlbench.tui.errands import Errands, heard, refusals, sent
from mlbench.tui.reading import Released, Releases, Surroundings
from mlbench.tui.release_questions import Promotion, ask_promote, first_promotion
from mlbench.tui.release_reading import GatesQuestion, GatesToday
from mlbench.tui.release_rules import copies, counterpart
from mlbench.tui.situation import LEDGER, MODELS, Situation, refused
from tests.tui.released import CHECKS, SIGNATURE, at, gates_of, run_id, run_of

PARITY = Parity(
    True, 114, 4.1e-6, 5.2e-6, 0, 12, "raw", 1e-3, 1e-4, CHECKS, {"accuracy": 0.97},
    {"accuracy": 0.96},
)  # fmt: skip
STAGING = EnvironmentSpec("staging", 8101)
PRODUCTION = EnvironmentSpec("production", 8100, ("staging",))


def released(
    number: int, *environments: str, version: int | None = None, dirty: bool = False
) -> Released:
    accuracy = 0.95 + number / 100
    candidate = Candidate(
        "penguins", run_id(number), f"digest-{number}", "source", "sample", f"models/{number}",
        at(number), 40_000 + number, PARITY, SIGNATURE, {"p50_ms": 0.02, "p99_ms": 0.06},
        gates_of(accuracy, live=0.95), version,
        facts={"framework": "sklearn", "version.onnx": "1.23", "params.train.depth": "5"},
    )  # fmt: skip
    return Released(candidate, environments, run_of(number, accuracy, dirty=dirty))


FILE = Released(
    replace(
        released(3).candidate, model="tokens", parity=None, signature=None, latency={}, gates=(),
        format="file", file="tokens.json",
    )
)  # fmt: skip
ROWS = (
    released(4),
    FILE,
    released(2, "staging", "production", version=2),
    released(1, version=1),
)


def entry(
    sequence: int, action: str, environment: str, version: int, **more: object
) -> LedgerEntry:
    made = LedgerEntry(
        sequence, f"2026-11-21T{sequence:02d}:00:00.000Z", action, environment, "penguins",
        version, f"digest-{version}", run_id(version), "ada",
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


LEDGER_ENTRIES = (
    entry(1, "promote", "staging", 1),
    entry(2, "promote", "production", 1, gates=gates_of(0.96)),
    entry(3, "promote", "staging", 2, forced=True, reason="v1 is on fire", by="grace"),
    entry(4, "withdraw", "staging", 2, why="the server could not load it"),
)


def plain(lines: object) -> str:
    return "\n".join(text.plain for text in lines)  # type: ignore[attr-defined]


@given(st.integers(8, 240), st.lists(st.sampled_from(ROWS), min_size=1, max_size=4))
def test_the_table_fits_every_width_and_never_loses_the_version(
    width: int, rows: list[Released]
) -> None:
    table = ModelTable(rows, width, 0.0)
    lines = [table.header, *(table.row(index, 0.0) for index in range(len(rows)))]
    assert all(text.cell_length <= width for text in lines)
    if width >= 24:
        assert "version" in table.header.plain


def test_the_table_names_models_where_there_are_several() -> None:
    assert "tokens" in ModelTable(ROWS, 60, 0.0).row(1, 0.0).plain
    assert "model" not in ModelTable((ROWS[0], ROWS[2]), 60, 0.0).header.plain
    whole = ModelTable(ROWS, 200, 0.0)
    assert "● staging, production" in whole.row(2, 0.0).plain
    assert "4.1e-6 raw row 12" in whole.row(2, 0.0).plain
    assert "not exported" in whole.row(1, 0.0).plain


def test_a_failed_parity_has_a_sign_beside_its_colour() -> None:
    bad = replace(
        ROWS[0], candidate=replace(ROWS[0].candidate, parity=replace(PARITY, passed=False))
    )
    assert "✗ 4.1e-6" in ModelTable((bad,), 200, 0.0).row(0, 0.0).plain


@given(st.integers(24, 200))
def test_a_page_fits_every_width(width: int) -> None:
    for row in ROWS:
        lines = [*proof_lines(Page(row), width), *fact_lines(Page(row), width)]
        assert all(text.cell_length <= width for text in lines), width


def test_a_page_names_the_worst_row_of_each_kind_and_why_one_does_not_apply() -> None:
    shown = plain(proof_lines(Page(ROWS[2]), 100))
    assert "row 51: bill_length_mm=49.1, flipper_length_mm=220; Gentoo 0.9812 → 0.9812" in shown
    assert "– missing     the original refuses NaN in bill_length_mm" in shown
    assert "same, 1 within the margin" in shown
    assert "labels may flip within 0.0001" in shown
    assert "accuracy       0.97       0.96  −.01" in shown
    assert "worst of 3 islands: island=Torgersen, 0.9412 of 34 rows" in shown
    assert "equal runs lie up to ±0.004 apart by chance" in shown
    failed = ParityCheck(
        "thresholds", False, 1420, 0.3, 0.5, 7, 0, 803, "row 803: cat → dog", "7 labels differ"
    )
    parity = replace(PARITY, passed=False, checks=(failed,), label_flips=7)
    bad = replace(ROWS[2], candidate=replace(ROWS[2].candidate, parity=parity))
    told = plain(proof_lines(Page(bad), 100))
    assert "✗ thresholds" in told
    assert "7 differ" in told
    assert "row 803: cat → dog" in told


def test_a_page_says_what_goes_in_and_out_and_where_it_is_from() -> None:
    shown = plain(fact_lines(Page(ROWS[2]), 100))
    assert "bill_length_mm FP32 [n × 1]" in shown
    assert "Adelie, Chinstrap, Gentoo" in shown
    assert "train.depth  6" in shown, "the run's own parameters"
    assert "params.train.depth" not in shown
    assert "onnx" in shown
    lost = plain(fact_lines(Page(replace(ROWS[2], run=None)), 100))
    assert "train.depth  5" in lost, "the version's facts, where the run is gone"
    told = plain(proof_lines(Page(FILE), 100)) + plain(fact_lines(Page(FILE), 100))
    assert "file: released as it is, never exported" in told
    assert "Signature" not in told


@given(st.integers(20, 120))
def test_gates_with_their_remarks_fit_every_width(width: int) -> None:
    lines = told_gates(gates_of(0.94, live=0.95), width)
    assert all(text.cell_length <= width for text in lines)


def test_gates_in_short_show_the_tightest_margin_or_the_first_that_refuses() -> None:
    def short(*gates: GateResult) -> str:
        return line(*gates_in_short(gates)).plain

    held = GateResult("accuracy >= 0.95", "m", "error", True, 0.96, 0.95, 0.01)
    wide = GateResult("bytes < 1e6", "m", "error", True, 5e5, 1e6, 5e5)
    warned = GateResult("p99 < 5", "m", "warn", False, 6.0, 5.0, -1.0, "missed by 1")
    missed = GateResult("f1 >= 0.9", "m", "error", False, 0.8, 0.9, -0.1, "missed by 0.1")
    waits = GateResult("accuracy >= production.accuracy", "m", "error", None, why="nothing")
    assert short(wide, held, waits) == "✓ 2 of 2  +.01"
    assert short(held, warned) == "! 1 of 2  −1 p99 < 5"
    assert short(warned, held, missed) == "✗ 1 of 3  −.1 f1 >= 0.9"
    assert short() == "no gates"


@given(st.integers(20, 200))
def test_ledger_lines_fit_every_width(width: int) -> None:
    table = LedgerTable(LEDGER_ENTRIES, LEDGER_ENTRIES)
    lines = [table.row(index, width) for index in range(len(table))]
    lines += [text for item in LEDGER_ENTRIES for text in entry_lines(item, max(26, width))]
    lines += live_lines("now", LEDGER_ENTRIES, width)
    assert all(text.cell_length <= max(26, width) for text in lines)


def test_the_ledger_says_who_forced_what_and_what_is_live() -> None:
    table = LedgerTable(LEDGER_ENTRIES, LEDGER_ENTRIES)
    rows = [table.row(index, 140) for index in range(len(table))]
    assert "‼" in rows[2].plain
    assert "forced" in rows[2].plain
    assert "v1 is on fire" in rows[2].plain
    assert any("fail" in str(span.style) for span in rows[2].spans)
    assert [("●" in row.plain) for row in rows] == [True, True, False, False]
    assert "the server could not load it" in rows[3].plain
    told = plain(entry_lines(LEDGER_ENTRIES[2], 100))
    assert "forced: gates or rules spoke against it" in told
    assert "by       grace" in told
    assert "✓ accuracy >= 0.95" in plain(entry_lines(LEDGER_ENTRIES[1], 100))
    assert plain(live_lines("at 2026", (), 60)).rstrip() == "at 2026  nothing was live"


def test_two_versions_side_by_side_differences_first() -> None:
    one, other = ROWS[3], ROWS[2]
    rows = compare_releases(Side(one.candidate, one.run), Side(other.candidate, other.run))
    assert set(TITLES) == set(SIDES)
    assert {row.kind for row in rows} <= set(SIDES)
    for kind in SIDES:
        differ = [row.differs for row in rows if row.kind == kind]
        assert differ == sorted(differ, reverse=True), kind
    shown = plain(versions_lines((one, other), rows, 110))
    assert "A penguins v1" in shown
    assert "accuracy                            0.96" in shown
    assert "▲ 0.01" in shown
    assert "train.depth" in shown
    fewer = plain(versions_lines((one, other), rows, 110, only_differences=True))
    assert "held-out, max error" in shown
    assert "held-out, max error" not in fewer
    of_file = compare_releases(Side(FILE.candidate), Side(other.candidate, other.run))
    assert "–" in plain(versions_lines((FILE, other), of_file, 40))


def known(release: Released | None, *rows: Released, **more: object) -> Situation:
    project = Project("p", "python", 1, (), (), (STAGING, PRODUCTION))
    made = Situation(
        screen=MODELS,
        surroundings=Surroundings(project),
        releases=Releases(rows, LEDGER_ENTRIES, is_read=True),
        release=release,
        run=release.run if release else None,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_version_is_compared_with_production_else_with_the_one_before() -> None:
    staged = released(3, "staging", version=3)
    live = released(2, "production", version=2)
    found = counterpart(known(released(4), staged, live))
    assert found is not None
    assert (found.release, found.place) == (live, "production")
    found = counterpart(known(live, staged, live, released(1, version=1)))
    assert found is not None
    assert (found.release, found.place) == (staged, "staging"), "itself is no comparison"
    found = counterpart(known(released(3, version=3), released(2, version=2), ROWS[3]))
    assert found is not None
    assert (found.release.candidate.version, found.place) == (2, "before")
    assert counterpart(known(ROWS[3], ROWS[3], FILE)) is None


def test_in_a_chain_of_environments_the_last_one_is_compared_with() -> None:
    canary = EnvironmentSpec("canary", 8102, ("staging",))
    last = replace(PRODUCTION, require=("canary",))
    staged, there, live = released(3, "staging"), released(2, "canary"), released(1, "production")
    situation = known(released(4), staged, there, live)
    known_project = situation.surroundings.project
    assert known_project is not None
    project = replace(known_project, environments=(STAGING, canary, last))
    surroundings = replace(situation.surroundings, project=project)
    found = counterpart(replace(situation, surroundings=surroundings))
    assert found is not None
    assert found.place == "production"


def test_without_another_version_there_is_nothing_to_compare_with() -> None:
    assert counterpart(known(None)) is None


def test_what_can_be_copied_depends_on_what_is_looked_at() -> None:
    assert dict(copies(known(ROWS[2])))["name"] == "penguins@2"
    assert dict(copies(known(ROWS[0])))["name"] == f"penguins@{run_id(4)}"
    of_entry = known(None, screen=LEDGER, entry=LEDGER_ENTRIES[0])
    assert dict(copies(of_entry))["digest"] == "digest-1"


def test_force_is_offered_only_against_a_refusal_and_never_first() -> None:
    calm = Promotion(ROWS[2], PRODUCTION, LEDGER_ENTRIES[1])
    held = GatesToday(GatesQuestion(ROWS[2].candidate, "production"), gates_of(0.97))
    question = ask_promote(calm, held)
    assert [choice.value for choice in question.choices] == [Promote("production", "penguins", "2")]
    refused = replace(held, gates=gates_of(0.9))
    question = ask_promote(calm, refused)
    first, forced = question.choices
    assert first.value == Promote("production", "penguins", "2")
    assert forced.value == Promote("production", "penguins", "2", force=True)
    assert forced.asks_why
    assert "fail" in forced.style
    assert "takes it by force alone" in plain(question.lines)


def test_uncommitted_code_is_asked_about_where_it_is_guarded() -> None:
    dirty = released(2, version=2, dirty=True)
    today = GatesToday(GatesQuestion(dirty.candidate, "x"), gates_of(0.97))
    to_staging = ask_promote(Promotion(dirty, STAGING), today)
    assert len(to_staging.choices) == 1
    _, allowed = ask_promote(Promotion(dirty, PRODUCTION), today).choices
    assert allowed.value == Promote("production", "penguins", "2", allow_dirty=True)


def test_gates_that_can_not_be_judged_now_are_those_of_last_time() -> None:
    broken = GatesToday(GatesQuestion(ROWS[2].candidate, "x"), problem="mlbench.toml:3: no")
    said = plain(ask_promote(Promotion(ROWS[2], PRODUCTION), broken).lines)
    assert "can't be judged now: mlbench.toml:3: no" in said
    assert "accuracy >= 0.95" in said


def test_an_errand_is_told_from_its_sending_to_its_answer() -> None:
    promote = Promote("production", "penguins", "2")
    errands = sent(sent(Errands(), RunStages()), promote)
    assert errands.text == "promoting penguins v2 to production …"
    step = Notice(at(1), "info", "penguins v2 is loaded beside what is live …")
    errands = heard(errands, [step], {})
    assert errands.text == (
        "promoting penguins v2 to production: penguins v2 is loaded beside what is live …"
    )
    errands = sent(errands, Rollback("staging", "penguins"))
    errands = heard(errands, [CommandDone(at(2), "a", 0)], {"a": promote})
    assert errands.text == "rolling back penguins in staging …"
    errands = heard(errands, [], {"b": Rollback("staging", "penguins")})
    assert errands.text == ""
    assert sent(Errands(), ExportRun("no id")).text == "exporting no id …"
    forced = sent(Errands(), replace(promote, force=True, reason="x"))
    assert forced.text.startswith("promoting by force")


def test_a_refusal_is_remembered_until_the_promotion_is_done_and_offers_force() -> None:
    promote = Promote("staging", "penguins", "2")
    said = "penguins of run x is not promoted: accuracy >= 0.99"
    known_refusals = refusals({}, [CommandDone(at(1), "a", 3, said)], {"a": promote})
    assert known_refusals == {("staging", "penguins", "2"): said}
    others = [CommandDone(at(2), "b", 1, "a port is taken"), CommandDone(at(2), "c", 3, "theirs")]
    assert refusals({}, others, {"b": promote}) == {}
    situation = known(ROWS[2], *ROWS, refusals=known_refusals)
    assert refused(situation) == said
    assert command_for("promote", situation) is None, "it asks"
    promotion = first_promotion(situation)
    assert promotion is not None
    question = ask_promote(promotion)
    assert said in plain(question.lines)
    assert question.choices[-1].value == replace(promote, force=True)
    done = refusals(known_refusals, [CommandDone(at(3), "d", 0)], {"d": promote})
    assert done == {}


def test_the_status_line_tells_an_errand_before_the_last_run() -> None:
    (said,), _ = status_pieces(replace(known(None), errand="promoting penguins to staging …"), 120)
    assert "promoting penguins to staging" in said.content.plain


CARD = """\
# penguins v2

Trained by `brave-otter`, [docs](http://127.0.0.1/x).

| fact | value |
|---|---|
| size | 40 KB |

## Intended use

```sh
mlbench card penguins@2
```
"""


def test_a_card_is_laid_out_without_marks_or_colours_of_its_own() -> None:
    lines = card_lines(CARD, 60)
    shown = plain(lines)
    assert shown.startswith("penguins v2\n")
    assert "#" not in shown
    assert "size  40 KB" in shown
    assert "mlbench card penguins@2" in shown
    assert "\n\n\n" not in shown
    styles = {str(span.style) for text in lines for span in text.spans}
    assert styles <= {"$info", "bold", "italic", "$info bold", "bold $info"}


@pytest.mark.parametrize("width", [20, 34, 76, 196])
def test_a_card_fits_its_width(width: int) -> None:
    assert all(text.cell_length <= width for text in card_lines(CARD, width))


def test_a_card_steers_no_terminal() -> None:
    shown = plain(card_lines("words \x1b]0;title\x07\x1b[2J of somebody", 60))
    assert "\x1b" not in shown
    assert "words" in shown
