"""Finding runs in a long history, beside MLflow's search_runs on SQLite."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.common import ENVIRONMENT, MLBENCH, WORK, Command, Figure, in_turn, run
from mlbench.domain.clock import utc
from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import CodeState, Extremes, Run, Scalar, StageRecord
from mlbench.engine.queries import Queries
from mlbench.inside.identity import run_id_of
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore

LARGE, SMALL = 100_000, 10_000
ROUNDS = 7
WHERE = "accuracy > 0.95 and train.alpha < 0.05"
_WORDS = ["runs", "--limit", "20", "--json"]
_FILTER = ["--where", WHERE, "--sort=-loss"]
_FIRST = 1_700_000_000.0

_MLFLOW = """
import sys, time
import mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
arguments = dict(experiment_ids=["0"], max_results=20, output_format="list")
if sys.argv[2] == "filter":
    arguments["filter_string"] = "metrics.accuracy > 0.95 and metrics.alpha < 0.05"
    arguments["order_by"] = ["metrics.loss DESC"]
mlflow.search_runs(**{**arguments, "max_results": 1})
begun = time.perf_counter()
found = mlflow.search_runs(**arguments)
assert len(found) == 20, len(found)
print(time.perf_counter() - begun)
"""


def measure() -> Figure:
    """Whole processes and calls, each beside the other, on equal runs."""
    large, small = _project("history", LARGE), _project("history-small", SMALL)
    python, database = peers.python_with("mlflow"), _mlflow_database(SMALL)

    def asks(what: str) -> dict[str, Command]:
        words = [*_WORDS, *(_FILTER if what == "filter" else [])]
        theirs = [python, "-c", _MLFLOW, str(database), what]
        return {
            f"{what} {LARGE}": Command([MLBENCH, *words], large, ENVIRONMENT),
            f"{what} {SMALL}": Command([MLBENCH, *words], small, ENVIRONMENT),
            f"{what} mlflow": Command(theirs, WORK, ENVIRONMENT),
        }

    times = in_turn({**asks("newest"), **asks("filter")}, ROUNDS)
    rows = [
        _row("`mlbench runs --limit 20 --json`, whole process", times, "newest", 0.2),
        _row(f'`--where "{WHERE}" --sort=-loss`, whole process', times, "filter", 0.8),
        _row("… the call alone, the first", _calls(large, small, python, database), "call", 0.8),
        _row("… again, as one types", _calls(large, small, python, database, True), "call", 0.8),
    ]
    return Figure(
        ["", f"mlbench, {LARGE:,} runs", f"mlbench, {SMALL:,}", f"MLflow, {SMALL:,}", "aim"],
        rows,
        f"Runs of 12 parameters and 10 metrics; medians of {ROUNDS} rounds in turn; in brackets, "
        f"how many times mlbench's with as many runs. MLflow's are `mlflow.search_runs` on SQLite, "
        f"for the same 20 runs; a call alone is one after another that has opened the database.",
    )


def _row(what: str, times: dict[str, list[float]], kind: str, aim: float) -> list[str]:
    large, small, theirs = (median(times[f"{kind} {which}"]) for which in (LARGE, SMALL, "mlflow"))
    met = "met" if large <= aim else "missed"
    return [
        what,
        f"{large * 1000:.0f} ms",
        f"{small * 1000:.0f} ms",
        f"{theirs * 1000:.0f} ms ({theirs / small:.1f})",
        f"{aim * 1000:.0f} ms, {met}",
    ]


def _calls(
    large: Path, small: Path, python: str, database: Path, again: bool = False
) -> dict[str, list[float]]:
    """Seconds of the filter in one process, with a store that is new or has been asked before."""
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for folder, count in ((large, LARGE), (small, SMALL)):
            queries = Queries.of(folder)
            # Who asks for the second time keeps what is read.
            for _ in range(2 * again):
                queries.runs(where=WHERE, sort="-loss", limit=20)
            begun = time.perf_counter()
            found = queries.runs(where=WHERE, sort="-loss", limit=20)
            times.setdefault(f"call {count}", []).append(time.perf_counter() - begun)
            assert len(found) == 20
        printed = run([python, "-c", _MLFLOW, str(database), "filter"], WORK)
        times.setdefault("call mlflow", []).append(float(printed.split()[-1]))
    return times


def _project(name: str, count: int) -> Path:
    """A project with so many runs on record."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    layout = Layout(folder)
    layout.own.mkdir(parents=True)
    layout.config.write_text('[stages.train]\ncmd = "true"\nouts = ["model"]\n', encoding="utf-8")
    store = ExperimentStore(layout)
    store.add(*(_run(number) for number in range(count)))
    store.checkpoint()
    return folder


