"""What Triton refuses in its own HTTP tests, in our words, against ours; README.md lists them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conformance.asking import LENGTH, Asked, tensor, with_tail

A = tensor("a", "INT32", [1, 4], [1, 2, 3, 4])
B = tensor("b", "INT32", [1, 4], [1, 1, 1, 1])
EIGHT = tensor("in0", "FP32", [1, 8], list(range(8)))


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ([2**4, 2**60 + 2], "holds more than"),
        ([2**2, 2**60 + 2], "holds more than"),
        ([2**31, 1], "holds more than"),
        ([2**63, 2], "holds more than"),
        ([2**64, 2], "whole numbers from 0"),
        ([2, -5], "whole numbers from 0"),
        ([2, 1.0], "whole numbers from 0"),
        ([True, 1], "whole numbers from 0"),
        ([8], "does not fit the model's"),
        ([1, 2, 4], "does not fit the model's"),
        ([1] * 100_000, "does not fit the model's"),
        ("1,8", "whole numbers from 0"),
        (None, "whole numbers from 0"),
    ],
)
def test_a_shape_that_can_not_be(server: Asked, shape: Any, sentence: str) -> None:
    for data in ({"data": [1.0]}, {"parameters": {"binary_data_size": 4}}):
        head = {"inputs": [{"name": "in0", "datatype": "FP32", "shape": shape, **data}]}
        body, headers = with_tail(head, b"" if "data" in data else bytes(4))
        reply = server.ask("POST", "/v2/models/numbers/infer", body, headers)
        assert reply.status == 400
        assert 'input "in0"' in reply.error
        assert sentence in reply.error
        assert len(reply.error) < 300


@pytest.mark.parametrize(("depth", "sentence"), [(97, "is nested as"), (120, "nested deeper")])
def test_json_is_no_deeper_than_a_hundred(server: Asked, depth: int, sentence: str) -> None:
    data = '"hello"'
    for _ in range(depth):
        data = f"[{data}]"
    head = json.dumps({"inputs": [tensor("in0", "BYTES", [1, 1], "here")]}).replace('"here"', data)
    reply = server.ask("POST", "/v2/models/text/infer", head.encode())
    assert reply.status == 400
    assert sentence in reply.error
    assert server.lives()


def test_an_index_is_no_deeper_either(server: Asked) -> None:
    deep = b'{"ready":' + b"[" * 250_000 + b"true" + b"]" * 250_000 + b"}"
    reply = server.ask("POST", "/v2/repository/index", deep)
    assert reply.status == 400
    assert "nested deeper than 100" in reply.error
    reply = server.ask("POST", "/v2/repository/index", {"ready": [[True]]})
    assert (reply.status, reply.error) == (400, "ready must be true or false")
    assert server.lives()


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ([], "lacks the model's input"),
        ([A], 'lacks the model\'s input "b"'),
        ([A, A, B], 'input "a" is given twice'),
        ([A, B, {**B, "name": "c"}], 'no input "c"'),
        ([A, {**B, "datatype": "INT64"}], 'must be "INT32", not "INT64"'),
        ([A, {**B, "datatype": "int32"}], 'must be "INT32"'),
        ([A, {**B, "shape": [4]}], "does not fit the model's [-1, 4]"),
        ([A, {**B, "shape": [2, 4], "data": [1] * 8}], "1 rows and"),
        ([A, {**B, "data": [1, 2, 3, 4.5]}], "whole numbers"),
        ([A, {**B, "data": [1, 2, 3, 2**31]}], "out of range for INT32"),
        ([A, {**B, "data": [1, 2, 3, "4"]}], "whole numbers"),
        ([A, {**B, "data": None}], "data must be a list"),
    ],
)
def test_inputs_that_are_not_the_models(server: Asked, inputs: list[Any], sentence: str) -> None:
    reply = server.infer("sums", *inputs)
    assert reply.status == 400
    assert sentence in reply.error


@pytest.mark.parametrize(
    ("size", "tail", "sentence"),
    [
        (40, bytes(40), "takes 32 bytes, not 40"),
        (28, bytes(28), "takes 32 bytes, not 28"),
        (32, bytes(28), "only 28 bytes are left"),
        (32, bytes(40), "40 bytes follow the JSON, its inputs take 32"),
        (-1, bytes(32), "must be a whole number from 0"),
        (2**63, bytes(32), "only 32 bytes are left"),
        ("32", bytes(32), "must be a whole number from 0"),
    ],
)
def test_bytes_must_be_as_many_as_the_shape_takes(
    server: Asked, size: Any, tail: bytes, sentence: str
) -> None:
    head = {"inputs": [tensor("in0", "FP32", [1, 8], parameters={"binary_data_size": size})]}
    body, headers = with_tail(head, tail)
    reply = server.ask("POST", "/v2/models/numbers/infer", body, headers)
    assert reply.status == 400
    assert sentence in reply.error


@pytest.mark.parametrize(
    ("texts", "sentence"), [(1, "end within element 2"), (3, "after its 2 elements")]
)
def test_texts_must_be_as_many_as_the_shape_says(server: Asked, texts: int, sentence: str) -> None:
    tail = b"\4\0\0\0word" * texts
    head = {"inputs": [tensor("in0", "BYTES", [1, 2], parameters={"binary_data_size": len(tail)})]}
    body, headers = with_tail(head, tail)
    reply = server.ask("POST", "/v2/models/texts/infer", body, headers)
    assert reply.status == 400
    assert sentence in reply.error


def test_an_output_named_twice(server: Asked) -> None:
    reply = server.infer("numbers", EIGHT, outputs=[{"name": "out0"}] * 2)
    assert reply.status == 400
    assert '"out0" is asked for twice' in reply.error
    assert server.lives()


@pytest.mark.parametrize("length", ["99999999999", "9" * 12, "9" * 40, "-1", "0x10", "1e3", "３"])
def test_a_length_of_the_json_that_can_not_be(server: Asked, length: str) -> None:
    headers = {LENGTH: length.encode().decode("latin-1")}
    reply = server.ask("POST", "/v2/models/numbers/infer", {"inputs": []}, headers)
    assert reply.status == 400
    assert "inference-header-content-length" in reply.error.lower()
    assert server.lives()


def test_bad_lengths_leave_no_memory_behind(server: Asked) -> None:
    packed = gzip.compress(b" " * (1 << 20))
    headers = {LENGTH: "9999999", "Content-Encoding": "gzip"}
    (worker,) = server.sandbox.status().workers
    before = 0
    for turn in range(40):
        reply = server.ask("POST", "/v2/models/numbers/infer", packed, headers)
        assert reply.status == 400
        before = before if turn != 10 else _resident(worker)
    assert _resident(worker) - before < 16 << 20


def _resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_very_many_chunks_are_a_body_and_leave_no_memory_behind(server: Asked) -> None:
    (worker,) = server.sandbox.status().workers
    chunked = b"1\r\nA\r\n" * 65_536 + b"0\r\n\r\n"
    sizes = []
    for _ in range(4):
        reply = server.raw("triple", chunked, **{"Transfer-Encoding": "chunked"})
        assert reply.status == 400
        assert "a raw body holds one input" in reply.error
        sizes.append(_resident(worker))
    assert sizes[-1] - sizes[0] < 8 << 20
