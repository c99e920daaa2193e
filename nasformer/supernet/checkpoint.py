"""Checkpoints: safetensors files whose header says what they hold. Nothing in them is executed.

The header is one JSON text under the key ``nasformer``: the kind ("supernet" or "network"), the
versions of the format and of the library, the declaration of the space or of the network, and the
caller's own metadata. Files are written beside their place and moved into it, never half-written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from nasformer._io import write_file
from nasformer._provenance import library_version
from nasformer.errors import CheckpointError

FORMAT_VERSION = 1


def write_checkpoint(path: str | Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Write ``tensors`` and ``header`` to ``path``, whole or not at all.

    Raises:
        CheckpointError: The disk is full or the place cannot be written.
    """
    versions = {"kind": kind, "format_version": FORMAT_VERSION, "library_version": library_version()}
    text = json.dumps({**versions, **header})
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, serialise(content, metadata={"nasformer": text}))
    return Path(path)


def read_checkpoint(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors of ``path``.

    Raises:
        CheckpointError: The file is absent, corrupt, of another kind or from a newer library.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {first_line(error)}", path) from error
    return _header(path, kind, metadata), tensors


def fingerprint(net: nn.Module) -> str:
    """Return the hash of a network's weights, by which they are known again."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def fill(net: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy ``tensors`` into the parameters of ``net``.

    Raises:
        CheckpointError: A tensor is missing, unknown, of another shape, naming it and both shapes, or not finite.
    """
    own = net.state_dict()
    odd = sorted(own.keys() ^ tensors.keys())
    if odd:
        side = "lacks" if odd[0] in own else "has an unknown"
        raise CheckpointError(f"the checkpoint {path} {side} tensor {odd[0]} ({len(odd)} such in all)", odd)
    for name, tensor in own.items():
        if tensors[name].shape != tensor.shape:
            shapes = f"{tuple(tensors[name].shape)}, but its header asks for {tuple(tensor.shape)}"
            raise CheckpointError(f"in the checkpoint {path}, {name} is {shapes}", name)
        if not tensors[name].isfinite().all():
            raise CheckpointError(
                f"in the checkpoint {path}, {name} holds NaN or infinite values, as a training leaves that diverged; "
                "take another checkpoint, or train again at a lower learning rate",
                name,
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def replace_file(path: str | Path, content: str | bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Raises:
        CheckpointError: The disk is full or the place cannot be written.
    """
    try:
        write_file(path, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(f"cannot write {path}: {reason}; what was there before is untouched", path) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _header(path: str | Path, kind: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        header: Any = json.loads(metadata["nasformer"])
        found, format_version = header["kind"], int(header["format_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no checkpoint of nasformer: its header says nothing of it", path) from error
    if format_version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {format_version}, this library reads up to {FORMAT_VERSION}: upgrade nasformer",
            path,
        )
    if found != kind:
        raise CheckpointError(f"{path} holds a {found}, not a {kind}", path)
    return dict(header)
