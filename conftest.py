"""What holds for every test and doctest: one thread each, and no weights but the test's own."""

from __future__ import annotations

import os

import pytest

# Before torch and numpy are imported, and for subprocesses too: the test processes share few cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point NASFORMER_HOME at an empty folder: the user's trained weights must not change a result."""
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def _markdown_in_own_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the examples of README.md and the like in an empty folder, since they write files."""
    if request.path.suffix == ".md":
        monkeypatch.chdir(tmp_path_factory.mktemp("examples"))
