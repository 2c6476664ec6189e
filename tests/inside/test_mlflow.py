"""Scripts that use MLflow's own API, unchanged, in a stage: real MLflow, in real processes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.inside.artifacts import artifact_path
from mlbench.inside.mlflow.names import RunNames
from mlbench.inside.mlflow.recorder import LARGEST_COPY, Recorder
from mlbench.inside.mlflow.values import scalar_of
from mlbench.tracking.logged import read_logged
from tests.inside.conftest import Finish
from tests.inside.mlflow_server import tracking_server
from tests.series import series_in

# Not imported here: the scripts do that, in processes of their own.
pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("mlflow", "pandas"))), reason="needs mlflow and pandas"
)

API = """
    import mlflow
    import numpy
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from pathlib import Path

    Path("notes.txt").write_text("some notes")
    mlflow.set_experiment("digits")
    with mlflow.start_run(run_name="main") as run:
        mlflow.log_param("alpha", 0.1)
        mlflow.log_params({"depth": 3, "flag": True, "code": "007"})
        mlflow.set_tag("release", "1.2")
        mlflow.set_tags({"team": "vision", "mlflow.note.content": "a note"})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"val/loss": 0.5, "nan": float("nan")}, step=7)
        mlflow.log_metric("later", 3, step=1, synchronous=False)
        mlflow.log_text("hello", "texts/hello.txt")
        mlflow.log_dict({"a": 1}, "a.json")
        mlflow.log_artifact("notes.txt", "notes")
        figure, _ = plt.subplots()
        mlflow.log_figure(figure, "plots/curve.png")
        mlflow.log_image(numpy.zeros((8, 8, 3), dtype="uint8"), key="val/digit", step=3)
        mlflow.log_table({"a": [1]}, "rows.json")
        mlflow.log_table({"a": [2]}, "rows.json")
        for k in range(2):
            with mlflow.start_run(nested=True):
                mlflow.log_metric("loss", k)
                mlflow.log_param("k", k)
        with mlflow.start_run(nested=True, run_name="fold/a"):
            mlflow.log_metric("loss", 9)
            mlflow.log_text("x", "n.txt")
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "loss")
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert [(point.step, point.value) for point in history][-1] == (4, 0.2)
    losses = [item.data.metrics["loss"] for item in found if "loss" in item.data.metrics]
    assert sorted(losses) == [0.0, 0.2, 1.0, 9.0]
    assert client.get_run(run.info.run_id).data.params["alpha"] == "0.1"
    assert [item.path for item in client.list_artifacts(run.info.run_id, "notes")]
    print(mlflow.get_tracking_uri())
"""
FLAT = {"alpha": 0.1, "depth": 3, "flag": True, "code": "007", "run-2/k": 0, "run-3/k": 1}


@pytest.fixture(scope="module")
def used_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an old run, which takes MLflow seconds to make: to be copied."""
    folder = tmp_path_factory.mktemp("mlflow")
    script = "import mlflow; mlflow.log_metric('old', 1)"
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, timeout=120)
    return folder / "mlflow.db"


def values_of(stage: Path) -> dict[str, list[tuple[int, float]]]:
    series = series_in(stage)
    return {
        name: list(zip(one.steps.tolist(), one.values.tolist(), strict=True))
        for name, one in series.items()
    }


def assert_api_is_recorded(stage: Path) -> None:
    values = values_of(stage)
    nan = values.pop("nan")
    assert [step for step, _ in nan] == [7]
    assert values == {
        "loss": [(step, 1 / (step + 1)) for step in range(5)],
        "val/loss": [(7, 0.5)],
        "later": [(1, 3.0)],
        "run-2/loss": [(0, 0.0)],
        "run-3/loss": [(0, 1.0)],
        "fold/a/loss": [(0, 9.0)],
    }
    logged = read_logged(stage)
    assert logged.params == FLAT
    assert set(logged.tags) == {"release=1.2", "team=vision"}
    kept = {(item.kind, item.name): item.path for item in logged.artifacts}
    assert set(kept) == {
        ("artifact", "texts/hello.txt"),
        ("artifact", "a.json"),
        ("artifact", "notes/notes.txt"),
        ("artifact", "rows.json"),
        ("figure", "plots/curve"),
        ("figure", "val/digit"),
        ("artifact", "fold/a/n.txt"),
    }
    assert kept["artifact", "notes/notes.txt"].read_text() == "some notes"
    assert json.loads(kept["artifact", "rows.json"].read_text())["data"] == [[1], [2]]
    assert [item.step for item in logged.artifacts if item.name == "val/digit"] == [3]
    assert kept["figure", "plots/curve"].read_bytes().startswith(b"\x89PNG")


