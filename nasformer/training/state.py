"""Resumable training state on disk: tensors and plain values, read with ``weights_only``."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from nasformer._io import differences
from nasformer.errors import CheckpointError
from nasformer.supernet.checkpoint import first_line, replace_file
from nasformer.training.recipe import Recipe

FILE = "training.pt"
FORMAT_VERSION = 1
AFTER_DIVERGENCE = ("recipe.learning_rate", "recipe.grad_clip", "recipe.amp")
"""What may change when a training that diverged is resumed."""

_PARTS = ("identity", "epoch", "history", "model", "optimizer")


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``folder`` atomically.

    Raises:
        CheckpointError: The disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT_VERSION, **state}, buffer)
    replace_file(folder / FILE, buffer.getvalue())


def snapshot(value: Any) -> Any:
    """Return a copy of nested mappings and lists of tensors, on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {key: snapshot(each) for key, each in value.items()}
    return [snapshot(each) for each in value] if isinstance(value, (list, tuple)) else value


def all_finite(value: Any) -> bool:
    """Whether nested mappings and lists hold finite numbers only."""
    if isinstance(value, torch.Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, Mapping):
        return all(map(all_finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(all_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def read_state(folder: Path, identity: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """Return the state in ``folder``; None if there is none.

    After a divergence, ``AFTER_DIVERGENCE`` may differ.

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
        missing = [key for key in _PARTS if key not in state]
        version = state.get("format_version")
        differing = [] if missing else sorted(differences(state["identity"], identity), key=itemgetter(0))
    except Exception as error:  # a corrupt file can raise anything
        raise CheckpointError(f"cannot read {path}: {first_line(error)}; remove it to start anew", path) from error
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; remove it to start anew", path)
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format {version}, this version reads {FORMAT_VERSION}; start anew", path)
    allowed = {"data.name", *(AFTER_DIVERGENCE if "diverged" in state else ())}  # the data's fingerprint is compared
    differing = [each for each in differing if each[0] not in allowed and not _is_new(*each)]
    told = [f"{key} {there!r} there, {here!r} here" for key, there, here in differing]
    if told:
        hint = " (after a divergence learning_rate, grad_clip and amp may change)" if "diverged" in state else ""
        raise CheckpointError(f"{path} belongs to another training: {'; '.join(told)}{hint}", path)
    return dict(state)


def _is_new(key: str, there: object, here: object) -> bool:
    """Whether a recipe of an earlier version lacks a value, which is here as it was then: the default."""
    fields = Recipe.model_fields
    name = key.removeprefix("recipe.")
    return there is None and name != key and name in fields and here == fields[name].default


def require_empty(folder: Path) -> None:
    """Raise CheckpointError if ``folder`` already holds a training, to protect it from being overwritten."""
    if (folder / FILE).exists():
        raise CheckpointError(
            f"{folder} already holds a training; continue it with resume (--resume), or choose another folder", folder
        )
