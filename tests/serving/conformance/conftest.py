"""One real server of one worker for all tests here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlbench.domain.plain import to_plain
from mlbench.system.files import write_json
from tests.serving.conformance.asking import Asked
from tests.serving.conformance.models import all_of

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox


@pytest.fixture(scope="session")
def server(make_sandbox: Callable[[], Sandbox]) -> Asked:
    """A server of many small models, whose queue has room for one; version 2 can be loaded."""
    sandbox = make_sandbox()
    settings = replace(sandbox.environment.settings, workers=1, queue=1)
    sandbox.environment = replace(sandbox.environment, settings=settings)
    models, other = all_of(sandbox), sandbox.model(2)
    sandbox.layout.available.parent.mkdir(parents=True, exist_ok=True)
    write_json(sandbox.layout.available, to_plain([*models, other]))
    sandbox.serve(*models)
    return Asked(sandbox)
