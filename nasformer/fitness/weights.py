"""Weights by space: where trained supernets are kept, so that a search finds the ones of its space.

``NASFORMER_HOME`` (default ``~/.cache/nasformer``) holds one checkpoint for each space's fingerprint, the
one that was trained or imported last.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nasformer._io import atomic
from nasformer.errors import CheckpointError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


def home() -> Path:
    """Return the folder of everything that nasformer keeps for the user."""
    return Path(os.environ.get("NASFORMER_HOME") or Path.home() / ".cache" / "nasformer")


def weights_path(space: SearchSpace) -> Path:
    """Return where the weights of a space are kept, whether or not there are any."""
    return home() / "supernets" / f"{space.fingerprint}.safetensors"


def find_weights(space: SearchSpace) -> Path | None:
    """Return the weights of a space, or None where none were trained or imported."""
    path = weights_path(space)
    return path if path.is_file() else None


def bind_weights(space: SearchSpace, checkpoint: str | Path) -> Path:
    """Keep a copy of a checkpoint as the weights of a space, and return its path.

    Raises:
        CheckpointError: It cannot be copied.
    """
    path = weights_path(space)
    try:
        with atomic(path) as draft:
            shutil.copyfile(checkpoint, draft)
    except OSError as error:
        raise CheckpointError(f"cannot keep {checkpoint} as {path}: {error.strerror}", path) from error
    return path


def keep_weights(net: Supernet) -> Path:
    """Keep a supernet as the weights of its space, and return their path.

    Raises:
        CheckpointError: They cannot be written.
    """
    return net.save(weights_path(net.space))
