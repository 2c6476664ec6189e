"""What runs in threads: the history's filter, the log's tail, questions that become one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mlbench.engine.queries import Queries
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore
from mlbench.tui.background import Background, Broken
from mlbench.tui.following import LogTail, StageFollower, StageQuestion
from mlbench.tui.history import History, HistoryQuestion, is_plain_words, read_history
from mlbench.tui.reading import queries_of, read_surroundings
from tests.support import SmallProject, until
from tests.tracking.conftest import made


@pytest.fixture
def recorded(small: SmallProject) -> SmallProject:
    """Two passed runs with other rates, and one that failed."""
    assert small.cli("run").returncode == 0
    small.write("params.toml", "[train]\nrate = 0.25\n")
    assert small.cli("run").returncode == 0
    small.write("rule.py", "def score(rate):\n    raise SystemExit(3)\n")
    assert small.cli("run").returncode == 1
    return small


def test_the_history_takes_words_and_expressions(recorded: SmallProject) -> None:
    queries = queries_of(recorded.root)

    def ask(text: str, last: History = History(), **fields: object) -> History:  # noqa: B008
        return read_history(queries, HistoryQuestion(text, **fields), last)  # type: ignore[arg-type]

    whole = ask("")
    assert [run.metrics.get("score") for run in whole.runs] == [None, 0.75, 0.5]
    assert whole.total == 3
    assert whole.before.of(whole.runs[0].id) == whole.runs[1], "what passed last before"
    assert [run.metrics["score"] for run in ask("score > 0.6").runs] == [0.75]
    assert [run.metrics["score"] for run in ask("train.rate=0.5").runs] == []
    assert len(ask("rate").runs) == 3
    assert [run.name for run in ask(whole.runs[2].name).runs] == [whole.runs[2].name]
    ordered = ask("", sort="metrics.score", descending=False)
    assert [run.metrics.get("score") for run in ordered.runs] == [0.5, 0.75, None]


def test_trials_are_behind_all_and_no_run_is_compared_with_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.own.mkdir()
    trials = [made(n, origin="sweep", study="one", trial=n) for n in range(2, 40)]
    ExperimentStore(layout).add(made(1), *trials, made(40))
    queries = Queries(layout)
    hidden = read_history(queries, HistoryQuestion(), History())
    assert [run.name for run in hidden.runs] == ["brave-40", "brave-1"]
    assert hidden.total == 40
    assert hidden.before.of(made(40).id) == hidden.runs[1]
    assert [run.name for run in hidden.recent] == ["brave-40", "brave-1"]
    assert len(read_history(queries, HistoryQuestion(everything=True), History()).runs) == 40
    assert len(read_history(queries, HistoryQuestion("trial < 10"), History()).runs) == 8


def test_a_wrong_expression_keeps_the_last_good_list_and_says_what_is_wrong(
    recorded: SmallProject,
) -> None:
    queries = queries_of(recorded.root)
    good = read_history(queries, HistoryQuestion("score > 0.6"), History())
    bad = read_history(queries, HistoryQuestion("score >"), good)
    assert bad.runs == good.runs
    assert bad.error == "not an expression: score >"
    unknown = read_history(queries, HistoryQuestion("lambda: 1"), good)
    assert unknown.error
    assert unknown.runs == good.runs


def test_words_and_expressions_are_told_apart() -> None:
    for words in ("", "brave-otter", "train.alpha", "watch failed", "a/b"):
        assert is_plain_words(words), words
    for expression in ("accuracy >= 0.9", "a and b", "not dirty", "abs(x) < 1", 'm["a"] == 1'):
        assert not is_plain_words(expression), expression


def test_a_broken_configuration_is_said_not_raised(small: SmallProject) -> None:
    queries = queries_of(small.root)
    assert read_surroundings(queries).project is not None
    small.write("mlbench.toml", small.read("mlbench.toml").replace("cmd", "cdm", 1))
    found = read_surroundings(queries)
    assert found.project is None
    assert found.problem.startswith("mlbench.toml:7: ")


def test_a_log_is_read_from_its_tail_and_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = LogTail(path, kept=3)
    assert tail.read().lines == ()
    with path.open("wb") as file:
        file.write(b"one\ntwo\nthr")
        file.flush()
        assert tail.read().lines == ("one", "two", "thr")
        file.write(b"ee\n\x1b[32mfour\x1b[0m\nbad \xff\n")
        file.flush()
        text = tail.read()
        assert text.lines == ("three", "\x1b[32mfour\x1b[0m", "bad �")
        assert (text.first, text.is_cut) == (2, True)
        assert tail.read() is text, "nothing new is nothing to draw"
        file.truncate(0)
        file.seek(0)
        file.write(b"anew\n")
        file.flush()
    assert tail.read().lines == ("anew",)


def test_a_huge_log_costs_its_tail_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %07d of a very long log\n" % n for n in range(200_000)))
    text = LogTail(path).read()
    assert len(text.lines) == 5000
    assert text.lines[-1] == "line 0199999 of a very long log"
    assert text.is_cut


def test_a_progress_bar_shows_its_newest_state_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"start\n 10%\r 50%\r 90%")
    assert LogTail(path).read().lines == ("start", " 90%")


def test_a_stage_is_followed_through_the_run_that_its_results_are_from(
    recorded: SmallProject,
) -> None:
    queries = queries_of(recorded.root)
    newest = queries.runs(everything=True)
    follower = StageFollower(queries)
    detail = follower.look(StageQuestion("train", recorded_run=newest[1].id))
    assert detail.log.lines == ("step 0", "step 1", "step 2")
    (curve,) = detail.curves
    assert (curve.name, curve.last, curve.low_step) == ("loss", 1 / 3, 2)
    unchanged = follower.look(StageQuestion("prepare", recorded_run=newest[1].id))
    assert unchanged.question.stage == "prepare"
    nowhere = follower.look(StageQuestion("train", recorded_run="no-such-run"))
    assert (nowhere.log.lines, nowhere.curves) == ((), ())


def test_questions_that_came_meanwhile_become_one() -> None:
    begun, go_on = threading.Event(), threading.Event()
    asked: list[int] = []
    answers: list[int | Broken] = []

    def answer(question: int) -> int:
        asked.append(question)
        begun.set()
        go_on.wait(60)
        if question == 3:
            raise ValueError("three is one too many")
        return question * 10

    reader: Background[int, int] = Background(answer, answers.append)
    reader.ask(1)
    assert begun.wait(60)
    for question in (2, 3):
        reader.ask(question)
    go_on.set()
    until(lambda: len(answers) == 2)
    assert asked == [1, 3]
    assert answers == [10, Broken("three is one too many")]
    reader.ask(4)
    until(lambda: len(answers) == 3)
    assert answers[-1] == 40, "an answer that failed does not end the thread"
    reader.close()


def test_asking_again_never_takes_the_place_of_what_was_asked_since() -> None:
    begun, go_on = threading.Event(), threading.Event()
    answers: list[str | Broken] = []

    def answer(question: str) -> str:
        begun.set()
        go_on.wait(60)
        return question

    reader: Background[str, str] = Background(answer, answers.append)
    reader.ask_again()
    reader.ask("all")
    assert begun.wait(60)
    reader.ask("loss < 1")
    reader.ask_again()
    go_on.set()
    until(lambda: len(answers) == 2)
    assert answers == ["all", "loss < 1"]
    reader.ask_again()
    until(lambda: len(answers) == 3)
    assert answers[-1] == "loss < 1"
    reader.close()
