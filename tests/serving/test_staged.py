"""Staged versions answer by their number alone, and never hold up what is live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlbench.domain.errors import ServingError
from mlbench.serving import client, supervise
from mlbench.serving.state import read_state
from mlbench.serving.waiting import until

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

Row = list[dict[str, Any]]


def stage(sandbox: Sandbox, live: int, staged: int) -> int:
    order = sandbox.deploy(sandbox.model(live), staged=(sandbox.model(staged),))
    supervise.wait_staged(sandbox.layout, sandbox.environment, order)
    return order


def version_of(answer: dict[str, Any]) -> str:
    return str(answer["model_version"])


def test_a_staged_version_answers_to_its_number_alone(sandbox: Sandbox, one_row: Row) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    order = stage(sandbox, 1, 2)

    answer = client.infer(address, "multiplier", one_row, 2)
    assert version_of(answer) == "2"
    assert answer["outputs"][0]["data"] == [2.0, 4.0, 6.0]
    assert version_of(client.infer(address, "multiplier", one_row)) == "1"
    assert version_of(client.infer(address, "multiplier", one_row, 1)) == "1"
    assert client.metadata(address, "multiplier")["versions"] == ["1", "2"]
    for path in ("versions/1/ready", "versions/2/ready", "ready"):
        assert sandbox.ask("GET", f"/v2/models/multiplier/{path}").body["ready"] is True
    assert sandbox.ask("GET", "/v2/models/multiplier/versions/3/ready").status == 404
    status = sandbox.status()
    assert (status.serving, status.deployed) == ({"multiplier": 1}, {"multiplier": 1})
    state = read_state(sandbox.layout.server_state("staging"))
    assert state is not None
    assert (state.order, state.staged, state.staged_error) == (order, {"multiplier": 2}, "")


def test_what_is_staged_first_is_no_model_of_the_server_yet(sandbox: Sandbox, one_row: Row) -> None:
    address = sandbox.serve().address
    order = sandbox.deploy(staged=(sandbox.model(1),))
    supervise.wait_staged(sandbox.layout, sandbox.environment, order)
    assert not client.ready(address)
    with pytest.raises(ServingError, match="no version of multiplier is live here"):
        client.infer(address, "multiplier", one_row)
    assert version_of(client.infer(address, "multiplier", one_row, 1)) == "1"


def test_it_goes_live_without_being_loaded_again(sandbox: Sandbox, one_row: Row) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    staged = sandbox.model(2)
    order = sandbox.deploy(sandbox.model(1), staged=(staged,))
    supervise.wait_staged(sandbox.layout, sandbox.environment, order)
    Path(staged.path).unlink()
    order = sandbox.deploy(staged)
    supervise.wait_serving(sandbox.layout, sandbox.environment, order)
    assert version_of(client.infer(address, "multiplier", one_row)) == "2"


def test_what_is_staged_no_more_is_gone(sandbox: Sandbox, one_row: Row) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    stage(sandbox, 1, 2)
    sandbox.serve(sandbox.model(1))
    with pytest.raises(ServingError, match='version "2" is not served here; there are: 1'):
        client.infer(address, "multiplier", one_row, 2)


def test_one_that_cannot_be_loaded_is_told_and_all_stays_as_it_was(
    sandbox: Sandbox, one_row: Row
) -> None:
    address = sandbox.serve(sandbox.model(1)).address
    broken = sandbox.model(2)
    whole = Path(broken.path).read_bytes()
    Path(broken.path).write_bytes(whole[:-1])
    order = sandbox.deploy(sandbox.model(1), staged=(broken,))
    with pytest.raises(ServingError, match=r"^staging: multiplier version 2: .*not what was"):
        supervise.wait_staged(sandbox.layout, sandbox.environment, order)
    status = supervise.wait_serving(sandbox.layout, sandbox.environment, order)
    assert (status.serving, status.error) == ({"multiplier": 1}, "")
    assert version_of(client.infer(address, "multiplier", one_row)) == "1"

    Path(broken.path).write_bytes(whole)
    assert until(lambda: _staged(sandbox) == {"multiplier": 2}, 20)


def test_a_server_that_comes_up_serves_what_is_live_whatever_is_staged(
    sandbox: Sandbox, one_row: Row
) -> None:
    broken = sandbox.model(2)
    Path(broken.path).write_bytes(b"nothing")
    sandbox.deploy(sandbox.model(1), staged=(broken,))
    supervise.ensure_up(sandbox.layout, sandbox.environment)
    status = supervise.wait_serving(sandbox.layout, sandbox.environment, sandbox.order)
    assert status.serving == {"multiplier": 1}
    assert version_of(client.infer(status.address, "multiplier", one_row)) == "1"


def _staged(sandbox: Sandbox) -> dict[str, int]:
    state = read_state(sandbox.layout.server_state("staging"))
    return dict(state.staged) if state else {}
