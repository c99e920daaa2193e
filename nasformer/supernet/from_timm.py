"""Reading of timm's plain vision transformers: their parts, sizes and weights in our layout.

Layer scale is folded into the weights, a class or register token and its position into one token; dropout is
discarded. Parts that supernets do not have are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isqrt
from pathlib import Path
from typing import Any, cast

import torch
from timm.layers.activations import GELU, GELUTanh, QuickGELU
from timm.layers.attention import Attention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.layers.layer_scale import LayerScale
from timm.layers.mlp import GluMlp, Mlp, SwiGLU
from timm.layers.norm import LayerNorm as TimmLayerNorm
from timm.layers.norm import RmsNorm
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import Tensor, nn

from nasformer._parse import check_download
from nasformer.architecture import uniform
from nasformer.cost.geometry import Geometry, Pooling
from nasformer.cost.variant import Variant
from nasformer.errors import ArchitectureError, CheckpointError, did_you_mean
from nasformer.supernet.checkpoint import first_line
from nasformer.supernet.family import Checkpoint, mlp_ratio

_POOLINGS: dict[str, Pooling] = {"token": "cls", "avg": "mean", "map": "map"}
_NORMS: dict[type[nn.Module], str] = {nn.LayerNorm: "layer", TimmLayerNorm: "layer", RmsNorm: "rms"}
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.GELU: "gelu",
    GELU: "gelu",
    GELUTanh: "gelu_tanh",
    QuickGELU: "quick_gelu",
    nn.SiLU: "silu",
}
_STEPS = ("mean", "std", "crop_pct", "interpolation")


def read_timm(model: nn.Module) -> Checkpoint:
    """Convert a timm model.

    Raises:
        ArchitectureError: The model has an unsupported part; the message names it.
    """
    _require_plain(model)
    vit: Any = model
    block = vit.blocks[0]
    hidden = block.mlp.fc2.in_features
    geometry = Geometry(
        image_size=vit.patch_embed.img_size[0],
        patch_size=vit.patch_embed.patch_size[0],
        in_channels=vit.patch_embed.proj.in_channels,
        num_classes=vit.head.out_features if isinstance(vit.head, nn.Linear) else 1,
        head_dim=block.attn.head_dim,
        max_distance=None,
        variant=_variant(vit),
    )
    pooling, width = _POOLINGS[vit.global_pool], vit.embed_dim
    return Checkpoint(
        geometry.with_pooling(pooling),
        uniform(width, len(vit.blocks), block.attn.num_heads, mlp_ratio(hidden, width)),
        pooling,
        next(norm.eps for norm in _norms(vit)),
        _weights(vit),
        _source(vit),
    )


def _source(vit: Any) -> dict[str, Any]:
    """Return the library, and what the model's configuration says of its name, images and classes."""
    config: dict[str, Any] = dict(getattr(vit, "pretrained_cfg", None) or {})
    known = {"name": config.get("architecture"), "classes": config.get("label_names")}
    steps = {key: config[key] for key in _STEPS if config.get(key) is not None}
    steps = {key: list(value) if isinstance(value, tuple) else value for key, value in steps.items()}
    steps |= {"crop_mode": "squash"} if config.get("crop_mode") == "squash" else {}
    return {"format": "timm", **{k: v for k, v in known.items() if v}, "preprocessing": steps}


def _variant(vit: Any) -> Variant:
    block, pool = vit.blocks[0], vit.attn_pool
    return Variant(
        class_token=vit.has_class_token,
        registers=vit.num_reg_tokens,
        patch_norm=_is_norm(vit.patch_embed.norm),
        pre_norm=_is_norm(vit.norm_pre),
        final_norm=_is_norm(vit.norm),
        fc_norm=_is_norm(vit.fc_norm),
        qk_norm=_is_norm(block.attn.q_norm),
        scale_norms=_is_norm(block.attn.norm),
        norm=_NORMS[type(block.norm1)],  # type: ignore[arg-type]
        activation=_ACTIVATIONS[type(block.mlp.act)],  # type: ignore[arg-type]
        gated_mlp=type(block.mlp) is not Mlp,
        pool_heads=0 if pool is None else pool.num_heads,
        pool_hidden=0 if pool is None else pool.mlp.fc1.out_features,
    )


