"""Which versions a load or unload names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.serving.refusals import RequestError
from mlbench.serving.worker.repository import index_wanted, versions_named


def _config(config: Any) -> bytes:
    return json.dumps({"parameters": {"config": json.dumps(config)}}).encode()


@pytest.mark.parametrize(
    ("body", "versions"),
    [
        (b"", ()),
        (b"{}", ()),
        (b'{"parameters": null}', ()),
        (b'{"parameters": {"unload_dependents": true}}', ()),
        (b'{"parameters": {"version": "3"}}', ("3",)),
        (b'{"parameters": {"version": 3}}', ("3",)),
        (_config({}), ()),
        (_config({"version_policy": {"latest": {"num_versions": 1}}}), ()),
        (_config({"version_policy": {"specific": {"versions": [3, 7]}}}), ("3", "7")),
    ],
)
def test_versions_are_named_as_triton_does_or_plainly(
    body: bytes, versions: tuple[str, ...]
) -> None:
    assert versions_named(body) == versions


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"[", "the body is not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"parameters": 3}', "parameters must be an object"),
        (b'{"parameters": {"version": true}}', "a version is a whole number"),
        (b'{"parameters": {"version": "three"}}', "a version is a whole number"),
        (b'{"parameters": {"config": {}}}', "config must be a string of JSON"),
        (b'{"parameters": {"config": "{"}}', "config is not JSON"),
        (b'{"parameters": {"file:1/model.onnx": "AAAA"}}', "come from promotions"),
        (_config({"version_policy": 3}), "version_policy must be an object"),
        (_config({"version_policy": {"specific": {"versions": []}}}), "must list versions"),
        (_config({"version_policy": {"specific": {"versions": [-1]}}}), "a whole number"),
        (_config({"version_policy": {"specific": {"versions": [1] * 1001}}}), "more than 1000"),
        (b'{"parameters": {"version": "%b"}}' % (b"9" * 21), "a whole number"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        versions_named(body)
    assert refused.value.status == 400


def test_the_index_asks_for_what_is_ready_or_for_all() -> None:
    assert [index_wanted(body) for body in (b"", b"{}", b'{"ready": true}')] == [False, False, True]
    with pytest.raises(RequestError, match="true or false"):
        index_wanted(b'{"ready": "yes"}')


@given(st.binary(max_size=80))
def test_any_body_names_versions_or_is_refused(body: bytes) -> None:
    try:
        found: tuple[str, ...] | RequestError = versions_named(body)
    except RequestError as refused:
        found = refused
    if isinstance(found, RequestError):
        assert found.status == 400
    else:
        assert all(version.isdecimal() for version in found)
