"""The unified diff between the code of two runs, each a commit with what differed from it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError
from mlbench.project.git import open_repository, pathspec_of

if TYPE_CHECKING:
    import git


class CodeUnknownError(MlbenchError):
    """The code of a run can't be told; says why."""


@dataclass(frozen=True)
class CodeVersion:
    """A commit, and the file of the patch that leads from it to the code, if there is one."""

    commit: str | None
    patch: Path


def diff_between(root: Path, one: CodeVersion, other: CodeVersion) -> str:
    """What leads from one code to the other, as a unified diff with paths from the top.

    Both trees are built in a store of objects of their own: the repository is only read.
    CodeUnknownError where there is no repository, it knows a commit no more, or it is damaged.
    """
    repository = open_repository(root)
    if repository is None or one.commit is None or other.commit is None:
        raise CodeUnknownError("a run was recorded without a commit, so its code is not known")
    import git

    with repository, tempfile.TemporaryDirectory() as scratch:
        try:
            return _diff(repository, root, (one, other), Path(scratch))
        except git.GitCommandError as error:
            said = str(error.stderr).strip().removeprefix("stderr: ").strip("'").split("\n")[0]
            raise CodeUnknownError(
                f"git can't tell what differs ({said.strip()}); `git fsck` says more"
            ) from None


def _diff(
    repository: git.Repo, root: Path, versions: tuple[CodeVersion, CodeVersion], scratch: Path
) -> str:
    trees = [_tree(repository, version, scratch) for version in versions]
    with repository.git.custom_environment(**_apart(repository, scratch)):
        shown = repository.git.diff(
            "--no-color", "--no-ext-diff", "--no-textconv", *trees, "--",
            pathspec_of(repository, root), strip_newline_in_stdout=False,
        )  # fmt: skip
    return str(shown)


def _tree(repository: git.Repo, version: CodeVersion, scratch: Path) -> str:
    """The id of the tree that a version is, in the scratch store."""
    import git

    assert version.commit is not None
    environment = _apart(repository, scratch) | {"GIT_INDEX_FILE": str(scratch / "index")}
    with repository.git.custom_environment(**environment):
        try:
            repository.git.read_tree(version.commit)
        except git.GitCommandError:
            raise CodeUnknownError(
                f"commit {version.commit[:12]} is not in this repository (any more); "
                "`git fetch` may bring it"
            ) from None
        if version.patch.is_file() and version.patch.stat().st_size:
            try:
                repository.git.apply(
                    "--cached", "--whitespace=nowarn", str(version.patch.absolute())
                )
            except git.GitCommandError:
                raise CodeUnknownError(
                    f"{version.patch}: does not apply to commit {version.commit[:12]}"
                ) from None
        return str(repository.git.write_tree())


def _apart(repository: git.Repo, scratch: Path) -> dict[str, str]:
    """Environment that has new objects written to the scratch folder, and the others read."""
    own = Path(repository.common_dir, "objects")
    known = os.environ.get("GIT_ALTERNATE_OBJECT_DIRECTORIES")
    (scratch / "objects").mkdir(exist_ok=True)
    return {
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(filter(None, (str(own), known))),
    }
