"""One synthetic pipeline of chains of shell stages, in mlbench's and its peers' own formats.

Every stage concatenates a source file of its own and what the stage before it gave, so that each
program is asked the same: how long a first run takes, and a look that finds nothing to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import ENVIRONMENT, WORK, run

_NINJA_HEAD = "rule cat\n  command = cat $in > $out\n"


@dataclass(frozen=True)
class Link:
    """One stage of a chain: what it reads and what it gives."""

    name: str
    deps: tuple[str, ...]
    out: str
    is_last: bool


def fresh_chains(name: str, chains: int, length: int = 10) -> Path:
    """A new project of `chains` times `length` stages, committed to git, with nothing run yet."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    (folder / "out").mkdir()
    links = list(_links(chains, length))
    for link in links:
        (folder / link.deps[0]).write_text(link.name, encoding="utf-8")
    finals = [link.out for link in links if link.is_last]
    texts = {
        "dvc.yaml": "stages:\n" + "".join(map(_dvc, links)),
        "build.ninja": _NINJA_HEAD + "".join(map(_ninja, links)),
        "Snakefile": f"rule all:\n    input: {finals}\n" + "".join(map(_snakemake, links)),
        ".gitignore": "/out/\n/.snakemake/\n/.ninja_log\n",
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Make a folder a git repository with everything in it committed."""
    author = ["-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]
    for words in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "-m", "all"]):
        run(["git", *words], folder, ENVIRONMENT)


def _links(chains: int, length: int) -> Iterator[Link]:
    for chain in range(chains):
        for at in range(length):
            name = f"c{chain}s{at}"
            before = (f"out/c{chain}s{at - 1}.txt",) if at else ()
            deps = (f"src/{name}.txt", *before)
            yield Link(name, deps, f"out/{name}.txt", at == length - 1)


def _dvc(link: Link) -> str:
    deps = "".join(f"    - {dep}\n" for dep in link.deps)
    command = f"cat {' '.join(link.deps)} > {link.out}"
    return f"  {link.name}:\n    cmd: {command}\n    deps:\n{deps}    outs:\n    - {link.out}\n"


def _ninja(link: Link) -> str:
    return f"build {link.out}: cat {' '.join(link.deps)}\n"


def _snakemake(link: Link) -> str:
    return (
        f"rule {link.name}:\n    input: {list(link.deps)}\n    output: '{link.out}'\n"
        "    shell: 'cat {input} > {output}'\n"
    )
