"""Small images are decoded once and augmented in batches: in range, alike in every process, and after a resume."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nasformer.data import Dataset, ImagesInMemory, load_dataset
from nasformer.data.decoded import DecodedImages
from nasformer.data.image_files import Augmented, ImageFiles
from nasformer.errors import RecipeError
from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.supernet.layers import Shard
from nasformer.training import Recipe, default_recipe, train_supernet
from nasformer.training.defaults import recorded_recipe
from nasformer.training.loop import Trainer, TrainingTask
from nasformer.training.tensor_augment import MOST_BYTES, SMALL, TensorAugment, rand_augment, statistics
from tests.data.test_image_folder import fill, load
from tests.training.conftest import Stop
from tests.training.test_readers import space_of_photos
from tests.training.test_training import same

CPU = torch.device("cpu")
MEAN, STD = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
FLIP: dict[str, Any] = {"auto_augment": None, "random_erasing": 0.0}
POLICY: dict[str, Any] = {"auto_augment": "rand-m9-n3-p1", "random_erasing": 0.0, "horizontal_flip": 0.0}
ERASING: dict[str, Any] = {"auto_augment": None, "horizontal_flip": 0.0}


def augmented(images: Tensor, shard: Shard | None = None, *, seed: int = 0, **options: Any) -> Tensor:
    known = [values.flatten().tolist()[: images.shape[1]] for values in (MEAN, STD)]
    torch.manual_seed(seed)
    return TensorAugment(Recipe(**options), (known[0], known[1]), CPU)(images, shard)


def photos(count: int = 64, channels: int = 3) -> Tensor:
    pixels = torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(1))
    return (pixels - MEAN[:channels]) / STD[:channels]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{}, FLIP, POLICY, ERASING], ids=["all", "flip", "policy", "erasing"])
def test_values_stay_in_range_and_images_change(channels: int, options: dict[str, Any]) -> None:
    images = photos(channels=channels)
    before = images.clone()
    pixels = augmented(images, **options) * STD[:channels] + MEAN[:channels]
    assert torch.equal(images, before)
    assert pixels.shape == images.shape
    assert pixels.isfinite().all()
    assert -1e-5 < float(pixels.min()) <= float(pixels.max()) < 1 + 1e-5
    assert not torch.allclose(augmented(images, **options), images)


def test_nothing_is_drawn_if_all_is_off() -> None:
    images = photos(4)
    assert augmented(images, auto_augment=None, random_erasing=0.0, horizontal_flip=0.0) is images
    after = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3))


def test_flips_mirror_their_share_of_the_images() -> None:
    images = photos(400)
    flipped = augmented(images, **FLIP, horizontal_flip=0.3)
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert float(mirrored.float().mean()) == pytest.approx(0.3, abs=0.08)


def test_erased_boxes_have_the_mean_and_the_area_of_timm() -> None:
    images = torch.ones(2000, 1, 32, 32)
    erased = augmented(images, **ERASING, random_erasing=0.25) == 0
    share = erased.float().mean((1, 2, 3))
    assert float((share > 0).float().mean()) == pytest.approx(0.25, abs=0.04)
    found = share[share > 0]
    assert float(found.min()) > 0.01
    assert float(found.max()) <= 0.36
    assert float(found.mean()) == pytest.approx((0.02 + 1 / 3) / 2, abs=0.02)
    rows, columns = erased[share > 0].any(3).sum(2), erased[share > 0].any(2).sum(2)
    assert torch.equal(rows * columns, erased[share > 0].sum((2, 3))), "each is a box"
    assert float(erased[:, 0, :, 0].any(1).float().mean()) > 0, "they reach the border"


@pytest.mark.parametrize(
    ("policy", "magnitude", "count", "chance"),
    [
        ("rand-m9-mstd0.5-inc1", 9, 2, 0.5),
        ("rand-m5-n4-p0.25", 5, 4, 0.25),
        ("rand-m15-n1-mstd0.5", 10, 1, 0.5),
        ("rand-n3-mmax7-w0", 10, 3, 0.5),
    ],
)
def test_the_policy_of_timm_is_kept(policy: str, magnitude: int, count: int, chance: float) -> None:
    operation, *rest = rand_augment(policy, [0.5])
    assert rest == [count, chance]
    assert (operation.magnitude, operation.num_magnitude_bins, operation.num_ops) == (magnitude, 11, 1)  # type: ignore[attr-defined]


def test_other_policies_are_one_line() -> None:
    with pytest.raises(RecipeError, match=r"at most 64 pixels take RandAugment only, got auto_augment 'augmix-m5'"):
        augmented(photos(8), auto_augment="augmix-m5")


@pytest.mark.parametrize("size", [8, 20, 64])
def test_processes_augment_their_rows_as_one_process_all(size: int) -> None:
    images = photos(size)
    whole = augmented(images, horizontal_flip=0.5, random_erasing=0.5)
    after = torch.rand(3)
    for rows in (torch.arange(0, size, 2), torch.arange(1, size, 2), torch.arange(size // 2), torch.tensor([size - 1])):
        part = augmented(images[rows], Shard(size, rows), horizontal_flip=0.5, random_erasing=0.5)
        torch.testing.assert_close(part, whole[rows])
        assert torch.equal(torch.rand(3), after), "the next step draws the same numbers too"
    assert not torch.equal(augmented(images, seed=1), whole)


def test_copies_of_an_image_have_different_operations() -> None:
    images = photos(1).expand(32, -1, -1, -1).contiguous()
    drawn = augmented(images, **POLICY)
    neighbours = [not torch.equal(a, b) for a, b in pairwise(drawn)]
    assert sum(neighbours) > 24


class Sized(ImageFiles):
    """Image files of some size and number, which nobody reads."""

    def __init__(self, files: ImageFiles, size: int, count: int) -> None:
        self.__dict__ |= files.__dict__
        self.transform, self.count = type(files.transform)(size), count  # type: ignore[call-arg]

    def __len__(self) -> int:
        return self.count


def test_the_size_of_the_images_decides(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 10, "test": 2}))
    assert isinstance(data.train, ImageFiles)
    fitting = MOST_BYTES // (3 * SMALL**2)
    assert statistics(Sized(data.train, SMALL, fitting), {}) == (data.record["mean"], data.record["std"])
    assert statistics(Sized(data.train, SMALL, fitting + 1), {}) is None
    assert statistics(Sized(data.train, SMALL + 1, 5), {}) is None
    memory = ImagesInMemory(torch.zeros(5, 1, 4, 4), torch.zeros(5, dtype=torch.long))
    assert statistics(memory, {}) is None, "their range is not known"
    assert statistics(memory, {"mean": [0.1], "std": [0.2]}) == ([0.1], [0.2])
    assert statistics(ImagesInMemory(torch.zeros(5, 1, 4), memory.labels), {"mean": [0.1], "std": [0.2]}) is None


def test_small_images_are_decoded_once_and_larger_ones_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(fill(tmp_path, {"train": 10, "test": 2}))
    task = TrainingTask(Supernet(space_of_photos()), lambda epoch, steps: [], {})
    recipe = Recipe(epochs=1, warmup_epochs=0, batch_size=8, affine={"translate": 0.5})
    small = Trainer(task, data, recipe, device=CPU, readers=2)
    assert isinstance(small.train_split, DecodedImages)
    assert small.readers == 0
    assert small.fill is not None
    torch.testing.assert_close(small.fill, (0 - torch.tensor(data.record["mean"])) / torch.tensor(data.record["std"]))
    monkeypatch.setattr("nasformer.training.tensor_augment.SMALL", 7)
    large = Trainer(task, data, recipe, device=CPU, readers=2)
    assert isinstance(large.train_split, ImageFiles)
    assert isinstance(large.train_split.transform, Augmented)
    assert (large.readers, large.augment, large.fill) == (2, None, None)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_resumed_training_reaches_the_same_weights(tmp_path: Path, repeats: int) -> None:
    data = load(fill(tmp_path / "d", {"train": 20, "test": 2}))
    recipe = Recipe(epochs=3, batch_size=8, warmup_epochs=0, affine={"translate": 0.1}, repeated_augmentation=repeats)
    quiet: dict[str, Any] = {"device": "cpu", "progress": False}
    whole, resumed = Supernet(space_of_photos()), Supernet(space_of_photos())
    train_supernet(whole, data, recipe, **quiet)
    with pytest.raises(KeyboardInterrupt):
        train_supernet(Supernet(space_of_photos()), data, recipe, out=tmp_path / "o", callback=Stop(2), **quiet)
    train_supernet(resumed, data, recipe, out=tmp_path / "o", resume=True, **quiet)
    assert same(resumed, whole)
    unlike = Supernet(space_of_photos())
    train_supernet(unlike, data, recipe.replace(auto_augment=None), **quiet)
    assert not same(unlike, whole)


def test_a_full_disk_gives_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(fill(tmp_path / "d", {"train": 20, "test": 2}))
    recipe, nets = Recipe(epochs=2, batch_size=8, warmup_epochs=0), [Supernet(space_of_photos()) for _ in range(2)]
    train_supernet(nets[0], data, recipe, device="cpu", progress=False)
    monkeypatch.setattr("nasformer.training.loop.decode_once", lambda split, folder: split)
    train_supernet(nets[1], data, recipe, device="cpu", progress=False)
    assert same(*nets)


def test_images_in_memory_are_augmented_if_a_recipe_says_so() -> None:
    space, data = load_space("digits"), load_dataset("digits")
    assert isinstance(data, Dataset)
    task = TrainingTask(Supernet(space), lambda epoch, steps: [(space.smallest,)] * steps, {})

    before: Any = data.train.images[:64]  # type: ignore[attr-defined]

    def batch(**options: Any) -> Tensor:
        trainer = Trainer(task, data, Recipe.for_dataset("digits").replace(**options), device=CPU)
        assert trainer.augment is not None
        torch.manual_seed(0)
        return trainer.augment(before)

    assert batch() is before, "the recipe of digits has affine maps only"
    assert not torch.equal(batch(auto_augment="rand-m9"), before)
    assert not torch.equal(batch(random_erasing=1.0), before)


def test_the_recipes_of_the_built_in_data_are_those_of_version_0_1() -> None:
    for name in ("digits", "fashion-mnist"):
        recipe = Recipe.for_dataset(name)
        assert (recipe.auto_augment, recipe.random_erasing, recipe.horizontal_flip) == (None, 0.0, 0.0)
    space, data = load_space("digits"), load_dataset("digits")
    net = Supernet(space)
    recipe = Recipe.for_dataset("digits").replace(epochs=1, warmup_epochs=0)
    result = train_supernet(net, data, recipe, device="cpu", progress=False)
    assert result.history[0]["train_loss"] == pytest.approx(2.300654, abs=2e-5)


def test_a_recorded_recipe_of_a_former_version_keeps_its_meaning() -> None:
    data, recorded = load_dataset("digits"), Recipe().to_dict()
    assert recorded_recipe(recorded, data).horizontal_flip == 0.5
    del recorded["candidates"]
    for name in ("digits", "mine"):  # images in memory of any name
        data.name = name
        former = recorded_recipe(recorded, data)
        assert (former.auto_augment, former.random_erasing, former.horizontal_flip) == (None, 0.0, 0.0)


def test_the_default_recipe_translates_what_it_does_not_crop(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 10, "test": 2}))
    assert default_recipe(data, "cpu").affine.translate == 0.125
    assert default_recipe(data, "cpu", {"affine": {}}).affine.translate == 0
    large = load_dataset(str(tmp_path), image_size=SMALL + 1)
    assert default_recipe(large, "cpu").affine.translate == 0
