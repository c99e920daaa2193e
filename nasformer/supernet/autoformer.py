"""AutoFormer's official checkpoint format, both ways, as reshapes and transpositions alone.

The official qkv weight holds q, k and v in rows i, i + 3, i + 6, ...; here rows are ordered (head,
q|k|v, head_dim). The qkv bias is kept flat, (q|k|v, head, head_dim), for ``qkv_bias="leading"``, and
follows the weight for "interleaved". Files are read as data: nothing in them is executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasformer.errors import CheckpointError
from nasformer.supernet.checkpoint import first_line
from nasformer.supernet.model import VisionTransformer

_NAMES = {
    "patch_embed.cls_token": "cls_token",
    "patch_embed.positions": "pos_embed",
    "patch_embed.weight": "patch_embed_super.proj.weight",
    "patch_embed.bias": "patch_embed_super.proj.bias",
}
_BLOCK = (
    (r"\.attn_norm\.", ".attn_layer_norm."),
    (r"\.mlp_norm\.", ".ffn_layer_norm."),
    (r"\.mlp\.fc", ".fc"),
)
_TABLES = tuple(f"rel_pos_embed_{part}.embeddings_table_{axis}" for part in "kv" for axis in "vh")


class _Arguments:
    """Stands in for argparse.Namespace while a file is read: attributes, no behaviour."""


def to_autoformer(net: VisionTransformer) -> dict[str, Tensor]:
    """Return the network's weights as an official state dict."""
    official: dict[str, Tensor] = {}
    for name, tensor in net.state_dict().items():
        if name.endswith("attn.relative_positions"):
            for table, rows in zip(_TABLES, tensor.flatten(0, 1), strict=True):
                official[name.replace("relative_positions", table)] = rows.clone()
        else:
            official[official_name(name)] = _official_layout(net, name, tensor).clone()
    return official


def from_autoformer(net: VisionTransformer, official: Mapping[str, Tensor]) -> None:
    """Fill ``net`` with an official state dict of its own size.

    Raises:
        CheckpointError: A tensor is missing, unknown, or of another shape, naming it and both shapes.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in to_autoformer(net).items()}
    _check_names(expected, official)
    for name, shape in expected.items():
        if tuple(official[name].shape) != shape:
            raise CheckpointError(
                f"{name} is {tuple(official[name].shape)} in the file, but {shape} in the space", official[name].shape
            )
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            tensor.copy_(_own_layout(net, name, official))


def read_autoformer(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of an official checkpoint, as data.

    An ``argparse.Namespace`` in the file is read as plain attributes.

    Raises:
        CheckpointError: The file is unreadable, holds more than data, or has no ``model``.
    """
    try:
        with torch.serialization.safe_globals([(_Arguments, "argparse.Namespace")]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torn bytes raise whatever the reader of data stumbles over
        raise CheckpointError(f"cannot read {path} as an AutoFormer checkpoint: {first_line(error)}", path) from error
    model = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(model, Mapping) or not all(isinstance(value, Tensor) for value in model.values()):
        raise CheckpointError(f"{path} is no AutoFormer checkpoint: it has no 'model' with tensors by name", path)
    return dict(model)


def official_name(name: str) -> str:
    """Return the official name of one of our parameters.

    >>> official_name("blocks.0.mlp.fc1.weight")
    'blocks.0.fc1.weight'
    """
    for pattern, replacement in _BLOCK:
        name = re.sub(pattern, replacement, name)
    return _NAMES.get(name, name)


def _official_layout(net: VisionTransformer, name: str, tensor: Tensor) -> Tensor:
    if _is_permuted(net, name):  # (heads, 3, head_dim, ...) -> (heads, head_dim, 3, ...)
        return tensor.reshape(-1, 3, net.geometry.head_dim, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)
    return tensor


def _own_layout(net: VisionTransformer, name: str, official: Mapping[str, Tensor]) -> Tensor:
    if name.endswith("attn.relative_positions"):
        tables = torch.stack([official[name.replace("relative_positions", table)] for table in _TABLES])
        return tables.reshape(2, 2, *tables.shape[1:])
    tensor = official[official_name(name)]
    if _is_permuted(net, name):  # (heads, head_dim, 3, ...) -> (heads, 3, head_dim, ...)
        return tensor.reshape(-1, net.geometry.head_dim, 3, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)
    return tensor


def _is_permuted(net: VisionTransformer, name: str) -> bool:
    return name.endswith("qkv.weight") or (name.endswith("qkv.bias") and net.qkv_bias == "interleaved")


def _check_names(expected: Mapping[str, object], official: Mapping[str, Tensor]) -> None:
    missing = [name for name in expected if name not in official]
    unknown = [name for name in official if name not in expected]
    said = [f"lacks {missing[0]} ({len(missing)} such in all)"] if missing else []
    if unknown:
        said.append(f"has an unknown {unknown[0]} {tuple(official[unknown[0]].shape)} ({len(unknown)} such in all)")
    if said:
        raise CheckpointError(f"the file does not fit the space: it {' and '.join(said)}", missing + unknown)
