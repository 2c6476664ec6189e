"""Running a PyTorch module as it answers after training."""

from __future__ import annotations

from typing import Any

from refusal import require

_RESERVED = ("input", "label", "probabilities", "prediction")


def run(model: Any, tensor: Any) -> dict[str, Any]:
    """The outputs by name: `output`, the keys of a dict, else `output_0` and so on."""
    torch = require("torch")
    with torch.no_grad():
        given = _callable(model)(tensor)
    if isinstance(given, torch.Tensor):
        return {"output": given}
    if isinstance(given, dict) and all(isinstance(each, torch.Tensor) for each in given.values()):
        return {_output_name(str(name)): each for name, each in given.items()}
    leaves = torch.utils._pytree.tree_leaves(given)
    return {f"output_{index}": leaf for index, leaf in enumerate(leaves)}


def _output_name(key: str) -> str:
    """A key of forward's dict, unless that name says something else in a graph."""
    return f"output_{key}" if key in _RESERVED else key


def _callable(model: Any) -> Any:
    """What answers: a module as it does after training, or an exported program."""
    if not isinstance(model, require("torch").nn.Module):
        return model.module()
    return model.eval()


def as_tensor(model: Any, X: Any) -> Any:
    """Rows as a tensor: float32, or int64 where they are integers and the module takes these."""
    torch, np = require("torch"), require("numpy")
    if X.dtype.kind in "iu":
        whole = torch.from_numpy(X.astype(np.int64))
        try:
            run(model, whole[:2])
        except Exception:  # layers of floats raise what they like
            return torch.from_numpy(X.astype(np.float32))
        return whole
    return torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
