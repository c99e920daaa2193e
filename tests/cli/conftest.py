"""The command line run in this process, on a supernet of digits that was trained for two epochs by it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from nasformer.cli import run


class Output(NamedTuple):
    """What a command returned and printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Output]
Snapshot = Callable[[], dict[str, str]]


@pytest.fixture
def nasformer(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def call(*arguments: object) -> Output:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Output(code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(nasformer: Command) -> Callable[..., None]:
    """Check that a command is refused: code 2, and one line on standard error that matches."""

    def check(message: str, *arguments: object) -> None:
        code, out, err = nasformer(*arguments)
        assert (code, err.count("\n"), err[:7]) == (2, 1, "error: "), err
        assert re.search(message, err), f"{message!r} is not in {err!r}"
        assert "Traceback" not in out + err

    return check


@pytest.fixture(scope="session")
def program() -> str:
    """The installed console script."""
    found = shutil.which("nasformer", path=sysconfig.get_path("scripts"))
    if found is None:
        pytest.skip("the console script is not installed")
    return found


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, program: str) -> Path:
    """A folder with ``out/supernet.safetensors``, and in ``home`` the same kept for its space."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASFORMER_HOME", str(folder / "home"))
        command = [program, "train", "digits", "--epochs", "2", "--out", str(folder / "out"), "--device", "cpu"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "out.txt").write_text(done.stdout)
    return folder


@pytest.fixture
def weights(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trained weights are kept for digits; the working folder is empty."""
    monkeypatch.setenv("NASFORMER_HOME", str(trained / "home"))
    monkeypatch.chdir(tmp_path)
    return trained / "out" / "supernet.safetensors"


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Hash every file below the working folder."""

    def take() -> dict[str, str]:
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return take
