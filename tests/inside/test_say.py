"""Parameters, tags, artifacts, figures and tables, as a stage's folder has them afterwards."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.inside.artifacts import artifact_path, keep_bytes, keep_copy
from mlbench.inside.figures import png, png_of
from mlbench.inside.logged import LoggedWriter, flat_params
from mlbench.inside.tables import text_of
from mlbench.pipeline.seen import read_seen
from mlbench.tracking.logged import read_logged
from tests.inside.conftest import Finish


def said_by(finish: Finish, stage: Path, script: str) -> tuple[dict[str, Any], str]:
    done = finish(f"import mlbench\n{script}", stage)
    return dict(read_logged(stage).params), done.stderr


def test_params_become_flat_and_plain(finish: Finish, stage: Path) -> None:
    script = """
import argparse, dataclasses, enum, pathlib, numpy
@dataclasses.dataclass
class Options:
    depth: int = 3
class Kind(enum.Enum):
    FAST = 1
mlbench.log_params({"train": {"lr": 0.1, "sizes": [64, 64], "empty": {}}, 3: True}, seed=7)
mlbench.log_params(Options())
mlbench.log_params(argparse.Namespace(out=pathlib.Path("build"), kind=Kind.FAST))
mlbench.log_params(a=numpy.float32(0.5), b=numpy.int64(3), c=numpy.array(True), d=None)
mlbench.log_params(nan=float("nan"), huge=10**30, bad="\\udc80", seed=8)
"""
    params, errors = said_by(finish, stage, script)
    assert errors == ""
    assert params == {
        "train.lr": 0.1, "train.sizes": "[64, 64]", "train.empty": "{}", "3": True, "seed": 8,
        "depth": 3, "out": "build", "kind": "Kind.FAST", "a": 0.5, "b": 3, "c": True, "d": None,
        "nan": "nan", "huge": str(10**30), "bad": "\\udc80",
    }  # fmt: skip


def test_a_mapping_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["again"] = loop
    assert flat_params(loop)["a"] == 1


def test_secrets_are_hidden_and_endless_texts_cut() -> None:
    flat = flat_params({"hub": {"api_key": "abc", "max_tokens": 3}, "text": "x" * 5000})
    assert flat == {"hub.api_key": "***", "hub.max_tokens": 3, "text": "x" * 1999 + "…"}


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
nested = st.recursive(scalars, lambda inner: st.dictionaries(st.text(), inner), max_leaves=4)


@settings(max_examples=30)
@given(st.dictionaries(st.text(), nested, max_size=4))
def test_whatever_params_hold_is_written_and_read_again(params: dict[str, Any]) -> None:
    flat = flat_params(params)
    with tempfile.TemporaryDirectory() as folder:
        writer = LoggedWriter(folder)
        writer.params(params)
        writer.close()
        assert read_logged(Path(folder)).params == flat


def test_the_later_tag_of_a_key_replaces_the_earlier(finish: Finish, stage: Path) -> None:
    script = "mlbench.set_tags('good', team='a'); mlbench.set_tags('good', team='b', token='x')"
    assert said_by(finish, stage, script)[1] == ""
    assert read_logged(stage).tags == ("good", "team=b", "token=***")


def test_tags_are_words_and_pairs(finish: Finish, stage: Path) -> None:
    script = "mlbench.set_tags('very good, so far', 'a=b c', '', 3, seed=7, note='two\\nlines')"
    assert said_by(finish, stage, script)[1] == ""
    assert read_logged(stage).tags == ("very-good-so-far", "a=b c", "3", "seed=7", "note=two lines")


def test_artifacts_are_copies_of_files_and_folders(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    deep = tmp_path / "out" / "deep"
    deep.mkdir(parents=True)
    (deep / "b.txt").write_text("bb")
    (tmp_path / "out" / "a.txt").write_text("a")
    (tmp_path / "out" / "link.txt").symlink_to(deep / "b.txt")
    (tmp_path / "out" / "loop").symlink_to(tmp_path / "out")
    os.mkfifo(tmp_path / "out" / "pipe")
    script = """
