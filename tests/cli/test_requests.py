"""`requests`, `feedback` and `replay` on the log of a real model's answers."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from mlbench.domain.serving import ServerSettings
from mlbench.engine.releases import Releases
from mlbench.project.layout import Layout
from mlbench.release.promotion import deployed_model
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import parse_request
from mlbench.serving.requests.log import Kept, RequestLog
from mlbench.serving.running.loading import load
from tests.support import SmallProject, commit_all

MODEL = "flowers"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.4, 1.4], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, tiny_built: Path) -> SmallProject:
    """A project whose staging answered thirty requests and refused one; version 1 is registered."""
    root = tmp_path_factory.mktemp("asked") / "tiny"
    shutil.copytree(tiny_built, root, symlinks=True)
    layout = Layout(root)
    releases = Releases(layout)
    (candidate,) = releases.registry.candidates(MODEL)
    version = releases.registry.register(candidate)
    deployed = deployed_model(version, str(releases.registry.file_of(version)))
    assert deployed is not None
    model = load(deployed)
    log = RequestLog(layout.requests("staging"), 0, ServerSettings())
    for number in range(30):
        tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": ROWS[number % 3]}
        body = json.dumps({"inputs": [tensor]}).encode()
        request = parse_request(body, None, model.signature)
        reply, _ = build_response(
            MODEL, "1", request, model.infer(request.inputs), f"id-{number}", ()
        )
        moment = 1_795_000_000_000_000_000 + number * 1_000_000_000
        log.keep(Kept(f"id-{number}", moment, MODEL, "1", 200, 0.002, body, None, reply, None))
    log.keep(
        Kept("", moment + 1, MODEL, "1", 400, 0.001, b"{}", None, b'{"error": "no inputs"}', None)
    )
    log.close()
    commit_all(root)
    return SmallProject(root)


def told(project: SmallProject, *words: str) -> Any:
    done = project.cli(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_requests_are_listed_newest_first_with_their_answers(asked: SmallProject) -> None:
    found = told(asked, "requests", "staging", "--last", "3")
    assert [item["id"] for item in found] == ["", "id-29", "id-28"]
    assert (found[0]["status"], found[0]["error"]) == (400, "no inputs")
    assert found[1]["inputs"][0]["data"] == pytest.approx(ROWS[2])
    shown = asked.cli("requests", "staging", MODEL).stdout
    assert "2026-11-18 11:07:09.000" in shown
    assert f"{MODEL} v1" in shown
    assert "id-9 " not in shown


def test_requests_are_found_by_an_expression(asked: SmallProject) -> None:
    found = told(asked, "requests", "staging", "--where", "status >= 400 or id == 'id-3'")
    assert [item["id"] for item in found] == ["", "id-3"]
    wrong = asked.cli("requests", "staging", "--where", "statu > 3")
    assert wrong.returncode == 2
    assert 'a request has no statu (did you mean "status"?)' in wrong.stderr


def test_one_request_is_shown_whole(asked: SmallProject) -> None:
    shown = asked.cli("requests", "staging", "--id", "id-4").stdout
    assert "input FP32 1×4: 6.7, 3.1, 4.4, 1.4" in shown
    assert "outputs" in shown
    assert asked.cli("requests", "staging", "--id", "none").stdout == ""


def test_labels_join_by_id_and_the_last_counts(asked: SmallProject, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("id,label\nid-0,1\nid-1,1\nid-0,0\ngone,2\n")
    assert told(asked, "feedback", "staging", MODEL, str(file)) == {"labels": 4, "unknown": 1}
    done = asked.cli("feedback", "staging", MODEL, "--id", "id-2", "--label", "7")
    assert done.stderr == f"1 label kept for {MODEL} in staging\n"
    wrong = told(asked, "requests", "staging", "--where", "prediction != label")
    assert [(item["id"], item["label"]) for item in wrong] == [("id-2", 7)]
    right = told(asked, "requests", "staging", "--where", "prediction == label")
    assert [item["id"] for item in right] == ["id-1", "id-0"]


def test_requests_as_a_table_with_a_column_a_feature(asked: SmallProject, tmp_path: Path) -> None:
    text = asked.cli("requests", "staging", "--csv", "-").stdout
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 31
    names = [name for name in lines[0] if name.startswith("input")]
    assert [float(lines[1][name]) for name in names] == pytest.approx(ROWS[2])
    file = tmp_path / "requests.parquet"
    done = asked.cli("requests", "staging", "--parquet", str(file))
    assert done.stderr == f"31 requests, 31 rows in {file}\n"
    table = pyarrow.parquet.read_table(file)
    assert table.column_names == list(lines[0])
    assert table.column("ms").to_pylist()[1] == pytest.approx(2.0)


def test_replaying_on_the_version_that_answered_changes_nothing(asked: SmallProject) -> None:
    found = told(asked, "replay", f"{MODEL}@1", "--last", "12")
    assert (found["environment"], found["asked"], found["compared"]) == ("staging", 12, 12)
    assert (found["flipped"], found["max_abs_error"], found["reasons"]) == (0, 0.0, {})
    shown = asked.cli("replay", MODEL, "--env", "staging")
    assert shown.returncode == 0
    assert "30 of 30 requests compared, 30 rows" in shown.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("requests", "stagin"), 'no environment "stagin" (did you mean "staging"?)'),
        (("requests", "staging", "--last", "-1"), "--last: must be 0 or more"),
        (("feedback", "staging", MODEL), "name a CSV file"),
        (("feedback", "staging", MODEL, "--id", "a"), "name a CSV file"),
        (("feedback", "staging", MODEL, "none.csv"), "none.csv: can't be read"),
        (("feedback", "staging", "flower", "--id", "a", "--label", "1"), 'no model "flower"'),
        (("replay", f"{MODEL}@9"), "there is no such version"),
        (("replay", MODEL, "--last", "0"), "--last: must be 1 or more"),
        (("replay", MODEL, "--env", "nowhere"), 'no environment "nowhere"'),
    ],
)
def test_a_wrong_call_is_one_sentence(
    asked: SmallProject, words: tuple[str, ...], says: str
) -> None:
    done = asked.cli(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_an_environment_that_nobody_asked_says_so(asked: SmallProject) -> None:
    done = asked.cli("requests", "production")
    assert (done.returncode, done.stdout) == (0, "")
    assert "has logged no request yet" in done.stderr
    replayed = asked.cli("replay", f"{MODEL}@1", "--env", "production")
    assert replayed.returncode == 1
    assert "no answered request" in replayed.stderr
