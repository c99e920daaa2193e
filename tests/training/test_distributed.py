"""Several processes: real torchrun, gloo and two processes give the weights of one with the joint batch."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nasformer.data import Dataset
from nasformer.data.batches import iterate
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import RecipeError
from nasformer.supernet.layers import drop_path
from nasformer.training import Affine, Recipe
from nasformer.training.augment import mixer, random_affine
from nasformer.training.distributed import Ranks, local_device
from nasformer.training.loop import Trainer, TrainingTask
from nasformer.training.randomness import isolated, seed_epoch
from tests.tiny import corners
from tests.training.ranks import RECIPE, VARIANTS, outcome, train

CLOSE = 1e-11
"""Double precision sums in another order, through AdamW, whose first steps divide a gradient by itself."""


def launch(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outcome of every variant, trained by one process."""
    folder = tmp_path_factory.mktemp("alone")
    for variant in VARIANTS:
        torch.save(outcome(train(variant, folder / variant)), folder / f"{variant}.pt")
    return folder


@pytest.fixture(scope="module")
def two(root: Path, alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outcome of every variant on each of two processes."""
    folder = tmp_path_factory.mktemp("two")
    done = launch(root, "tests.training.ranks", folder, alone)
    assert done.returncode == 0, done.stderr
    return folder


def load(path: Path) -> dict[str, Tensor]:
    return dict(torch.load(path, weights_only=True))


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_give_the_weights_and_gradients_of_one(variant: str, alone: Path, two: Path) -> None:
    expected, first, second = (load(path) for path in (alone / f"{variant}.pt", *sorted(two.glob(f"{variant}.?.pt"))))
    assert_same(first, second)
    torch.testing.assert_close(first, expected, rtol=0, atol=CLOSE)


def test_the_comparison_would_tell_freezing_from_decay(two: Path) -> None:
    frozen, decayed = load(two / "freeze.0.pt"), load(two / "decay.0.pt")
    assert max(float((frozen[name] - decayed[name]).abs().max()) for name in frozen) > 1e3 * CLOSE


def test_the_comparison_would_tell_a_teacher_from_none(two: Path) -> None:
    taught, untaught = load(two / "taught-hard.0.pt"), load(two / "decay.0.pt")
    assert max(float((taught[name] - untaught[name]).abs().max()) for name in taught) > 1e3 * CLOSE


def test_both_log_the_same_losses_and_scores(alone: Path, two: Path) -> None:
    logs = [(folder / "decay" / "log.jsonl").read_text().splitlines() for folder in (alone, two)]
    rows = [[json.loads(row) for row in log] for log in logs]
    for one, other in zip(*rows, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-9)
        for name, score in one["validation"].items():
            assert score["accuracy"] == other["validation"][name]["accuracy"]
            assert score["loss"] == pytest.approx(other["validation"][name]["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("variant", "whole"),
    [
        ("accumulation", "decay"),
        ("checkpointing", "decay"),
        ("sandwich-in-passes", "sandwich"),
        ("regression-in-passes", "regression"),
    ],
)
def test_a_batch_in_two_passes_gives_the_weights_of_one(variant: str, whole: str, alone: Path) -> None:
    torch.testing.assert_close(load(alone / f"{variant}.pt"), load(alone / f"{whole}.pt"), rtol=0, atol=CLOSE)


def test_two_processes_resume_to_the_weights_of_an_uninterrupted_training(two: Path) -> None:
    for rank in range(2):
        assert_same(load(two / f"own.{rank}.pt"), load(two / f"decay.{rank}.pt"))


def test_the_number_of_processes_may_change_on_resuming(alone: Path, two: Path, tmp_path: Path) -> None:
    torch.testing.assert_close(load(two / "alone.0.pt"), load(alone / "freeze.pt"), rtol=0, atol=CLOSE)
    state = shutil.copytree(two / "freeze-after2", tmp_path / "state")
    torch.testing.assert_close(
        outcome(train("freeze", state, resume=True)), load(alone / "freeze.pt"), rtol=0, atol=CLOSE
    )


@given(half=st.integers(1, 40), count=st.integers(1, 8))
def test_shards_share_a_batch_without_overlap(half: int, count: int) -> None:
    batch_size = half * count
    shards = [Ranks(rank, count).shard(batch_size) for rank in range(count)]
    rows = [torch.arange(batch_size) if shard is None else shard.rows for shard in shards]
    assert all(len(part) == half for part in rows)
    assert torch.cat(rows).sort().values.tolist() == list(range(batch_size))
    parts = [range(*Ranks(rank, count).part(half)) for rank in range(count)]
    assert [place for part in parts for place in part] == list(range(half))


class OnDisk:
    """Images that are read one by one."""

    def __init__(self, split: ImagesInMemory) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.split[index]


@pytest.mark.parametrize("wrap", [lambda split: split, OnDisk], ids=["memory", "disk"])
def test_processes_read_their_rows_of_the_batches_of_one(wrap: Callable[[ImagesInMemory], ImagesInMemory]) -> None:
    split = wrap(ImagesInMemory(torch.randn(22, 1, 2, 2), torch.arange(22)))
    whole = [labels for _, labels in iterate(split, 8, seed=3, drop_last=True)]
    for rank in range(2):
        shard = Ranks(rank, 2).shard(8)
        assert shard is not None
        mine = [labels for _, labels in iterate(split, 8, seed=3, drop_last=True, rows=shard.rows)]
        assert [part.tolist() for part in mine] == [batch[shard.rows].tolist() for batch in whole]


class Drawn:
    """Images that are drawn when they are read, from the random numbers that timm augments files with."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((1, 4, 4), random.random()), index % 4


class Noting(nn.Module):
    """A network that notes the images that it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16, 4)
        self.seen: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen += images[:, 0, 0, 0].tolist()
        logits: Tensor = self.head(images.flatten(1))
        return logits


class Apart(Ranks):
    """One of several processes that train together, where the others are not there."""

    def wrap(self, net: nn.Module, device: torch.device) -> nn.Module:
        return net

    def total(self, value: Tensor) -> Tensor:
        return value

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("readers", [0, 1])
def test_an_image_is_augmented_alike_in_any_number_of_processes(readers: int) -> None:
    def seen(rank: int, count: int = 2) -> list[float]:
        net, device = Noting(), torch.device("cpu")
        data = Dataset(train=Drawn(), search=corners(4, 0), test=corners(4, 1), num_classes=4)
        recipe = Recipe(epochs=2, batch_size=8, warmup_epochs=0, mixup=0, cutmix=0)
        task = TrainingTask(net, draws=lambda epoch, steps: [(None,)] * steps, candidates={})
        Trainer(task, data, recipe, device=device, readers=readers, ranks=Apart(rank, count)).run(
            None, False, False, None
        )
        return net.seen

    first, second = seen(0), seen(1)
    assert len(first) == len(second) == 16
    assert len({*first, *second}) == 32, "no number serves two images or two epochs"
    assert sorted(seen(0, 1)) == sorted(first + second)


@pytest.mark.parametrize("rank", range(3))
def test_what_is_drawn_by_image_is_drawn_for_the_joint_batch(rank: int) -> None:
    images, labels = torch.randn(12, 1, 8, 8), torch.arange(12) % 4
    recipe = Recipe(batch_size=12, mixup=0.5, cutmix=0.5, mix_probability=0.8)
    shard = Ranks(rank, 3).shard(12)
    assert shard is not None

    def augmented(part: slice | Tensor, mine: object) -> tuple[Tensor, Tensor, Tensor]:
        turned = random_affine(images[part], Affine(degrees=20, shear=0.1), torch.zeros(1), mine)  # type: ignore[arg-type]
        mixed, targets = mixer(recipe, 4)(turned, labels[part])
        return mixed, targets, drop_path(mixed, 0.5, True, mine)  # type: ignore[arg-type]

    for epoch in range(6):
        with isolated(torch.device("cpu")):
            seed_epoch(0, epoch)
            whole = augmented(slice(None), None)
            after = torch.rand(1)
            seed_epoch(0, epoch)
            torch.testing.assert_close(augmented(shard.rows, shard), tuple(part[shard.rows] for part in whole))
            assert torch.equal(torch.rand(1), after), "what follows is drawn alike"


@pytest.mark.parametrize(
    ("count", "changes", "words"),
    [
        (
            3,
            {"mixup": 0, "cutmix": 0},
            "batch_size 32 does not divide equally among 3 processes; take a multiple of 3$",
        ),
        (5, {}, "batch_size 32 .* among 5 processes; take a multiple of 10, as mixup"),
        (2, {"accumulation_steps": 32}, "batch_size 32 .* among 2 processes in 32 passes; take a multiple of 64"),
        (32, {}, "batch_size 32 .* among 32 processes; take a multiple of 64, as mixup and cutmix pair images"),
    ],
)
def test_unequal_shares_are_refused(count: int, changes: dict[str, int], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Ranks(0, count).check(RECIPE.replace(**changes))


def test_a_device_that_cannot_serve_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert local_device("cpu") == torch.device("cpu")
    with pytest.raises(RecipeError, match="device 'meta' cannot serve several processes; take 'cuda' or 'cpu'"):
        local_device("meta")


def test_passes_divide_the_batch() -> None:
    with pytest.raises(RecipeError, match=r"batch_size must be a multiple of accumulation_steps \(5\), got 32"):
        RECIPE.replace(accumulation_steps=5)
