"""`mlbench runs` on real runs and on a made-up history: the table, the order, the files."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.cli.runs_table import Column, chosen_columns, columns_for, fitting, table_lines, when
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Extremes, Marks
from mlbench.domain.sweeps import MAXIMIZE, Dimension, Objective, Study, Sweep
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
from mlbench.tracking.folder import write_run
from mlbench.tracking.store import ExperimentStore
from tests.support import SmallProject
from tests.tracking.conftest import made

NOW = 1795425300.0 + 2 * 3600  # two hours after 2026-11-23T09:15:00Z
RUNS = [
    made(
        3,
        metrics={"accuracy": 0.93, "loss": 0.5},
        params={"train.alpha": 0.1, "seed": 7},
        marks=Marks(star=True, tags=("good",)),
    ),
    made(
        2,
        metrics={"accuracy": 0.95, "loss": 0.5},
        params={"train.alpha": 0.2, "seed": 7},
        extremes={"loss": Extremes(0.1, 90, 2.0, 0)},
        marks=Marks(baseline_since="2026-11-23T09:15:02.120Z"),
    ),
    made(1, outcome=RunOutcome.FAILED, params={"train.alpha": 0.2, "seed": 7}),
]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    (tmp_path / "mlbench.toml").write_text(
        '[project]\nobjective = "maximize accuracy"\n[stages.train]\ncmd = "true"\nouts = ["x"]\n'
    )
    layout = Layout(tmp_path)
    layout.own.mkdir()
    archived = replace(made(9, metrics={"accuracy": 1.0}), marks=Marks(archived=True))
    ExperimentStore(layout).add(*RUNS, archived)
    return tmp_path


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlbench", "-C", str(folder), "runs", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def names(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [row["name"] for row in json.loads(done.stdout)]


def test_what_differs_comes_first_and_marks_are_shown() -> None:
    columns = columns_for(RUNS, NOW, {}, "accuracy")
    assert [column.title for column in columns] == [
        "run", "when", "took", "accuracy", "loss", "train.alpha", "seed", "tags", "commit",
    ]  # fmt: skip
    lines = table_lines(columns)
    assert lines[1].startswith("✓ brave-3 ★  1 h ago")
    assert lines[2].startswith("✓ brave-2 ⚑")
    assert lines[3].startswith("✗ brave-1")
    assert "4f3a1c±" in lines[1]
    only = columns_for(RUNS, NOW, {}, "accuracy", only_differences=True)
    assert [column.title for column in only] == [
        "run", "when", "took", "accuracy", "loss", "train.alpha", "tags",
    ]  # fmt: skip


@pytest.mark.parametrize("width", range(12, 100))
def test_a_table_is_never_wider_than_the_terminal(width: int) -> None:
    columns = columns_for(RUNS, NOW, {"loss.min": [None, 0.1, None]}, "accuracy")
    shown = fitting(columns, width)
    assert all(len(line) <= width for line in table_lines(shown))
    titles = [column.title for column in shown]
    assert titles[0] == "run"
    order = [column.title for column in columns]
    assert titles == sorted(titles, key=order.index)


def test_what_was_sorted_by_stands_before_other_columns_when_room_is_short() -> None:
    columns = columns_for(RUNS, NOW, {"loss.min": [None, 0.1, None]}, "accuracy")
    assert [column.title for column in fitting(columns, 34)] == ["run", "loss.min", "accuracy"]
    assert [column.title for column in fitting(columns, None)] == [c.title for c in columns]


def test_wide_signs_take_two_cells() -> None:
    column, _ = chosen_columns(["note", "x"], [["漢字" * 20, 1], ["ok", True]])
    assert column.width == 28
    lines = table_lines([column])
    assert lines[1].endswith("…")
    assert lines[2] == "ok"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (61, "1 min ago"),
        (7200, "2 h ago"),
        (3 * 86400, "3 days ago"),
        (40 * 86400, "2026-11-23"),
    ],
)
def test_how_long_ago(seconds: float, said: str) -> None:
    assert when("2026-11-23T09:15:00.000Z", 1795425300.0 + seconds) == said
    assert when("long ago", 0.0) == "long ago"


def test_best_last_and_sort(history: Path) -> None:
    assert names(cli(history, "--best", "--json")) == ["brave-2"]
    assert names(cli(history, "--best", "minimize accuracy", "--limit", "9", "--json")) == [
        "brave-3", "brave-2",
    ]  # fmt: skip
    assert names(cli(history, "--last", "--json")) == ["brave-3"]
    assert names(cli(history, "--sort", "-accuracy", "--json")) == ["brave-2", "brave-3", "brave-1"]
    assert names(cli(history, "--all", "--json"))[0] == "brave-9"
    assert names(cli(history, "--where", "archived", "--json")) == ["brave-9"]
    refused = cli(history, "--best", "loss")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert '--best "maximize loss" or "minimize loss"' in refused.stderr


def test_json_has_marks_and_extremes(history: Path) -> None:
    (run,) = json.loads(cli(history, "--where", "baseline", "--json").stdout)
    assert (run["baseline"], run["star"], run["archived"]) == (True, False, False)
    assert run["extremes"] == {"loss": {"min": 0.1, "min_step": 90, "max": 2.0, "max_step": 0}}


def test_the_trials_of_a_study_are_found_by_its_name_or_id(history: Path) -> None:
    layout = Layout(history)
    studies = {"20261123-091500-000000aa": "small", "20261124-091500-000000bb": "small"}
    objectives = (Objective("accuracy", MAXIMIZE),)
    for number, (study, name) in enumerate(studies.items(), 20):
        sweep = Sweep(name, "train", objectives, (Dimension("train.alpha"),))
        StudyFiles(layout, study).write_study(Study(study, sweep, "2026-11-23T09:15:00Z"))
        trial = made(number, origin="sweep", study=study, trial=number, metrics={"accuracy": 0.99})
        write_run(layout.run_folder(trial.id), trial)
        ExperimentStore(layout).add(trial)
    assert names(cli(history, "--json")) == ["brave-3", "brave-2", "brave-1"]
    assert names(cli(history, "--study", "small", "--json")) == ["brave-21"]
    assert names(cli(history, "--study", "20261123", "--json")) == ["brave-20"]
    assert names(cli(history, "--best", "--json")) == ["brave-21"]
    assert names(cli(history, "--last", "--json")) == ["brave-3"]
    refused = cli(history, "--study", "smal")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "small" in refused.stderr
    command = [sys.executable, "-m", "mlbench", "-C", str(history), "show", "brave-20"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "trial 20 of small (20261123-091500-000000aa)" in shown


def test_columns_are_chosen_for_table_and_csv(history: Path) -> None:
    done = cli(history, "--columns", "name, loss.min,tags", "--limit", "2")
    assert done.stdout.splitlines() == [
        "name     loss.min  tags",
        "brave-3            good",
        "brave-2       0.1",
    ]
    printed = cli(history, "--columns", "name,loss.min", "--csv", "-").stdout
    assert list(csv.reader(io.StringIO(printed)))[2] == ["brave-2", "0.1"]
    refused = cli(history, "--columns", "name,los")
    assert refused.returncode == 2
    assert "--columns: no run has los" in refused.stderr


def test_parquet_is_written_beside_nothing_else(history: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "out" / "runs.parquet"
    target.parent.mkdir()
    done = cli(history, "--parquet", str(target), "--only-differences")
    assert done.returncode == 0, done.stderr
    assert "3 runs in" in done.stderr
    table = parquet.read_table(target)
    assert "metrics.accuracy" in table.column_names
    assert "params.seed" not in table.column_names
    assert os.listdir(target.parent) == ["runs.parquet"]


def test_without_pyarrow_the_line_for_pip_is_said(history: Path) -> None:
    blocked = (
        "import sys, importlib.util as u; real = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name == 'pyarrow' else real(name, *more);"
        "from mlbench.cli.main import run;"
        f"sys.exit(run(['-C', {str(history)!r}, 'runs', '--parquet', 'x.parquet']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f'{sys.executable} -m pip install "mlbench[parquet]"' in done.stderr


def test_on_a_terminal_the_table_keeps_to_its_width(history: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mlbench", "-C", str(history), "runs"]
    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, env=environment, check=True
    )
    os.close(theirs)
    printed = os.read(ours, 100_000).decode().replace("\r", "")
    os.close(ours)
    lines = printed.splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 60 for line in lines)
    assert "accuracy" in lines[0]
    assert b"more columns don't fit" in done.stderr


def test_nothing_found_says_why_it_may_be(small: SmallProject) -> None:
    assert "no runs yet" in small.cli("runs").stderr
    assert small.cli("run").returncode == 0
    assert "--all looks at" in small.cli("runs", "--where", "score > 99").stderr


def test_doctor_names_a_damaged_record_and_brings_it_back(small: SmallProject) -> None:
    for rate in (0.5, 0.25):
        small.write("params.toml", f"[train]\nrate = {rate}\n")
        assert small.cli("run").returncode == 0
    assert small.cli("doctor", "--fix").returncode == 0
    index = small.root / ".mlbench/experiments.json"
    data = index.read_bytes()
    at = data.index(b'"train.rate":0.5') + 15
    index.write_bytes(data[:at] + b"7" + data[at + 1 :])
    assert "experiments.json" in small.cli("doctor").stdout
    assert len(json.loads(small.cli("runs", "--json").stdout)) == 1
    assert small.cli("doctor", "--fix").returncode == 0
    rates = [run["params"]["train.rate"] for run in json.loads(small.cli("runs", "--json").stdout)]
    assert rates == [0.25, 0.5]


def test_columns_need_a_name_and_no_runs_are_no_empty_history(history: Path) -> None:
    done = cli(history, "--columns", " , ")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mlbench: --columns: name one or more, such as name,accuracy\n"
    done = cli(history, "--limit", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = cli(history, "--where", "accuracy > 7", "--all")
    assert (done.returncode, done.stderr) == (0, "no run is so\n")


class Counted(tuple[str, ...]):
    """Cells that count how often somebody goes through all of them."""

    times = 0

    def __iter__(self) -> Iterator[str]:
        Counted.times += 1
        return super().__iter__()


def test_a_column_is_measured_once_however_many_runs_there_are() -> None:
    column = Column("run", Counted(f"brave-{number}" for number in range(100)))
    assert len(table_lines([column])) == 101
    assert Counted.times == 1


def test_a_run_whose_folder_is_lost_is_marked_in_the_index(history: Path) -> None:
    command = [sys.executable, "-m", "mlbench", "-C", str(history)]
    found = [*command, "runs", "--where", "star", "--json"]
    for words, starred in ((("star", "brave-2"), 2), (("undo",), 1)):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shown = subprocess.run(found, capture_output=True, text=True, check=True)
        assert len(json.loads(shown.stdout)) == starred
