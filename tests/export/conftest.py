"""Small networks, and the tiny model at 32 pixels: four patches, all of its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import nn

import nasformer.export.timm  # noqa: F401 (registers the models)
from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.export.timm import TimmVisionTransformer

TINY = "autoformer_tiny_patch16_224"
GEOMETRY = Geometry(image_size=16, patch_size=4, num_classes=5, head_dim=8, max_distance=2)
ARCHITECTURE = Architecture(24, (3, 2, 1), (2, 1, 2))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small() -> TimmVisionTransformer:
    return TimmVisionTransformer(GEOMETRY, ARCHITECTURE, seed=1).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """Make the tiny model by timm's factory, at 32 pixels and for ten classes unless told."""

    def make(**options: Any) -> nn.Module:
        return timm.create_model(TINY, **{"img_size": 32, "num_classes": 10, **options})

    return make
