"""Checkpoints: self-describing safetensors files. Nothing in them is executed.

The header is JSON under the key ``nasformer``: the kind ("supernet" or "network"), the versions of the format and of
the library, the declaration of the space or of the network, and the caller's metadata. Files are written atomically.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from nasformer._io import to_json, write_file
from nasformer._parse import parse_json
from nasformer._provenance import library_version
from nasformer.errors import CheckpointError

FORMAT_VERSION = 1


def write_checkpoint(path: str | Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Write ``tensors`` and ``header`` to ``path`` atomically.

    Raises:
        CheckpointError: The file cannot be written.
    """
    versions = {"kind": kind, "format_version": FORMAT_VERSION, "library_version": library_version()}
    text = to_json({**versions, **header})
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, serialise(content, metadata={"nasformer": text}))
    return Path(path)


def read_checkpoint(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors of ``path``.

    Raises:
        CheckpointError: The file is missing, corrupt, of another kind or from a newer library.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {first_line(error)}", path) from error
    return _header(path, kind, metadata), tensors


def fingerprint(net: nn.Module) -> str:
    """Return the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def fill(net: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy ``tensors`` into the parameters of ``net``.

    Raises:
        CheckpointError: A tensor is missing, unknown, not finite, or of another shape; the message names it.
    """
    own = net.state_dict()
    unmatched = sorted(own.keys() ^ tensors.keys())
    if unmatched:
        side = "lacks" if unmatched[0] in own else "has an unknown"
        raise CheckpointError(
            f"the checkpoint {path} {side} tensor {unmatched[0]} ({len(unmatched)} such in all)", unmatched
        )
    for name, tensor in own.items():
        if tensors[name].shape != tensor.shape:
            shapes = f"{tuple(tensors[name].shape)}, but its header asks for {tuple(tensor.shape)}"
            raise CheckpointError(f"in the checkpoint {path}, {name} is {shapes}", name)
        if not tensors[name].isfinite().all():
            raise CheckpointError(
                f"in the checkpoint {path}, {name} holds NaN or infinite values, as after a diverged training; "
                "take another checkpoint, or train again at a lower learning rate",
                name,
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def replace_file(path: str | Path, content: str | bytes) -> None:
    """Write ``content`` to ``path`` atomically.

    Raises:
        CheckpointError: The file cannot be written.
    """
    try:
        write_file(path, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(f"cannot write {path}: {reason}; an existing file is unchanged", path) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if empty."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _header(path: str | Path, kind: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        header: Any = parse_json(metadata["nasformer"], finite=False)
        found, format_version = header["kind"], int(header["format_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a nasformer checkpoint: it has no valid header", path) from error
    if format_version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {format_version}, this library reads up to {FORMAT_VERSION}: upgrade nasformer",
            path,
        )
    if found != kind:
        raise CheckpointError(f"{path} holds a {found}, not a {kind}", path)
    return dict(header)