def _is_norm(module: nn.Module) -> bool:
    return not isinstance(module, nn.Identity)


def _norms(vit: Any) -> Iterator[Any]:
    """Yield the norms of a model."""
    found = [vit.patch_embed.norm, vit.norm_pre, vit.norm, vit.fc_norm, getattr(vit.attn_pool, "norm", nn.Identity())]
    for block in vit.blocks:
        found += [block.norm1, block.norm2, block.attn.q_norm, block.attn.k_norm, block.attn.norm, block.mlp.norm]
    yield from filter(_is_norm, found)


def _require_plain(model: nn.Module) -> None:
    if type(model) is not TimmViT:
        raise ArchitectureError(
            f"{type(model).__name__} is not a timm.models.vision_transformer.VisionTransformer; supernets support "
            "timm's plain ViTs and DeiTs",
            model,
        )
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ArchitectureError("the model is on the device meta, without weights; load its weights first", model)
    for name, supported in _parts(model):
        if not supported:
            raise ArchitectureError(
                f"the model has {name}, which supernets do not support; give one of timm's plain ViTs or DeiTs", model
            )


def _parts(vit: Any) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a model that may be unsupported, and whether they are supported."""
    for block in vit.blocks:
        attention: Any = getattr(block, "attn", None)
        mlp: Any = getattr(block, "mlp", None)
        yield f"blocks of class {type(block).__name__}", type(block) is Block
        yield f"attention of class {type(attention).__name__}", type(attention) is Attention
        yield f"MLPs of class {type(mlp).__name__}", type(mlp) in (Mlp, GluMlp, SwiGLU)
        activation, exact = type(mlp.act), getattr(mlp.act, "approximate", "none") == "none"
        yield f"the activation {activation.__name__}", activation in _ACTIVATIONS and exact
        yield "gated attention", getattr(attention, "gate", None) is None
        yield "another scale of attention", attention.scale == attention.head_dim**-0.5
        yield "norms of attention without those of the MLP", _is_norm(attention.norm) == _is_norm(mlp.norm)
        yield "blocks of unequal parts", _layout(block) == _layout(vit.blocks[0])
    embedding, pool = vit.patch_embed, vit.attn_pool
    yield f"patches by {type(embedding).__name__}", type(embedding) is PatchEmbed
    rows, columns = embedding.img_size or (0, 1)
    height, width = embedding.patch_size
    yield "images that are not square", rows == columns and height == width
    yield "patches that do not fit into the images", rows % height == 0
    yield f"global_pool {vit.global_pool!r}", vit.global_pool in _POOLINGS
    yield "pool_include_prefix", not (vit.pool_include_prefix and vit.global_pool != "token")
    yield "no position embedding", vit.pos_embed is not None
    yield f"a head of class {type(vit.head).__name__}", type(vit.head) in (nn.Linear, nn.Identity)
    yield "another kind of attention pooling", pool is None or _is_plain_pool(pool, vit.blocks[0])
    norms = [(type(norm), getattr(norm, "eps", None), norm.weight is not None) for norm in _norms(vit)]
    yield "norms of another kind than LayerNorm or RmsNorm", all(kind in _NORMS and w for kind, _, w in norms)
    yield "norms of several kinds", len({(_NORMS[kind], eps) for kind, eps, _ in norms}) == 1


def _layout(block: Any) -> tuple[object, ...]:
    attention, mlp = block.attn, block.mlp
    inner = tuple(map(_is_norm, (attention.q_norm, attention.k_norm, attention.norm)))
    return attention.num_heads, attention.head_dim, type(mlp), type(mlp.act), mlp.fc2.in_features, inner


def _is_plain_pool(pool: Any, block: Any) -> bool:
    plain = type(pool) is AttentionPoolLatent and type(pool.mlp) is Mlp and not _is_norm(pool.mlp.norm)
    return (
        plain
        and (pool.latent_len, pool.pos_embed, pool.pool) == (1, None, "token")
        and not (_is_norm(pool.q_norm) or _is_norm(pool.k_norm))
        and _is_norm(pool.norm)
        and pool.head_dim == block.attn.head_dim
        and type(pool.mlp.act) is type(block.mlp.act)
    )


def _weights(vit: Any) -> dict[str, Tensor]:
    """Return the model's parameters in our names and layout."""
    with torch.no_grad():
        weights = {
            "patch_embed.weight": vit.patch_embed.proj.weight,
            "patch_embed.bias": _bias(vit.patch_embed.proj),
            **_tokens(vit),
            **norm("patch_embed.norm", vit.patch_embed.norm),
            **norm("patch_embed.pre_norm", vit.norm_pre),
            **norm("norm", vit.norm),
            **norm("fc_norm", vit.fc_norm),
        }
        if vit.attn_pool is not None:
            weights |= _pool_weights(vit.attn_pool)
        if isinstance(vit.head, nn.Linear):
            weights |= linear("head", vit.head)
        for layer, block in enumerate(vit.blocks):
            weights |= _block_weights(f"blocks.{layer}.", block)
        return {name: tensor.detach().clone().float() for name, tensor in weights.items()}


