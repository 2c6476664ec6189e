"""The journal survives whoever writes it: torn ends, kills half way, readers meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import KnownTrial
from mlbench.sweeps.journal import mend
from mlbench.sweeps.study import OptunaStudy
from tests.sweeps.spaces import QUICK, QUICK_BASE

COMPLETE = TrialState.COMPLETE
# Another program, with nothing but Optuna: what it reads must be whole at any moment.
READER = """
import sys
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

seen, is_over = 0, False
while not is_over:
    storage = JournalStorage(JournalFileBackend(sys.argv[1]))
    trials = storage.get_all_trials(0)
    is_over = len(trials) == int(sys.argv[2]) and trials[-1].state.is_finished()
    assert len(trials) >= seen, (len(trials), seen)
    for trial in trials:
        if trial.state.is_finished():
            assert set(trial.params) == {"x", "n"}, trial
            assert trial.values == [trial.params["x"] * 2], trial
    if not seen:
        print("reading", flush=True)
    seen = max(seen, 1, len(trials))
print(seen)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def reopen(journal: Path) -> OptunaStudy:
    return OptunaStudy.open(journal, QUICK, QUICK_BASE)


def finish(study: OptunaStudy) -> dict[str, Any]:
    number, params = study.ask()
    study.complete(number, [params["x"] * 2], {})
    return params


def complete(study: OptunaStudy) -> list[KnownTrial]:
    return [trial for trial in study.known() if trial.state is COMPLETE]


def test_a_journal_cut_anywhere_in_its_last_records_opens_and_goes_on(
    journal: Path, tmp_path: Path
) -> None:
    study = reopen(journal)
    for _ in range(3):
        finish(study)
    whole = journal.read_bytes()
    *_, before_last, end = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    start = whole.rfind(b"\n", 0, before_last - 1) + 1
    torn = tmp_path / "torn.log"
    # Around the ends of lines every byte, and some within them.
    edges = {at + by for at in (start, before_last, end) for by in (-2, -1, 0, 1)}
    cuts = {at for at in edges | {*range(start, end, 9)} if start <= at <= end}
    for cut in sorted(cuts):
        torn.write_bytes(whole[:cut])
        going_on = reopen(torn)
        done = len(complete(going_on))
        # The last record ends the third trial; it counts as soon as its JSON is whole.
        assert done == (3 if cut >= end - 1 else 2), cut
        assert torn.read_bytes().startswith(
            whole[: before_last if cut >= before_last - 1 else start]
        )
        finish(going_on)
        assert len(complete(going_on)) == done + 1, cut
        assert going_on.known() == reopen(torn).known()


def test_a_journal_cut_in_the_middle_of_its_beginning_is_begun(journal: Path) -> None:
    reopen(journal)
    whole = journal.read_bytes()
    for cut in range(len(whole)):
        journal.write_bytes(whole[:cut])
        assert reopen(journal).known() == ()
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        assert [line["op_code"] for line in lines] == [0, 3], cut


def test_only_the_last_line_is_ever_cut(journal: Path) -> None:
    for text, left in [
        (b"", b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b'{"a":1}', b'{"a":1}\n'),
        (b'{"a":1}\n{"a":', b'{"a":1}\n'),
        (b'{"a":1}\n{"a":\n', b'{"a":1}\n'),
        (b'{"a":1}\n12', b'{"a":1}\n'),
        (b'{"a":1}\n' + b"\0" * 9000, b'{"a":1}\n'),
        (b'{"a":\n{"a":1}\n', b'{"a":\n{"a":1}\n'),
        (b'{"a":"' + b"x" * 9000 + b'"}\n', b'{"a":"' + b"x" * 9000 + b'"}\n'),
    ]:
        journal.write_bytes(text)
        assert mend(journal) == max(0, len(text) - len(left))
        assert journal.read_bytes() == left


def test_damage_elsewhere_is_said_and_nothing_is_changed(journal: Path) -> None:
    study = reopen(journal)
    finish(study)
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:3], lines[3][:10] + b"\n", *lines[4:]])
    journal.write_bytes(damaged)
    with pytest.raises(SweepError, match=r"journal.log: Optuna can't read it .*--restart"):
        reopen(journal)
    assert journal.read_bytes() == damaged


def test_a_trial_half_asked_for_is_known_and_can_be_given_up(journal: Path, tmp_path: Path) -> None:
    study = reopen(journal)
    before = len(journal.read_bytes())
    number, params = study.ask()
    whole = journal.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n") and at >= before]
    assert len(ends) == 3
    for end, names in zip(ends, ([], ["x"], ["x", "n"]), strict=True):
        shutil.copy(journal, half := tmp_path / "half.log")
        half.write_bytes(whole[:end])
        again = reopen(half)
        (trial,) = again.known()
        assert (trial.number, trial.state) == (number, TrialState.RUNNING)
        assert trial.params == {name: params[name] for name in names}
        again.lose(number)
        _, tried_again = again.ask()
        assert tried_again.items() >= trial.params.items()
        assert set(tried_again) == {"x", "n"}
        assert [one.state for one in again.known()] == [TrialState.LOST, TrialState.RUNNING]


def test_a_lost_trial_is_tried_again_once_wherever_a_kill_comes_in_between(
    journal: Path, tmp_path: Path
) -> None:
    study = reopen(journal)
    number, params = study.ask()
    before = len(journal.read_bytes())
    study.lose(number, {"by_hand": True})
    whole = journal.read_bytes()
    cut_off = tmp_path / "cut.log"
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n") and at > before]
    assert len(ends) == 3
    for cut in [before, *(end - off for end in ends for off in (50, 1, 0))]:
        cut_off.write_bytes(whole[:cut])
        again = reopen(cut_off)
        if again.known()[number].state is TrialState.RUNNING:
            again.lose(number, {"by_hand": True})
        lost, waiting = again.known()
        assert (lost.state, waiting.state) == (TrialState.LOST, TrialState.WAITING), cut
        assert lost.params == waiting.params == params
        assert waiting.notes == {"by_hand": True, "instead_of": number}


def test_others_read_a_whole_journal_while_it_is_written(journal: Path) -> None:
    study = reopen(journal)
    finish(study)
    trials = 60
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(journal), str(trials)], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        for _ in range(trials - 1):
            finish(study)
        seen, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert int(seen) == trials


def test_what_another_program_writes_meanwhile_is_seen(journal: Path) -> None:
    study = reopen(journal)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(journal))
    )
    optuna.load_study(study_name="small", storage=storage).enqueue_trial({"x": 0.125})
    assert finish(study)["x"] == 0.125
    assert storage.get_all_trials(0)[0].values == [0.25]
    # No lock is left behind, as a kill would leave it.
    assert [path.name for path in journal.parent.iterdir()] == ["journal.log"]


def test_importing_the_check_loads_no_optuna() -> None:
    code = "import sys, mlbench.sweeps.checking; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
