"""An exported model on onnxruntime: what it answers to rows of any number."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.domain.release import Signature
from mlbench.release.answers import Answers, Array
from mlbench.release.outputs import answers_in

# onnxruntime looks below this folder for tensors that a model keeps in other files. Nothing can
# lie below a device, so every such model is refused instead of reading what lies about.
_NO_FOLDER = "/dev/null/external-data-is-refused"
_CHUNK = 4096
_LATENCY_CALLS = 200

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