def _tokens(vit: Any) -> dict[str, Tensor]:
    """Return positions of class token and patches, the class token, and registers with their positions."""
    first, registers, positions = int(vit.has_class_token), vit.num_reg_tokens, vit.pos_embed
    if vit.no_embed_class:
        positions = torch.cat((positions.new_zeros(1, first + registers, positions.shape[-1]), positions), dim=1)
    own, further, patches = positions.split([first, registers, positions.shape[1] - first - registers], dim=1)
    tokens = {"patch_embed.positions": torch.cat((own, patches), dim=1)}
    if first:
        tokens["patch_embed.cls_token"] = vit.cls_token
    if registers:
        tokens["patch_embed.registers"] = vit.reg_token + further
    return tokens


def _pool_weights(pool: Any) -> dict[str, Tensor]:
    """Return the parameters of attention pooling, with its constant query."""
    query = pool.q(pool.latent).view(1, pool.num_heads, 1, pool.head_dim)
    return {
        "attn_pool.query": query,
        **linear("attn_pool.kv", pool.kv),
        **linear("attn_pool.proj", pool.proj),
        **norm("attn_pool.norm", pool.norm),
        **linear("attn_pool.mlp.fc1", pool.mlp.fc1),
        **linear("attn_pool.mlp.fc2", pool.mlp.fc2),
    }


def _block_weights(prefix: str, block: Any) -> dict[str, Tensor]:
    attention, mlp = block.attn, block.mlp
    weights = {
        **norm(f"{prefix}attn_norm", block.norm1),
        **qkv(f"{prefix}attn.qkv", attention.qkv.weight, _bias(attention.qkv), attention.num_heads),
        **norm(f"{prefix}attn.q_norm", attention.q_norm),
        **norm(f"{prefix}attn.k_norm", attention.k_norm),
        **norm(f"{prefix}attn.norm", attention.norm),
        **linear(f"{prefix}attn.proj", attention.proj, _scale(block.ls1)),
        **norm(f"{prefix}mlp_norm", block.norm2),
        **norm(f"{prefix}mlp.norm", mlp.norm),
        **linear(f"{prefix}mlp.fc2", mlp.fc2, _scale(block.ls2)),
    }
    return weights | _first_layers(f"{prefix}mlp.", mlp)


def _first_layers(prefix: str, mlp: Any) -> dict[str, Tensor]:
    """Return the linear layers before the activation: fc1, and the gate if there is one."""
    if type(mlp) is Mlp:
        return linear(f"{prefix}fc1", mlp.fc1)
    if type(mlp) is SwiGLU:
        return {**linear(f"{prefix}gate", mlp.fc1_g), **linear(f"{prefix}fc1", mlp.fc1_x)}
    names = ("fc1", "gate") if mlp.gate_last else ("gate", "fc1")
    pairs = zip(names, mlp.fc1.weight.chunk(2), _bias(mlp.fc1).chunk(2), strict=True)
    return {f"{prefix}{name}.{kind}": part for name, *parts in pairs for kind, part in zip(KINDS, parts, strict=True)}


