"""What is live is measured again where the evaluation data changed: real stages, real snapshots."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from mlbench.domain.release import GateResult
from mlbench.engine.record_desk import RecordDesk
from mlbench.system.content import ContentStore
from tests.engine.scored import (
    EVALUATE,
    FOR_3,
    FOR_6,
    GATE,
    Judge,
    configure,
)


def state_of(root: Path) -> dict[str, bytes]:
    """All that must stay as it is: the project, its record, traces and cache."""
    own = ("snapshots/", "state/stat.json", "state/scores", "events/")
    left_out = tuple(f".mlbench/{name}" for name in own)
    return {
        name: path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not (name := path.relative_to(root).as_posix()).startswith(left_out)
    }


def figures(result: GateResult) -> tuple[bool | None, float | None, float | None]:
    return result.passed, result.value, result.threshold


def test_what_failed_against_old_rows_holds_on_the_new_ones(judge: Judge) -> None:
    judge.project.write("data.txt", "1=0 2=0 4=0 7=1 5=1")
    judge.project.write("params.toml", "at = 6\n")
    (result,) = judge.judge(judge.run())
    # On its own rows production had 1.0, and 0.8 would have been a loss.
    assert figures(result) == (True, 0.8, 0.8)
    assert result.why == (
        "production v1 was scored again on today's evaluation data, where accuracy was 1 before"
    )


def test_what_held_against_old_rows_fails_on_the_new_ones(judge: Judge) -> None:
    judge.project.write("params.toml", "at = 6\n")
    judge.put_live(judge.run())
    (before,) = judge.judge()
    assert figures(before) == (True, 0.5, 0.5)
    judge.project.write("data.txt", FOR_6)
    judge.project.write("params.toml", "at = 3\n")
    (result,) = judge.judge(judge.run())
    assert figures(result) == (False, 0.6, 1.0)
    assert "where accuracy was 0.5 before" in result.why


def test_it_costs_once_and_touches_nothing(judge: Judge) -> None:
    judge.project.write("data.txt", FOR_6)
    run = judge.run()
    # The loop writes on its own account.
    judge.follower.session.close()
    judge.layout.scores.unlink()
    before = state_of(judge.project.root)
    first = judge.judge(run)
    assert judge.notices() == [
        "production v1 is scored on today's evaluation data (predict, evaluate)"
    ]
    assert state_of(judge.project.root) == before
    assert judge.judge(run) == first
    assert judge.notices() == []
    judge.layout.scores.write_text("{ torn")
    assert judge.judge(run) == first
    assert len(judge.notices()) == 1


def test_on_the_same_rows_nothing_is_scored_again(judge: Judge) -> None:
    judge.project.write("params.toml", "at = 4\n")
    (result,) = judge.judge(judge.run())
    assert (figures(result), result.why) == ((True, 1.0, 1.0), "")
    assert not judge.layout.snapshots.exists()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("evaluate.py", "right / len(rows)", "right / len(rows) / 2"),
        ("mlbench.toml", "-E evaluate.py", "-E evaluate.py --half"),
    ],
)
def test_other_code_or_another_command_is_another_evaluation(
    judge: Judge, file: str, old: str, new: str
) -> None:
    judge.project.write(
        "evaluate.py",
        EVALUATE.replace("import json", "import json, sys").replace(
            "right / len(rows)", "right / len(rows) / len(sys.argv)"
        ),
    )
    judge.put_live(judge.run())
    text = judge.project.read(file)
    assert old in text or file == "evaluate.py"
    judge.project.write(file, text.replace(old, new))
    judge.project.write("params.toml", "at = 6\n")
    (result,) = judge.judge(judge.run())
    assert figures(result) == (False, 0.25, 0.5)


def test_the_other_outs_of_the_models_stage_come_with_it(judge: Judge) -> None:
    # Beyond 100 the scale is 0, with which the threshold 3 would call everything low.
    judge.project.write("params.toml", "at = 200\n")
    judge.project.write("data.txt", "1=0 4=1 5=1 6=1")
    (result,) = judge.judge(judge.run())
    assert figures(result) == (False, 0.25, 1.0)


def test_the_predictions_of_production_are_made_again_for_gates_by_slice(judge: Judge) -> None:
    configure(judge.project, "{ check = 'drop(accuracy, \"side\") <= 0', min_rows = 1 }")
    judge.project.write("data.txt", FOR_6)
    judge.project.write("params.toml", "at = 5\n")
    (result,) = judge.judge(judge.run())
    # On the high rows: production has 1 of 3 right, the threshold 5 has 2 of 3.
    assert result.passed is True
    assert result.value == pytest.approx(0.0)
    judge.project.write("params.toml", "at = 1\n")
    (result,) = judge.judge(judge.run())
    assert result.passed is False
    assert result.value == pytest.approx(1.0)


def test_an_evaluation_that_fails_refuses_and_says_where_its_log_is(judge: Judge) -> None:
    judge.project.write("params.toml", "at = 13\n")
    text = judge.project.read("predict.py")
    judge.project.write("predict.py", text.replace("at == 13", "at == 14"))
    judge.put_live(judge.run())
    judge.project.write("predict.py", text)
    judge.project.write("params.toml", "at = 4\n")
    configure(judge.project, GATE, f'{{ check = "{GATE}", level = "warn" }}', "accuracy >= 0.5")
    results = judge.judge(judge.run())
    assert [(one.passed, one.refuses) for one in results] == [
        (False, True),
        (False, False),
        (True, False),
    ]
    start, _, log = results[0].why.partition("; its log is ")
    assert start == (
        "production v2 can't be scored on today's evaluation data: stage predict: "
        "python -S -E predict.py: exit status 1: no model of today"
    )
    assert "no model of today" in (judge.project.root / log).read_text()


def test_a_model_that_the_cache_has_no_more_is_named(judge: Judge) -> None:
    judge.project.write("data.txt", FOR_6)
    judge.project.write("params.toml", "at = 6\n")
    run = judge.run()
    judge.layout.scores.unlink()
    live, _ = judge.releases.live_now("cut", judge.store).serving["production"]
    path = ContentStore(judge.layout.cache).path_of(live.stages["train"].outs["build/model.txt"])
    path.unlink()
    (result,) = judge.judge(run)
    assert result.passed is False
    assert result.why.endswith(f"the cache has build/model.txt of run {live.name} no more")


def test_what_training_itself_measures_can_not_be_scored_again_and_says_so(judge: Judge) -> None:
    project = judge.project
    text = project.read("train.py")
    project.write(
        "train.py",
        text
        + "import json\njson.dump({'fit': len(open('data.txt').read())}, open('fit.json', 'w'))\n",
    )
    changed = ('outs = ["build/model.txt", -> metrics = ["fit.json"]\nouts = ["build/model.txt",',)
    configure(project, "fit >= production.fit", training="data.txt", changed=changed)
    judge.put_live(judge.run())
    project.write("data.txt", FOR_6)
    (result,) = judge.judge(judge.run())
    assert result.passed is True
    assert result.why == (
        "production v1 was measured on other data (data.txt), and can't be scored again: "
        "a stage after train has to give the metric"
    )


def test_what_a_stage_was_only_seen_to_read_is_data_too(judge: Judge) -> None:
    project = judge.project
    project.write("extra.txt", "1")
    project.write(
        "evaluate.py",
        EVALUATE.replace("right / len", "float(open('extra.txt').read()) * right / len"),
    )
    changed = ("-S -E evaluate.py -> evaluate.py",)
    configure(project, changed=changed)
    judge.put_live(judge.run())
    project.write("extra.txt", "0.5")
    project.write("params.toml", "at = 4\n")
    (result,) = judge.judge(judge.run())
    assert figures(result) == (True, 0.5, 0.5)


def test_staging_and_the_baseline_are_scored_too(judge: Judge) -> None:
    first = judge.newest()
    judge.put_live(first, "staging")
    RecordDesk(judge.layout).baseline(first.id)
    configure(judge.project, "accuracy >= staging.accuracy", "accuracy >= baseline.accuracy")
    judge.project.write("data.txt", FOR_6)
    judge.project.write("params.toml", "at = 6\n")
    results = judge.judge(judge.run())
    assert [figures(one) for one in results] == [(True, 1.0, 0.6), (True, 1.0, 0.6)]
    assert results[1].why.startswith(f"baseline {first.name} was scored again")


def test_a_run_that_is_not_of_today_is_scored_with_what_is_live(judge: Judge) -> None:
    judge.project.write("data.txt", FOR_6)
    judge.project.write("params.toml", "at = 6\n")
    run = judge.run()
    # Nothing has run on these yet.
    judge.project.write("data.txt", "4=0 7=1")
    judge.project.write("build/rows.txt", "4=0 7=1")
    configure(judge.project, GATE, "accuracy > 0.9", "stages.train.passed")
    compared, alone, other = judge.judge(run)
    assert figures(compared) == (True, 1.0, 0.5)
    said = (
        f"run {run.name} was scored again on today's evaluation data, where accuracy was 1 before"
    )
    assert compared.why.startswith(said)
    assert (alone.passed, alone.why) == (True, said)
    assert (other.passed, other.why) == (True, "")


def test_a_run_that_can_not_be_scored_fails_only_what_compares_it(judge: Judge) -> None:
    judge.project.write("params.toml", "at = 13\n")
    text = judge.project.read("predict.py")
    judge.project.write("predict.py", text.replace("at == 13", "at == 14"))
    run = judge.run()
    judge.project.write("predict.py", text)
    configure(judge.project, GATE, "accuracy >= 0.5")
    # What ran is of yesterday's evaluation, as production is, but of other code.
    compared, alone = judge.judge(run)
    assert compared.passed is False
    assert compared.why.startswith(f"run {run.name} can't be scored on today's evaluation data")
    assert (alone.passed, alone.value, alone.why) == (True, 0.5, "")


def accuracy(at: int, rows: str) -> float:
    pairs = [row.partition("=") for row in rows.split()]
    return sum((int(value) >= at) == (truth == "1") for value, _, truth in pairs) / len(pairs)


@pytest.mark.parametrize("seed", [5, 6])
def test_whatever_was_edited_both_are_measured_on_the_same_rows(judge: Judge, seed: int) -> None:
    chance = random.Random(seed)
    at = live = 3
    rows = FOR_3
    for _ in range(6):
        edit = chance.choice(("rows", "rows", "model", "both", "back"))
        if edit in ("rows", "both"):
            rows = " ".join(f"{value}={chance.randint(0, 1)}" for value in range(1, 9))
        if edit in ("model", "both"):
            at = chance.randint(1, 9)
        if edit == "back":
            at, rows = 3, FOR_3
        judge.project.write("data.txt", rows)
        judge.project.write("params.toml", f"at = {at}\n")
        run = judge.run()
        (result,) = judge.judge(run)
        assert figures(result)[1:] == (accuracy(at, rows), accuracy(live, rows))
        if chance.random() < 0.4:
            judge.put_live(run)
            live = at


@pytest.mark.parametrize("gone", ["version", "run"])
def test_what_is_live_and_lost_is_not_taken_for_nothing(judge: Judge, gone: str) -> None:
    live, version = judge.releases.live_now("cut", judge.store).serving["production"]
    configure(judge.project, GATE, "accuracy >= 0.5")
    if gone == "version":
        shutil.rmtree(judge.releases.registry.folder_of(version))
    else:
        judge.store.remove(live.id)
        shutil.rmtree(judge.layout.run_folder(live.id))
    judge.project.write("params.toml", "at = 6\n")
    compared, alone = judge.judge(judge.run())
    assert (compared.passed, alone.passed) == (False, True)
    assert compared.why.startswith("production serves v1")
    said = "is gone or damaged" if gone == "version" else f"of run {live.name}, which is on record"
    assert said in compared.why
