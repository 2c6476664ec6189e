"""Bringing in MLflow's runs: what real MLflow wrote, and what nobody should have written."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlbench.domain.errors import UsageError
from mlbench.domain.imports import ImportReport
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run
from mlbench.project.layout import Layout
from mlbench.tracking.logged import read_logged
from mlbench.tracking.mlflow_import import STAGE, MlflowImport, Wanted, open_source
from mlbench.tracking.noise import equal_runs
from mlbench.tracking.store import ExperimentStore
from tests.series import series_in

NOW = time.time()
DAY = 86400.0

SCRIPT = """
    import mlflow, sys
    from pathlib import Path

    for uri in sys.argv[1:]:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("digits")
        client = mlflow.MlflowClient()
        Path("weights.bin").write_bytes(b"weights")
        with mlflow.start_run(run_name="main") as run:
            mlflow.log_params({"alpha": 0.1, "depth": 3, "api_key": "s3cret-value", "code": "007"})
            mlflow.set_tags({"team": "vision", "mlflow.note.content": "a note"})
            mlflow.set_tags({"mlflow.user": "ada", "mlflow.source.git.commit": "4f3a1c"})
            for step in range(4):
                mlflow.log_metric("val/loss", 1 / (step + 1), step=step)
            mlflow.log_metrics({"nan": float("nan"), "inf": float("-inf")}, step=3)
            mlflow.log_artifact("weights.bin", "models")
            mlflow.log_text("hello", "hello.txt")
            experiment = run.info.experiment_id
            model = client.create_logged_model(experiment, "flowers", run.info.run_id)
            client.log_model_artifact(model.model_id, "weights.bin")
            with mlflow.start_run(run_name="child", nested=True):
                mlflow.log_metric("loss", 1)
        for status in ("FAILED", "KILLED"):
            mlflow.start_run(run_name=status.lower())
            mlflow.end_run(status)
        with mlflow.start_run(run_name="deleted") as run:
            pass
        client.delete_run(run.info.run_id)
        client.create_run(experiment, run_name="going")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mlruns and mlflow.db, each with the same runs, as MLflow itself wrote them."""
    if find_spec("mlflow") is None:
        pytest.skip("needs mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(SCRIPT)),
            *(f"sqlite:///{folder}/mlflow.db", f"file://{folder}/files/mlruns"),
        ],
        cwd=folder,
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=["mlflow.db", "files/mlruns", "files", ""])
def place(request: pytest.FixtureRequest, written: Path) -> str:
    """The ways to name them."""
    return str(written / request.param)


def bring(layout: Layout, place: str, *, now: float = NOW, **wanted: bool) -> ImportReport:
    store = ExperimentStore(layout)
    return MlflowImport(layout, store).take_in(open_source(place), Wanted(now, **wanted))


def runs_by_name(layout: Layout) -> dict[str, Run]:
    store = ExperimentStore(layout)
    whole = (store.get(run.id) for run in store.runs())
    return {run.name: run for run in whole if run is not None}


def test_what_mlflow_wrote_comes_in(layout: Layout, place: str) -> None:
    report = bring(layout, place)
    assert report == ImportReport(imported=4, deleted=1, going=1)
    runs = runs_by_name(layout)
    assert {name: run.outcome for name, run in runs.items()} == {
        "main": RunOutcome.PASSED,
        "child": RunOutcome.PASSED,
        "failed": RunOutcome.FAILED,
        "killed": RunOutcome.CANCELLED,
    }
    main = runs["main"]
    assert main.params == {"alpha": 0.1, "depth": 3, "api_key": "***", "code": "007"}
    assert set(main.marks.tags) == {"experiment=digits", "team=vision"}
    assert (main.marks.note, main.by, main.code.commit) == ("a note", "ada", "4f3a1c")
    assert main.source.startswith("mlflow:")
    assert runs["child"].parent == main.id
    assert main.metrics["val/loss"] == 0.25
    assert main.metrics["inf"] == -math.inf
    assert math.isnan(main.metrics["nan"])
    assert main.extremes["val/loss"].max_step == 0


def test_curves_and_artifacts_come_in_whole(layout: Layout, place: str) -> None:
    bring(layout, place)
    folder = layout.stage_folder(runs_by_name(layout)["main"].id, STAGE)
    series = series_in(folder)["val/loss"]
    assert series.steps.tolist() == [0, 1, 2, 3]
    assert series.values.tolist() == [1 / (step + 1) for step in range(4)]
    kept = {item.name: item.path for item in read_logged(folder).artifacts}
    assert set(kept) == {"models", "hello.txt", "flowers"}
    assert (kept["models"] / "weights.bin").read_bytes() == b"weights"
    assert (kept["flowers"] / "weights.bin").read_bytes() == b"weights"
    assert kept["hello.txt"].read_text() == "hello"
    assert "s3cret" not in "".join(path.read_text() for path in folder.glob("*.jsonl"))


def test_coming_again_adds_nothing(layout: Layout, place: str) -> None:
    bring(layout, place)
    before = runs_by_name(layout)
    assert bring(layout, place) == ImportReport(known=4, deleted=1, going=1)
    assert repr(runs_by_name(layout)) == repr(before)
    assert ExperimentStore(layout).rebuild() == 4
    assert set(runs_by_name(layout)) == set(before)


def test_the_deleted_come_if_asked_and_the_dead_as_failed(layout: Layout, written: Path) -> None:
    place = str(written / "mlflow.db")
    assert bring(layout, place, now=NOW + 2 * DAY, deleted=True).imported == 6
    going = runs_by_name(layout)["going"]
    assert going.outcome is RunOutcome.FAILED
    assert going.stages[STAGE].message == "MLflow never heard of its end"


def test_nobody_says_that_runs_from_elsewhere_are_equal(layout: Layout, written: Path) -> None:
    bring(layout, str(written))
    assert equal_runs(runs_by_name(layout).values()) == []


def test_without_artifacts_they_stay_where_they_are(layout: Layout, written: Path) -> None:
    assert bring(layout, str(written), artifacts=False).imported == 4
    assert not list(layout.runs.glob("*/stages/*/artifacts"))


def test_a_folder_that_was_moved_keeps_its_artifacts(
    layout: Layout, written: Path, tmp_path: Path
) -> None:
    shutil.copytree(written / "files", tmp_path / "first")
    for meta in (tmp_path / "first").rglob("meta.yaml"):
        meta.write_text(meta.read_text().replace(str(written / "files"), "/another/machine"))
    bring(layout, str(tmp_path / "first"))
    folder = layout.stage_folder(runs_by_name(layout)["main"].id, STAGE)
    names = {item.name for item in read_logged(folder).artifacts}
    assert names == {"models", "hello.txt", "flowers"}


def write_run(root: Path, run_id: str, meta: str = "", **files: str) -> Path:
    """A run as MLflow's files have it; `meta` replaces what stands in its meta.yaml."""
    (root / "0").mkdir(parents=True, exist_ok=True)
    (root / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    folder = root / "0" / run_id
    folder.mkdir()
    (folder / "meta.yaml").write_text(
        meta or f"run_id: {run_id}\nstart_time: 1700000000500\nend_time: 1700000002000\nstatus: 3\n"
    )
    for place, text in files.items():
        path = folder / place.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


LINES = f"""\
1700000000600 0.5 1
nonsense
1700000000700 0.25
1700000000700 0.25 {2**63}
{10**400} 0.25 1
"""


def test_damaged_runs_are_named_and_the_others_come(layout: Layout, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    write_run(root, "a" * 32, metrics__loss=LINES)
    torn = write_run(root, "b" * 32, meta="run_id: [\n")
    blank = write_run(root, "c" * 32, meta="status: 3\nrun_id: x\n")
    late = write_run(root, "d" * 32, meta=f"start_time: {10**18}\nstatus: 3\n")
    report = bring(layout, str(root))
    assert report.imported == 1
    assert len(report.left_out) == 4
    assert f"{torn}/meta.yaml" in report.left_out[0]
    assert str(blank) in report.left_out[1]
    assert "start_time is missing" in report.left_out[1]
    assert f"{late}: is no whole run (1000000000000000000 is no time" in report.left_out[2]
    assert "3 of its lines are no points" in report.left_out[3]
    (run,) = runs_by_name(layout).values()
    assert (run.started, run.seconds) == ("2023-11-14T22:13:20.500Z", 1.5)
    assert run.metrics == {"loss": 0.5}
    assert run.id.startswith("20231114-221320-8000")


def test_what_a_killed_import_left_is_replaced(layout: Layout, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    write_run(root, "a" * 32, metrics__loss="1700000000600 0.5 1\n")
    bring(layout, str(root))
    (run,) = runs_by_name(layout).values()
    (layout.run_folder(run.id) / "run.json").unlink()
    ExperimentStore(layout).remove(run.id)
    assert bring(layout, str(root)).imported == 1
    series = series_in(layout.stage_folder(run.id, STAGE))
    assert series["loss"].steps.tolist() == [1]


def test_runs_whose_ids_would_be_the_same_all_come(layout: Layout, tmp_path: Path) -> None:
    seen: dict[bytes, str] = {}
    for number in range(100_000):
        run_id = f"{number:032x}"
        start = hashlib.sha256(run_id.encode()).digest()[:2]
        if start in seen:
            break
        seen[start] = run_id
    root = tmp_path / "mlruns"
    for one in (seen[start], run_id):
        write_run(root, one)
    assert bring(layout, str(root)).imported == 2
    assert bring(layout, str(root)).known == 2


def test_tags_come_in_without_secrets_and_as_words(layout: Layout, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    write_run(root, "a" * 32, tags__hub_token="hf_0123456789", tags__team="vision, two\nlines")
    bring(layout, str(root))
    (run,) = runs_by_name(layout).values()
    assert set(run.marks.tags) >= {"hub_token=***", "team=vision, two lines"}
    assert "hf_0123456789" not in (layout.run_folder(run.id) / "run.json").read_text()


def test_a_metric_that_can_not_be_read_is_named_and_costs_no_other(
    layout: Layout, tmp_path: Path
) -> None:
    root = tmp_path / "mlruns"
    write_run(root, "a" * 32, metrics__loss="1700000000600 0.5 1\n")
    (metrics,) = root.glob("*/*/metrics")
    (metrics / "gone").symlink_to(tmp_path / "nowhere")
    report = bring(layout, str(root))
    assert report.imported == 1
    assert [f"{metrics / 'gone'}: can't be read" in said for said in report.left_out] == [True]
    (run,) = runs_by_name(layout).values()
    assert run.metrics == {"loss": 0.5}


def test_artifacts_on_another_machine_are_named(layout: Layout, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    run_id = "a" * 32
    meta = f"run_id: {run_id}\nstart_time: 1700000000500\nstatus: 3\nartifact_uri: s3://b/a\n"
    write_run(root, run_id, meta=meta)
    assert bring(layout, str(root)).left_out == ("artifacts of 1 run lie at s3: and stay there",)


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + bytes(84)])
def test_what_is_no_database_of_mlflows_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"mlflow\.db: is no database of MLflow's"):
        open_source(str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("place", ["nowhere", ".", "http://127.0.0.1:5000", "sqlite:///none.db"])
def test_a_place_without_runs_is_refused(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        open_source(place)


def test_a_database_with_damaged_pages_gives_what_can_be_read(
    layout: Layout, written: Path, tmp_path: Path
) -> None:
    path = tmp_path / "torn.db"
    shutil.copy(written / "mlflow.db", path)
    with sqlite3.connect(path) as database:
        page = database.execute("select rootpage from sqlite_master where name = 'params'")
        number = page.fetchone()[0]
        size = database.execute("pragma page_size").fetchone()[0]
    database.close()
    with path.open("r+b") as file:
        file.seek((number - 1) * size)
        file.write(b"\xff" * size)
    report = bring(layout, str(path))
    assert report.imported == 4
    assert any("params of run" in sentence for sentence in report.left_out)
    assert runs_by_name(layout)["main"].metrics["val/loss"] == 0.25