def _values(number: int) -> tuple[dict[str, Scalar], dict[str, float]]:
    """The same parameters and metrics for the same run, whoever records it."""
    chance = random.Random(number)
    params: dict[str, Scalar] = {f"model.layer_{at}": at * 8 for at in range(6)}
    params |= {"seed": number, "train.alpha": chance.choice([0.1, 0.01, 0.001])}
    params |= {"train.solver": "adam", "train.batch": 64, "train.epochs": 90, "data": "digits.csv"}
    metrics = {"accuracy": round(chance.gauss(0.95, 0.01), 5), "loss": chance.random()}
    return params, metrics | {f"metric_{at}": chance.random() for at in range(8)}


def _run(number: int) -> Run:
    params, metrics = _values(number)
    started = _FIRST + number * 600
    identity = run_id_of(started, number.to_bytes(4, "big")[-2:])
    stages = {
        name: StageRecord(StageOutcome.RAN, 1.5, f"{number:032x}", identity)
        for name in ("prepare", "train")
    }
    return Run(
        id=identity,
        name=friendly_name(identity),
        outcome=RunOutcome.PASSED,
        origin="manual",
        by="ada",
        started=utc(started),
        seconds=20.5,
        code=CodeState(f"{number:040x}", "main", dirty=True, changed_files=2),
        params=params,
        metrics=metrics,
        stages=stages,
        extremes={"loss": Extremes(metrics["loss"], 90, 2.0, 0)},
    )


def _mlflow_database(count: int) -> Path:
    """MLflow's own database with the same runs, written into the tables that MLflow makes."""
    path = WORK / "history-mlflow.db"
    path.unlink(missing_ok=True)
    python = peers.python_with("mlflow")
    begin = (
        "import mlflow, sys; mlflow.set_tracking_uri('sqlite:///' + sys.argv[1]);"
        "mlflow.start_run(); mlflow.log_metric('loss', 1.0); mlflow.end_run()"
    )
    run([python, "-c", begin, str(path)], WORK)
    with sqlite3.connect(path) as database:
        for table in ("latest_metrics", "metrics", "params", "tags"):
            database.execute(f"DELETE FROM {table}")
        columns = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        (model,) = database.execute("SELECT * FROM runs LIMIT 1").fetchall()
        database.execute("DELETE FROM runs")
        for number in range(count):
            _insert(database, dict(zip(columns, model, strict=True)), number)
    return path


def _insert(database: sqlite3.Connection, row: dict[str, object], number: int) -> None:
    params, metrics = _values(number)
    # MLflow compares parameters as text alone, so what is compared as a number is a metric there.
    metrics["alpha"] = float(str(params["train.alpha"]))
    identity, started = f"{number:032x}", int((_FIRST + number * 600) * 1000)
    row |= {"run_uuid": identity, "name": f"run-{number}", "start_time": started}
    row["end_time"] = started + 20_500
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO runs VALUES ({marks})", list(row.values()))
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
        [(name, str(value), identity) for name, value in params.items()],
    )
    database.executemany(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
        "VALUES (?, ?, ?, 0, 0, ?)",
        [(name, value, started, identity) for name, value in metrics.items()],
    )
