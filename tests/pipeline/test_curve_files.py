"""Curves in files that a stage writes: tables and trees as declared, and DVCLive's folder."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.stages import Out, Plot, Stage
from mlbench.inside.steplog import NAMES_SUFFIX, POINT, RECORD, RECORDS_SUFFIX
from mlbench.pipeline.curve_files import CurveFiles
from mlbench.pipeline.results import read_metrics
from mlbench.pipeline.taken_in import take_in_files

LATER = math.inf


def stage_of(*plots: Plot, outs: tuple[str, ...] = (), wdir: str = ".") -> Stage:
    return Stage("s", ("x",), wdir=wdir, outs=tuple(map(Out, outs)), plots=plots)


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def look(root: Path, *plots: Plot) -> Mapping[str, Sequence[tuple[int, float]]]:
    return CurveFiles(root, stage_of(*plots), LATER, is_ended=True).look()


def test_a_table_as_declared(tmp_path: Path) -> None:
    write(tmp_path, "log.csv", "epoch,loss,acc\n1,0.5,0.25\n2,,0.5\n3,nan,x\n\n,1,1\n4,-inf,1")
    found = look(tmp_path, Plot("log.csv", x="epoch", y=("acc", "loss")))
    assert found["acc"] == [(1, 0.25), (2, 0.5), (4, 1.0)]
    assert repr(found["loss"]) == "[(1, 0.5), (3, nan), (4, -inf)]"


def test_what_is_not_declared_is_taken_as_dvc_takes_it(tmp_path: Path) -> None:
    write(tmp_path, "a.tsv", "loss\tacc\n0.5\t1\n0.25\t2\n")
    write(tmp_path, "b.csv", '"f1",step\n"0.5",7\n')
    write(tmp_path, "c.csv", "5,0.5\n6,0.25\n")
    found = look(tmp_path, Plot("a.tsv"), Plot("b.csv", y=("f1",)), Plot("c.csv", header=False))
    assert found == {"acc": [(0, 1.0), (1, 2.0)], "f1": [(7, 0.5)], "1": [(0, 0.5), (1, 0.25)]}
    numbered = Plot("c.csv", x="0", y=("1",), header=False)
    assert look(tmp_path, numbered) == {"1": [(5, 0.5), (6, 0.25)]}


def test_json_and_yaml_rows_wherever_they_stand(tmp_path: Path) -> None:
    rows = [{"step": 1, "loss": 0.5}, {"step": 2.0, "loss": None}, {"step": "3", "loss": True}]
    write(tmp_path, "a.json", json.dumps({"about": "x", "train": {"rows": [*rows, {"step": 9}]}}))
    write(tmp_path, "b.yaml", "- {n: 4, v: 1e-3}\n- {n: 5, v: .inf}\n")
    found = look(tmp_path, Plot("a.json"), Plot("b.yaml", x="n"))
    assert found == {"loss": [(1, 0.5)], "v": [(4, 0.001), (5, math.inf)]}


def test_columns_of_one_name_are_told_apart_by_their_files(tmp_path: Path) -> None:
    text = "step,loss\n0,1\n"
    for name in ("x/train.csv", "y/train.csv", "val.csv"):
        write(tmp_path, name, text)
    write(tmp_path, "alone.csv", "step,acc\n0,1\n")
    plots = map(Plot, ("x/train.csv", "y/train.csv", "val.csv", "alone.csv"))
    assert list(look(tmp_path, *plots)) == ["x.train.loss", "y.train.loss", "val.loss", "acc"]


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    write(tmp_path, "curves/train/loss.csv", "step,value\n3,1\n")
    write(tmp_path, "curves/both.tsv", "step\ta\tb\n3\t1\t2\n")
    write(tmp_path, "curves/picture.png", "no rows\n")
    found = look(tmp_path, Plot("curves", y=()), Plot("nowhere"))
    assert found == {"both": [(3, 2.0)], "train.loss": [(3, 1.0)]}
    both = look(tmp_path, Plot("curves/both.tsv", y=("a", "b")))
    assert both == {"a": [(3, 1.0)], "b": [(3, 2.0)]}


@pytest.mark.parametrize(
    ("text", "plot", "complaint"),
    [
        (
            "epoch,loss\n1,2\n",
            Plot("p.csv", x="epcoh"),
            'no column "epcoh" (did you mean "epoch"?)',
        ),
        ("epoch,loss\n1,2\n", Plot("p.csv", y=("a",)), 'no column "a"; its columns: epoch, loss'),
        ('[{"a": 1}', Plot("p.json"), "not valid JSON"),
        ("fpr,tpr\n0.25,1\n", Plot("p.csv", x="fpr"), None),
        ("actual,predicted\n1,2\n", Plot("p.csv", template="confusion"), None),
        ("step,loss\n99999999999999999999,2\n", Plot("p.csv"), None),
        ("step,loss\n", Plot("p.csv"), None),
        ("", Plot("p.csv"), None),
        ("\0\xff\n\0,\n", Plot("p.csv"), None),
        ('{"a": 3}', Plot("p.json"), None),
    ],
)
def test_what_is_no_curve_gives_none_and_what_is_declared_wrong_is_said(
    tmp_path: Path, text: str, plot: Plot, complaint: str | None
) -> None:
    write(tmp_path, plot.path, text)
    files = CurveFiles(tmp_path, stage_of(plot), LATER, is_ended=True)
    assert files.look() == {}
    assert len(files.complaints) == (complaint is not None)
    if complaint is not None:
        assert complaint in files.complaints[0]
        assert files.complaints[0].startswith(f"plots: {plot.path}: ")


cells = st.floats(allow_nan=False).map(repr) | st.text(st.characters(codec="utf-8"), max_size=5)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=12), st.data())
def test_a_table_that_grows_gives_what_the_whole_one_gives(
    rows: list[list[str]], data: st.DataObject
) -> None:
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(["step", "loss"])
    for number, row in enumerate(rows):
        # Cells with line breaks belong to no table of numbers.
        table.writerow([number, "".join(row[1].split())])
    whole = text.getvalue().encode()
    with tempfile.TemporaryDirectory() as name:
        root, plot = Path(name), Plot("log.tsv")
        path = root / "log.tsv"
        path.write_bytes(b"")
        files = CurveFiles(root, stage_of(plot), LATER)
        while path.stat().st_size < len(whole):
            end = path.stat().st_size + data.draw(st.integers(1, 40))
            with path.open("ab") as file:
                file.write(whole[path.stat().st_size : end])
            files.look()
        assert repr(files.look()) == repr(look(root, plot))


def test_following_reads_again_what_was_written_anew_and_keeps_what_is_the_same(
    tmp_path: Path,
) -> None:
    log = write(tmp_path, "log.csv", "step,loss\n0,1\n1,0.")
    tree = write(tmp_path, "rows.json", '[{"step": 0, "acc": 1}]')
    files = CurveFiles(tmp_path, stage_of(Plot("log.csv"), Plot("rows.json")), LATER)
    first = files.look()
    assert first == {"loss": [(0, 1.0)], "acc": [(0, 1.0)]}
    assert all(files.look()[name] is points for name, points in first.items())
    with log.open("a") as file:
        file.write("5\n")
    tree.write_text('[{"step": 0, "acc": 1}, {"st')
    second = files.look()
    assert second["loss"] == [(0, 1.0), (1, 0.5)]
    tree.write_text('[{"step": 0, "acc": 1}, {"step": 1, "acc": 2}]')
    write(tmp_path, "new.csv", "step,loss\n0,9\n")
    os.replace(tmp_path / "new.csv", log)
    assert files.look() == {"loss": [(0, 9.0)], "acc": [(0, 1.0), (1, 2.0)]}
    log.unlink()
    tree.unlink()
    assert files.complaints == []


def write_live(folder: Path, name: str = "train/loss") -> None:
    """What DVCLive 3 leaves after two steps."""
    write(folder, f"plots/metrics/{name}.tsv", f"step\t{Path(name).name}\n0\t1.0\n1\t0.5\n")
    write(folder, "plots/custom/roc.json", '[{"step": 0, "tpr": 1}]')
    write(folder, "params.yaml", "lr: 0.1\napi_key: abc\nnet: {layers: 3}\n")
    write(folder, "metrics.json", '{"train": {"loss": 0.5}, "step": 1}')


@pytest.mark.parametrize(
    ("place", "stage"),
    [
        ("dvclive", stage_of()),
        ("code/dvclive", stage_of(wdir="code")),
        ("results", stage_of(outs=("results",))),
        ("results", stage_of(Plot("results/plots"), outs=("results/metrics.json",))),
        ("dvclive", stage_of(Plot("dvclive"))),
        ("dvclive", stage_of(Plot("dvclive/plots/metrics", x="step"))),
    ],
)
def test_a_dvclive_folder_is_found_whether_declared_or_not(
    tmp_path: Path, place: str, stage: Stage
) -> None:
    write_live(tmp_path / place)
    since = (tmp_path / place / "metrics.json").stat().st_mtime
    found = CurveFiles(tmp_path, stage, since, is_ended=True).look()
    assert found == {"train.loss": [(0, 1.0), (1, 0.5)]}
    if stage.plots == ():
        assert CurveFiles(tmp_path, stage, since + 1).look() == {}
        assert read_metrics(tmp_path, stage, since) == {"train.loss": 0.5, "step": 1.0}
        assert read_metrics(tmp_path, stage, since + 1) == {}
        write(tmp_path, f"{place}/metrics.json", "torn")
        assert read_metrics(tmp_path, stage, since) == {}


def test_what_was_written_is_taken_into_the_stage_s_folder(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "stage"
    folder.mkdir()
    write_live(root / "dvclive")
    write(root, "log.csv", "step,größe\n1,2\n1,3\n")
    stage = stage_of(Plot("log.csv"), Plot("nowhere.csv", x="a"), Plot("log.csv", x="b"))
    for _ in range(2):
        assert take_in_files(root, stage, folder, 0.0) == []
    names = (folder / f"steps-plots{NAMES_SUFFIX}").read_text().splitlines()
    records = RECORD.iter_unpack((folder / f"steps-plots{RECORDS_SUFFIX}").read_bytes())
    assert names == ["größe", "train.loss"]
    assert list(records) == [
        (1, 2.0, 0.0, 0, POINT),
        (1, 3.0, 1.0, 0, POINT),
        (0, 1.0, 0.0, 1, POINT),
        (1, 0.5, 1.0, 1, POINT),
    ]
    logged = [
        json.loads(line)
        for path in folder.glob("logged-*")
        for line in path.read_text().splitlines()
    ]
    assert {"lr": 0.1, "api_key": "***", "net.layers": 3} in [line["params"] for line in logged]
