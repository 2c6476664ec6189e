"""Paths and methods to what they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.serving.refusals import RequestError
from mlbench.serving.worker.routes import Route, find_route


@pytest.mark.parametrize(
    ("method", "path", "what", "model", "version"),
    [
        ("GET", "/v2", "server", "", None),
        ("GET", "/v2/", "server", "", None),
        ("HEAD", "/v2/health/live", "live", "", None),
        ("GET", "/v2/health/ready", "ready", "", None),
        ("GET", "/v2/models", "models", "", None),
        ("GET", "/v2/models/stats", "stats", "", None),
        ("GET", "/v2/models/digits", "model_metadata", "digits", None),
        ("GET", "/v2/models/digits/versions/3", "model_metadata", "digits", "3"),
        ("GET", "/v2/models/digits/ready", "model_ready", "digits", None),
        ("GET", "/v2/models/digits/versions/3/ready", "model_ready", "digits", "3"),
        ("GET", "/v2/models/digits/config", "model_config", "digits", None),
        ("GET", "/v2/models/digits/versions/3/stats", "model_stats", "digits", "3"),
        ("POST", "/v2/models/digits/infer", "model_infer", "digits", None),
        ("POST", "/v2/models/a%2Fb/versions/3/infer", "model_infer", "a/b", "3"),
        ("POST", "/v2/models/digits/feedback", "model_feedback", "digits", None),
        ("POST", "/v2/repository/index", "index", "", None),
        ("POST", "/v2/repository/models/digits/load", "load", "digits", None),
        ("POST", "/v2/repository/models/digits/unload", "unload", "digits", None),
        ("POST", "/predict", "predict", "", None),
        ("POST", "/predict/digits", "predict", "digits", None),
        ("POST", "/predict/digits/versions/3", "predict", "digits", "3"),
        ("GET", "/metrics", "metrics", "", None),
        ("GET", "/openapi.json", "openapi.json", "", None),
    ],
)
def test_every_route(method: str, path: str, what: str, model: str, version: str | None) -> None:
    route = find_route(method, path)
    assert (route.what, route.model, route.version) == (what, model, version)
    assert method in route.methods


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("GET", "/v2/models/digits/infer", "POST"),
        ("DELETE", "/v2/repository/index", "POST"),
        ("PUT", "/predict", "POST"),
    ],
)
def test_another_method_is_told_which_is_right(method: str, path: str, allowed: str) -> None:
    with pytest.raises(RequestError, match=f"takes {allowed}, not {method}") as refused:
        find_route(method, path)
    assert (refused.value.status, refused.value.allow) == (405, allowed)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/models/digits",
        "/v2/models/digits/infer/more",
        "/v2/models//infer",
        "/v2/models//versions/3",
        "/v2/repository/models//load",
        "/v2/models/digits/versions",
        "/v2/models/digits/versions/3/feedback",
        "/v2/repository/models/digits/delete",
        "/predict/a/b",
    ],
)
def test_nothing_stands_anywhere_else(path: str) -> None:
    with pytest.raises(RequestError) as refused:
        find_route("GET", path)
    assert refused.value.status == 404


@given(st.sampled_from(["GET", "POST", "PATCH", ""]), st.text(max_size=60))
def test_any_path_is_a_route_or_refused(method: str, path: str) -> None:
    try:
        found: Route | RequestError = find_route(method, path)
    except RequestError as refused:
        found = refused
    assert isinstance(found, Route) or found.status in (404, 405)
