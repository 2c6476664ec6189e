"""Who may ask, decided from headers alone."""

from __future__ import annotations

import pytest

from mlbench.serving.http.guard import Guard, is_loopback
from mlbench.serving.refusals import RequestError

LOCAL = Guard("127.0.0.1", 8100, "secret")
OPEN = Guard("0.0.0.0", 8100, "secret")
HOST = (b"host", b"127.0.0.1:8100")
TOKEN = (b"authorization", b"Bearer secret")
INFER = "/v2/models/m/infer"


def refused(guard: Guard, path: str, *headers: tuple[bytes, bytes], method: str = "POST") -> int:
    """The status that the guard refuses with, 0 where it lets the request pass."""
    try:
        guard.check(method, path, headers)
    except RequestError as error:
        return error.status
    return 0


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8100"]
)
def test_names_of_this_machine_are_let_pass(host: str) -> None:
    assert refused(LOCAL, INFER, (b"host", host.encode())) == 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:8100",
        "127.0.0.1:80:80",
        "127.0.0.1:",
        "127.0.0.1@evil.example",
        "",
        "0.0.0.0",
        "::1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
def test_a_name_of_its_own_that_points_here_does_not_help_a_page(host: str, method: str) -> None:
    assert refused(LOCAL, INFER, (b"host", host.encode()), method=method) == 403


def test_one_host_is_asked_for() -> None:
    assert refused(LOCAL, INFER) == 400
    assert refused(LOCAL, INFER, HOST, HOST) == 400
    assert refused(OPEN, INFER, TOKEN) == 400
    assert LOCAL.check("GET", INFER, [], needs_host=False) is False


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 0),
        ("https://127.0.0.1", 0),
        ("http://[::1]:8100", 0),
        ("null", 403),
        ("http://evil.example", 403),
        ("file://127.0.0.1", 403),
        ("http://localhost.evil.example", 403),
        ("http://localhost/", 403),
        ("", 403),
    ],
)
def test_pages_of_other_sites_may_not_ask(origin: str, status: int) -> None:
    assert refused(LOCAL, INFER, HOST, (b"origin", origin.encode())) == status


def test_elsewhere_a_page_of_the_same_host_may_ask() -> None:
    named = (b"host", b"Models.example:8100")
    own, other = (b"origin", b"http://models.example:8100"), (b"origin", b"http://evil.example")
    assert refused(OPEN, INFER, named, own, TOKEN) == 0
    assert refused(OPEN, INFER, named, other, TOKEN) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/models/m/load",
        "/v2/repository/models/m/unload",
        "/v2/repository/models/m/%6coad",
        "/v2/repository/models/m/unload/",
        "/v2/models/m/feedback",
        "/v2/models/m/versions/3/feedback",
    ],
)
def test_what_changes_something_asks_for_the_token(path: str) -> None:
    assert refused(LOCAL, path, HOST) == 401
    assert refused(LOCAL, path, HOST, (b"authorization", b"Bearer wrong")) == 401
    assert refused(LOCAL, path, HOST, (b"authorization", b"Basic secret")) == 401
    assert LOCAL.check("POST", path, [HOST, TOKEN])
    assert LOCAL.check("POST", path, [HOST, (b"authorization", b"bearer  secret ")])


def test_on_loopback_inference_is_free_and_the_token_is_noticed() -> None:
    assert LOCAL.check("POST", INFER, [HOST]) is False
    assert LOCAL.check("POST", INFER, [HOST, TOKEN]) is True
    assert LOCAL.check("GET", "/v2/models/load", [HOST]) is False


def test_elsewhere_all_but_health_asks_for_the_token() -> None:
    for path in (INFER, "/v2", "/metrics", "/", "/v2/health", "/v2/health/live/../../models/m"):
        assert refused(OPEN, path, HOST) == 401
        assert refused(OPEN, path, HOST, TOKEN) == 0
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert refused(OPEN, path, HOST) == 0


def test_an_empty_token_is_nobodys() -> None:
    nobody = Guard("127.0.0.1", 8100, "")
    assert nobody.check("GET", "/v2", [HOST, (b"authorization", b"Bearer ")]) is False
    assert refused(nobody, "/v2/models/m/feedback", HOST, (b"authorization", b"Bearer ")) == 401


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("models.example", False),
    ],
)
def test_which_addresses_are_loopback(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local
