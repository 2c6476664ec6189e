"""A model that takes too much memory is refused, and the process that was asked lives on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from mlbench.domain.plain import to_plain
from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.running.limits import group_limits, memory_bound
from tests.serving.running.shelf import Shelf, graph_of

GB = 1 << 30
# As a worker does it, with uvloop under it; thousands of workers leave each the least.
SCRIPT = """
import json, sys, time, uvloop
from pathlib import Path
import numpy as np
from mlbench.domain.errors import ServingError
from mlbench.domain.plain import from_plain
from mlbench.domain.release import DeployedModel
from mlbench.domain.serving import ServerSettings
from mlbench.serving.counters import Counters
from mlbench.serving.refusals import RequestError
from mlbench.serving.running.limits import limit_memory, memory_limit
from mlbench.serving.running.loading import load
from mlbench.serving.running.runner import make_runner

told = {"bound": limit_memory(10_000), "limit": memory_limit()}
huge, asking = (from_plain(DeployedModel, each) for each in json.load(sys.stdin))

async def main():
    try:
        load(huge)
    except ServingError as error:
        told["huge"] = str(error)
    counters = Counters(Path(sys.argv[1]), "small", "1", 0)
    runner = make_runner(load(asking), ServerSettings(), counters, 2)
    for name, size in (("too much", 1 << 30), ("enough", 1 << 20)):
        try:
            outputs = await runner.run({"x": np.array([[size]])}, 1, time.perf_counter())
            told[name] = float(outputs["y"][0])
        except RequestError as error:
            told[name] = [error.status, str(error)]

uvloop.run(main())
print(json.dumps(told))
"""


@given(st.integers(0, 1 << 50), st.integers(0, 1000))
def test_all_workers_together_stay_within_the_machine(total: int, workers: int) -> None:
    bound = memory_bound(total, workers)
    assert bound <= total * 3 // 4
    assert bound == total // 4 * 3 or bound >= 2 * GB or total < 3 * GB
    assert bound * max(workers, 1) <= max(total * 3 // 4, 2 * GB * workers)


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({}, []),
        ({"a/b/memory.max": "max", "a/memory.max": "5000\n", "memory.max": "9000"}, [5000, 9000]),
        ({"a/b/memory.max": "7", "c/memory.max": "1"}, [7]),
        ({"memory/memory.limit_in_bytes": "123"}, [123]),
    ],
)
def test_a_control_group_and_all_above_it_count(
    tmp_path: Path, files: dict[str, str], limits: list[int]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(group_limits(tmp_path, PurePosixPath("/a/b"))) == limits


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold to the limit")
def test_what_takes_too_much_is_refused_and_the_process_lives(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    zeros = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    size = helper.make_tensor("size", TensorProto.INT64, [1], [GB])
    huge = shelf.put(graph_of(*zeros, weights=(size,)))
    signature = Signature((TensorSpec("x", "INT64", (1, 1)),), (TensorSpec("y", "FP32", (1,)),))
    asked = graph_of(
        helper.make_node("Reshape", ["x", "flat"], ["size"]),
        *zeros[:1],
        helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=1),
        kind=TensorProto.INT64,
        weights=(helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),),
    )
    asked.name = "asking"
    asking = shelf.put(asked, signature)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "counters")],
        input=json.dumps([to_plain(huge), to_plain(asking)]),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bound"] == told["limit"]
    assert "needs more memory than the 2.1 GB that a worker may take" in told["huge"]
    assert told["too much"][0] == 500
    assert "needs more memory" in told["too much"][1]
    assert told["enough"] == 0.0