def test_the_api_is_recorded_and_reads_back_what_it_said(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    done = finish(API, stage)
    assert_api_is_recorded(stage)
    assert done.stdout.startswith("mlbench:")
    assert not (tmp_path / "mlruns").exists()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("is_set_by", ["environment", "script"])
def test_the_users_own_store_gets_everything_too(
    finish: Finish,
    stage: Path,
    tmp_path: Path,
    used_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_set_by: str,
) -> None:
    shutil.copy(used_database, tmp_path / "own.db")
    uri = f"sqlite:///{tmp_path}/own.db"
    script = API
    if is_set_by == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    else:
        script = API.replace(
            "import mlflow\n", f"import mlflow\n    mlflow.set_tracking_uri({uri!r})\n", 1
        )
    assert finish(script, stage).stdout.strip().endswith(uri)
    assert_api_is_recorded(stage)
    with contextlib.closing(sqlite3.connect(tmp_path / "own.db")) as own:
        names = {name for (name,) in own.execute("select distinct key from metrics")}
        assert own.execute("select count(*) from runs").fetchone() == (5,)
    assert names == {"old", "loss", "val/loss", "nan", "later"}
    assert not (stage / "mlflow" / "store").exists()


def test_a_database_that_is_there_goes_on_being_used_and_its_runs_are_its_own(
    finish: Finish, stage: Path, tmp_path: Path, used_database: Path
) -> None:
    shutil.copy(used_database, tmp_path)
    script = """
        import mlflow
        (old,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
        client = mlflow.MlflowClient()
        client.list_artifacts(client.get_run(old.info.run_id).info.run_id)
        mlflow.log_metric("loss", 2)
        client.log_text(old.info.run_id, "more", "more.txt")
    """
    finish(script, stage)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as own:
        assert own.execute("select value from metrics order by value").fetchall() == [(1,), (2,)]
    assert values_of(stage) == {"loss": [(0, 2.0)]}
    assert [item.name for item in read_logged(stage).artifacts] == ["run-2/more.txt"]


def test_a_server_gets_everything_and_what_it_refuses_is_not_recorded(
    finish: Finish, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        import mlflow
        with mlflow.start_run():
            mlflow.log_metric("loss", 0.5, step=2)
            mlflow.log_param("alpha", 0.1)
            mlflow.set_tag("team", "vision")
            try:
                mlflow.log_param("refused", 1)
            except mlflow.exceptions.MlflowException as error:
                print("refused:", error)
    """
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        assert "refused: INVALID_PARAMETER_VALUE" in finish(script, stage).stdout
    (metric,) = server.said("runs/log-metric")
    assert (metric["key"], metric["value"], metric["step"]) == ("loss", 0.5, 2)
    assert [body["key"] for body in server.said("runs/log-parameter")] == ["alpha", "refused"]
    assert {"key": "team", "value": "vision"}.items() <= server.said("runs/set-tag")[-1].items()
    assert values_of(stage) == {"loss": [(2, 0.5)]}
    assert read_logged(stage).params == {"alpha": 0.1}
    assert read_logged(stage).tags == ("team=vision",)


def test_a_server_that_goes_raises_as_ever_and_what_it_missed_is_recorded(
    finish: Finish, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        import os, mlflow
        mlflow.start_run()
        mlflow.set_tracking_uri("http://127.0.0.1:9")
        try:
            mlflow.MlflowClient().log_metric("f" * 32, "loss", 0.5, step=1)
        except mlflow.exceptions.MlflowException as error:
            print("down:", error)
        os._exit(0)
    """
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        assert "down: API request" in finish(script, stage).stdout
    assert values_of(stage) == {"loss": [(1, 0.5)]}


def test_where_the_record_fails_the_users_store_gets_everything(
    finish: Finish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    (tmp_path / "file").write_text("no folder")
    done = finish(API, tmp_path / "file")
    assert done.stderr.count("can be recorded") == 1
    metrics = [path for path in tmp_path.glob("mlruns/*/*/metrics/**/*") if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in metrics) == 11


def test_processes_of_a_stage_log_to_one_run(finish: Finish, stage: Path) -> None:
    script = """
        import multiprocessing, os, subprocess, sys, mlflow
        CHILD = "import mlflow; mlflow.log_metric('spawned', 1)"

        def work(run_id):
            mlflow.MlflowClient().log_metric(run_id, "forked", 1)

        with mlflow.start_run() as run:
            mlflow.log_metric("parent", 1)
            fork = multiprocessing.get_context("fork")
            process = fork.Process(target=work, args=(run.info.run_id,))
            process.start()
            process.join()
            environment = {**os.environ, "MLFLOW_RUN_ID": run.info.run_id}
            subprocess.run([sys.executable, "-c", CHILD], env=environment, check=True)
            mlflow.log_metric("parent", 2, step=1)
    """
    finish(script, stage)
    assert values_of(stage) == {
        "parent": [(0, 1.0), (1, 2.0)],
        "forked": [(0, 1.0)],
        "spawned": [(0, 1.0)],
    }


def test_autolog_and_logged_models_are_recorded(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    script = """
        import mlflow, numpy
        from sklearn.linear_model import LogisticRegression

        mlflow.autolog(log_models=False)
        X = numpy.arange(20.0).reshape(10, 2)
        with mlflow.start_run():
            model = LogisticRegression(C=0.5).fit(X, [0, 1] * 5)
            info = mlflow.sklearn.log_model(
                model,
                name="flowers",
                registered_model_name="garden",
                serialization_format="pickle",
                pip_requirements=["scikit-learn"],
            )
        assert len(mlflow.sklearn.load_model(info.model_uri).predict(X)) == 10
        assert len(mlflow.sklearn.load_model("models:/garden/1").predict(X)) == 10
    """
    finish(script, stage)
    logged = read_logged(stage)
    assert logged.params["C"] == 0.5
    assert logged.params["fit_intercept"] is True
    assert "training_accuracy_score" in values_of(stage)
    assert "estimator_name=LogisticRegression" in logged.tags
    names = {(item.kind, item.name): item.path for item in logged.artifacts}
    assert ("figure", "training_confusion_matrix") in names
    model = names["artifact", "flowers"]
    assert (model / "MLmodel").is_file()
    assert "mlbench" not in (model / "requirements.txt").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"stage"}


def test_outside_a_stage_mlflow_is_as_ever(finish: Finish, tmp_path: Path) -> None:
    script = """
        import mlflow
        from mlflow.tracking._tracking_service.utils import _tracking_store_registry
        print(mlflow.get_tracking_uri(), type(_tracking_store_registry).__module__)
    """
    address, module = finish(script, None).stdout.split()
    assert address == f"sqlite:///{tmp_path}/mlflow.db"
    assert module.startswith("mlflow.")


def test_a_huge_artifact_stays_where_it_went(
    stage: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    huge = tmp_path / "huge.bin"
    huge.touch()
    os.truncate(huge, LARGEST_COPY + 1)
    recorder = Recorder(str(stage))
    for _ in range(2):
        recorder.safely(lambda: recorder.artifact(str(huge), "huge.bin", None))
    recorder.safely(lambda: recorder.artifact(__file__, "small.py", None))
    assert capfd.readouterr().err.count("huge.bin") == 1
    assert [item.name for item in read_logged(stage).artifacts] == ["small.py"]


@given(
    st.one_of(
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
    )
)
def test_a_param_is_what_it_was_before_mlflow_made_it_a_text(value: Any) -> None:
    found = scalar_of(str(value))
    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_a_param_that_is_a_text_stays_as_long(text: str) -> None:
    assert str(scalar_of(text)) == text


NAMES = st.one_of(st.none(), st.text(max_size=200), st.sampled_from(["a", "..", "a/b", "a-2"]))


@given(st.lists(st.tuples(NAMES, st.sampled_from([None, "0", "1", "elsewhere"])), max_size=12))
def test_every_run_has_names_of_its_own_the_same_in_all_processes(
    runs: list[tuple[str | None, str | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = RunNames(folder)
        given_out = [names.claim(str(at), name, parent) for at, (name, parent) in enumerate(runs)]
        assert len(set(given_out)) == len(runs)
        for at, prefix in enumerate(given_out):
            assert RunNames(folder).prefix(str(at)) == prefix
            assert names.claim(str(at), "other", None) == prefix
            assert artifact_path(f"{prefix}file")
        without_parent = [at for at, (_, parent) in enumerate(runs) if parent is None]
        firsts = [at for at, prefix in enumerate(given_out) if prefix == ""]
        assert firsts == without_parent[:1]


def test_names_are_claimed_where_the_file_system_has_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    names = RunNames(str(tmp_path))
    given_out = [names.claim(run, name) for run, name in (("a", None), ("b", "x"), ("c", "x"))]
    assert given_out == ["", "x/", "x-2/"]
    assert [RunNames(str(tmp_path)).prefix(run) for run in "abc"] == given_out
    assert len(list(tmp_path.iterdir())) == 3
