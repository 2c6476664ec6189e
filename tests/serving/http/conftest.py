"""Servers with limits of each test's own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.serving.http.talking import SMALL, Served


@pytest.fixture
def make_served() -> Iterator[Callable[..., Served]]:
    """Start servers with limits of the test's own; all are stopped in the end."""
    made: list[Served] = []

    def make(family: socket.AddressFamily = socket.AF_INET, **limits: Any) -> Served:
        made.append(Served(replace(SMALL, **limits), family))
        made[-1].start()
        return made[-1]

    yield make
    for served in made:
        served.stop()


@pytest.fixture
def served(make_served: Callable[..., Served]) -> Served:
    """A server with small limits."""
    return make_served()