import pathlib
mlbench.log_artifact("out")
mlbench.log_artifact(pathlib.Path("out/a.txt"), "models/a.txt")
open("out/a.txt", "w").write("changed")
mlbench.log_artifact("out/deep", "models/a.txt")
mlbench.log_artifact("out/a.txt", "out")
"""
    assert said_by(finish, stage, script)[1] == ""
    kept = {artifact.name: artifact for artifact in read_logged(stage).artifacts}
    assert (kept["out"].path.read_text(), kept["out"].size) == ("changed", 7)
    assert (kept["models/a.txt"].path / "b.txt").read_text() == "bb"
    assert {path.name for path in (stage / "artifacts").iterdir()} == {"out", "models"}


def test_a_folder_is_copied_with_what_links_lead_to(tmp_path: Path, stage: Path) -> None:
    source = tmp_path / "out"
    source.mkdir()
    (tmp_path / "blob").write_bytes(b"weights")
    (source / "model.bin").symlink_to(tmp_path / "blob")
    (source / "gone").symlink_to(tmp_path / "missing")
    (source / "again").symlink_to(source)
    assert keep_copy(str(stage), str(source)) == ("artifacts/out", 7)
    copied = stage / "artifacts" / "out"
    assert not (copied / "model.bin").is_symlink()
    assert (copied / "model.bin").read_bytes() == b"weights"
    assert os.listdir(copied) == ["model.bin"]


def test_a_folder_around_the_record_is_copied_without_it(tmp_path: Path) -> None:
    stage = tmp_path / ".mlbench" / "runs" / "1" / "stages" / "train"
    stage.mkdir(parents=True)
    (tmp_path / "train.py").write_text("pass")
    assert keep_copy(str(stage), str(tmp_path), "code") == ("artifacts/code", 4)
    assert os.listdir(stage / "artifacts" / "code") == ["train.py"]


def test_a_copy_that_is_kept_is_no_input_of_the_stage(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    script = """
import os
os.makedirs("out")
for name in ("out/a.txt", "b.txt"):
    open(name, "w").close()
mlbench.log_artifact("out")
mlbench.log_artifact("b.txt")
open("c.txt", "w").close()
open("c.txt").close()
"""
    assert said_by(finish, stage, script)[1] == ""
    seen = read_seen(stage)
    below = f"{tmp_path}/"
    names = {path.removeprefix(below) for path in seen.reads if path.startswith(below)}
    assert {name for name in names if name.endswith(".txt") and name[:6] != "stage/"} == {"c.txt"}
    assert f"{tmp_path}/out" not in seen.listings


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "", ".", "a/..", "x\0y", ".part-1"]
)
def test_names_that_lead_elsewhere_are_refused(stage: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"is (no|a) name"):
        keep_bytes(str(stage), b"x", name)
    assert list(stage.iterdir()) == []


@given(st.text())
def test_an_artifact_lies_below_its_folder_whatever_its_name(name: str) -> None:
    try:
        path = artifact_path(name)
    except ValueError:
        return
    assert os.path.normpath(path).startswith("artifacts/")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("log_artifact('missing')", "No such file"),
        ("log_artifact('train.py', '../x')", "is no name for an artifact"),
        ("log_artifact('/dev/null')", "neither a file nor a folder"),
        ("log_params(5)", "pass a mapping or keywords"),
        ("log_figure('cat', 'a')", "a str is no picture"),
        ("log_figure(__import__('numpy').zeros(3), 'a')", "an array of shape (3,)"),
        ("log_figure(__import__('numpy').full((2, 2), 7.0), 'a')", "floats must be from 0 to 1"),
        ("log_figure(__import__('numpy').full((2, 2), 256), 'a')", "from 0 to 255"),
        ("log_table('cat', 'a')", "a str is no table"),
        ("log_table([1, 2], 'a')", "a row is a int"),
        ("log_table({'a': [1], 'b': [1, 2]}, 'a')", "columns differ in length (1, 2)"),
    ],
)
def test_what_cannot_be_kept_is_said_once(
    finish: Finish, stage: Path, tmp_path: Path, call: str, said: str
) -> None:
    (tmp_path / "train.py").touch()
    script = f"for _ in range(3): mlbench.{call}\nmlbench.log_params(good=1)"
    params, errors = said_by(finish, stage, script)
    assert errors.count("mlbench: ") == errors.count("\n") == 1
    assert said in errors
    assert params == {"good": 1}
    assert read_logged(stage).artifacts == ()
    assert not list(stage.rglob(".part-*"))


def test_a_full_disk_leaves_no_half_of_an_artifact_and_no_half_line(
    finish: Finish, stage: Path, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(100_000))
    (tmp_path / "small").write_bytes(b"small")
    script = """