KINDS = ("weight", "bias")


def _scale(scale: nn.Module) -> Tensor | None:
    return scale.gamma if isinstance(scale, LayerScale) else None


def norm(name: str, module: Any) -> dict[str, Tensor]:
    """Return the parameters of a norm; none of the identity."""
    return {f"{name}.{kind}": each for kind in KINDS if (each := getattr(module, kind, None)) is not None}


def linear(name: str, module: Any, scale: Tensor | None = None) -> dict[str, Tensor]:
    """Return weight and bias of a linear layer, its outputs scaled."""
    weight, bias = module.weight, _bias(module)
    if scale is not None:
        weight, bias = weight * scale[:, None], bias * scale
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def qkv(name: str, weight: Tensor, bias: Tensor, heads: int) -> dict[str, Tensor]:
    """Return weight ``(q|k|v, head, head_dim) x embed_dim`` and bias with their rows in our order, by head."""
    split = (part.reshape(3, heads, -1, *part.shape[1:]) for part in (weight, bias))
    rows = (part.transpose(0, 1).flatten(0, 2) for part in split)
    return dict(zip((f"{name}.weight", f"{name}.bias"), rows, strict=True))


def _bias(module: Any) -> Tensor:
    """Return the bias, or zeros."""
    bias: Tensor | None = module.bias
    return module.weight.new_zeros(len(module.weight)) if bias is None else bias


def load_timm(name: str, weights: str | Path | None = None, **options: Any) -> nn.Module:
    """Return a timm model with its weights, for as many classes and channels as these have.

    Args:
        name: Name of the model, or ``local-dir:PATH``.
        weights: A file of its state dict, read as data; None: timm's pretrained weights.
        **options: Further arguments of ``timm.create_model``.

    Raises:
        ArchitectureError: timm has no such model, or it takes no such option.
        CheckpointError: The weights are missing or unreadable, or of another model.
    """
    import timm
    from timm.models import load_checkpoint, load_state_dict

    if not name.startswith("local-dir:") and not timm.is_model(name):
        near = did_you_mean(name, timm.list_models())
        raise ArchitectureError(f"timm has no model {name!r}; {near}", name)
    try:
        if weights is None:
            model: Any = timm.create_model(name, pretrained=True, **options)
            if options.get("num_classes") not in (None, model.pretrained_cfg.get("num_classes")):
                model.reset_classifier(0)  # timm has replaced the head by a random one
        else:
            check_download(weights)
            state = load_state_dict(str(weights), device="cpu", weights_only=True)
            model = timm.create_model(name, **{**_shape(state), **options})
            load_checkpoint(model, str(weights), device="cpu", weights_only=True)
    except TypeError as error:
        raise ArchitectureError(f"timm cannot build {name!r}: {first_line(error)}; see --option", options) from error
    except Exception as error:  # timm raises whatever the hub, the file or torch raises
        local = name.startswith("local-dir:")
        way_out = "give a folder of a model that timm itself knows" if local else "give a file with --weights"
        way_out = way_out if weights is None else "take the weights of this model"
        words = f"no weights for the model {name!r} ({first_line(error)}); {way_out}"
        raise CheckpointError(words, weights or name) from error
    return cast(nn.Module, model.eval())


def _shape(state: Mapping[str, Any]) -> dict[str, int]:
    """Return classes, channels and image size of a vision transformer's state dict; empty of another model's."""
    head, patches, positions = (state.get(name) for name in ("head.weight", "patch_embed.proj.weight", "pos_embed"))
    if patches is None:
        return {}
    shape = {"num_classes": 0 if head is None else len(head), "in_chans": patches.shape[1]}
    if positions is None or positions.ndim != 3:
        return shape
    prefix = sum(state[name].shape[1] for name in ("cls_token", "dist_token", "reg_token") if name in state)
    counts = (count for count in (positions.shape[1] - prefix, positions.shape[1]) if count > 0)
    sides = (isqrt(count) for count in counts if isqrt(count) ** 2 == count)
    return {**shape, **({"img_size": side * patches.shape[-1]} if (side := next(sides, None)) else {})}
