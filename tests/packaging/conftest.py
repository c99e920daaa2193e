"""A copy of what packaging needs, and the wheel built from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_PARTS = ("nasformer", "strategies", "spaces", "pyproject.toml", "README.md", "LICENSE")


def copy_project(root: Path, target: Path) -> Path:
    """Copy the project's own files, links as links, without build leftovers that could leak into a wheel."""
    target.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in _PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, target / part, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(source, target / part)
    return target


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A fresh copy of the project that a test may change."""
    return copy_project(root, tmp_path / "checkout")


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built through the sdist as for a release, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_project(root, folder / "source")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, to be put on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder
