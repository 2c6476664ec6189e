"""What the protocol tells of a server and its models: metadata and configuration. Pure.

Source of the shapes: https://github.com/kserve/open-inference-protocol and Triton's
model_config.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlbench.domain.release import DeployedModel, TensorSpec
from mlbench.domain.serving import ServerSettings
from mlbench.serving.running.batching import Batching

EXTENSIONS = (
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "statistics",
    "binary_tensor_data",
    "classification",
)
_CONFIG_TYPES = {"BYTES": "TYPE_STRING"}


def server_metadata(version: str) -> dict[str, Any]:
    """What `GET /v2` answers."""
    return {"name": "mlbench", "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(deployed: DeployedModel, versions: Sequence[str]) -> dict[str, Any]:
    """What a model's own path answers: its tensors, and the versions that can be asked."""
    return {
        "name": deployed.name,
        "versions": list(versions),
        "platform": "onnxruntime_onnx",
        "inputs": [_tensor(spec) for spec in deployed.signature.inputs],
        "outputs": [_tensor(spec) for spec in deployed.signature.outputs],
    }


def model_config(
    deployed: DeployedModel, batching: Batching, settings: ServerSettings, workers: int
) -> dict[str, Any]:
    """A model's configuration in Triton's words; `max_batch_size` 0 where nothing is batched.

    Dimensions leave out that of the batch where there is one, as Triton's do.
    """
    size = batching.most_rows if batching.most_rows > 1 else 0
    config: dict[str, Any] = {
        "name": deployed.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [deployed.version]}},
        "max_batch_size": size,
        "input": [_config_tensor(spec, size) for spec in deployed.signature.inputs],
        "output": [_config_tensor(spec, size) for spec in deployed.signature.outputs],
        "instance_group": [{"name": deployed.name, "count": workers, "kind": "KIND_CPU"}],
        "default_model_filename": "model.onnx",
        "parameters": {
            "run": {"string_value": deployed.run},
            "digest": {"string_value": deployed.digest},
        },
    }
    if size:
        config["dynamic_batching"] = {
            "max_queue_delay_microseconds": 0,
            "default_queue_policy": {
                "default_timeout_microseconds": int(settings.deadline * 1e6),
                "max_queue_size": settings.queue,
            },
        }
    return config


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _config_tensor(spec: TensorSpec, batch: int) -> dict[str, Any]:
    return {
        "name": spec.name,
        "data_type": _CONFIG_TYPES.get(spec.datatype, f"TYPE_{spec.datatype}"),
        "dims": list(spec.shape[1:] if batch else spec.shape),
    }
