"""Resumable training state on disk: tensors and plain values, read with ``weights_only``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from nasformer._io import differences
from nasformer.errors import CheckpointError
from nasformer.supernet.checkpoint import first_line, replace_file

FILE = "training.pt"
FORMAT_VERSION = 1


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``folder`` atomically.

    Raises:
        CheckpointError: The disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT_VERSION, **state}, buffer)
    replace_file(folder / FILE, buffer.getvalue())


def read_state(folder: Path, identity: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """Return the state in ``folder``; None if there is none.

    Args:
        folder: Folder of ``write_state``.
        identity: Identity of the training, which must match: recipe, data, space.
        device: Device of the tensors.

    Raises:
        CheckpointError: The file is corrupt, or belongs to another training (the message names the differences).
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
        differing = sorted(differences(state["identity"], identity), key=itemgetter(0))
    except Exception as error:  # a corrupt file can raise anything
        raise CheckpointError(f"cannot read {path}: {first_line(error)}; remove it to start anew", path) from error
    if differing:
        told = "; ".join(f"{key} {there!r} there, {here!r} here" for key, there, here in differing)
        raise CheckpointError(f"{path} belongs to another training: {told}", path)
    return dict(state)


def require_empty(folder: Path) -> None:
    """Raise CheckpointError if ``folder`` already holds a training, to protect it from being overwritten."""
    if (folder / FILE).exists():
        raise CheckpointError(
            f"{folder} already holds a training; continue it with resume (--resume), or choose another folder", folder
        )
