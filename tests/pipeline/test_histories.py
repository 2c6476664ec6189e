"""Random histories of edits, tampering, failures and crashes: never a false fresh, nothing wasted.

A model in a few lines says what each stage gives. Whatever happened, a stage that counts as fresh
has exactly that on disk, and what was built once is not built again while the cache has it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.pipeline.job import BuildResult
from tests.pipeline.lab import PYTHON, Lab, set_aside

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
LONG_AGO = (1_600_000_000, 1_600_000_000)

CONFIG = f"""
[stages.join]
cmd = "cat one.txt two.txt > build/joined.txt; ! grep -q bad one.txt"
deps = ["one.txt", "two.txt"]
outs = ["build/joined.txt"]

[stages.shape]
cmd = "{PYTHON} shape.py"
deps = ["build/joined.txt"]
params = ["k"]
outs = ["build/shaped.txt", "build/parts"]

[stages.shout]
cmd = "tr a-z A-Z < build/shaped.txt > build/shouted.txt"
deps = ["build/shaped.txt"]
outs = ["build/shouted.txt"]
"""
SHAPE = """
import os
from rule import factor
text = open('build/joined.txt').read()
k = int(open('params.json').read().split(':')[1].strip(' }'))
open('build/shaped.txt', 'w').write(text + str(k % 2 * factor))
os.makedirs('build/parts/deep')
open('build/parts/deep/k.txt', 'w').write(str(k))
assert k != 3, 'half of it is written'
open('build/parts/text.txt', 'w').write(text)
"""
ORDER = ("join", "shape", "shout")
Outs = dict[str, bytes]


class Histories(RuleBasedStateMachine):
    """The project, what its inputs are now, and what was built before."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="histories-"))
        self.lab = Lab(self._folder / "project")
        self.k, self.factor, self.comments = 1, 1, 0
        self.built: set[tuple[str, str]] = set()
        self.cache_is_whole = True

    @initialize()
    def begin(self) -> None:
        self.lab.configure(CONFIG)
        self.lab.write("one.txt", "a")
        self.lab.write("two.txt", "b")
        self.lab.write("shape.py", SHAPE)
        self._write_params()
        self._write_rule()

    def teardown(self) -> None:
        shutil.rmtree(self._folder)

    # What the stages give, as far as they do.

    def expected(self) -> dict[str, Outs]:
        one, two = ((self.lab.root / name).read_text() for name in ("one.txt", "two.txt"))
        if "bad" in one:
            return {}
        joined = one + two
        found: dict[str, Outs] = {"join": {"joined.txt": joined.encode()}}
        if self.k == 3:
            return found
        shaped = f"{joined}{self.k % 2 * self.factor}"
        found["shape"] = {
            "shaped.txt": shaped.encode(),
            "parts/deep/k.txt": str(self.k).encode(),
            "parts/text.txt": joined.encode(),
        }
        found["shout"] = {"shouted.txt": shaped.upper().encode()}
        return found

    def on_disk(self, stage: str) -> Outs:
        names = {"join": ("joined",), "shape": ("shaped", "parts"), "shout": ("shouted",)}[stage]
        return {name: data for name, data in self.lab.tree().items() if name.startswith(names)}

    # What a user does.

    @rule(
        name=st.sampled_from(["one.txt", "two.txt"]),
        text=st.sampled_from(["a", "b", "bad", "ab"]),
        how=st.sampled_from(["in place", "replace", "keep time"]),
    )
    def edit_data(self, name: str, text: str, how: str) -> None:
        path = self.lab.write("new" if how == "replace" else name, text)
        if how == "keep time":
            os.utime(path, LONG_AGO)
        os.replace(path, self.lab.root / name)

    @rule(k=st.integers(1, 4))
    def edit_parameter(self, k: int) -> None:
        self.k = k
        self._write_params()

    @rule(factor=st.integers(1, 3), keeps_time=st.booleans())
    def edit_code(self, factor: int, keeps_time: bool) -> None:
        self.factor = factor
        path = self._write_rule()
        if keeps_time:
            os.utime(path, LONG_AGO)

    @rule()
    def edit_comment(self) -> None:
        before = self.lab.not_fresh()
        self.comments += 1
        self._write_rule()
        assert self.lab.not_fresh() == before

    @rule(
        name=st.sampled_from(
            ["joined.txt", "shaped.txt", "parts/text.txt", "parts/extra", "shouted.txt"]
        ),
        text=st.sampled_from(["a", "tampered", None]),
    )
    def tamper(self, name: str, text: str | None) -> None:
        path = self.lab.root / "build" / name
        if text is not None:
            self.lab.write(f"build/{name}", text)
        elif path.exists():
            path.unlink()

    @rule(which=st.integers(0, 20))
    def lose_a_piece_of_the_cache(self, which: int) -> None:
        pieces = [path for path in sorted(self.lab.layout.cache.rglob("*")) if path.is_file()]
        if pieces:
            pieces[which % len(pieces)].unlink()
            self.cache_is_whole = False

    @rule()
    def come_back_in_another_process(self) -> None:
        self.lab.reopen()

    # What the loop does.

    @rule()
    def run(self) -> None:
        outcomes = self._run_all()
        expected = self.expected()
        for name, outcome in outcomes.items():
            assert outcome.stands is (name in expected), (name, outcome)
        for name, outcome in self._run_all().items():
            assert outcome in (
                StageOutcome.UNCHANGED if name in expected else StageOutcome.FAILED,
                StageOutcome.UNCHANGED if name in expected else StageOutcome.BLOCKED,
            )

    @rule(name=st.sampled_from(ORDER))
    def force(self, name: str) -> None:
        if name == "join" or ORDER[ORDER.index(name) - 1] in self._fresh():
            result = self._build(name, force=True)
            assert result.outcome.stands is (name in self.expected())

    @rule(name=st.sampled_from(ORDER), text=st.sampled_from(["a", "b"]))
    def edit_while_it_runs(self, name: str, text: str) -> None:
        """Every input is written anew after the last look, whether it changes or not."""

        def edit() -> None:
            for path in ("one.txt", "two.txt"):
                self.lab.write(path, text)
            self._write_rule()
            joined = self.lab.root / "build" / "joined.txt"
            if joined.exists():
                joined.touch()
            shaped = self.lab.root / "build" / "shaped.txt"
            if shaped.exists() and name == "shout":
                shaped.touch()

        if name == "join" or ORDER[ORDER.index(name) - 1] in self._fresh():
            before = self.on_disk(name)
            result = self._build(name, force=True, on_start=edit)
            assert result.outcome is StageOutcome.OVERTAKEN
            assert self.on_disk(name) == before

    @rule(name=st.sampled_from(ORDER))
    def crash(self, name: str) -> None:
        """The process dies with the old outs set aside and the new ones half written."""
        before = self.on_disk(name)
        stage = self.lab.project.stage(name)
        set_aside(self.lab, name)
        for out in stage.out_paths:
            self.lab.write(out, "half")
        self.lab.reopen()
        assert self.lab.workspace.recover() == [name]
        assert self.on_disk(name) == before

    # What must always hold.

    @invariant()
    def fresh_is_what_a_clean_build_gives(self) -> None:
        if not (self.lab.root / "rule.py").exists():
            return
        expected = self.expected()
        for name in self._fresh():
            assert self.on_disk(name) == expected[name], name

    def _fresh(self) -> set[str]:
        return {
            name for name, status in self.lab.statuses().items() if status.state is StageState.FRESH
        }

    def _run_all(self) -> dict[str, StageOutcome]:
        outcomes: dict[str, StageOutcome] = {}
        for position, name in enumerate(ORDER):
            if position and not outcomes[ORDER[position - 1]].stands:
                outcomes[name] = StageOutcome.BLOCKED
            else:
                was_fresh = name in self._fresh()
                outcomes[name] = self._build(name).outcome
                assert (outcomes[name] is StageOutcome.UNCHANGED) is was_fresh
        return outcomes

    def _build(
        self, name: str, *, force: bool = False, on_start: Callable[[], None] | None = None
    ) -> BuildResult:
        result = self.lab.build(name, force=force, on_start=on_start)
        assert result.key is not None
        if result.outcome is StageOutcome.RAN:
            is_new = (name, result.key) not in self.built
            assert is_new or force or not self.cache_is_whole, f"{name} was built before"
            self.built.add((name, result.key))
        return result

    def _write_params(self) -> None:
        self.lab.write("params.json", f'{{"k": {self.k}}}')

    def _write_rule(self) -> Path:
        return self.lab.write("rule.py", f"factor = {self.factor}\n" + "# note\n" * self.comments)


Histories.TestCase.settings = settings(
    max_examples=2000 if IS_LONG else 80,
    stateful_step_count=50 if IS_LONG else 20,
    deadline=None,
)
TestHistories = Histories.TestCase


def test_the_model_says_what_a_clean_build_gives(tmp_path: Path) -> None:
    machine = Histories()
    machine.begin()
    for k, factor, one in ((1, 2, "a"), (2, 2, "b"), (3, 1, "a"), (1, 1, "bad")):
        machine.edit_parameter(k)
        machine.edit_code(factor, False)
        machine.edit_data("one.txt", one, "replace")
        copy = Lab(tmp_path / f"{k}-{factor}-{one}")
        for name in ("mlbench.toml", "params.json", "shape.py", "rule.py", "one.txt", "two.txt"):
            shutil.copy(machine.lab.root / name, copy.root)
        copy.run()
        given = copy.tree() if (copy.root / "build").is_dir() else {}
        expected: Outs = {}
        for outs in machine.expected().values():
            expected |= outs
        assert given == expected
    machine.teardown()
