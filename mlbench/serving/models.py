"""A model version in memory, on onnxruntime: verified, loaded, warm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
from blake3 import blake3

from mlbench.domain.errors import ServingError
from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.serving.tensors import DTYPES, Array, one_row_of_zeros

# onnxruntime looks below this folder for tensors that a model keeps in other files. Nothing can
# lie below a device, so every such model is refused instead of reading what lies about.
_NO_FOLDER = "/dev/null/external-data-is-refused"

_ONNX_NAMES = {
    "BOOL": "bool",
    "BYTES": "string",
    "FP16": "float16",
    "FP32": "float",
    "FP64": "double",
}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One model version that answers."""

    deployed: DeployedModel
    session: onnxruntime.InferenceSession

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return self.deployed.signature

    @property
    def version(self) -> str:
        """Its version as the protocol writes it."""
        return str(self.deployed.version)

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of the signature for these inputs; safe from several threads at once."""
        names = [spec.name for spec in self.signature.outputs]
        return dict(zip(names, self.session.run(names, dict(inputs)), strict=True))


def load(deployed: DeployedModel) -> LoadedModel:
    """Verify, load and warm a version; ServingError says why one can't be served."""
    try:
        data = _verified_bytes(deployed)
        session = onnxruntime.InferenceSession(data, _options(), providers=["CPUExecutionProvider"])
        _check_signature(deployed, session)
        model = LoadedModel(deployed, session)
        # The first run allocates; a model that can't do even this must not go live.
        model.infer({spec.name: one_row_of_zeros(spec) for spec in deployed.signature.inputs})
        return model
    except ServingError:
        raise
    except Exception as error:
        # onnxruntime's errors share no other class, and whatever it is must not end the thread
        # that follows deployments.
        raise ServingError(f"{_named(deployed)}: {_reason(str(error))}") from None


def _verified_bytes(deployed: DeployedModel) -> bytes:
    """The file's bytes, read once, so that what was verified is what is loaded."""
    try:
        data = Path(deployed.path).read_bytes()
    except OSError as error:
        raise ServingError(
            f"{_named(deployed)}: {deployed.path} can't be read ({error.strerror}); "
            "promote a version whose file is there"
        ) from None
    if blake3(data).hexdigest() != deployed.digest:
        raise ServingError(
            f"{_named(deployed)}: {deployed.path} is not what was promoted (its digest differs); "
            "put the file back, or promote another version"
        )
    return data


def _options() -> onnxruntime.SessionOptions:
    """One thread a request and no spinning: the server's threads are the parallelism."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", _NO_FOLDER
    )
    return options


def _check_signature(deployed: DeployedModel, session: onnxruntime.InferenceSession) -> None:
    """Refuse a file whose tensors are not those that the deployment promises."""
    signature = deployed.signature
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: node.type for node in session.get_outputs()}
    promised = {spec.name: _onnx_type(deployed, spec) for spec in signature.outputs}
    if {spec.name: _onnx_type(deployed, spec) for spec in signature.inputs} != inputs:
        raise ServingError(f"{_named(deployed)}: its file takes {inputs}, not its signature's")
    if not promised or not promised.items() <= outputs.items():
        raise ServingError(f"{_named(deployed)}: its file gives {outputs}, not its signature's")


def _onnx_type(deployed: DeployedModel, spec: TensorSpec) -> str:
    """`tensor(float)` for FP32: how onnxruntime names a datatype of the protocol."""
    if spec.datatype not in DTYPES:
        raise ServingError(
            f'{_named(deployed)}: tensor "{spec.name}" is {spec.datatype}, which is not served'
        )
    return f"tensor({_ONNX_NAMES.get(spec.datatype, spec.datatype.lower())})"


def _reason(message: str) -> str:
    """The library's message as one line, with what to do where that is known."""
    if any(words in message.lower() for words in ("external data", "in-memory address")):
        return "keeps tensors outside its file, which is refused; export it as one file"
    return f"can't be loaded: {' '.join(message.split())[:300]}"


def _named(deployed: DeployedModel) -> str:
    return f"{deployed.name} version {deployed.version}"
