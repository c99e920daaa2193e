"""Fixtures that tests of several packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data that parity tests read; its absence skips them."""
    folder = Path(os.environ.get("NASFORMER_REFERENCE", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set NASFORMER_REFERENCE to its folder")
    return folder
