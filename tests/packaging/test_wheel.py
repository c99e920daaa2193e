"""The wheel holds all that an installation needs, and works outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("folder", ["strategies", "spaces"])
def test_wheel_holds_every_file_of_a_root_folder(root: Path, names: set[str], folder: str) -> None:
    assert {f"nasformer/{folder}/{name}" for name in _files(root / folder)} <= names


def test_wheel_holds_every_file_of_the_package(root: Path, names: set[str]) -> None:
    """Templates, grammars, py.typed: whatever lies in nasformer/ is there for a reason."""
    assert {f"nasformer/{name}" for name in _files(root / "nasformer")} <= names


def test_wheel_is_typed_and_licensed(names: set[str]) -> None:
    assert "nasformer/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_else(names: set[str]) -> None:
    strangers = {name for name in names if not name.startswith("nasformer/") and ".dist-info/" not in name}
    assert not strangers, "a root folder would be installed a second time, under another name"


def test_wheel_has_the_command(installed: Path) -> None:
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "nasformer = nasformer.cli:main" in entry_points.read_text()


def test_wheel_works_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    code = (
        "import nasformer as nf\nprint(nf.__file__)\nprint(*nf.strategy_names())\nprint(nf.load_space('digits').name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, strategies, space = done.stdout.splitlines()
    assert Path(file).is_relative_to(installed)
    assert {"evolution", "nevergrad", "random", "tpe"} <= set(strategies.split())
    assert space == "digits"
