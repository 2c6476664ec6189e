"""A JSON request in words that work when they are pasted: a curl command, a Python program."""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_JSON = "application/json"
# Linux takes no argument of a command over 128 KiB.
_LONGEST_ARGUMENT = 100_000
_WIDTH = 100


def as_curl(address: str, path: str, body: Mapping[str, Any], token: str | None) -> str:
    """A shell command that posts a body; a long one comes on its standard input.

    ValueError where JSON has no word for a value, such as NaN.
    """
    data = json.dumps(dict(body), allow_nan=False)
    words = ["curl", "-s", address + path]
    for name, value in _headers(token).items():
        words += ["-H", f"{name}: {value}"]
    command = shlex.join(words)
    if len(data) <= _LONGEST_ARGUMENT:
        return f"{command} -d {shlex.quote(data)}"
    # JSON is one line that begins with a brace: it can't be the word that ends the document.
    return f"{command} --data-binary @- <<'JSON'\n{data}\nJSON\n"


def as_python(address: str, path: str, body: Mapping[str, Any], token: str | None) -> str:
    """A program of the standard library alone that posts a body and prints status and answer.

    No statement of it has a block, so that an interactive Python takes it line by line. ValueError
    as `as_curl`.
    """
    body = dict(body)
    data = json.dumps(body, allow_nan=False)
    place = urlsplit(address)
    connection = {"https": "HTTPSConnection"}.get(place.scheme, "HTTPConnection")
    return f"""\
import http.client
import json

body = {_literal(body, len(data))}
headers = {_headers(token)!r}
connection = http.client.{connection}({place.hostname!r}, {place.port!r}, timeout=30)
connection.request("POST", {path!r}, json.dumps(body).encode(), headers)
response = connection.getresponse()
print(response.status, json.loads(response.read()))
"""


def _headers(token: str | None) -> dict[str, str]:
    return {"Content-Type": _JSON} | ({"Authorization": f"Bearer {token}"} if token else {})


def _literal(body: Mapping[str, Any], length: int) -> str:
    """A value as Python writes it, in lines that can be read unless they would be too many."""
    if length > _LONGEST_ARGUMENT:
        return repr(body)
    return pprint.pformat(body, width=_WIDTH, compact=True, sort_dicts=False)
