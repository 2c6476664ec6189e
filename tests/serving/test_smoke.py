"""The smoke test over HTTP, against a real server that has a version staged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from mlbench.domain.errors import ServingError
from mlbench.domain.release import Candidate, DeployedModel, Signature, TensorSpec
from mlbench.engine.hands.smoke import smoke_test
from mlbench.release.folders import ANSWERS_NAME, REQUEST_NAME
from mlbench.release.request import write_request
from mlbench.serving import supervise
from tests.release.conftest import made
from tests.serving.conftest import save

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

SIGNATURE = Signature(
    (TensorSpec("width", "FP32", (-1, 1)), TensorSpec("island", "BYTES", (-1, 1))),
    (TensorSpec("prediction", "FP32", (-1, 1)),),
)
ISLANDS = {"Dream": 100.0, "Biscoe": 200.0, "Torgersen": 300.0}


def priced(path: Path) -> str:
    """A model: the width and what the island costs; its digest."""
    costs = helper.make_node(
        "LabelEncoder",
        ["island"],
        ["cost"],
        domain="ai.onnx.ml",
        keys_strings=list(ISLANDS),
        values_floats=list(ISLANDS.values()),
    )
    graph = helper.make_graph(
        [costs, helper.make_node("Add", ["width", "cost"], ["prediction"])],
        "priced",
        [
            helper.make_tensor_value_info("width", TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info("island", TensorProto.STRING, [None, 1]),
        ],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])],
    )
    return save(graph, path, "ai.onnx.ml")


class Staged:
    """A version staged on a server, and a folder with what the original says."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.folder = sandbox.layout.models / "priced" / "7"
        digest = priced(self.folder / "model.onnx")
        self.version: Candidate = replace(made(7), model="priced", version=7, signature=SIGNATURE)
        path = str(self.folder / "model.onnx")
        model = DeployedModel("priced", 7, digest, "run", path, SIGNATURE)
        order = sandbox.deploy(staged=(model,))
        self.address = supervise.ensure_up(sandbox.layout, sandbox.environment).address
        supervise.wait_staged(sandbox.layout, sandbox.environment, order)

    def rows(self, width: Any, island: Any, scores: Any, **more: Any) -> None:
        arrays: dict[str, Any] = {
            "in:width": np.asarray(width, np.float32).reshape(-1, 1),
            "in:island": np.asarray(island).reshape(-1, 1),
            "scores": np.asarray(scores, np.float64).reshape(-1, 1),
        }
        np.savez(self.folder / ANSWERS_NAME, **{**arrays, **more})
        write_request(self.folder, SIGNATURE)

    def ask(self) -> Any:
        return smoke_test(self.address, self.version, self.folder)


@pytest.fixture
def staged(sandbox: Sandbox) -> Staged:
    return Staged(sandbox)


def test_columns_with_words_answer_as_in_training(staged: Staged) -> None:
    staged.rows([1.5, 2.25, 3.0], ["Dream", "Torgersen", "Biscoe"], [101.5, 302.25, 203.0])
    result = staged.ask()
    assert (result.passed, result.why) == (True, "3 held-out rows over HTTP")


def test_what_training_said_otherwise_is_found_with_its_row(staged: Staged) -> None:
    staged.rows([1.5, 2.25, 3.0], ["Dream", "Torgersen", "Biscoe"], [101.5, 302.25, 303.0])
    result = staged.ask()
    assert result.refuses
    assert "row 2: " in result.why
    assert "island=Biscoe" in result.why
    assert "original 303 → exported 203" in result.why


def test_rows_as_stored_find_what_a_cast_does(staged: Staged) -> None:
    # Seconds since the epoch: float32 has a grid of 128 of them, and training had all of it.
    stored = np.array([[1.0], [1763889302.12]])
    staged.rows(
        stored,
        ["Dream", "Dream"],
        [101.0, np.float32(stored[1, 0])],
        **{"raw:width": stored, "scores_raw": np.array([[101.0], [0.12]])},
    )
    result = staged.ask()
    assert result.refuses
    assert "row 1: " in result.why


def test_rows_with_gaps_are_left_out(staged: Staged) -> None:
    staged.rows([np.nan, 2.0], ["Dream", "Dream"], [np.nan, 102.0])
    result = staged.ask()
    assert result.passed is True
    assert result.why.startswith("1 held-out row over HTTP; 1 with NaN left out")
    staged.rows([np.nan], ["Dream"], [np.nan])
    assert (staged.ask().passed, staged.ask().refuses) == (None, False)


def test_without_rows_it_does_not_apply_and_a_request_must_be_answered(staged: Staged) -> None:
    assert staged.ask().passed is None
    (staged.folder / REQUEST_NAME).write_text('{"inputs": []}')
    with pytest.raises(ServingError, match=r"priced v7 does not answer as it should: .*lacks"):
        staged.ask()


def test_a_version_that_is_not_there_does_not_answer(staged: Staged) -> None:
    staged.rows([1.5], ["Dream"], [101.5])
    other = replace(staged.version, version=8)
    with pytest.raises(ServingError, match="priced v8 does not answer as it should"):
        smoke_test(staged.address, other, staged.folder)
