"""Anyone's own splits: what is read from them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Subset, TensorDataset

from nasformer.data import Dataset, ImagesInMemory, iterate
from nasformer.errors import DataError
from nasformer.space import SearchSpace, choice


def images(n: int = 6, channels: int = 1, size: int = 8, classes: int = 3) -> TensorDataset:
    generator = torch.Generator().manual_seed(n)
    return TensorDataset(torch.rand(n, channels, size, size, generator=generator), torch.arange(n) % classes)


def space(**changes: Any) -> SearchSpace:
    sizes = {"image_size": 8, "patch_size": 2, "in_channels": 1, "num_classes": 3}
    return SearchSpace("s", embed_dim=choice(8), depth=choice(1), num_heads=1, mlp_ratio=1, **{**sizes, **changes})


class Lazy(TorchDataset[tuple[torch.Tensor, int]]):
    """Images that are made when they are asked for, some of them unreadable."""

    classes = ("a", "b")

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if index == self.broken:
            raise DataError(f"cannot read the image {index}.png: torn")
        return torch.full((1, 8, 8), float(index)), index % 2


def test_sizes_are_read_from_the_images() -> None:
    data = Dataset(train=images(9), search=images(3), test=images(4))
    assert (data.num_classes, data.image_size, data.in_channels) == (3, 8, 1)
    assert data.record["splits"] == {"train": 9, "search": 3, "test": 4}
    assert isinstance(data.train, ImagesInMemory)
    data.check(space())


def test_the_fingerprint_of_own_data_follows_its_labels() -> None:
    first, again = (Dataset(train=images(9), search=images(3), test=images(4)) for _ in range(2))
    other = Dataset(train=images(9, classes=4), search=images(3), test=images(4))
    assert first.record["fingerprint"] == again.record["fingerprint"] != other.record["fingerprint"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_channels": 3}, "in_channels 1, but space 's' declares 3; declare in_channels: 1"),
        ({"image_size": 16}, "image_size 8, but space 's' declares 16"),
        ({"num_classes": 10}, "num_classes 3, but space 's' declares 10"),
    ],
)
def test_a_space_of_another_shape_is_refused(changes: dict[str, int], words: str) -> None:
    data = Dataset(train=images(), search=images(3), test=images(4), name="mine")
    with pytest.raises(DataError, match=f"'mine' has {words}"):
        data.check(space(**changes))


def test_wrong_splits_are_refused() -> None:
    good = images()
    with pytest.raises(DataError, match=r"search images of 'custom' are \(3, 8, 8\), expected \(1, 8, 8\)"):
        Dataset(train=good, search=images(channels=3), test=images(4))
    with pytest.raises(DataError, match="the test split is empty"):
        Dataset(train=good, search=images(3), test=images(0))
    with pytest.raises(DataError, match="'custom': the test labels reach 4, but there are 3 classes"):
        Dataset(train=good, search=images(3), test=images(9, classes=5))
    with pytest.raises(DataError, match="must be square"):
        Dataset(train=TensorDataset(torch.rand(2, 1, 8, 6), torch.arange(2)), search=good, test=images(3))
    with pytest.raises(DataError, match="image 1 contains a NaN"):
        ImagesInMemory(torch.tensor([1.0, float("nan")]).view(2, 1, 1, 1), torch.arange(2))
    with pytest.raises(
        DataError, match=r"labels must be 2 integers, or floats \(2, outputs\), got torch\.int64 \(3,\)"
    ):
        ImagesInMemory(torch.rand(2, 1, 4, 4), torch.arange(3))
    with pytest.raises(DataError, match=r"must be floats .*, got torch\.uint8"):
        ImagesInMemory(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.arange(2))
    with pytest.raises(DataError, match="give num_classes="):
        Dataset(train=Subset(Lazy(), [0]), search=Subset(Lazy(), [1]), test=Subset(Lazy(), [2]))


def test_splits_that_share_images_are_refused() -> None:
    whole = images(9)
    with pytest.raises(DataError, match="train and test are the same images"):
        Dataset(train=whole, search=images(3), test=whole)
    with pytest.raises(DataError, match="train and search share 2 images, as index 3"):
        Dataset(train=Subset(whole, range(5)), search=Subset(whole, range(3, 7)), test=Subset(whole, [8]))


def test_batches_in_order_and_shuffled() -> None:
    split = ImagesInMemory(*images(10).tensors)
    batches = list(iterate(split, 4))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([x for x, _ in batches]), split.images)
    assert [len(x) for x, _ in iterate(split, 4, seed=0, drop_last=True)] == [4, 4]
    shuffled, again, other = (torch.cat([x for x, _ in iterate(split, 4, seed=seed)]) for seed in (1, 1, 2))
    assert torch.equal(shuffled, again)
    assert not torch.equal(shuffled, other)
    assert sorted(shuffled[:, 0, 0, 0].tolist()) == sorted(split.images[:, 0, 0, 0].tolist())


@pytest.mark.parametrize("readers", [0, 2])
def test_batches_of_images_that_are_read_lazily(readers: int) -> None:
    in_order = [int(v) for x, _ in iterate(Lazy(), 4, readers=readers) for v in x[:, 0, 0, 0]]
    assert in_order == list(range(10))
    shuffled = [int(v) for x, _ in iterate(Lazy(), 4, seed=3, readers=readers) for v in x[:, 0, 0, 0]]
    assert sorted(shuffled) == in_order != shuffled
    with pytest.raises(DataError, match=r"^cannot read the image 7\.png: torn$"):
        list(iterate(Lazy(broken=7), 4, readers=readers))


def test_reading_batches_leaves_global_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    list(iterate(Lazy(), 4, seed=3))
    list(iterate(images(9), 4, seed=3))
    assert torch.equal(torch.random.get_rng_state(), state)
