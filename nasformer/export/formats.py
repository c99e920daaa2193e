"""Formats: how a network is written, one function each, and in which precisions."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from nasformer.errors import ExportError
from nasformer.export.description import Description
from nasformer.supernet import VisionTransformer

Dtype = Literal["fp32", "bf16", "int8"]
OPSET = 20
WEIGHTS, ONNX, PROGRAM = "model.safetensors", "model.onnx", "model.pt2"
_BATCH = 2  # of the example that is traced: 1 would be taken for a constant


@dataclass(frozen=True)
class Format:
    """A way to write a network.

    Attributes:
        file: What it writes.
        dtypes: The precisions that it knows.
        write: Called with the network, the folder, the precision and the description.
    """

    file: str
    dtypes: tuple[Dtype, ...]
    write: Callable[[VisionTransformer, Path, Dtype, Description], None]


def write_safetensors(net: VisionTransformer, folder: Path, dtype: Dtype, description: Description) -> None:
    """Write the weights, and the configuration from which timm builds the model: ``local-dir:FOLDER`` or a hub."""
    kept = copy.deepcopy(net).to(torch.bfloat16) if dtype == "bf16" else net
    kept.save(folder / WEIGHTS, {"training": {"data": description["provenance"]["data"]}})
    (folder / "config.json").write_text(json.dumps(_timm_config(net, description), indent=1) + "\n", encoding="utf-8")


def write_onnx(net: VisionTransformer, folder: Path, dtype: Dtype, description: Description) -> None:
    """Write ONNX with a batch of any size; int8 quantises weights, and activations as they come (onnxruntime)."""
    require("onnx", "onnxscript", "onnxruntime", extra="onnx")
    path = folder / ONNX
    with _quiet():
        program: Any = torch.onnx.export(
            net,
            (_example(net),),
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
            input_names=["images"],
            output_names=["logits"],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
        program.save(str(path))
        if dtype == "int8":
            _quantise(path)


def write_program(net: VisionTransformer, folder: Path, dtype: Dtype, description: Description) -> None:
    """Write a program of torch.export with a batch of any size; bf16 takes and gives floats, and computes between."""
    module: nn.Module = _Half(net) if dtype == "bf16" else net
    with _quiet():
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(module, (_example(net),), dynamic_shapes={"images": {0: batch}})
        torch.export.save(program, folder / PROGRAM)


FORMATS: dict[str, Format] = {
    "safetensors": Format(WEIGHTS, ("fp32", "bf16"), write_safetensors),
    "timm": Format(WEIGHTS, ("fp32", "bf16"), write_safetensors),
    "onnx": Format(ONNX, ("fp32", "int8"), write_onnx),
    "torch-export": Format(PROGRAM, ("fp32", "bf16"), write_program),
}
"""By name. "safetensors" and "timm" write the same folder, and differ in who reads it again to check it."""


def require(*packages: str, extra: str) -> None:
    """Raise ExportError, naming what to install, unless all packages can be imported."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ExportError(f"{package} is not installed: pip install 'nasformer[{extra}]'", package) from error


class _Half(nn.Module):
    """A network in bfloat16 between floats."""

    def __init__(self, net: VisionTransformer) -> None:
        super().__init__()
        self.net = copy.deepcopy(net).to(torch.bfloat16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.net(images.to(torch.bfloat16))
        return logits.float()


def _example(net: VisionTransformer) -> torch.Tensor:
    g = net.geometry
    return torch.zeros(_BATCH, g.in_channels, g.image_size, g.image_size)


def _timm_config(net: VisionTransformer, description: Description) -> dict[str, Any]:
    g, a, before = net.geometry, net.architecture, description["preprocessing"]
    sizes = {
        "embed_dim": a.embed_dim,
        "num_heads": list(a.num_heads),
        "mlp_ratio": list(a.mlp_ratio),
        "head_dim": g.head_dim,
        "patch_size": g.patch_size,
        "img_size": g.image_size,
        "in_chans": g.in_channels,
        "num_classes": g.num_classes,
        "global_pool": "avg" if net.pooling == "mean" else "token",
        "qkv_bias": net.qkv_bias,
        "norm_eps": net.norm_eps,
        **({} if g.max_distance is None else {"max_distance": g.max_distance}),
    }
    return {
        "architecture": "nasformer_vit",
        "num_classes": g.num_classes,
        "num_features": a.embed_dim,
        "label_names": description["classes"],
        "model_args": sizes,
        "pretrained_cfg": {
            "input_size": [g.in_channels, g.image_size, g.image_size],
            "fixed_input_size": True,
            "interpolation": before["interpolation"],
            "crop_pct": before["crop_pct"],
            "mean": before["mean"],
            "std": before["std"],
            "num_classes": g.num_classes,
            "first_conv": "patch_embed",
            "classifier": "head",
            "license": description["provenance"].get("licence"),
        },
    }


def _quantise(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = path.rename(path.with_suffix(".fp32"))
    quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True)
    plain.unlink()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what exporters say of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
