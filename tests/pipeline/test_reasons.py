"""What makes a stage run again, what does not, and that every reason is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlbench.domain.errors import ProjectFileError
from tests.pipeline.lab import CONFIG, PYTHON, Lab

UNCHANGED = {"prepare": "unchanged", "train": "unchanged", "report": "unchanged"}


@pytest.fixture
def built(lab: Lab) -> Lab:
    assert lab.run() == {"prepare": "ran", "train": "ran", "report": "ran"}
    return lab


def test_at_first_everything_is_new_and_says_so(lab: Lab) -> None:
    states = {name: status.state.word for name, status in lab.statuses().items()}
    assert states == {"prepare": "new", "train": "new", "report": "new"}
    assert ("new", "prepare", "was never built here") in lab.reasons("prepare")
    assert ("upstream", "prepare", "prepare has to run first") in lab.reasons("train")


def test_a_second_time_there_is_nothing_to_do(built: Lab) -> None:
    assert built.run() == UNCHANGED
    assert built.not_fresh() == set()
    assert built.reopen().run() == UNCHANGED
    assert built.not_fresh() == set()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("train.py", "import json, os", "# a comment\nimport json, os"),
        ("train.py", "rate = tomllib", "rate  =  \\\n    tomllib"),
        ("pkg/rule.py", "return rate - 1", "return (rate -\n            1)"),
        ("pkg/rule.py", "\n    return", "\n\n    # layout\n    return"),
        ("pkg/__init__.py", "", "# only a comment\n"),
    ],
)
def test_comments_and_layout_make_nothing_run(built: Lab, name: str, old: str, new: str) -> None:
    built.edit(name, old, new)
    assert built.not_fresh() == set()
    assert built.run() == UNCHANGED


def test_a_comment_in_a_folder_of_tests_makes_nothing_run(empty: Lab) -> None:
    empty.write("tests/test_a.py", "def test_a():\n    assert 1\n")
    empty.write("tests/deep/test_b.py", "x = 1\n")
    empty.configure('[stages.tests]\ncmd = "true"\ndeps = ["tests"]\n')
    assert empty.run() == {"tests": "ran"}
    empty.edit("tests/test_a.py", "assert 1", "assert  1  # comment")
    empty.edit("tests/deep/test_b.py", "x = 1", "\n\nx = (1)")
    assert empty.run() == {"tests": "unchanged"}
    empty.edit("tests/deep/test_b.py", "(1)", "2")
    assert ("code", "tests/deep/test_b.py", "changed") in empty.reasons("tests")
    assert empty.run() == {"tests": "ran"}


@pytest.mark.parametrize(
    ("name", "old", "new", "chain"),
    [
        ("train.py", "Trains.", "Trains well.", "changed"),
        ("pkg/rule.py", "One less.", "Less.", "changed (train.py → pkg/rule.py)"),
        ("pkg/rule.py", "rate - 1", "rate - 2", "changed (train.py → pkg/rule.py)"),
        ("pkg/__init__.py", "", "x = 1\n", "changed (train.py → pkg/__init__.py)"),
    ],
)
def test_code_and_docstrings_are_a_reason_with_file_and_chain(
    built: Lab, name: str, old: str, new: str, chain: str
) -> None:
    built.edit(name, old, new)
    assert built.reasons("train") == [("code", name, chain)]
    assert built.not_fresh() == {"train", "report"}
    assert built.reasons("report") == [("upstream", "train", "train has to run first")]
    assert built.run()["train"] == "ran"


def test_a_module_that_comes_or_goes_is_a_reason(built: Lab) -> None:
    built.edit("pkg/rule.py", "def score", "from pkg import extra\ndef score")
    built.write("pkg/extra.py", "y = 1\n")
    assert ("code", "pkg/extra.py", "added (train.py → pkg/rule.py → pkg/extra.py)") in (
        built.reasons("train")
    )
    assert built.run()["train"] == "ran"
    built.edit("pkg/rule.py", "from pkg import extra\n", "x = 2\n")
    (built.root / "pkg" / "extra.py").unlink()
    assert ("code", "pkg/extra.py", "removed") in built.reasons("train")


def test_a_parameter_is_a_reason_with_both_values(built: Lab) -> None:
    built.edit("params.toml", "rate = 0.5", "rate = 0.25")
    assert built.reasons("train") == [("param", "train.rate", "0.5 → 0.25")]
    assert built.not_fresh() == {"train", "report"}


def test_a_text_parameter_is_shown_without_quotes(built: Lab) -> None:
    built.edit("params.toml", "'x'", "'long'")
    assert built.reasons("prepare") == [("param", "prepare.suffix", "x → long")]


def test_a_parameter_that_no_stage_names_makes_nothing_run(built: Lab) -> None:
    built.edit("params.toml", "unused = 1", "unused = 2\nmore = 3")
    assert built.run() == UNCHANGED


def test_a_parameter_below_a_named_key_counts(built: Lab) -> None:
    built.edit("params.toml", "suffix = 'x'", "suffix = 'x'\nadded = 1")
    assert built.reasons("prepare") == [("param", "prepare.added", "none → 1")]


def test_taking_a_parameter_out_of_a_stage_makes_it_run(built: Lab) -> None:
    built.edit("mlbench.toml", 'params = ["train.rate"]', "params = []")
    assert built.reasons("train") == [("param", "train.rate", "0.5 → none")]
    assert built.run()["train"] == "ran"


def test_one_key_of_two_files_is_two_parameters(empty: Lab) -> None:
    empty.write("a.yaml", "rate: 1\n")
    empty.write("params.toml", "rate = 2\n")
    empty.write("data.txt", "1\n")
    empty.configure(
        '[stages.s]\ncmd = "true"\nparams = [{"a.yaml" = ["rate"]}, "rate"]\ndeps = ["data.txt"]\n'
    )
    assert empty.run() == {"s": "ran"}
    empty.write("a.yaml", "rate: 3\n")
    assert empty.reasons("s") == [("param", "a.yaml:rate", "1 → 3")]
    assert empty.run() == {"s": "ran"}


def test_a_parameter_that_is_gone_is_an_error_and_no_false_fresh(built: Lab) -> None:
    built.edit("params.toml", "rate = 0.5\n", "")
    with pytest.raises(ProjectFileError, match=r"^params\.toml: train\.rate: there is no such"):
        built.statuses()
    result = built.build("train")
    assert result.outcome.word == "failed"
    assert result.message.startswith("params.toml: train.rate: there is no such parameter")


def test_a_declared_variable_is_a_reason(built: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_VARIABLE", "1")
    assert built.reasons("prepare") == [("env", "LAB_VARIABLE", "added")]
    assert built.run()["prepare"] == "ran"
    monkeypatch.setenv("LAB_VARIABLE", "2")
    assert built.reasons("prepare") == [("env", "LAB_VARIABLE", "changed")]
    built.edit("params.toml", "'x'", "'y'")
    monkeypatch.delenv("LAB_VARIABLE")
    assert ("env", "LAB_VARIABLE", "removed") in built.reasons("prepare")


def test_the_value_of_a_variable_is_kept_nowhere(
    built: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_VARIABLE", "very-secret")
    built.run()
    state = built.tree(".mlbench")
    assert not any(b"very-secret" in data for data in state.values())


def test_the_command_is_a_reason_with_both(built: Lab) -> None:
    built.edit("mlbench.toml", f"{PYTHON} report.py", f"{PYTHON} report.py --again")
    assert built.reasons("report") == [
        ("command", "cmd", f"{PYTHON} report.py → {PYTHON} report.py --again")
    ]


def test_another_interpreter_is_a_reason(built: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.symlink_to(built.project.python)
    built.configure(CONFIG, python=str(other))
    assert {kind for kind, _, _ in built.reasons("prepare")} == {"python"}


def test_a_dep_is_a_reason(built: Lab) -> None:
    built.write("data.txt", "Other\n")
    assert built.reasons("prepare") == [("file", "data.txt", "changed")]
    project = built.project
    (built.root / "data.txt").unlink()
    plan = built.workspace.plan(project)
    assert [(reason.what, reason.detail) for reason in plan.stages[0].reasons] == [
        ("data.txt", "removed")
    ]


def test_a_dep_that_was_written_again_as_it_was_is_no_reason(built: Lab) -> None:
    os.utime(built.write("data.txt", "Rows\n"), (1, 1))
    assert built.run() == UNCHANGED


def test_an_out_that_is_missing_or_altered_is_a_reason(built: Lab) -> None:
    (built.root / "build/model.txt").write_text("by hand")
    (built.root / "build/parts/deep/b.txt").unlink()
    (built.root / "build/metrics.json").unlink()
    assert built.reasons("train") == [
        ("output", "build/model.txt", "was altered"),
        ("output", "build/parts", "was altered"),
        ("output", "build/metrics.json", "is missing"),
    ]


def test_a_stage_without_deps_and_outs_runs_every_time(empty: Lab) -> None:
    empty.configure('[stages.tell]\ncmd = "date"\n')
    assert empty.run() == {"tell": "ran"}
    assert empty.run() == {"tell": "ran"}
    assert ("always", "tell", "runs every time") in empty.reasons("tell")


def test_always_changed_runs_every_time_and_what_comes_after_only_if_it_gives_something_else(
    lab: Lab,
) -> None:
    lab.edit("mlbench.toml", "[stages.prepare]\n", "[stages.prepare]\nalways_changed = true\n")
    lab.run()
    assert lab.run() == {"prepare": "ran", "train": "unchanged", "report": "unchanged"}


def test_a_frozen_stage_is_left_as_it_is(built: Lab) -> None:
    built.edit("mlbench.toml", "[stages.prepare]\n", "[stages.prepare]\nfrozen = true\n")
    built.write("data.txt", "Other\n")
    assert built.run() == UNCHANGED


def test_what_gives_the_same_as_before_reaches_nobody(built: Lab) -> None:
    built.write("data.txt", "ROWS\n")
    assert built.run() == {"prepare": "ran", "train": "unchanged", "report": "unchanged"}


def test_reasons_compare_with_what_stood_last(built: Lab) -> None:
    built.edit("params.toml", "rate = 0.5", "rate = 0.25")
    built.run()
    built.edit("params.toml", "rate = 0.25", "rate = 0.5")
    assert built.run()["train"] == "restored"
    built.edit("params.toml", "rate = 0.5", "rate = 0.75")
    assert built.reasons("train") == [("param", "train.rate", "0.5 → 0.75")]


def test_reasons_compare_with_what_stood_last_though_nothing_had_to_move(empty: Lab) -> None:
    empty.write("params.toml", "rate = 1\n")
    empty.configure(f'[stages.s]\ncmd = "{PYTHON} s.py"\nparams = ["rate"]\nouts = ["out"]\n')
    empty.write("s.py", "open('out', 'w').write('always the same')\n")
    for rate, outcome in ((1, "ran"), (2, "ran"), (1, "unchanged")):
        empty.write("params.toml", f"rate = {rate}\n")
        assert empty.run() == {"s": outcome}
    empty.write("params.toml", "rate = 3\n")
    assert empty.reasons("s") == [("param", "rate", "1 → 3")]


@pytest.mark.parametrize(
    "left",
    [".pytest_cache/v/x", "a.txt~", ".a.txt.swp", "__pycache__/x.pyc", ".ipynb_checkpoints/a"],
)
def test_what_tools_and_editors_leave_in_a_dep_folder_is_no_reason(empty: Lab, left: str) -> None:
    empty.write("rows/a.txt", "1\n")
    empty.configure('[stages.s]\ncmd = "true"\ndeps = ["rows"]\n')
    assert empty.run() == {"s": "ran"}
    empty.write(f"rows/{left}", "left behind")
    (empty.root / "rows" / ".#a.txt").symlink_to("user@host.1")
    assert empty.run() == {"s": "unchanged"}
    empty.write("rows/b.txt", "2\n")
    assert empty.reasons("s") == [("file", "rows", "changed")]


def test_a_stage_may_leave_its_tools_caches_in_a_dep_folder_while_it_runs(empty: Lab) -> None:
    empty.write("tests/test_a.py", "def test_a():\n    assert 1\n")
    command = "mkdir -p tests/.pytest_cache tests/__pycache__; date > tests/.pytest_cache/x"
    empty.configure(f'[stages.s]\ncmd = "{command}"\ndeps = ["tests"]\n')
    assert empty.run() == {"s": "ran"}
    assert empty.build("s", force=True).outcome.word == "ran"
    assert empty.run() == {"s": "unchanged"}


def test_a_dep_folder_outside_the_project_counts(empty: Lab, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.txt").write_text("1")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "a.txt").write_text("1")
    empty.configure(f'[stages.s]\ncmd = "true"\ndeps = ["{tmp_path}/far", "../near"]\n')
    assert empty.run() == {"s": "ran"}
    assert empty.run() == {"s": "unchanged"}
    (tmp_path / "far" / "a.txt").write_text("2")
    assert empty.reasons("s") == [("file", f"{tmp_path}/far", "changed")]
    (tmp_path / "near" / "b.txt").write_text("2")
    assert len(empty.reasons("s")) == 2


def test_code_that_a_user_writes_badly_is_no_crash(
    built: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    deep = "x = " + " + ".join(["1"] * 5000) + "\n"
    elifs = "if 0: pass\n" + "".join(f"elif {n}: pass\n" for n in range(3000))
    big = f"x = 0x{'f' * 5000}\n"
    for text in ('x = "\\d"\n', deep, elifs, big, "x = (\n", "x = 1\0\n", b"x = '\xe9'\n"):
        built.write("pkg/__init__.py", text)
        assert built.reasons("train")[0][:2] == ("code", "pkg/__init__.py")
        built.write("pkg/__init__.py", (text.encode() if isinstance(text, str) else text) + b"#\n")
        built.statuses()
    assert capfd.readouterr() == ("", "")
