"""What PyTorch saves: whole modules, state dicts, exported programs, TorchScript."""

from __future__ import annotations

import zipfile
from typing import Any

from project_code import call
from refusal import Refusal, class_name, require, unreadable

_ENDINGS = (".pt", ".pth", ".pt2", ".ckpt")
_WITHIN = ("state_dict", "model_state_dict", "model")
_SHOWN = 3


def reads(spec: dict[str, Any]) -> bool:
    """Whether a model's file is PyTorch's: by its name, its settings or what it holds."""
    path = str(spec["model"])
    return bool(path.lower().endswith(_ENDINGS) or spec.get("factory") or _holds(path, "data.pkl"))


def load(spec: dict[str, Any]) -> Any:
    """The module or the exported program, on the CPU; Refusal unreadable or unsupported."""
    torch = require("torch")
    path = str(spec["model"])
    try:
        if _holds(path, "model.json") or _holds(path, "serialized_exported_program.json"):
            return torch.export.load(path)
        if _holds(path, "constants.pkl"):
            return torch.jit.load(path, map_location="cpu")
        saved = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # pickle's, zipfile's, PyTorch's
        raise unreadable(path, error) from error
    if isinstance(saved, torch.nn.Module):
        return saved
    weights = _weights(saved)
    if weights is None:
        problem = f"The model {path} holds a {class_name(saved)}, no module."
        raise Refusal("unsupported", problem, "Save the module: torch.save(model, path).")
    return _filled(weights, spec)


def _holds(path: str, name: str) -> bool:
    """Whether a file is an archive that has an entry of this name."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.rpartition("/")[2] == name for entry in archive.namelist())


def _weights(saved: Any) -> dict[str, Any] | None:
    """A state dict, or the one within a checkpoint; None where there is none."""
    torch = require("torch")
    if not isinstance(saved, dict):
        return None
    if saved and all(isinstance(value, torch.Tensor) for value in saved.values()):
        return dict(saved)
    within = (_weights(saved.get(name)) for name in _WITHIN)
    return next((weights for weights in within if weights is not None), None)


def _filled(weights: dict[str, Any], spec: dict[str, Any]) -> Any:
    """The module that the factory makes, with these weights; Refusal where they don't fit."""
    torch = require("torch")
    reference = spec.get("factory")
    if not reference:
        problem = f"The model {spec['model']} is a state dict: weights without their module."
        remedy = (
            'Name the function that makes the module, as factory = "src.net:make", '
            "or save the module itself."
        )
        raise Refusal("unsupported", problem, remedy)
    module = call(reference, "factory")
    if not isinstance(module, torch.nn.Module):
        problem = f"The factory {reference} gave a {class_name(module)}, no torch.nn.Module."
        raise Refusal("unsupported", problem, "Return the module that was trained.")
    wrong = _differences(module.state_dict(), weights)
    if wrong:
        problem = f"The state dict doesn't fit what {reference} makes: {'; '.join(wrong)}."
        raise Refusal("unsupported", problem, "Make the module as it was when it was trained.")
    module.load_state_dict(weights)
    return module


def _differences(wanted: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """What keeps weights from fitting a module, by their first names."""
    reshaped = [
        f"{name} is {_shape(given[name])}, not {_shape(wanted[name])}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    absent = [name for name in wanted if name not in given]
    beside = [name for name in given if name not in wanted]
    found = []
    if absent:
        found.append(f"it lacks {_some(absent)}")
    if beside:
        found.append(f"it has {_some(beside)} beside")
    return [*found, *reshaped[:_SHOWN]]


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _some(names: list[str]) -> str:
    """The first few of some names, and how many there are more."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
