"""A model version in memory, on onnxruntime: verified, loaded, warm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime
from blake3 import blake3

from mlbench.domain.errors import ServingError
from mlbench.domain.phrases import size
from mlbench.domain.release import DeployedModel, Signature, TensorSpec
from mlbench.serving.protocol.tensors import DTYPES, Array, one_row_of_zeros
from mlbench.serving.running.limits import memory_limit

# onnxruntime looks below this folder for tensors that a model keeps in other files. Nothing can
# lie below a device, so every such model is refused instead of reading what lies about.
_NO_FOLDER = "/dev/null/external-data-is-refused"

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ONNX_NAMES = {
    "BOOL": "bool",
    "BYTES": "string",
    "FP16": "float16",
    "FP32": "float",
    "FP64": "double",
}
# How onnxruntime says that a tensor lies outside the file.
_SAYS_OUTSIDE = ("external data", "in-memory address", _NO_FOLDER)
# How onnxruntime says that there is not enough memory, and what holds such words by chance is
# told the same: it failed, and more memory might help.
_LACKS_MEMORY = ("failed to allocate memory", "bad_alloc", "bad allocation", "out of memory")


class LoadedModel:
    """One model version that answers."""

    def __init__(self, deployed: DeployedModel, session: onnxruntime.InferenceSession) -> None:
        """`session` takes and gives what the deployment's signature says."""
        self.deployed = deployed
        self._session = session
        self._names = [spec.name for spec in deployed.signature.outputs]

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return self.deployed.signature

    @property
    def version(self) -> str:
        """Its version as the protocol writes it."""
        return str(self.deployed.version)

    def infer(
        self, inputs: Mapping[str, Array], stop: onnxruntime.RunOptions | None = None
    ) -> dict[str, Array]:
        """Every output of the signature for these inputs; safe from several threads at once.

        Another thread ends it by `stop.terminate = True`. Raises whatever onnxruntime does.
        """
        return dict(zip(self._names, self._session.run(self._names, inputs, stop), strict=True))


def load(deployed: DeployedModel) -> LoadedModel:
    """Verify, load and warm a version; ServingError says why one can't be served.

    It takes as long as the model's first run does: whoever waits for it must set a bound.
    """
    try:
        data = _verified_bytes(deployed)
        session = _session(data, choose_providers(onnxruntime.get_available_providers()))
        _check_signature(deployed, session)
        model = LoadedModel(deployed, session)
        # The first run allocates; a model that can't do even this must not go live.
        model.infer({spec.name: one_row_of_zeros(spec) for spec in deployed.signature.inputs})
        return model
    except ServingError:
        raise
    except Exception as error:
        # onnxruntime's errors share no other class, and whatever it is must not end the thread
        # that loads.
        raise ServingError(f"{_named(deployed)}: {_reason(error)}") from None


def choose_providers(available: Sequence[str]) -> list[str]:
    """What runs a model, first choice first: CUDA where onnxruntime has it, else the processor."""
    return [_CUDA, _CPU] if _CUDA in available else [_CPU]


def lacks_memory(error: Exception) -> str:
    """That this process may not take as much memory as was needed; empty for another error."""
    said = str(error).lower()
    if not isinstance(error, MemoryError) and not any(words in said for words in _LACKS_MEMORY):
        return ""
    limit = memory_limit()
    allowed = f"the {size(limit)} that a worker may take" if limit is not None else "there is"
    return f"needs more memory than {allowed}"


def _session(data: bytes, providers: Sequence[str]) -> onnxruntime.InferenceSession:
    """The session on the first provider that works: CUDA may be built in, and its device absent.

    onnxruntime's own way to fall back prints to standard output, where our log is. What a model's
    metadata say of how to run it is not followed, whatever the environment variables say.
    """
    for place, _ in enumerate(providers):
        try:
            return onnxruntime.InferenceSession(
                data,
                _options(),
                providers=list(providers[place:]),
                enable_fallback=0,
                read_config_from_model=0,
            )
        except Exception:
            if place + 1 == len(providers):
                raise
    raise ServingError("there is no provider to run models on")


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
    """One thread a request and no spinning: the server's threads are the parallelism.

    Candidates are timed with one thread too (mlbench/release/exported.py).
    """
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


def _reason(error: Exception) -> str:
    """The library's message as one line, with what to do where that is known."""
    message = str(error)
    if lacking := lacks_memory(error):
        return f"{lacking}; promote a smaller model, or serve with fewer workers"
    if any(words in message.lower() for words in _SAYS_OUTSIDE):
        return "keeps tensors outside its file, which is refused; export it as one file"
    return f"can't be loaded: {' '.join(message.split())[:300] or type(error).__name__}"


def _named(deployed: DeployedModel) -> str:
    if not deployed.version:  # a candidate that is asked logged requests again
        return f"{deployed.name} of run {deployed.run}"
    return f"{deployed.name} version {deployed.version}"
