"""Model cards: what they say, and that no text of a project can break their form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlbench.domain.release import Candidate, GateResult, ParityCheck, Signature, TensorSpec
from mlbench.release.card import escaped, make_card, name_of
from tests.release.conftest import PARITY, PASSED, versioned

REQUEST = {
    "inputs": [
        {"name": "input", "datatype": "FP32", "shape": [2, 4], "data": [1.0, 2.0, 3.0, 4.0] * 2}
    ]
}
RUN = "20261123-091502-1a2b-00c0ffee"


def whole() -> Candidate:
    """A version of which everything is known."""
    checks = (
        ParityCheck("held-out", True, 30, 1e-7, 2e-7, 0, 1, 17, "row 17: 0.81 → 0.81"),
        ParityCheck("missing", None, why="the original refuses them"),
    )
    failed = replace(PASSED, gate="f1 >= 0.9", passed=False, why="missed by 0.05", level="warn")
    return replace(
        versioned(1, 3),
        run=RUN,
        gates=(PASSED, failed, replace(PASSED, gate="x < production.x", passed=None)),
        parity=replace(
            PARITY,
            checks=checks,
            original_metrics={"accuracy": 0.97},
            exported_metrics={"accuracy": 0.965},
        ),
        signature=Signature(
            (TensorSpec("input", "FP32", (-1, 4)),),
            (TensorSpec("label", "INT64", (-1,)),),
            ("cat", "dog"),
            ("a", "b", "c", "d"),
        ),
        graph_digest="graph-digest",
        facts={
            "framework": "sklearn",
            "version.onnx": "1.23",
            "commit": "abc123",
            "dirty": "true",
            "params.train.c": "1.0",
        },
        metrics={"accuracy": 0.97},
    )


def html(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def tables(text: str) -> list[set[int]]:
    """The widths of the rows of each table, as a reader of Markdown finds them."""
    found: list[set[int]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append(set())
        elif token.type == "tr_open":
            cells = 0
        elif token.type in ("td_open", "th_open"):
            cells += 1
        elif token.type == "tr_close":
            found[-1].add(cells)
    return found


def headings(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [
        tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"
    ]


SECTIONS = [
    "digits v3",
    "Intended use, limits",
    "Metrics of the run",
    "Metrics on the held-out rows",
    "Gates",
    "Parity: the exported model beside the original",
    "Signature",
    "A request",
    "How it was made",
    "Parameters",
]


def test_a_card_says_everything_that_is_known() -> None:
    card = make_card(whole(), REQUEST, "")
    assert headings(card) == SECTIONS
    for said in (
        "(`20261123-091502-1a2b-00c0ffee`), exported to ONNX 2026-11-23T09:15:01.000Z.",
        "| digest | `digest-001` |",
        "| digest of the graph | `graph-digest` |",
        "| latency, one row | p50 0.01 ms, p99 0.02 ms |",
        "| `accuracy` | 0.97 | 0.965 |",
        "| `accuracy >= 0.95` | ✓ holds | 0.97 | 0.95 | 0.02 |  |",
        "| `f1 >= 0.9` | ✗ fails (warning) | 0.97 | 0.95 | 0.02 | missed by 0.05 |",
        "| `x < production.x` | does not apply |",
        "| held-out | ✓ holds | 30 | 1e-7 | 2e-7 | 0 and 1 within the margin |  |",
        "| missing | does not apply |  |  |  |  | the original refuses them |",
        "- Worst of held-out: row 17: 0.81 → 0.81",
        "Classes, in the order of the scores: `cat`, `dog`",
        "Columns of the input, in order: `a`, `b`, `c`, `d`",
        "| input | `input` | FP32 | n × 4 |",
        "curl -s http://127.0.0.1:PORT/v2/models/digits/versions/3/infer -H",
        '"shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]',
        "| uncommitted changes | yes |",
        "| onnx | `1.23` |",
        "| `train.c` | `1.0` |",
        "mlbench card digits@3 --words FILE",
    ):
        assert said in card, said


def test_words_take_their_place() -> None:
    words = "For **daylight** only.\n\n- fails at night\n"
    card = make_card(whole(), REQUEST, words)
    assert "## Intended use, limits\n\nFor **daylight** only.\n\n- fails at night\n\n## M" in card
    assert "Nobody has said" not in card


def test_a_model_that_is_a_file_has_a_card_without_proof() -> None:
    bare = replace(
        whole(),
        version=None,
        format="file",
        file="model.pkl",
        parity=None,
        signature=None,
        latency={},
        graph_digest="",
        facts={},
        metrics={},
        gates=(),
    )
    card = make_card(bare, None, "")
    assert headings(card) == [name_of(bare), "Intended use, limits", "How it was made"]
    assert "kept as it is" in card
    assert "| file | `model.pkl` |" in card


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=25) | st.sampled_from(
    [
        "a|b",
        "```\n# x",
        "`` ` ``",
        "<b>",
        "| x | y |\n|---|---|",
        "\\|",
        "\\",
        "# t",
        "\r\n",
        "\u200b",
    ]
)


@settings(deadline=None)
@given(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS))
def test_no_text_breaks_the_form_of_a_card(texts: tuple[str, ...]) -> None:
    first, second, third, fourth = texts
    known = whole()
    assert known.parity is not None
    assert known.signature is not None
    check = ParityCheck(first, True, worst=second, why=third)
    odd = replace(
        known,
        gates=(GateResult(first, "digits", second, False, 0.1, why=third),),
        parity=replace(known.parity, checks=(check,), exported_metrics={fourth: 1.0}),
        signature=replace(known.signature, classes=(first, second), columns=(third,)),
        facts={"commit": first, f"params.{second}": third, f"version.{fourth}": first},
        metrics={second: 1.0},
    )
    request: dict[str, Any] = {
        "inputs": [{"name": first, "datatype": "BYTES", "shape": [1, 1], "data": [second]}]
    }
    card = make_card(odd, request, "")
    assert headings(card) == SECTIONS
    assert all(len(widths) == 1 for widths in tables(card))
    assert len(tables(card)) == len(tables(make_card(known, REQUEST, "")))


@pytest.mark.parametrize(
    "text", ["<script>x</script>", "*a* _b_ [c](d) e", "![x](y)", "&amp;", "__x__"]
)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    shown = html(escaped(text)).removeprefix("<p>").removesuffix("</p>\n")
    assert shown == text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_ordinary_words_are_left_as_they_are() -> None:
    words = "row 17: input[0]=5.2, linear_model: 0.8 -> 0.9 & more > less (#3)"
    assert escaped(words) == words