import resource
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
mlbench.log_artifact("large")
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
mlbench.log_artifact("large")
mlbench.log_artifact("large", "other")
resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
mlbench.log_params(a=1)
mlbench.log_params(b="x" * 200)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
mlbench.log_params(c=3)
mlbench.log_artifact("small")
"""
    params, errors = said_by(finish, stage, script)
    assert errors.count("File too large") == errors.count("\n") == 2
    assert params == {"a": 1, "c": 3}
    kept = {artifact.name: artifact.path.read_bytes() for artifact in read_logged(stage).artifacts}
    assert kept == {"large": bytes(100_000), "small": b"small"}
    assert sorted(os.listdir(stage / "artifacts")) == ["large", "small"]


def test_forks_and_threads_write_lines_of_their_own(finish: Finish, stage: Path) -> None:
    script = """
import os, threading
def work(name):
    for number in range(200):
        mlbench.log_params({f"{name}.{number}": number})
work("main")
child = os.fork()
threads = [threading.Thread(target=work, args=(f"{child == 0}{n}",)) for n in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if not child: os._exit(0)
os.waitpid(child, 0)
"""
    params, errors = said_by(finish, stage, script)
    assert errors == ""
    assert len(params) == 7 * 200


def _pixels(picture: bytes) -> Any:
    """What PIL sees in a PNG."""
    image = pytest.importorskip("PIL.Image")
    numpy = pytest.importorskip("numpy")
    return numpy.asarray(image.open(io.BytesIO(picture)))


@given(st.data())
def test_arrays_are_pictures_of_what_they_hold(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    channels = data.draw(st.sampled_from([1, 3, 4]))
    pixels = data.draw(st.binary(min_size=height * width * channels, max_size=100).map(bytes))
    pixels = pixels[: height * width * channels]
    shown = _pixels(png(pixels, width, height, channels))
    assert shown.tobytes() == pixels
    assert shown.shape == ((height, width) if channels == 1 else (height, width, channels))


def test_floats_truths_and_numbers_are_scaled_to_bytes() -> None:
    numpy = pytest.importorskip("numpy")
    floats = numpy.array([[0.0, 0.5, 1.0, numpy.nan]])
    assert _pixels(png_of(floats)).tolist() == [[0, 128, 255, 0]]
    assert _pixels(png_of(floats.astype("float16"))).tolist() == [[0, 128, 255, 0]]
    assert _pixels(png_of(numpy.array([[True, False]]))).tolist() == [[255, 0]]
    assert _pixels(png_of(numpy.array([[1, 200]]))).tolist() == [[1, 200]]
    turned = numpy.arange(6, dtype="uint8").reshape(2, 3).T
    assert _pixels(png_of(turned)).tolist() == turned.tolist()


def test_figures_of_libraries_are_kept_by_name_and_step(finish: Finish, stage: Path) -> None:
    pytest.importorskip("matplotlib")
    script = """
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image
figure, axes = plt.subplots()
axes.plot([1, 2])
mlbench.log_figure(figure, "curves/loss")
mlbench.log_figure(axes, "curves/loss.png", step=3)
mlbench.log_figure(Image.new("CMYK", (4, 5)), "image")
"""
    assert said_by(finish, stage, script)[1] == ""
    found = {(kept.name, kept.step): kept for kept in read_logged(stage).artifacts}
    assert set(found) == {("curves/loss", None), ("curves/loss", 3), ("image", None)}
    assert found["curves/loss", 3].path == stage / "artifacts/curves/loss-3.png"
    assert _pixels(found["image", None].path.read_bytes()).shape == (5, 4, 3)
    assert {kept.kind for kept in found.values()} == {"figure"}


def test_pictures_of_arrays_import_nothing(finish: Finish, stage: Path) -> None:
    script = """
import sys, array
class Grey:
    shape, dtype = (1, 2), type("", (), {"kind": "u"})
    def min(self): return 0
    def max(self): return 9
    def astype(self, kind): return self
    def tobytes(self): return b"\\x00\\x09"
mlbench.log_figure(Grey(), "grey")
mlbench.log_table([{"a": 1}], "table")
print([name for name in ("numpy", "matplotlib", "PIL", "pandas") if name in sys.modules])
"""
    done = finish(f"import mlbench\n{script}", stage)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert _pixels((stage / "artifacts/grey.png").read_bytes()).tolist() == [[0, 9]]


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=4)
cells = names | st.integers() | st.booleans()


@given(st.lists(st.dictionaries(names, cells, max_size=3), max_size=4))
def test_rows_become_csv_with_every_column(rows: list[dict[str, Any]]) -> None:
    text, suffix = text_of(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    assert suffix == ".csv"
    head, *lines = csv.reader(io.StringIO(text, newline=""))
    assert head == columns
    if columns:
        read = [dict(zip(head, line or [""], strict=True)) for line in lines]
        assert read == [{name: str(row.get(name, "")) for name in columns} for row in rows]


def test_a_cell_of_more_than_one_value_makes_json_lines() -> None:
    text, suffix = text_of([{"box": (1, 2.5), "score": float("nan")}, {"label": "ä"}])
    assert suffix == ".jsonl"
    assert list(map(json.loads, text.splitlines())) == [
        {"box": [1, 2.5], "score": None},
        {"label": "ä"},
    ]


def test_columns_and_frames_are_tables() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"n": numpy.arange(2), "x": [0.5, None]}
    expected = "n,x\n0,0.5\n1,\n"
    assert text_of(columns)[0] == expected
    assert text_of(pyarrow.table({"n": [0, 1], "x": [0.5, None]}))[0] == expected
    frame = pandas.DataFrame({"n": [0, 1], "x": ["a", "b"]})
    assert text_of(frame)[0] == "n,x\n0,a\n1,b\n"
    assert text_of(frame.set_index("x"))[0] == "x,n\na,0\nb,1\n"


def test_tables_are_kept_by_name_and_step(finish: Finish, stage: Path) -> None:
    script = """
mlbench.log_table([{"a": 1}], "errors", step=2)
mlbench.log_table({"a": [[1]]}, "boxes")
"""
    assert said_by(finish, stage, script)[1] == ""
    found = {kept.name: kept for kept in read_logged(stage).artifacts}
    assert found["errors"].path.read_text() == "a\n1\n"
    assert (found["errors"].step, found["errors"].path.name) == (2, "errors-2.csv")
    assert found["boxes"].path.name == "boxes.jsonl"


def test_a_copy_is_kept_where_the_file_system_has_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert keep_copy(str(tmp_path), str(tmp_path / "model.bin")) == ("artifacts/model.bin", 7)
    assert (tmp_path / "model.bin").read_bytes() == b"weights"
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["model.bin"]


def test_a_step_is_a_whole_number_as_for_metrics(finish: Finish, stage: Path) -> None:
    done = finish('import mlbench\nmlbench.log_table([{"a": 1}], "rows", step=2.5)', stage)
    assert "step must be a whole number, not 2.5" in done.stderr
    assert read_logged(stage).artifacts == ()
