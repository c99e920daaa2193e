"""Conversion from and to AutoFormer's official checkpoint format, by reshapes and transpositions.

The official qkv weight interleaves q, k and v in rows i, i + 3, i + 6, ...; here rows are ordered (head, q|k|v,
head_dim). The qkv bias stays flat, (q|k|v, head, head_dim), for ``qkv_bias="leading"``, and is permuted like the
weight for "interleaved". Files are read as data: nothing in them is executed.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasformer._parse import check_download
from nasformer.errors import CheckpointError
from nasformer.supernet.checkpoint import first_line, is_floating, replace_file
from nasformer.supernet.layers import LAYER_NORM_EPS
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


_WRAPPERS = ("module.", "_orig_mod.")
_FOREIGN_PACKAGES = ("_codecs", "argparse", "numpy", "pathlib", "timm")
"""Packages whose objects in training checkpoints are read as ``_Placeholder``."""


class _Placeholder:
    """Inert replacement of non-tensor objects in a checkpoint."""

    def __init__(self, *_: object) -> None:
        """Ignore the arguments."""

    def __setstate__(self, state: object) -> None:
        """Ignore the arguments."""


def to_autoformer(net: VisionTransformer) -> dict[str, Tensor]:
    """Return the network's weights as an official state dict.

    Raises:
        CheckpointError: The format cannot represent the network, such as one with classical sharing.
    """
    if net.sharing.name != "entangled":
        raise CheckpointError(f"the official format holds entangled weights, not {net.sharing.name} ones", net)
    parts = net.geometry.variant.to_dict()
    if net.geometry.axes != 2 or net.pooling not in ("mean", "cls") or parts:
        kind = "series" if net.geometry.axes != 2 else f"{', '.join(parts)}" if parts else f"pooling {net.pooling!r}"
        raise CheckpointError(
            f"the official format holds networks of images that pool 'mean' or 'cls', not {kind}", net
        )
    if len(net.patch_sizes) > 1 or not all(net.architecture.num_heads + net.architecture.mlp_ratio):
        raise CheckpointError("the official format holds one patch size, and no layer without attention or MLP", net)
    if net.architecture.further and any(layer.further for layer in net.architecture.layers):
        names = ", ".join(name for name, _ in net.architecture.layers[0].further)
        raise CheckpointError(f"the official format does not support {names}", net)
    if net.norm_eps != LAYER_NORM_EPS:
        raise CheckpointError(
            f"AutoFormer's layer norm epsilon is {LAYER_NORM_EPS:g}, this network's {net.norm_eps:g}: "
            "the official code would compute other outputs",
            net,
        )
    official: dict[str, Tensor] = {}
    for name, tensor in net.state_dict().items():
        if name.endswith("attn.relative_positions"):
            for table, rows in zip(_TABLES, tensor.flatten(0, 1), strict=True):
                official[name.replace("relative_positions", table)] = rows.clone()
        else:
            official[official_name(name)] = _official_layout(net, name, tensor).clone()
    return official


def from_autoformer(net: VisionTransformer, official: Mapping[str, Tensor]) -> None:
    """Load an official state dict of the same sizes into ``net``.

    Raises:
        CheckpointError: A tensor is missing, unknown, or of another shape; the message names it and both shapes.
    """
    _check({name: tuple(tensor.shape) for name, tensor in to_autoformer(net).items()}, official)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            tensor.copy_(_own_layout(net, name, official))


def read_autoformer(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of an official checkpoint, as data.

    Non-tensor objects of training checkpoints (an ``argparse.Namespace``, paths, NumPy numbers) are read as inert
    placeholders.

    Raises:
        CheckpointError: The file is unreadable, holds more than data, or has no ``model``.
    """
    try:
        check_download(path)
        with torch.serialization.safe_globals([(_Placeholder, name) for name in _foreign_globals(path)]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # corrupt files raise arbitrary errors
        raise CheckpointError(f"cannot read {path} as an AutoFormer checkpoint: {first_line(error)}", path) from error
    model = content.get("model", content) if isinstance(content, dict) else None
    texts = isinstance(model, Mapping) and all(isinstance(name, str) for name in model)
    if not isinstance(model, Mapping) or not texts or not all(isinstance(value, Tensor) for value in model.values()):
        raise CheckpointError(f"{path} is not an AutoFormer checkpoint: it lacks 'model', a mapping of tensors", path)
    return _unwrapped(model)


def _unwrapped(model: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights under the names of the network itself, without the prefixes of DDP and ``torch.compile``."""
    while model and any(all(name.startswith(prefix) for name in model) for prefix in _WRAPPERS):
        model = {name.partition(".")[2]: tensor for name, tensor in model.items()}
    return dict(model)


def write_autoformer(net: VisionTransformer, path: str | Path) -> Path:
    """Write a checkpoint that the official code loads.

    Raises:
        CheckpointError: The file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"model": to_autoformer(net)}, buffer)
    replace_file(path, buffer.getvalue())
    return Path(path)


def _foreign_globals(path: str | Path) -> list[str]:
    if not zipfile.is_zipfile(path):  # legacy format of torch before 1.6
        return ["argparse.Namespace"]
    names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    return [name for name in names if name.partition(".")[0] in _FOREIGN_PACKAGES]


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


def _check(expected: Mapping[str, tuple[int, ...]], official: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in official.items()}
    mismatched = [name for name, shape in expected.items() if shapes.get(name, shape) != shape]
    missing = [name for name in expected if name not in shapes]
    unknown = [name for name in shapes if name not in expected]
    not_dense = [name for name in expected if name in official and not is_floating(official[name])]
    problems = [f"{name} is {shapes[name]} in the file, but {expected[name]} in the space" for name in mismatched[:1]]
    problems += [f"the file lacks {missing[0]} {expected[missing[0]]} ({len(missing)} such in all)"] if missing else []
    problems += (
        [f"the file has an unknown {unknown[0]} {shapes[unknown[0]]} ({len(unknown)} such in all)"] if unknown else []
    )
    problems += [f"{not_dense[0]} is not a dense floating-point tensor in the file"] if not_dense else []
    broken = [] if problems else [name for name in expected if not official[name].isfinite().all()]
    problems += [f"{broken[0]} holds NaN or infinite values in the file"] if broken else []
    if problems:
        raise CheckpointError(", ".join(problems), mismatched + missing + unknown + not_dense + broken)
