"""Every pretrained plain ViT of timm's registry: taken with the same logits, or refused by name.

Each model is built once at small sizes and without weights; two names of one model differ in their weights alone.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, list_pretrained
from timm.models.vision_transformer import VisionTransformer

from nasformer.errors import ArchitectureError
from nasformer.supernet import Supernet

SIDE = 224  # a multiple of the patch sizes 8, 14, 16 and 32
LEAST = 280
MODULES = ("timm.models.vision_transformer", "timm.models.deit")


def names_by_model() -> dict[tuple[str, bool], list[str]]:
    """Return the pretrained names of each model, with and without a head."""
    found = defaultdict(list)
    for name in list_pretrained():
        if timm.models.model_entrypoint(name.split(".")[0]).__module__ in MODULES:
            config: Any = get_pretrained_cfg(name)
            found[name.split(".")[0], bool(config.num_classes)].append(name)
    return dict(found)


def small(name: str) -> Any:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(name, img_size=SIDE, embed_dim=24, num_heads=3, depth=1, weight_init="skip").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.1)
    return model


def test_most_pretrained_models_come_in_with_their_logits() -> None:
    images = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    taken, refused, plain = 0, dict[str, str](), 0
    for group in names_by_model().values():
        model = small(group[0])
        if type(model) is not VisionTransformer:
            continue
        plain += len(group)
        try:
            net = Supernet.from_timm(model)
        except ArchitectureError as error:
            refused |= dict.fromkeys(group, str(error))
            continue
        with torch.no_grad():
            torch.testing.assert_close(net(images), model(images), rtol=1e-5, atol=1e-5, msg=group[0])
        taken += len(group)
    assert plain == taken + len(refused)
    assert taken >= LEAST, refused
    assert all("which supernets do not support" in reason for reason in refused.values())
    print(f"{taken} of {plain} taken; refused: {refused}")  # with -s
