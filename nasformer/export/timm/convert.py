"""Conversion of any network, such as a search's winner, to a timm model."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from timm.models import PretrainedCfg

from nasformer.errors import ArchitectureError, did_you_mean
from nasformer.export.timm.config import config
from nasformer.export.timm.model import POOLINGS, TimmVisionTransformer
from nasformer.supernet import VisionTransformer


def to_timm(net: VisionTransformer, **description: Any) -> TimmVisionTransformer:
    """Return a copy of ``net`` with timm's interface, which gives the same logits.

    Args:
        net: A network of one architecture, such as from ``Supernet.extract``.
        description: Entries of timm's ``pretrained_cfg`` that override ImageNet's, such as ``mean`` and ``std``.

    Raises:
        ArchitectureError: An unknown entry.

    >>> import torch
    >>> from nasformer.space import load_space
    >>> from nasformer.supernet import Supernet
    >>> space = load_space("digits")
    >>> net = Supernet(space).extract(space.smallest).eval()
    >>> model, images = to_timm(net), torch.rand(2, 1, 8, 8)
    >>> torch.equal(model(images), net(images))
    True
    """
    pool = next(name for name, pooling in POOLINGS.items() if pooling == net.pooling)
    rate = net.drop_path_rates[-1]
    model = TimmVisionTransformer(
        net.geometry, net.architecture, global_pool=pool, qkv_bias=net.qkv_bias, drop_path_rate=rate, seed=None
    )
    model.set_norm_eps(net.norm_eps)
    model.to(net.patch_embed.weight).train(net.training)
    model.load_state_dict(net.state_dict())
    model.pretrained_cfg = model.default_cfg = _pretrained_cfg({**config(net.geometry), **description})
    return model


def _pretrained_cfg(description: dict[str, Any]) -> dict[str, Any]:
    known = [field.name for field in fields(PretrainedCfg)]
    for name in description:
        if name not in known:
            raise ArchitectureError(f"timm's pretrained_cfg has no entry {name!r}; {did_you_mean(name, known)}", name)
    entries = asdict(PretrainedCfg(**description))
    return {name: value for name, value in entries.items() if value is not None}
