"""Which distribution a file in site-packages belongs to, and which version of it is there."""

from __future__ import annotations

import sysconfig
from importlib import metadata
from pathlib import Path

import numpy
import pytest
import sklearn

from mlbench.pipeline.packages import Packages


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def _install(site: Path, name: str, version: str, *files: str, local: str | None = None) -> None:
    """As pip does: the old metadata goes, the new comes."""
    for old in site.glob(f"{name}-*.dist-info"):
        for path in old.iterdir():
            path.unlink()
        old.rmdir()
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(local or "")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = [f"{file},sha256={local or version},0" for file in files]
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,"]) + "\n")
    if local is not None:
        (info / "direct_url.json").write_text("{}")


def _seen(packages: Packages, site: Path, *files: str) -> dict[str, str]:
    found = packages.seen([f"{site}/{file}" for file in files])
    assert {key: packages.version(key) for key in found} == found
    assert {key: Packages().version(key) for key in found} == found
    return {key.removesuffix(f"@{site}"): version for key, version in found.items()}


def test_names_that_agree_and_names_that_do_not(site: Path) -> None:
    _install(site, "numpy", "2.4.6", "numpy/__init__.py", "numpy/linalg.py")
    _install(site, "Py.Y_AML", "6.0", "yaml/__init__.py", "_yaml.cpython-311-x86_64.so")
    _install(site, "six", "1.16.0", "six.py")
    packages = Packages()
    assert _seen(packages, site, "numpy/__init__.py", "six.py", "_yaml.cpython-311-x86_64.so") == {
        "numpy": "2.4.6",
        "six": "1.16.0",
        "py-y-aml": "6.0",
    }
    assert _seen(packages, site, "yaml/__init__.py") == {"py-y-aml": "6.0"}


def test_a_name_alone_does_not_make_an_owner(site: Path) -> None:
    _install(site, "image", "1.0", "something/__init__.py")
    _install(site, "pillow", "9.0", "image/__init__.py")
    assert _seen(Packages(), site, "image/__init__.py") == {"pillow": "9.0"}


def test_packages_that_share_a_namespace(site: Path) -> None:
    _install(site, "google_storage", "1.0", "google/cloud/storage/__init__.py")
    _install(site, "google_query", "2.0", "google/cloud/query.py")
    packages = Packages()
    assert _seen(packages, site, "google/cloud/query.py") == {"google-query": "2.0"}
    assert _seen(packages, site, "google/cloud/storage/__init__.py") == {"google-storage": "1.0"}


def test_another_version_is_seen_at_once_and_so_is_its_end(site: Path) -> None:
    packages = Packages()
    for version in ("1.0", "1.1", "1.0", "2.0rc1"):
        _install(site, "lib", version, "lib/__init__.py")
        assert _seen(packages, site, "lib/__init__.py") == {"lib": version}
    (site / "lib-2.0rc1.dist-info" / "RECORD").unlink()
    (site / "lib-2.0rc1.dist-info").rmdir()
    assert packages.version(f"lib@{site}") is None
    assert packages.version("lib@/nowhere/site-packages") is None


def test_a_local_wheel_of_the_same_version_may_hold_something_else(site: Path) -> None:
    versions = []
    for text in ("one", "two", "one"):
        _install(site, "lib", "1.0", "lib/__init__.py", local=text)
        versions.append(_seen(Packages(), site, "lib/__init__.py")["lib"])
    assert versions[0] == versions[2] != versions[1]
    assert all(version.startswith("1.0 (") for version in versions)


def test_a_package_that_nobody_installed_counts_by_its_file(site: Path) -> None:
    (site / "copied").mkdir()
    (site / "copied" / "__init__.py").write_text("a = 1")
    packages = Packages()
    before = _seen(packages, site, "copied/__init__.py")
    (site / "copied" / "__init__.py").write_text("a = 2")
    after = _seen(packages, site, "copied/__init__.py")
    assert before.keys() == after.keys() == {"copied/__init__.py"}
    assert before != after
    (site / "copied" / "__init__.py").unlink()
    assert packages.version(f"copied/__init__.py@{site}") is None


def test_what_debian_and_setuptools_leave(site: Path) -> None:
    egg = site / "PyYAML-6.0.1.egg-info"
    egg.mkdir()
    (egg / "top_level.txt").write_text("_yaml\nyaml\n")
    (site / "chardet-5.1.0-py3.11.egg-info").mkdir()
    (site / "chardet-5.1.0-py3.11.egg-info" / "top_level.txt").write_text("chardet\n")
    (site / "yaml").mkdir()
    found = _seen(Packages(), site, "yaml/__init__.py", "chardet/__init__.py")
    assert found == {"pyyaml": "6.0.1", "chardet": "5.1.0"}


def test_files_elsewhere_are_no_packages() -> None:
    assert Packages().seen(["/project/model.py"]) == {}


def test_the_real_site_of_this_interpreter() -> None:
    site = sysconfig.get_paths()["purelib"]
    files = {"numpy": numpy.__file__, "scikit-learn": sklearn.__file__}
    expected = {f"{name}@{site}": metadata.version(name) for name in files}
    assert Packages().seen(files.values()) == expected
