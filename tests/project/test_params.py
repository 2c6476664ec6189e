"""Parameters of every format are data: read, named flat, and never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.stages import ParamKeys
from mlbench.project.params import flatten, name_on_disk, parse_tree, read_params, select

TREE = {"train": {"alpha": 0.1, "layers": [64, 32], "solver": "adam"}, "seed": 7}
FORMATS = {
    "params.toml": 'seed = 7\n[train]\nalpha = 0.1\nlayers = [64, 32]\nsolver = "adam"\n',
    "params.yaml": "seed: 7\ntrain: {alpha: 0.1, layers: [64, 32], solver: adam}\n",
    "params.yml": "seed: 7\ntrain:\n  alpha: 0.1\n  layers:\n  - 64\n  - 32\n  solver: adam\n",
    "params.json": json.dumps(TREE),
    "params.py": "seed: int = 7\nclass train:\n    alpha = 0.1\n    layers = [64, 32]\n"
    "    solver = 'adam'\n",
}


def chosen(root: Path, wanted: ParamKeys) -> dict[str, Any]:
    name = name_on_disk(wanted.file, lambda name: (root / name).exists())
    return select(read_params(root, wanted.file), wanted, name)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same_and_stands_for_the_one_params_file(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(FORMATS[name])
    assert read_params(tmp_path, name) == TREE
    assert chosen(tmp_path, ParamKeys("params.toml", ("train", "seed"))) == {
        "train.alpha": 0.1,
        "train.layers": [64, 32],
        "train.solver": "adam",
        "seed": 7,
    }


def test_yaml_is_1_2() -> None:
    text = "a: on\nb: off\nc: yes\nd: 010\ne: 0o10\nf: 1e-3\ng: ~\nh: true\n"
    assert parse_tree("p.yaml", text) == {
        "a": "on",
        "b": "off",
        "c": "yes",
        "d": 10,
        "e": 8,
        "f": 0.001,
        "g": None,
        "h": True,
    }


def test_an_empty_yaml_has_no_parameters(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("# nothing yet\n")
    assert read_params(tmp_path, "p.yaml") == {}


def test_python_is_read_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "A = 1\n"
        f"B = Path({str(tmp_path / 'ran')!r}).touch() or 2\n"
        f"C = [open({str(tmp_path / 'ran')!r}, 'w'), 1]\n"
        "D = (1, -2.5, {'k': None})\n"
        "E: float\n"
        "F = A + 1\n"
        "G = H = 3\n"
        "I = {[1]: 2}\n"
        "a.b = 4\n"
        'J = "\\d"\n'
        "class K:\n"
        "    x = 5\n"
        "    y = x * 2\n"
        "    def z(self): return 1\n"
        "if A:\n"
        "    L = 6\n"
    )
    assert read_params(tmp_path, "p.py") == {
        "A": 1,
        "D": (1, -2.5, {"k": None}),
        "J": "\\d",
        "K": {"x": 5},
    }
    assert not (tmp_path / "ran").exists()


BROKEN = {
    "p.toml": ("a = 1\nb = \n", "p.toml:2: not valid TOML"),
    "p.json": ('{"a": 1,\n"b" 2}', "p.json:2: not valid JSON: Expecting ':'"),
    "p.yaml": ("a: 1\nb: [1\nc: 2\n", "p.yaml:3: not valid YAML"),
    "tab.yaml": ("a:\n\t- 1\n", "tab.yaml:2: not valid YAML"),
    "twice.yaml": ("a: 1\na: 2\n", "twice.yaml:2: not valid YAML"),
    "date.yaml": ("a: 1\nb: 2024-13-45\n", "date.yaml: not valid YAML"),
    "p.py": ("a = 1\nb = (\n", "p.py:2: not valid Python"),
    "null.py": ("a = 1\0\n", "null.py: not valid Python"),
    "list.json": ("[1]", "list.json: must hold a mapping of names to values"),
    "deep.json": ("[" * 100_000, "deep.json: not valid JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_sentence_with_file_and_line(tmp_path: Path, name: str) -> None:
    text, message = BROKEN[name]
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / name).write_text(text)
    with pytest.raises(ProjectFileError) as caught:
        read_params(tmp_path, f"conf/{name}")
    assert str(caught.value).startswith(f"conf/{message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectFileError, match=r"^conf/p\.toml: there is no such file$"):
        read_params(tmp_path, "conf/p.toml")
    with pytest.raises(ProjectFileError, match=r"^params\.toml: there is no such file$"):
        read_params(tmp_path, "params.toml")


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_key_names_the_file_that_is_there_the_key_and_the_nearest(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(FORMATS[name])
    with pytest.raises(ProjectFileError) as caught:
        chosen(tmp_path, ParamKeys("params.toml", ("seed", "train.alhpa")))
    assert str(caught.value) == (
        f"{name}: train.alhpa: there is no such parameter (did you mean "
        '"train.alpha"?); add it, or take it out of the stage\'s params'
    )


def test_no_keys_means_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(TREE))
    assert chosen(tmp_path, ParamKeys("p.json")) == flatten(TREE)


def test_a_key_is_no_prefix_of_another_word(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"train": {"a": 1}, "training": 2}')
    assert chosen(tmp_path, ParamKeys("p.json", ("train",))) == {"train.a": 1}


names = st.text(st.sampled_from("abc"), min_size=1, max_size=3)
leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers()), st.just({})
)
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=3),
    lambda inner: st.dictionaries(names, leaves | inner, max_size=3),
    max_leaves=8,
)


def _at(tree: Any, name: str) -> Any:
    for part in name.split("."):
        tree = tree[part]
    return tree


@given(trees)
def test_flat_names_lead_to_every_leaf(tree: dict[str, Any]) -> None:
    flat = flatten(tree)
    assert all(_at(tree, name) == value for name, value in flat.items())
    assert sum(1 for _ in _leaves(tree)) == len(flat)
    assert flatten(flat) == flat


def _leaves(tree: dict[str, Any]) -> Any:
    for value in tree.values():
        if isinstance(value, dict) and value:
            yield from _leaves(value)
        else:
            yield value
