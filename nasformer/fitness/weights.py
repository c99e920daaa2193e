"""Registry of trained supernets by space: where a search finds its default weights.

``NASFORMER_HOME`` (default ``~/.cache/nasformer``) holds one checkpoint per space fingerprint, the
last trained or imported.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from nasformer._home import home
from nasformer._io import atomic
from nasformer.errors import CheckpointError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


def weights_path(space: SearchSpace) -> Path:
    """Return the path of the default weights of a space, existing or not."""
    return home() / "supernets" / f"{space.fingerprint}.safetensors"


def find_weights(space: SearchSpace) -> Path | None:
    """Return the default weights of a space; None if none were trained or imported."""
    path = weights_path(space)
    return path if path.is_file() else None


def bind_weights(space: SearchSpace, checkpoint: str | Path) -> Path:
    """Copy a checkpoint as the default weights of a space, and return its path.

    Raises:
        CheckpointError: It cannot be copied.
    """
    path = weights_path(space)
    try:
        with atomic(path) as draft:
            shutil.copyfile(checkpoint, draft)
    except OSError as error:
        raise CheckpointError(f"cannot copy {checkpoint} to {path}: {error.strerror}", path) from error
    return path


def keep_weights(net: Supernet) -> Path:
    """Save a supernet as the default weights of its space, and return the path.

    Raises:
        CheckpointError: They cannot be written.
    """
    return net.save(weights_path(net.space))
