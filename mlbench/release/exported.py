"""An exported model on onnxruntime: what it answers to rows of any number."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.domain.release import Signature
from mlbench.release.answers import Answers, Array
from mlbench.release.outputs import answers_in

# onnxruntime looks below this folder for tensors that a model keeps in other files. Nothing can
# lie below a device, so every such model is refused instead of reading what lies about.
_NO_FOLDER = "/dev/null/external-data-is-refused"
SAYS_OUTSIDE = ("external data", "in-memory address", _NO_FOLDER)
"""How onnxruntime says that a tensor lies outside the model's file."""

_CHUNK = 4096
_ROUNDING = 1e-3
_LATENCY_CALLS = 200
# Batches are timed in turn, so that a busy moment of the machine meets all of them, and the
# quickest of each counts, for that is what the model takes.
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_MOST_TURNS, _GOOD_TURNS, _FEWEST_TURNS = 50, 10, 3
_SECONDS, _MOST_SECONDS = 0.15, 1.5
# What one turn may take: with the fewest and what it takes to begin, all stays around two seconds.
_TURN_SECONDS = 0.4

Feeds = Mapping[str, Array]


class ExportedModel:
    """A model.onnx in memory, one thread a run."""

    def __init__(self, path: Path) -> None:
        """Load it; raises whatever onnxruntime does where it can't."""
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", _NO_FOLDER
        )
        self._session: Any = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [node.name for node in self._session.get_outputs()]

    def answers(self, feeds: Feeds, like: Answers) -> Answers:
        """Labels and scores for these rows, some thousand at once.

        `like` is what the original answered: without a `label` in the graph, the place of the best
        score is one. Raises whatever onnxruntime does on rows that the graph can't take.
        """
        rows = len(next(iter(feeds.values())))
        parts = [
            self._run({name: tensor[start : start + _CHUNK] for name, tensor in feeds.items()})
            for start in range(0, rows, _CHUNK)
        ]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return answers_in(outputs, rows, like)

    def one_by_one(self, feeds: Feeds, like: Answers) -> Answers:
        """The same, each row in a run of its own."""
        rows = len(next(iter(feeds.values())))
        parts = [
            self._run({name: tensor[row : row + 1] for name, tensor in feeds.items()})
            for row in range(rows)
        ]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return answers_in(outputs, rows, like)

    def latency(self, feeds: Feeds) -> dict[str, float]:
        """`p50_ms` and `p99_ms` of answering these rows."""
        times = []
        for _ in range(_LATENCY_CALLS):
            started = time.perf_counter()
            self._session.run(None, dict(feeds))
            times.append((time.perf_counter() - started) * 1000)
        return {f"p{share}_ms": float(np.percentile(times, share)) for share in (50, 99)}

    def answers_alone(self, feeds: Feeds) -> bool:
        """Whether each row has the same outputs alone as among these, but for rounding."""
        rows = len(next(iter(feeds.values())))
        try:
            together = self._run(feeds)
            for row in range(rows):
                alone = self._run({name: tensor[row : row + 1] for name, tensor in feeds.items()})
                if not all(_near(alone[name][0], together[name][row]) for name in together):
                    return False
        except Exception:  # onnxruntime's errors share no other class
            return False
        return rows > 1

    def timings(self, feeds: Feeds, *, alone: bool) -> dict[str, float]:
        """Milliseconds of one call by its number of rows, as texts, on these rows in turn.

        Batches that take too long or that the graph can't take are left out, and all where `alone`;
        one whose first dimension is fixed has that size only. One thread, as the server has.
        """
        fixed = self._fixed_rows()
        batches = self._batches(feeds, (fixed,) if fixed else _BATCHES[: 1 if alone else None])
        best = dict.fromkeys(batches, math.inf)
        began = time.perf_counter()
        for turn in range(_MOST_TURNS):
            spent = time.perf_counter() - began
            if turn >= _FEWEST_TURNS and spent > (
                _SECONDS if turn >= _GOOD_TURNS else _MOST_SECONDS
            ):
                break
            for rows, batch in batches.items():
                best[rows] = min(best[rows], self._seconds(batch))
        return {str(rows): round(seconds * 1000, 5) for rows, seconds in best.items()}

    def departs_from(self, signature: Signature) -> str:
        """How the graph's tensors differ from those that were promised; empty where they don't."""
        for what, promised, found in (
            ("takes", signature.inputs, [node.name for node in self._session.get_inputs()]),
            ("gives", signature.outputs, self._outputs),
        ):
            names = [tensor.name for tensor in promised]
            if sorted(names) != sorted(found):
                return f"the graph {what} {', '.join(found)}, its signature {', '.join(names)}"
        return ""

    def _batches(self, feeds: Feeds, sizes: Iterable[int]) -> dict[int, Feeds]:
        """Batches of these sizes, the first and those behind it as far as the time goes."""
        batches: dict[int, Feeds] = {}
        turn = last = 0.0
        for rows in sizes:
            if batches and turn + last > _TURN_SECONDS:
                break
            batch: Feeds = {name: _of_size(tensor, rows) for name, tensor in feeds.items()}
            try:
                self._seconds(batch)  # the first run of a size allocates
                last = self._seconds(batch)
            except Exception:  # onnxruntime's errors share no other class
                break
            batches[rows] = batch
            turn += last
        return batches

    def _seconds(self, feeds: Feeds) -> float:
        """Processor time of one call, all in this thread: others on the machine don't count."""
        began = time.thread_time()
        self._session.run(self._outputs, dict(feeds))
        return time.thread_time() - began

    def _fixed_rows(self) -> int:
        """The rows that each call must have by the graph; 0 where that is free."""
        sizes = [node.shape[0] for node in self._session.get_inputs() if node.shape]
        return max((size for size in sizes if isinstance(size, int)), default=0)

    def _run(self, feeds: Feeds) -> dict[str, Array]:
        values = self._session.run(self._outputs, dict(feeds))
        rows = len(next(iter(feeds.values())))
        outputs = {
            name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)
        }
        for name, value in outputs.items():
            if value.ndim == 0 or len(value) != rows:
                raise ValueError(f"{name} has shape {value.shape} for {rows} rows")
        return outputs


def _of_size(tensor: Array, rows: int) -> Array:
    """So many rows of a tensor, from its beginning again where it has fewer."""
    return np.take(tensor, np.arange(rows) % len(tensor), axis=0)


def _near(one: Array, other: Array) -> bool:
    """Whether what a row gave is the same twice: numbers nearly so by the largest among them."""
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    room = _ROUNDING * float(np.abs(np.nan_to_num(other)).max(initial=0.0))
    return bool(np.allclose(one, other, rtol=0.0, atol=room, equal_nan=True))
