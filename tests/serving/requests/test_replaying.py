from __future__ import annotations

import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import DeployedModel
from mlbench.domain.serving import Replayed, ReplayFlip, ServerSettings
from mlbench.serving.python_path import variables
from mlbench.serving.requests.log import RequestLog
from mlbench.serving.requests.records import Kept
from mlbench.serving.requests.replay import RESULT_NAME, Job, command_for
from mlbench.serving.requests.replaying import replay
from mlbench.serving.running.loading import LoadedModel, load
from mlbench.system.files import read_json, write_json
from tests.serving.requests.classifiers import CLASSES, asked, asked_rows, classifier, loaded
from tests.serving.requests.kept import kept

SAME, SWAPPED = (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0)


def replayed(entries: list[Kept], model: LoadedModel) -> Replayed:
    return replay(entries, model, {"1": CLASSES}, "production")


def test_the_same_version_answers_the_same(tmp_path: Path) -> None:
    model = loaded(tmp_path, 1)
    entries = [
        asked(1, model, 1, 0, 0, 2),
        asked_rows(2, model, {"a": 1.5, "b": 0.25}),
        asked(3, model, 1, 0, parameters={"binary_data_output": True}),
    ]
    found = replayed(entries, model)
    assert (found.asked, found.compared, found.rows) == (3, 3, 4)
    assert (found.flipped, found.max_abs_error, found.worst_id, found.reasons) == (0, 0.0, "", {})
    assert found.median_before == 0.001
    assert found.median_after is not None


def test_flips_are_told_with_both_answers_by_either_route(tmp_path: Path) -> None:
    live, other = loaded(tmp_path / "a", 1), loaded(tmp_path / "b", 2, *SWAPPED)
    entries = [
        asked(1, live, 1, 0, 3, 3, 0, 2),
        asked_rows(2, live, {"a": 5, "b": 0}),
    ]
    found = replayed(entries, other)
    assert found.flips == (
        ReplayFlip("id-1", 0, "0", "1"),
        ReplayFlip("id-1", 2, "1", "0"),
        ReplayFlip("id-2", 0, "0", "1"),
    )
    assert (found.flipped, found.rows) == (3, 4)
    most = 1 / (1 + math.exp(-5)) - 1 / (1 + math.exp(5))
    assert found.max_abs_error == pytest.approx(most, abs=1e-6)
    assert found.worst_id == "id-2"
    assert found.mean_abs_error < found.max_abs_error


def test_a_candidate_with_other_inputs_refuses_and_says_so(tmp_path: Path) -> None:
    live = loaded(tmp_path / "a", 1)
    other = load(classifier(tmp_path / "b", 2, (1.0,) * 6, width=3))
    found = replayed([asked(1, live, 1, 0), asked(2, live, 2, 0)], other)
    assert (found.asked, found.compared, found.refused) == (2, 0, 2)
    ((reason, count),) = found.reasons.items()
    assert "does not fit the model's" in reason
    assert count == 2
    assert found.median_before is None


@pytest.mark.parametrize(
    "changed",
    [{"without_body": True}, {"is_body_cut": True}, {"is_reply_cut": True}, {"reply": b"{}"}],
)
def test_what_the_log_has_not_whole_is_counted_apart(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    model = loaded(tmp_path, 1)
    entry = asked(1, model, 1, 0)
    for name, value in changed.items():
        setattr(entry, name, value)
    found = replayed([entry, asked(2, model, 1, 0)], model)
    assert (found.compared, found.unreadable) == (1, 1)


def test_rankings_are_compared_by_their_scores_not_as_texts(tmp_path: Path) -> None:
    live, other = loaded(tmp_path / "a", 1), loaded(tmp_path / "b", 2, 1.1, 0.0, 0.0, 1.0)
    ranked = [{"name": "probabilities", "parameters": {"classification": 1}}, {"name": "label"}]
    found = replayed([asked(1, live, 1, 0, outputs=ranked)], other)
    assert (found.compared, found.flipped) == (1, 0)


def test_probabilities_of_classes_in_another_order_are_told_apart_by_name(tmp_path: Path) -> None:
    live, other = loaded(tmp_path / "a", 1), loaded(tmp_path / "b", 2, *SWAPPED)
    turned = replace(other.deployed.signature, classes=CLASSES[::-1])
    other = load(replace(other.deployed, signature=turned))
    wanted = [{"name": "probabilities"}]
    found = replayed([asked(1, live, 1, 0, outputs=wanted)], other)
    assert found.max_abs_error == pytest.approx(0.0, abs=1e-6)


def in_child(tmp_path: Path, log: Path, deployed: DeployedModel, count: int = 10) -> Any:
    job = tmp_path / "job.json"
    write_json(job, to_plain(Job(str(log), deployed, count, "staging", {"1": CLASSES})))
    done = subprocess.run(
        command_for(job), cwd=tmp_path, env=variables(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return read_json(tmp_path / RESULT_NAME)


def test_the_newest_answered_requests_of_a_log_in_a_process_of_its_own(tmp_path: Path) -> None:
    live = loaded(tmp_path / "a", 1)
    log = RequestLog(tmp_path / "log", 0, ServerSettings())
    for number in range(20):
        log.keep(asked(number, live, number, 10))
        log.keep(kept(100 + number, status=400, reply=b'{"error": "no"}'))
        log.keep(kept(200 + number, model="another"))
    log.close()
    plain = in_child(tmp_path, tmp_path / "log", classifier(tmp_path / "b", 2, SWAPPED))
    found = from_plain(Replayed, plain)
    assert (found.asked, found.compared) == (10, 10)
    # 10 to 19 beside 10: all but the tie are class 0, and the other says 1.
    assert [flip.id for flip in found.flips] == [f"id-{n}" for n in range(19, 10, -1)]


def test_a_version_that_can_not_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    deployed = classifier(tmp_path / "a", 2)
    Path(deployed.path).write_bytes(b"broken")
    found = in_child(tmp_path, tmp_path / "log", deployed)
    assert "is not what was promoted" in found["problem"]
