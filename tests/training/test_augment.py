"""Random affine maps and mixing."""

from __future__ import annotations

import pytest
import torch

from nasformer.training.augment import mixer, random_affine
from nasformer.training.randomness import isolated, seed_epoch
from nasformer.training.recipe import Affine, Recipe

FILL = torch.tensor([-1.0])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_no_ranges_no_change() -> None:
    images = torch.randn(3, 1, 8, 8)
    assert random_affine(images, Affine(), FILL) is images


def test_shifts_bring_in_the_background() -> None:
    images = torch.ones(64, 1, 8, 8)
    shifted = random_affine(images, Affine(translate=0.5), FILL)
    assert float(shifted.min()) == pytest.approx(-1)
    assert float(shifted.max()) == pytest.approx(1)
    share = (shifted > 0).float().mean()  # mean overlap of two axes with shifts uniform up to half the image
    assert float(share) == pytest.approx(0.75**2, abs=0.08)


def test_turns_keep_the_centre() -> None:
    images = torch.zeros(32, 1, 9, 9)
    images[:, :, 4, 4] = 1
    turned = random_affine(images, Affine(degrees=90), torch.zeros(1))
    assert torch.allclose(turned[:, 0, 4, 4], torch.ones(32), atol=1e-4)


def test_each_image_has_its_own_map() -> None:
    image = torch.randn(1, 1, 8, 8).expand(16, -1, -1, -1)
    for affine in (Affine(degrees=20), Affine(translate=0.2), Affine(scale=0.2), Affine(shear=0.3)):
        out = random_affine(image, affine, torch.zeros(1))
        assert len({tuple(x.flatten().tolist()) for x in out}) == 16


def test_mixing_gives_soft_targets() -> None:
    recipe = Recipe(mixup=0.5, cutmix=0.0, label_smoothing=0.1, batch_size=8)
    with isolated(torch.device("cpu")):
        seed_epoch(0, 0)
        images, targets = mixer(recipe, 5)(torch.randn(8, 1, 4, 4), torch.arange(8) % 5)
    assert images.shape == (8, 1, 4, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    assert float(targets.min()) == pytest.approx(0.02)


def test_without_mixing_labels_stay() -> None:
    images, labels = torch.randn(4, 1, 4, 4), torch.arange(4)
    mixed = mixer(Recipe(mixup=0, cutmix=0), 5)(images, labels)
    assert mixed[0] is images
    assert mixed[1] is labels
