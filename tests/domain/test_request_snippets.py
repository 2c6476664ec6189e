"""What is copied works as it is pasted: a real shell and a real Python ask a real server."""

from __future__ import annotations

import http.server
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.request_snippets import as_curl, as_python

PATH = "/v2/models/gr%C3%B6%C3%9Fe%20%27a%27/infer"
AWKWARD: dict[str, Any] = {
    "inputs": [
        {
            "name": 'it\'s "here" $HOME `id` \\ !! 好 @x\n\tJSON',
            "datatype": "FP64",
            "shape": [1, 4],
            "data": [1e-300, -0.0, 3, 1 / 3],
        },
        {"name": "flags", "datatype": "BOOL", "shape": [1, 2], "data": [True, False]},
    ],
    "parameters": {"none": None},
}
LONG = {"inputs": [{"name": "x", "data": list(range(60_000))}]}


class Heard(http.server.ThreadingHTTPServer):
    """A server that answers every post with what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.asked: list[tuple[str, Any, str | None, str | None]] = []


class _Echo(http.server.BaseHTTPRequestHandler):
    server: Heard

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind, token = self.headers["Content-Type"], self.headers["Authorization"]
        self.server.asked.append((self.path, body, kind, token))
        answer = b'{"answer": 7}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def heard() -> Iterator[Heard]:
    with Heard() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pasted(*words: str, text: str) -> str:
    """What a program prints that is given a text on its standard input."""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        words, input=text.encode(), capture_output=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("body", [AWKWARD, LONG], ids=["awkward", "long"])
@pytest.mark.parametrize("token", [None, "s3cret-_~"])
def test_a_shell_asks_just_that(heard: Heard, body: dict[str, Any], token: str | None) -> None:
    heard.asked.clear()
    address = f"http://127.0.0.1:{heard.server_port}"
    said = pasted("/bin/sh", text=as_curl(address, PATH, body, token))
    assert json.loads(said) == {"answer": 7}
    bearer = f"Bearer {token}" if token else None
    assert heard.asked == [(PATH, body, "application/json", bearer)]


@pytest.mark.parametrize("body", [AWKWARD, LONG], ids=["awkward", "long"])
@pytest.mark.parametrize("words", [("-",), ("-i", "-q")], ids=["program", "interactive"])
def test_a_python_asks_just_that(
    heard: Heard, body: dict[str, Any], words: tuple[str, ...]
) -> None:
    heard.asked.clear()
    address = f"http://127.0.0.1:{heard.server_port}"
    said = pasted(sys.executable, *words, text=as_python(address, PATH, body, "s3cret"))
    assert said == "200 {'answer': 7}\n"
    assert heard.asked == [(PATH, body, "application/json", "Bearer s3cret")]


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@given(
    st.dictionaries(
        st.text(max_size=6),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=8,
        ).filter(_is_finite),
        max_size=4,
    )
)
def test_a_program_holds_the_body_as_it_is(body: dict[str, Any]) -> None:
    lines = as_python("http://[::1]:8100", "/predict", body, None)
    names: dict[str, Any] = {}
    # Only what is before the connection: nobody listens there.
    exec(lines.partition("connection =")[0], names)
    assert repr(names["body"]) == repr(body)
    assert "HTTPConnection('::1', 8100," in lines


def test_what_json_can_not_say_is_not_said() -> None:
    for phrase in (as_curl, as_python):
        with pytest.raises(ValueError, match="JSON compliant"):
            phrase("http://127.0.0.1:1", "/", {"data": [math.nan]}, None)
