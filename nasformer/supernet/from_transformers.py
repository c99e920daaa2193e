"""Reading of Hugging Face ``transformers`` models: ViT, DeiT and DINOv2 for image classification, in our layout.

DeiT's distillation token becomes a register token, DINOv2's head a head on the class token and the mean of the patches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasformer._parse import parse_json, read_text
from nasformer.architecture import uniform
from nasformer.cost.geometry import Geometry, Pooling
from nasformer.cost.variant import Variant
from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.supernet.checkpoint import first_line
from nasformer.supernet.family import Checkpoint, mlp_ratio
from nasformer.supernet.from_timm import linear, norm, qkv

_RESAMPLINGS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers."""
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "silu": "silu",
}


@dataclass(frozen=True)
class _Layout:
    """Where a class keeps its parts.

    Args:
        body: Name of the transformer.
        layers: Path of its layers.
        norms: Names of a layer's norms.
        pooling: Input of the head.
    """

    body: str
    layers: str
    norms: tuple[str, str]
    pooling: Pooling = "cls"


_BEFORE_AFTER = ("layernorm_before", "layernorm_after")
_LAYOUTS = {
    "ViTForImageClassification": _Layout("vit", "layers", _BEFORE_AFTER),
    "DeiTForImageClassification": _Layout("deit", "layers", _BEFORE_AFTER),
    "Dinov2ForImageClassification": _Layout("dinov2", "encoder.layer", ("norm1", "norm2"), "cls_mean"),
    "Dinov2WithRegistersForImageClassification": _Layout(
        "dinov2_with_registers", "encoder.layer", ("norm1", "norm2"), "cls_mean"
    ),
}


def read_transformers(model: nn.Module | str | Path) -> Checkpoint:
    """Convert a model, or that of a local folder of ``save_pretrained``.

    Raises:
        ArchitectureError: The model is of another class, or has an unsupported part; the message names it.
        CheckpointError: The folder cannot be read, or ``transformers`` is not installed.
    """
    steps: dict[str, Any] = {}
    if not isinstance(model, nn.Module):
        steps, model = _preprocessing(Path(model)), _loaded(Path(model))
    name = type(model).__name__
    if name not in _LAYOUTS:
        raise ArchitectureError(f"{name} is none of {', '.join(_LAYOUTS)}, which supernets support", model)
    try:
        return _converted(model, _LAYOUTS[name], steps)
    except AttributeError as error:
        raise ArchitectureError(f"this version of transformers builds {name} otherwise: {error}", model) from error


def _converted(model: Any, layout: _Layout, steps: Mapping[str, Any]) -> Checkpoint:
    config, body = model.config, getattr(model, layout.body)
    layers = list(body.get_submodule(layout.layers))
    patches = body.embeddings.patch_embeddings.projection
    sizes = [each if isinstance(each, int) else tuple(each) for each in (config.image_size, config.patch_size)]
    image_size, patch_size = (each if isinstance(each, int) else _square(each, model) for each in sizes)
    if config.hidden_act not in _ACTIVATIONS:
        raise ArchitectureError(f"the model has the activation {config.hidden_act!r}, unknown to supernets", model)
    tokens = _tokens(body.embeddings)
    mlp, heads, width = layers[0].mlp, config.num_attention_heads, config.hidden_size
    gated = hasattr(mlp, "gate_proj")
    hidden = (mlp.up_proj if gated else mlp.fc1).out_features
    registers = tokens.get("patch_embed.registers")
    variant = Variant(
        registers=0 if registers is None else registers.shape[1],
        activation="silu" if gated else _ACTIVATIONS[config.hidden_act],  # type: ignore[arg-type]
        gated_mlp=gated,
    )
    geometry = Geometry(
        image_size, patch_size, patches.in_channels, _classes(model), width // heads, None, variant=variant
    )
    weights = {
        **linear("patch_embed", patches),
        **tokens,
        **norm("norm", body.layernorm),
        **_head(model.classifier, width, layout.pooling),
    }
    for number, layer in enumerate(layers):
        weights |= _layer(f"blocks.{number}.", layer, layout, heads)
    return Checkpoint(
        geometry.with_pooling(layout.pooling),
        uniform(width, len(layers), heads, mlp_ratio(hidden, width)),
        layout.pooling,
        config.layer_norm_eps,
        {name: tensor.detach().clone().float() for name, tensor in weights.items()},
        _source(model, steps),
    )


def _classes(model: Any) -> int:
    return int(model.classifier.out_features) if isinstance(model.classifier, nn.Linear) else 1


def _square(size: Any, model: nn.Module) -> int:
    if len(set(size)) != 1:
        raise ArchitectureError(f"the model has images or patches of {size}, which are not square", model)
    return int(size[0])


