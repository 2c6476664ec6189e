"""PyTorch models, trained on real data sets, exported and answered by onnxruntime."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.datasets import load_diabetes, load_digits

from mlbench.release.proving import prove
from tests.release.exports import Exported, Exports

HELD_OUT = 300
DIGITS, DIGIT = load_digits(return_X_y=True)
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)

NETS = """
    import torch
    from torch import nn

    def make_mlp():
        return nn.Sequential(
            nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(48, 10)
        )

    def make_small():
        return nn.Sequential(nn.Linear(64, 48), nn.Tanh())

    def make_nothing():
        return "no module"

    def fail():
        raise ValueError("the width is not known")

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                nn.Dropout(0.2), nn.Linear(72, 10),
            )
        def forward(self, images):
            return self.layers(images / 16)

    class Lstm(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(8, 24, batch_first=True, num_layers=2)
            self.last = nn.Linear(24, 10)
        def forward(self, lines):
            states, _ = self.lstm(lines / 16)
            return self.last(states[:, -1])

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(17, 4)
            self.last = nn.Linear(256, 10)
        def forward(self, tokens):
            return self.last(self.embedding(tokens).flatten(1))

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.which, self.ink = nn.Linear(64, 16), nn.Linear(16, 10), nn.Linear(16, 1)
        def forward(self, x):
            hidden = torch.tanh(self.body(x))
            return {"label": self.which(hidden), "ink": self.ink(hidden)}

    class Pair(Heads):
        def forward(self, x):
            given = super().forward(x)
            return given["label"], (given["ink"], given["label"].argmax(1))

    class Branching(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.max() < 100 else super().forward(-x)

    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(64, 10)
        def forward(self, x):
            # Never true for these rows, but nobody could know that without them.
            if x.max() > 1000:
                x = x / 1000
            return self.last(x)

    class Mixed(nn.Linear):
        def forward(self, x, y):
            return super().forward(x + y)

    class Centred(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.rand(len(x), 1)

    class Looping(nn.Linear):
        def forward(self, x):
            return torch.stack([super(Looping, self).forward(row) for row in x])

    class Unknown(nn.Linear):
        def forward(self, x):
            return torch.special.bessel_j0(super().forward(x))
"""
TRAIN = """
    import joblib, numpy as np, torch
    from torch import nn
    import nets
    torch.manual_seed(0)
    torch.set_num_threads(1)

    def fit(model, X, y, loss, steps=40):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(X), y).backward()
            optimizer.step()
        return model

    digits, patients = np.load("all_digits.npz"), np.load("all_patients.npz")
    X, y = torch.tensor(digits["X"], dtype=torch.float32), torch.tensor(digits["y"])
    entropy = nn.CrossEntropyLoss()
    mlp = fit(nets.make_mlp(), X, y, entropy)
    torch.save(mlp, "mlp.pt")
    torch.save(mlp.state_dict(), "weights.pt")
    torch.save({"epoch": 40, "model_state_dict": mlp.state_dict()}, "checkpoint.ckpt")
    cnn = fit(nets.Cnn(), X.reshape(-1, 1, 8, 8), y, entropy)
    torch.save(cnn, "cnn.pt")
    torch.save(cnn, "cnn-without-an-ending")
    joblib.dump(cnn, "cnn.joblib")
    torch.save(fit(nets.Lstm(), X.reshape(-1, 8, 8), y, entropy), "lstm.pt")
    torch.save(fit(nets.Tokens(), X.long(), y, entropy), "tokens.pt")
    def both(given, y):
        ink = nn.functional.mse_loss(given["ink"], X.mean(1, keepdim=True))
        return entropy(given["label"], y) + ink
    heads, pair = fit(nets.Heads(), X, y, both), nets.Pair()
    pair.load_state_dict(heads.state_dict())
    torch.save(heads, "heads.pt")
    torch.save(pair, "pair.pt")
    scripted = torch.jit.script(nets.Scripted())
    torch.jit.save(fit(scripted, X, y, entropy), "scripted.pt")
    rows = torch.export.Dim("b")
    program = torch.export.export(mlp.eval(), (X[:3],), dynamic_shapes=({0: rows},))
    torch.export.save(program, "program.pt2")
    torch.export.save(torch.export.export(mlp.eval(), (X[:3],)), "fixed.pt2")
    body = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
    Z, progress = (torch.tensor(patients[name], dtype=torch.float32) for name in "Xy")
    torch.save(fit(body, Z, progress[:, None], nn.MSELoss(), 200), "diabetes.pt")

    for kind in ("Branching", "Mixed", "Centred", "Noisy", "Looping", "Unknown"):
        torch.save(getattr(nets, kind)(64, 10), f"{kind.lower()}.pt")
    torch.save(nn.Linear(64, 10).double(), "double.pt")
    torch.save(nn.Linear(63, 10), "narrow.pt")
    torch.save(nn.LSTM(8, 4, batch_first=True), "states.pt")
    torch.save([1, 2], "list.pt")
    class Local(nn.Linear):
        pass
    torch.save(Local(64, 10), "local.pt")
    del Local
"""
SAMPLES = {
    "digits.npz": (DIGITS[:HELD_OUT], DIGIT[:HELD_OUT]),
    "images.npz": (DIGITS[:HELD_OUT].reshape(-1, 1, 8, 8).astype(np.float32), DIGIT[:HELD_OUT]),
    "lines.npz": (DIGITS[:HELD_OUT].reshape(-1, 8, 8), DIGIT[:HELD_OUT]),
    "tokens.npz": (DIGITS[:HELD_OUT].astype(np.uint8), DIGIT[:HELD_OUT]),
    "patients.npz": (PATIENTS[:HELD_OUT], PROGRESS[:HELD_OUT]),
}
GOOD = {
    "mlp": ("mlp.pt", "digits.npz", {}),
    "checkpoint": ("checkpoint.ckpt", "digits.npz", {"factory": "nets:make_mlp"}),
    "cnn": ("cnn.pt", "images.npz", {}),
    "pickled": ("cnn.joblib", "images.npz", {}),
    "lstm": ("lstm.pt", "lines.npz", {}),
    "tokens": ("tokens.pt", "tokens.npz", {}),
    "heads": ("heads.pt", "digits.npz", {}),
    "pair": ("pair.pt", "digits.npz", {}),
    "scripted": ("scripted.pt", "digits.npz", {}),
    "program": ("program.pt2", "digits.npz", {}),
    "diabetes": ("diabetes.pt", "patients.npz", {}),
    "integers": ("mlp.pt", "tokens.npz", {}),
}
REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no factory": ("weights.pt", {}, "unsupported", "Name the function that makes the module"),
    "wrong factory": (
        "weights.pt",
        {"factory": "nets:make_small"},
        "unsupported",
        "doesn't fit what nets:make_small makes: it has 1.weight, 1.bias, 1.running_mean and 4 "
        "more beside.",
    ),
    "no module": ("weights.pt", {"factory": "nets:make_nothing"}, "unsupported", "builtins.str"),
    "failing factory": (
        "weights.pt",
        {"factory": "nets:fail"},
        "failed",
        "The factory nets:fail failed: ValueError: the width is not known.",
    ),
    "absent factory": (
        "weights.pt",
        {"factory": "nets:absent"},
        "unreadable",
        "The factory nets:absent is not there. Correct `factory` in mlbench.toml",
    ),
    "absent module": (
        "weights.pt",
        {"factory": "absent:make"},
        "unreadable",
        "there is no module absent",
    ),
    "branching": ("branching.pt", {}, "unsupported", "nets.Branching has a forward that branches"),
    "mixed": ("mixed.pt", {}, "unsupported", "nets.Mixed has a forward with the inputs x, y."),
    "centred": ("centred.pt", {}, "unsupported", "answers a row by the rows that come with it"),
    "noisy": ("noisy.pt", {}, "unsupported", "nets.Noisy answers at random"),
    "looping": ("looping.pt", {}, "unsupported", "nets.Looping takes a fixed number of rows"),
    "fixed": ("fixed.pt2", {}, "unsupported", "takes a fixed number of rows"),
    "unknown": ("unknown.pt", {}, "unsupported", "bessel_j0, for which there is no ONNX"),
    "double": ("double.pt", {}, "unsupported", "has weight as float64. Save model.float()."),
    "narrow": ("narrow.pt", {}, "bad_sample", "fails on the sample: mat1 and mat2 shapes"),
    "list": ("list.pt", {}, "unsupported", "holds a builtins.list, no module"),
    "local": ("local.pt", {}, "unreadable", "Move that class from the script into a module"),
    "torn": ("torn.pt", {}, "unreadable", "can't be unpickled"),
    "absent": ("absent.pt", {}, "unreadable", "is not there. Run the stage"),
    "onnxscript": (
        "mlp.pt",
        {"without": ["onnxscript"]},
        "missing_package",
        f"{shlex.quote(sys.executable)} -m pip install 'onnxscript>=0.7'",
    ),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    exports = Exports(tmp_path_factory.mktemp("torch"))
    exports.write("nets.py", NETS)
    exports.write("train.py", TRAIN)
    exports.rows("all_digits.npz", X=DIGITS, y=DIGIT)
    exports.rows("all_patients.npz", X=PATIENTS, y=PROGRESS)
    for name, (X, y) in SAMPLES.items():
        exports.rows(name, X=X, y=y)
    (exports.project / "torn.pt").write_bytes(b"PK\x03\x04 and then nothing")
    return exports


@pytest.fixture(scope="module")
def exported(exports: Exports) -> Mapping[str, Exported]:
    specs = [
        exports.spec(name, model, sample, **settings)
        for name, (model, sample, settings) in GOOD.items()
    ]
    specs += [
        exports.spec(name, model, "digits.npz", **settings)
        for name, (model, settings, _, _) in REFUSED.items()
    ]
    specs.append(exports.spec("states", "states.pt", "lines.npz"))
    return exports.export_all(
        specs, before='import runpy; runpy.run_path("train.py", run_name="__main__")\n'
    )


@pytest.mark.parametrize("name", GOOD)
def test_it_answers_as_the_original_did(exported: Mapping[str, Exported], name: str) -> None:
    export = exported[name]
    scale = np.abs(export.answers["scores"]).max()
    assert export.report["framework"] == "torch"
    for rows in (slice(None), slice(0, 1), slice(5, 8)):
        assert export.largest_error(rows) <= 1e-5 * scale


@pytest.mark.parametrize("name", GOOD)
def test_its_proof_holds_it_to_all_outputs(exported: Mapping[str, Exported], name: str) -> None:
    parity = prove(exported[name].out).parity
    checks = {check.name: check.passed for check in parity.checks}
    assert parity.passed
    assert checks["held-out"] is checks["one by one"] is True
    assert checks["thresholds"] is None
    assert parity.max_rel_error < 1e-4


@pytest.mark.parametrize("name", ["mlp", "checkpoint", "cnn", "lstm", "tokens", "program"])
def test_a_classifier_has_labels_by_its_largest_score(
    exported: Mapping[str, Exported], name: str
) -> None:
    export = exported[name]
    answers = export.answers
    assert export.signature["classes"] == [str(digit) for digit in range(10)]
    np.testing.assert_array_equal(answers["label"], answers["scores"].argmax(axis=1))
    np.testing.assert_array_equal(export.served()[0].argmax(axis=1), answers["label"])
    assert (answers["label"] == answers["y"]).mean() > 0.8


def test_the_same_weights_answer_alike_however_they_were_saved(
    exported: Mapping[str, Exported],
) -> None:
    scores = exported["mlp"].answers["scores"]
    for name in ("checkpoint", "program"):
        np.testing.assert_allclose(exported[name].answers["scores"], scores, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("mlp", ("FP32", [-1, 64]), {"output": [-1, 10]}),
        ("cnn", ("FP32", [-1, 1, 8, 8]), {"output": [-1, 10]}),
        ("lstm", ("FP32", [-1, 8, 8]), {"output": [-1, 10]}),
        ("tokens", ("INT64", [-1, 64]), {"output": [-1, 10]}),
        ("integers", ("FP32", [-1, 64]), {"output": [-1, 10]}),
        ("heads", ("FP32", [-1, 64]), {"output_label": [-1, 10], "ink": [-1, 1]}),
        ("scripted", ("FP32", [-1, 64]), {"output": [-1, 10]}),
        ("diabetes", ("FP32", [-1, 10]), {"output": [-1, 1]}),
    ],
)
def test_the_signature_says_what_goes_in_and_comes_out(
    exported: Mapping[str, Exported],
    name: str,
    inputs: tuple[str, list[int]],
    outputs: Mapping[str, list[int]],
) -> None:
    signature = exported[name].signature
    datatype, shape = inputs
    assert signature["inputs"] == [{"name": "input", "datatype": datatype, "shape": shape}]
    assert {each["name"]: each["shape"] for each in signature["outputs"]} == outputs
    assert {each["datatype"] for each in signature["outputs"]} == {"FP32"}


def test_several_outputs_are_numbered(exported: Mapping[str, Exported]) -> None:
    outputs = exported["pair"].signature["outputs"]
    assert [(each["name"], each["datatype"], each["shape"]) for each in outputs] == [
        ("output_0", "FP32", [-1, 10]),
        ("output_1", "FP32", [-1, 1]),
        ("output_2", "INT64", [-1]),
    ]


def test_a_regressor_and_several_outputs_have_no_labels(
    exported: Mapping[str, Exported],
) -> None:
    for name in ("diabetes", "heads", "pair"):
        assert "label" not in exported[name].answers
        assert exported[name].signature["classes"] == []
    assert exported["heads"].answers["scores"].shape == (HELD_OUT, 11)


@pytest.mark.parametrize("name", GOOD)
def test_no_path_of_the_machine_is_in_the_graph(
    exported: Mapping[str, Exported], exports: Exports, name: str
) -> None:
    model = exported[name].model
    for trace in (str(exports.root), sys.prefix, "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in model
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)


def test_what_goes_missing_in_a_module_is_no_fault_of_the_graph(
    exported: Mapping[str, Exported],
) -> None:
    assert "answers NaN" in exported["mlp"].report["groups"]["missing"]["why"]
    assert not (exported["mlp"].out / "probes" / "missing.npz").exists()


def test_two_exports_are_the_same_bytes(exported: Mapping[str, Exported], exports: Exports) -> None:
    """Also from a process of its own, and from a file without an ending."""
    spec = exports.spec("again", "cnn-without-an-ending", "images.npz")
    again = exports.export(spec, PYTHONHASHSEED="7")
    assert again.model == exported["cnn"].model


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_refused(exported: Mapping[str, Exported], name: str) -> None:
    _, _, kind, words = REFUSED[name]
    assert words in exported[name].refusal(kind)


def test_an_output_that_is_not_by_row_is_refused(exported: Mapping[str, Exported]) -> None:
    said = exported["states"].refusal("unsupported")
    assert "gives output_1 as 1 x 2 x 4 for 2 rows" in said
    assert "Wrap it in a module" in said
