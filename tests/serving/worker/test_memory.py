"""Loading in two phases: what is prepared answers nobody until it is committed, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from mlbench.domain.release import DeployedModel, Deployment
from mlbench.domain.serving import ServerSettings, Traffic
from mlbench.serving.control import Loading, Prepare
from mlbench.serving.refusals import RequestError
from mlbench.serving.worker.memory import Memory
from mlbench.serving.worker.table import Served
from tests.serving.worker.conftest import MakeModel

_NUMBERS = count(1)


def deployment(*models: DeployedModel, **more: object) -> Deployment:
    return replace(Deployment("staging", 8101, 1, models), **more)  # type: ignore[arg-type]


def swap(memory: Memory, wanted: Deployment, *loaded: DeployedModel) -> list[Served]:
    """Prepare and commit; gives what was let go."""
    number = next(_NUMBERS)
    assert memory.prepare(Prepare(number, wanted, loaded)) == {}
    return memory.commit(number, {})


def answering(memory: Memory) -> Mapping[str, list[str]]:
    return {name: sorted(shared.versions) for name, shared in memory.table.models.items()}


def test_what_is_prepared_answers_nobody_yet(memory: Memory, model: MakeModel) -> None:
    swap(memory, deployment(model(1)))
    before = memory.table
    assert memory.prepare(Prepare(7, deployment(model(2)))) == {}
    assert memory.table is before
    memory.commit(7, {})
    assert memory.table.taking("multiplier").version == "2"
    assert before.taking("multiplier").version == "1"


def test_a_version_in_memory_is_not_loaded_again(memory: Memory, model: MakeModel) -> None:
    kept = model(1)
    swap(memory, deployment(kept))
    Path(kept.path).unlink()
    assert swap(memory, deployment(kept, model(1, "other"))) == []
    assert answering(memory) == {"multiplier": ["1"], "other": ["1"]}


def test_what_no_deployment_needs_is_let_go_once(memory: Memory, model: MakeModel) -> None:
    swap(memory, deployment(model(1), staged=(model(2),)))
    assert answering(memory) == {"multiplier": ["1", "2"]}
    assert [served.version for served in swap(memory, deployment(model(2)))] == ["1"]
    assert swap(memory, deployment(model(2))) == []


def test_what_was_prepared_and_never_committed_is_let_go(memory: Memory, model: MakeModel) -> None:
    swap(memory, deployment(model(1)))
    memory.prepare(Prepare(8, deployment(model(2))))
    memory.prepare(Prepare(9, deployment(model(3))))
    with pytest.raises(ValueError, match="not what was prepared last"):
        memory.commit(8, {})
    assert sorted(served.version for served in memory.commit(9, {})) == ["1", "2"]


def test_each_version_is_told_before_it_is_loaded(memory: Memory, model: MakeModel) -> None:
    told: list[Loading] = []
    memory = Memory(memory._load, told.append)
    wanted = deployment(model(1), model(1, "other"))
    memory.prepare(Prepare(4, wanted))
    memory.prepare(Prepare(5, wanted, (model(2),)))
    assert told == [
        Loading(4, "multiplier@1"),
        Loading(4, "other@1"),
        Loading(5, "multiplier@2"),
    ]


def test_a_lost_file_is_told_and_holds_up_no_other(memory: Memory, model: MakeModel) -> None:
    lost = model(2)
    Path(lost.path).unlink()
    errors = memory.prepare(Prepare(4, deployment(lost, model(2, "other"))))
    assert list(errors) == ["multiplier@2"]
    assert "can't be read" in errors["multiplier@2"]
    memory.commit(4, errors)
    assert memory.table.taking("other").version == "2"
    with pytest.raises(RequestError, match=r"serves other; multiplier version 2: .*can't be read"):
        memory.table.taking("multiplier")


def test_a_failure_of_any_kind_is_told_too(model: MakeModel) -> None:
    """The supervisor waits for an answer, and with it every deployment that comes later."""

    def fails(deployed: DeployedModel, deployment: Deployment) -> Served:
        raise RuntimeError(f"can't start new thread for {deployed.name} of {deployment.order}")

    errors = Memory(fails).prepare(Prepare(1, deployment(model(1))))
    assert list(errors) == ["multiplier@1"]
    assert "multiplier version 1: can't be brought into memory (RuntimeError: can't" in str(errors)


def test_a_version_that_somebody_asked_for_answers_by_its_number_alone(
    memory: Memory, model: MakeModel
) -> None:
    swap(memory, deployment(model(3)), model(2), model(5, "other"))
    table = memory.table
    assert table.taking("multiplier").version == "3"
    assert table.version("multiplier", "2").version == "2"
    assert table.is_live(table.version("multiplier", "3"))
    assert not table.is_live(table.version("multiplier", "2"))
    with pytest.raises(RequestError, match=r"no version of other is live here; .*: 5") as refused:
        table.taking("other")
    assert refused.value.status == 400
    assert table.only_model() == "multiplier"
    with pytest.raises(RequestError, match='version "9" is not served here; there are: 3, 2'):
        table.version("multiplier", "9")


def test_other_settings_make_anew_what_runs_a_version(memory: Memory, model: MakeModel) -> None:
    kept = model(1)
    swap(memory, deployment(kept))
    before = memory.table.taking("multiplier")
    gone = swap(memory, deployment(kept, settings=ServerSettings(queue=7)))
    assert gone == [before]
    assert memory.table.taking("multiplier") is not before


def test_traffic_is_shared_as_weights_say(memory: Memory, model: MakeModel) -> None:
    weights = {"1": 0.75, "2": 0.25}
    traffic = (Traffic("multiplier", weights),)
    swap(memory, deployment(model(1), beside=(model(2),), traffic=traffic))
    taken = [memory.table.taking("multiplier").version for _ in range(1000)]
    assert abs(taken.count("2") - 250) < 40
    table = memory.table.sharing("multiplier", {"2": 1.0})
    assert {table.taking("multiplier").version for _ in range(50)} == {"2"}
    assert memory.table.sharing("nothing", {"2": 1.0}) is memory.table
    back = table.sharing("multiplier", {})
    assert {back.taking("multiplier").version for _ in range(50)} == {"1"}
    none = table.sharing("multiplier", {"1": 0.0, "2": 0.0})
    assert {none.taking("multiplier").version for _ in range(50)} == {"1"}


def test_a_share_of_a_version_that_is_not_here_goes_to_the_others(
    memory: Memory, model: MakeModel
) -> None:
    swap(memory, deployment(model(1), traffic=(Traffic("multiplier", {"1": 0.5, "9": 0.5}),)))
    assert {memory.table.taking("multiplier").version for _ in range(50)} == {"1"}