def _tokens(embeddings: Any) -> dict[str, Tensor]:
    """Return positions of class token and patches, the class token, and registers with their positions."""
    positions: Tensor = embeddings.position_embeddings
    tokens = {"patch_embed.cls_token": embeddings.cls_token, "patch_embed.positions": positions}
    if hasattr(embeddings, "distillation_token"):
        tokens["patch_embed.registers"] = embeddings.distillation_token + positions[:, 1:2]
        tokens["patch_embed.positions"] = torch.cat((positions[:, :1], positions[:, 2:]), dim=1)
    elif hasattr(embeddings, "register_tokens"):
        tokens["patch_embed.registers"] = embeddings.register_tokens
    return tokens


def _head(classifier: Any, width: int, pooling: Pooling) -> dict[str, Tensor]:
    """Return the parameters of the head; none of a model without one."""
    if not isinstance(classifier, nn.Linear):
        return {}
    head = linear("head", classifier)
    if pooling == "cls_mean":
        head["head.weight"] = head["head.weight"].reshape(-1, 2, width)
    return head


def _layer(prefix: str, layer: Any, layout: _Layout, heads: int) -> dict[str, Tensor]:
    attention, mlp = layer.attention, layer.mlp
    first = [linear("", each) for each in (attention.q_proj, attention.k_proj, attention.v_proj)]
    rows, biases = (torch.cat([each[f".{kind}"] for each in first]) for kind in ("weight", "bias"))
    scales = [getattr(getattr(layer, f"layer_scale{number}", None), "lambda1", None) for number in (1, 2)]
    weights = {
        **norm(f"{prefix}attn_norm", getattr(layer, layout.norms[0])),
        **qkv(f"{prefix}attn.qkv", rows, biases, heads),
        **linear(f"{prefix}attn.proj", attention.o_proj, scales[0]),
        **norm(f"{prefix}mlp_norm", getattr(layer, layout.norms[1])),
    }
    if hasattr(mlp, "gate_proj"):
        parts = {"gate": (mlp.gate_proj, None), "fc1": (mlp.up_proj, None), "fc2": (mlp.down_proj, scales[1])}
    else:
        parts = {"fc1": (mlp.fc1, None), "fc2": (mlp.fc2, scales[1])}
    for name, (module, scale) in parts.items():
        weights |= linear(f"{prefix}mlp.{name}", module, scale)
    return weights


def _source(model: Any, steps: Mapping[str, Any]) -> dict[str, Any]:
    """Return the library, the model's name, the preprocessing of its images, and its classes if they have names."""
    labels = dict(getattr(model.config, "id2label", None) or {})
    names = [str(labels[number]) for number in sorted(labels)]
    named = [] if names == [f"LABEL_{number}" for number in range(len(names))] else names
    folder = Path(str(model.config._name_or_path or "")).name
    known = {"name": folder, "classes": named, "preprocessing": dict(steps)}
    return {"format": "transformers", **{key: value for key, value in known.items() if value}}


def _loaded(folder: Path) -> nn.Module:
    """Return the model of a local folder; no code in it runs, and nothing is downloaded."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json; give a folder that save_pretrained wrote", folder)
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise CheckpointError(
            "models of transformers need the package transformers; pip install 'nasformer[transformers]'", folder
        ) from error
    try:
        options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
        model: Any
        model, loaded = AutoModelForImageClassification.from_pretrained(
            str(folder), output_loading_info=True, **options
        )
        if any(name.startswith("classifier.") for name in loaded["missing_keys"]):
            model.classifier = nn.Identity()  # transformers has added a random one
    except Exception as error:  # transformers raises whatever the file, safetensors or torch raises
        raise CheckpointError(f"cannot read the model of {folder}: {first_line(error)}", folder) from error
    found: nn.Module = model.eval()
    return found


def _preprocessing(folder: Path) -> dict[str, Any]:
    """Return mean, std, crop and interpolation of a folder's ``preprocessor_config.json``; empty without."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return {}
    try:
        config: Any = parse_json(read_text(path))
        shorter, crop = _side(config.get("size")), _side(config.get("crop_size"))
        steps = {
            "mean": config.get("image_mean") if config.get("do_normalize", True) else [0.0, 0.0, 0.0],
            "std": config.get("image_std") if config.get("do_normalize", True) else [1.0, 1.0, 1.0],
            "crop_pct": min(1.0, crop / shorter) if crop and shorter and config.get("do_center_crop") else 1.0,
            "interpolation": _RESAMPLINGS.get(config.get("resample", 3)),
            "crop_mode": "squash" if "height" in (config.get("size") or {}) else None,
        }
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"cannot read {path}: {first_line(error)}", path) from error
    return {key: value for key, value in steps.items() if value is not None}


def _side(size: Any) -> int | None:
    """Return the shorter side of a declared size, in pixels."""
    if isinstance(size, Mapping):
        size = size.get("shortest_edge") or min(size.get("height") or math.inf, size.get("width") or math.inf)
    return int(size) if isinstance(size, (int, float)) and math.isfinite(size) else None
