"""What a supervisor decides beside the rollout: what can be served, loaded and let go, and told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.plain import to_plain
from mlbench.domain.release import DeployedModel, Deployment, Signature
from mlbench.domain.serving import Traffic
from mlbench.serving import supervise
from mlbench.serving.control import Ask, Message, Share, Told
from mlbench.serving.logging_lines import previous
from mlbench.serving.supervisor import happenings
from mlbench.serving.supervisor.desks import Desks
from mlbench.serving.supervisor.pacing import load_seconds, pause
from mlbench.serving.supervisor.progress import Rollout
from mlbench.serving.supervisor.repository import Load, Unload, decide, read_available
from mlbench.serving.supervisor.servable import trimmed
from mlbench.serving.token import ensure_token, read_token
from mlbench.system.files import write_json

HOME = Path(supervise.__file__).parents[2]


def version(number: int, name: str = "digits") -> DeployedModel:
    return DeployedModel(name, number, f"{number}", "run", f"{number}", Signature((), ()))


LIVE, BESIDE, STAGED, FREE, NEWEST = map(version, (1, 2, 3, 4, 5))
AVAILABLE = (LIVE, BESIDE, STAGED, FREE, NEWEST)
DEPLOYED = Deployment(
    "staging",
    8101,
    1,
    (LIVE,),
    (STAGED,),
    beside=(BESIDE,),
    traffic=(Traffic("digits", {"1": 0.5, "2": 0.5}),),
)


def standing(*asked: DeployedModel) -> Rollout:
    """A server without workers that should serve this, with versions that were asked for."""
    state, _ = happenings.load(Rollout(DEPLOYED), 0, 1, asked)
    return state


@pytest.mark.parametrize(
    ("what", "versions", "loads"),
    [
        ("load", (), Load((NEWEST,))),
        ("load", ("4",), Load((FREE,))),
        ("unload", ("4",), Unload((FREE,))),
        ("unload", (), Unload((FREE,))),
        ("unload", ("5",), Unload((NEWEST,))),
    ],
)
def test_loads_and_unloads_name_versions(
    what: str, versions: tuple[str, ...], loads: Load | Unload
) -> None:
    assert decide(Ask(7, what, "digits", versions), AVAILABLE, standing(FREE)) == loads


@pytest.mark.parametrize(
    ("ask", "status", "words"),
    [
        (Ask(7, "load", "digit"), 404, 'no model "digit" (did you mean "digits"?)'),
        (Ask(7, "load", "digits", ("9",)), 404, 'digits has no version "9"; there are: 1, 2'),
        (Ask(7, "unload", "digits", ("1",)), 400, "digits version 1 is live, so it stays loaded"),
        (Ask(7, "unload", "digits", ("4", "2")), 400, "version 2 has a share of the traffic"),
        (Ask(7, "unload", "digits", ("3",)), 400, "digits version 3 is being promoted"),
        (Ask(7, "unload", "digits"), 400, "digits version 1 is live and no other is loaded"),
        (Ask(7, "refresh", "digits"), 400, "nothing that a repository does"),
    ],
)
def test_what_is_refused_says_why(ask: Ask, status: int, words: str) -> None:
    told = decide(ask, AVAILABLE, Rollout(DEPLOYED))
    assert isinstance(told, Told)
    assert (told.number, told.status) == (7, status)
    assert words in told.error


def test_the_index_lists_what_is_loaded_and_what_may_be() -> None:
    told = decide(Ask(7, "index"), (*AVAILABLE, version(1, "other")), standing())
    assert isinstance(told, Told)
    assert [(item.name, item.version, item.state, item.reason) for item in told.index] == [
        ("digits", "1", "READY", ""),
        ("digits", "2", "READY", ""),
        ("digits", "3", "READY", ""),
        ("digits", "4", "UNAVAILABLE", "unloaded"),
        ("digits", "5", "UNAVAILABLE", "unloaded"),
        ("other", "1", "UNAVAILABLE", "unloaded"),
    ]


@pytest.mark.parametrize("content", [None, b"{", b"[5]", b'[{"name": "a"}]', b"{}"])
def test_a_list_of_versions_that_is_not_there_or_torn_is_empty(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "versions.json"
    if content is not None:
        path.write_bytes(content)
    assert read_available(path) == ()
    write_json(path, [to_plain(LIVE)])
    assert read_available(path) == (LIVE,)


shares = st.dictionaries(st.sampled_from("12345"), st.floats(0.0, 1.0), max_size=5)


@given(shares, st.sets(st.sampled_from((2, 3, 4, 5))), st.booleans())
def test_shares_are_of_what_is_there(
    weights: dict[str, float], beside: set[int], has_live: bool
) -> None:
    total = sum(weights.values())
    weights = {text: share / total for text, share in weights.items()} if total > 0 else {}
    given_ = Traffic("digits", weights, 2, 3)
    live = [LIVE] if has_live else []
    left = trimmed(given_, live, [AVAILABLE[number - 1] for number in beside])
    there = {1, *beside} if has_live else set()
    assert set(map(int, left.weights)) <= there
    assert left.canary == (2 if 2 in there else None)
    assert left.shadow == (3 if 3 in there else None)
    if left.weights:
        assert sum(left.weights.values()) == pytest.approx(1.0)
    if set(weights) <= set(map(str, there)):
        assert left.weights == weights


@given(st.integers(0, 10_000))
def test_pauses_grow_and_end_somewhere(failures: int) -> None:
    assert pause(0) == pause(1) == 0.0
    assert pause(failures) <= pause(failures + 1) <= 10.0


@given(st.integers(0, 1 << 40))
def test_larger_models_may_take_longer_and_none_for_ever(size: int) -> None:
    assert 60.0 <= load_seconds(size) <= load_seconds(size + 1) < float("inf")


class Faulty:
    """A desk that always fails."""

    def deployed(self, deployment: Deployment, prepared: frozenset[str]) -> None:
        raise ValueError(f"{deployment} {prepared}")

    def tick(self, now: float) -> tuple[Message, ...]:
        raise ValueError(f"at {now}")

    def worker_died(self, index: int) -> None:
        raise ValueError(f"{index}")

    def greeting(self) -> tuple[Message, ...]:
        raise ValueError("no greeting")

    def close(self) -> None:
        raise ValueError("not closed")


class Sound(Faulty):
    """A desk that shares."""

    def tick(self, now: float) -> tuple[Message, ...]:
        return (Share("digits", {"1": now}),)


def test_a_desk_that_fails_takes_no_other_along(capfd: pytest.CaptureFixture[str]) -> None:
    desks = Desks((Faulty(), Sound()))
    for _ in range(3):
        assert desks.tick(0.5) == [Share("digits", {"1": 0.5})]
        assert desks.greeting() == []
    desks.deployed(DEPLOYED, frozenset())
    desks.worker_died(0)
    desks.close()
    assert "desk_failed" in capfd.readouterr().out


def test_the_log_is_begun_anew_once_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "staging.log"
    code = (
        "import sys; from pathlib import Path; from mlbench.serving.logging_lines import *;"
        "path = Path(sys.argv[1]);"
        "[(log('line', number=n), keep_bounded(path, 1000)) for n in range(100)]"
    )
    with path.open("ab") as log:
        subprocess.run([sys.executable, "-c", code, str(path)], stdout=log, cwd=HOME, check=True)
    assert path.stat().st_size <= 1100
    assert 1000 < previous(path).stat().st_size <= 1100
    lines = (previous(path).read_text() + path.read_text()).splitlines()
    assert '"number": 99' in lines[-1]


def test_a_log_that_goes_elsewhere_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "staging.log"
    path.write_bytes(b"x" * 2000)
    code = (
        "import sys; from pathlib import Path; from mlbench.serving.logging_lines import *;"
        "print(keep_bounded(Path(sys.argv[1]), 1000))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, cwd=HOME, check=True
    )
    assert ran.stdout == b"False\n"
    assert path.stat().st_size == 2000


def test_the_environment_variable_is_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "serving" / "token"
    assert read_token(path) == ""
    made = ensure_token(path)
    assert read_token(path) == ensure_token(path) == made
    monkeypatch.setenv("MLBENCH_TOKEN", "given")
    assert read_token(path) == ensure_token(path) == "given"
    monkeypatch.delenv("MLBENCH_TOKEN")
    path.write_text("")
    assert len(ensure_token(path)) >= 32
    assert read_token(path) != ""


def test_a_supervisor_loads_no_heavy_library() -> None:
    code = "import sys, mlbench.serving.__main__, mlbench.serving.traffic.canary_desk,"
    code += "mlbench.serving.traffic.shadow_desk; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HOME, check=True
    )
    assert not {"numpy", "onnxruntime", "asyncio", "uvloop"} & set(found.stdout.split())
