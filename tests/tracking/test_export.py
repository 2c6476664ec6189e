"""Runs as CSV, JSON and Parquet, read back by the programs that people read them with."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.runs import Extremes, Marks
from mlbench.tracking.export import as_plain, columns_of, print_csv, write_runs
from mlbench.tracking.history import History
from tests.tracking.conftest import made

RUNS = [
    made(
        1,
        metrics={"loss": 0.5, "val/loss": math.nan},
        params={"train.alpha": 0.1, "solver": 'a "quoted"\nname, größe', "mixed": 1},
        extremes={"loss": Extremes(0.25, 90, 2.0, 0)},
        marks=Marks(tags=("good", "team=vision, and more"), note="line\nline", star=True),
    ),
    made(2, params={"mixed": "one", "fast": None}),
]
HISTORY = History.of(RUNS)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_has_every_field_of_every_run(tmp_path: Path) -> None:
    write_runs(HISTORY, tmp_path / "runs.csv", "csv")
    first, second = rows(tmp_path / "runs.csv")
    assert first["id"] == RUNS[0].id
    assert first["params.solver"] == 'a "quoted"\nname, größe'
    assert json.loads(first["tags"]) == ["good", "team=vision, and more"]
    assert first["note"] == "line\nline"
    assert (first["metrics.loss"], first["metrics.loss.min"]) == ("0.5", "0.25")
    assert first["metrics.loss.min_step"] == "90"
    assert first["metrics.val/loss"] == "nan"
    assert (first["star"], second["star"]) == ("True", "False")
    assert (second["params.mixed"], second["params.solver"], second["metrics.loss"]) == (
        "one", "", "",
    )  # fmt: skip
    assert (first["commit"], first["branch"], first["dirty"]) == ("4f3a1c", "main", "True")


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=6)


@given(st.dictionaries(names.filter(bool), names, max_size=4), names)
def test_whatever_the_texts_csv_gives_them_back(params: dict[str, str], note: str) -> None:
    run = made(1, params={**params}, marks=Marks(note=note))
    with TemporaryDirectory() as folder:
        write_runs(History.of([run]), Path(folder, "runs.csv"), "csv")
        (row,) = rows(Path(folder, "runs.csv"))
    assert row["note"] == note
    assert {name: row[f"params.{name}"] for name in params} == params


def test_json_is_what_the_command_prints_without_words_that_json_lacks(tmp_path: Path) -> None:
    write_runs(HISTORY, tmp_path / "runs.json", "json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    read = json.loads((tmp_path / "runs.json").read_text(), parse_constant=refuse)
    assert read[1] == as_plain(RUNS[1])
    assert read[0]["metrics"] == {"loss": 0.5, "val/loss": None}
    assert read[0]["extremes"] == {"loss": {"min": 0.25, "min_step": 90, "max": 2.0, "max_step": 0}}
    assert (read[0]["star"], read[0]["baseline"], read[0]["archived"]) == (True, False, False)


def test_parquet_keeps_types_and_turns_mixed_columns_into_text(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_runs(HISTORY, tmp_path / "runs.parquet", "parquet")
    table = parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert table[0]["tags"] == ["good", "team=vision, and more"]
    assert table[0]["params.train.alpha"] == 0.1
    assert table[1]["params.train.alpha"] is None
    assert [row["params.mixed"] for row in table] == ["1", "one"]
    assert [row["star"] for row in table] == [True, False]
    assert table[0]["metrics.loss.max"] == 2.0
    # Exports go together, also with one in which nobody has given a run a tag.
    types = parquet.read_schema(tmp_path / "runs.parquet")
    untagged = History([line for line in HISTORY.lines if b"team=vision" not in line])
    write_runs(untagged, tmp_path / "others.parquet", "parquet")
    assert parquet.read_schema(tmp_path / "others.parquet").field("tags") == types.field("tags")


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_columns_are_chosen_and_of_no_runs_there_are_none(tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    write_runs(HISTORY, tmp_path / "file", form, ["name", "loss.min", "tags", "nothing"])
    if form == "csv":
        assert (tmp_path / "file").read_text().splitlines()[0] == "name,loss.min,tags,nothing"
        assert rows(tmp_path / "file")[0]["loss.min"] == "0.25"
    write_runs(History([]), tmp_path / "file", form)
    assert (tmp_path / "file").exists()
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_the_same_for_all_can_be_left_out() -> None:
    assert columns_of(HISTORY)[:3] == ["id", "name", "outcome"]
    differing = columns_of(HISTORY, only_differences=True)
    assert {"id", "params.mixed", "params.fast", "metrics.loss", "star"} <= {*differing}
    assert not {"outcome", "by", "commit", "archived"} & {*differing}
    nan = History.of([made(1, metrics={"x": math.nan}), made(2, metrics={"x": math.nan})])
    assert "metrics.x" not in columns_of(nan, only_differences=True)
    late = History.of([made(1), made(2, params={"x": 1}), made(3, params={"x": 1})])
    assert "params.x" in columns_of(late, only_differences=True)


def test_csv_goes_to_standard_output_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv(HISTORY, ["name", "params.mixed"])
    assert capsys.readouterr().out.splitlines() == ["name,params.mixed", "brave-1,1", "brave-2,one"]


def test_a_file_that_is_there_is_replaced_as_a_whole_and_a_link_followed(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "runs.csv").symlink_to("real.csv")
    write_runs(HISTORY, tmp_path / "runs.csv", "csv", ["name"])
    assert (tmp_path / "real.csv").read_text() == "name\nbrave-1\nbrave-2\n"
    assert (tmp_path / "runs.csv").is_symlink()


def test_a_device_is_written_into_and_stays_one() -> None:
    write_runs(HISTORY, Path("/dev/null"), "csv")
    assert Path("/dev/null").is_char_device()


def test_a_place_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no/runs\.csv: can't be written \(No such file"):
        write_runs(HISTORY, tmp_path / "no" / "runs.csv", "csv")


def test_a_trial_says_of_which_study_and_others_say_nothing(tmp_path: Path) -> None:
    trial = made(3, origin="sweep", study="20261123-091500-000000aa", trial=0)
    told = as_plain(trial)
    assert (told["study"], told["trial"]) == ("20261123-091500-000000aa", 0)
    assert not {"study", "trial"} & as_plain(RUNS[0]).keys()
    write_runs(History.of([RUNS[0], trial]), tmp_path / "runs.csv", "csv")
    assert [(row["study"], row["trial"]) for row in rows(tmp_path / "runs.csv")] == [
        ("", ""), ("20261123-091500-000000aa", "0"),
    ]  # fmt: skip
