"""nasformer's data folder of the user."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return ``NASFORMER_HOME``, default ``~/.cache/nasformer``."""
    return Path(os.environ.get("NASFORMER_HOME") or Path.home() / ".cache" / "nasformer")
