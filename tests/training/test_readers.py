"""Images read in other processes: the same weights with any number of readers; a recipe that fits the data."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from nasformer.data import Dataset, ImagesInMemory, iterate
from nasformer.data.batches import reader_processes
from nasformer.data.image_files import Augmented, ImageFiles
from nasformer.dimension import choice, per_layer
from nasformer.errors import DataError, RecipeError
from nasformer.search.progress import Remaining
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.tasks import get_task
from nasformer.training import Recipe, default_recipe, train_subnet, train_supernet
from nasformer.training.loop import Trainer, TrainingTask, _balancing
from tests.data.test_image_folder import fill, load

RECIPE = Recipe(epochs=3, batch_size=8, warmup_epochs=0)


@pytest.fixture(autouse=True)
def _read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the tiny images of these tests as large ones."""
    monkeypatch.setattr("nasformer.training.tensor_augment.SMALL", 0)


def space_of_photos() -> SearchSpace:
    sizes: dict[str, Any] = {"head_dim": 8, "image_size": 8, "patch_size": 4, "in_channels": 3, "num_classes": 2}
    searched: dict[str, Any] = {"depth": choice(1, 2), "num_heads": per_layer(1, 2), "mlp_ratio": 1}
    return SearchSpace("photos", embed_dim=16, **searched, **sizes)


def trained(data: Dataset, readers: int, *, stop: int | None = None, **options: Any) -> dict[str, torch.Tensor]:
    net = Supernet(space_of_photos())

    def end(row: dict[str, Any]) -> None:
        if row["epoch"] == stop:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        train_supernet(net, data, RECIPE, device="cpu", progress=False, callback=end, readers=readers, **options)
    return net.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_the_weights_do_not_depend_on_the_number_of_readers(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "d", {"train": 20, "test": 2}))
    whole = trained(data, 0)
    assert same(whole, trained(data, 2))
    trained(data, 2, stop=2, out=tmp_path / "out")
    assert same(whole, trained(data, 0, out=tmp_path / "out", resume=True))
    with pytest.warns(DeprecationWarning, match="workers= is now readers="):
        train_supernet(Supernet(space_of_photos()), data, RECIPE, device="cpu", progress=False, workers=0)


def test_the_recipe_alone_augments(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 10, "test": 2}))
    task = TrainingTask(Supernet(space_of_photos()), lambda epoch, steps: [], {})
    for auto_augment in (None, "rand-m3-n7"):
        recipe = RECIPE.replace(auto_augment=auto_augment, random_erasing=0.3)
        split = Trainer(task, data, recipe, device=torch.device("cpu")).train_split
        assert isinstance(split, ImageFiles)
        assert isinstance(split.transform, Augmented)
        shown = repr(split.transform._whole)
        assert ("RandAugment(n=7" in shown) == (auto_augment is not None)
        assert "RandomErasing(p=0.3" in shown


def test_images_are_augmented_anew_in_each_epoch_and_copy(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 10, "test": 2}))
    assert isinstance(data.train, ImageFiles)
    split = data.train.augmented("rand-m9-mstd0.5-inc1", 0.0)

    def epoch(seed: int, **options: Any) -> torch.Tensor:
        return torch.cat([images for images, _ in iterate(split, 6, seed=seed, **options)])

    assert torch.equal(epoch(1), epoch(1, readers=2))
    assert not torch.equal(epoch(1).sum((1, 2, 3)).sort().values, epoch(2).sum((1, 2, 3)).sort().values)
    copies = epoch(1, repeats=3)
    assert len({image.sum().item() for image in copies}) == len(copies)


def test_the_caller_s_random_numbers_are_left_alone(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 10, "test": 2}))
    assert isinstance(data.train, ImageFiles)
    torch.manual_seed(0)
    list(iterate(data.train.augmented(None, 0.5), 4, seed=1))
    after = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3))


def test_the_number_of_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = load(fill(tmp_path, {"train": 10, "test": 2})).train
    for cores, readers in ((1, 0), (4, 3), (64, 8)):
        monkeypatch.setattr("nasformer.data.batches.cores", lambda cores=cores: cores)
        assert reader_processes("auto", files) == readers
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert reader_processes("auto", files) == 3, "torchrun's processes share the cores"
    assert reader_processes(5, files) == 5
    assert reader_processes(5, ImagesInMemory(torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.long))) == 0
    for wrong in (-1, "many", 1.5):
        with pytest.raises(DataError, match="readers is 'auto' or a number from 0"):
            reader_processes(wrong, files)  # type: ignore[arg-type]


def test_balanced_sampling_draws_all_classes_equally_often() -> None:
    labels = torch.tensor([0] * 180 + [1] * 15 + [2] * 5)
    split, few = ImagesInMemory(torch.randn(200, 1, 4, 4), labels), labels[-30:]
    held: Any = {key: ImagesInMemory(torch.randn(30, 1, 4, 4), few) for key in ("search", "test")}
    data = Dataset(train=split, **held)
    weights = _balancing(data)
    drawn = torch.cat([y for seed in range(20) for _, y in iterate(split, 50, seed=seed, weights=weights)])
    assert torch.allclose(drawn.bincount(minlength=3) / len(drawn), torch.full((3,), 1 / 3), atol=0.03)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3, bias=True))
    recipe = Recipe(epochs=3, batch_size=20, warmup_epochs=0, learning_rate=0.1, mixup=0, cutmix=0)
    zero = {name: torch.zeros_like(value) for name, value in net.state_dict().items()}
    chances = []
    for balanced in (False, True):
        net.load_state_dict(zero)
        train_subnet(net, data, recipe.replace(balanced_sampling=balanced), device="cpu", progress=False)
        chances.append(float(net(split.images).detach().softmax(1)[:, 2].mean()))
    assert chances[1] > 2 * chances[0], "the rarest class counts as much as the others"


def test_balanced_sampling_needs_classes() -> None:
    split = ImagesInMemory(torch.randn(8, 1, 4, 4), torch.randn(8, 2))
    rest: Any = {key: ImagesInMemory(torch.randn(8, 1, 4, 4), torch.randn(8, 2)) for key in ("search", "test")}
    task = get_task("regression").fit(split.labels.numpy(), ("x", "y"))
    with pytest.raises(RecipeError, match="balanced_sampling needs the classes of the train images"):
        _balancing(Dataset(train=split, task=task, **rest))


class Sized(torch.utils.data.Dataset[Any]):
    """A split of some number of images."""

    def __init__(self, images: int, size: int) -> None:
        self.images, self.size, self.classes = images, size, ["a", "b"]

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(3, self.size, self.size), index % 2


def data_of(images: int, size: int) -> Dataset:
    rest: Any = {key: Sized(4, size) for key in ("search", "test")}
    return Dataset(train=Sized(images, size), **rest)


@pytest.mark.parametrize(
    ("images", "size", "epochs", "batch", "rate"),
    [
        (5000, 32, 105, 128, 1e-3),
        (5000, 224, 15, 128, 1e-3),
        (500, 224, 150, 8, 1e-3 * 8**-0.5),
        (60, 32, 300, 8, 1e-3 * 8**-0.5),
        (5, 32, 300, 2, 1e-3 * 32**-0.5),
        (50_000, 64, 10, 128, 1e-3),
        (600_000, 224, 500, 1024, 1e-3),
    ],
)
def test_a_default_recipe_fits_the_data(images: int, size: int, epochs: int, batch: int, rate: float) -> None:
    recipe = default_recipe(data_of(images, size), "cpu")
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch)
    assert recipe.learning_rate == pytest.approx(rate)
    assert recipe.warmup_epochs < recipe.epochs
    assert recipe.mixes == (epochs >= 200)


def test_what_is_given_completes_a_default_recipe() -> None:
    recipe = default_recipe(data_of(5000, 32), "cpu", {"epochs": 300, "batch_size": 16, "drop_path": 0.3})
    assert (recipe.epochs, recipe.warmup_epochs, recipe.drop_path) == (300, 15, 0.3)
    assert recipe.learning_rate == pytest.approx(5e-4)
    assert recipe.mixes
    with pytest.raises(RecipeError, match="epochs"):
        default_recipe(data_of(50, 32), "cpu", {"epochs": "many"})
    assert default_recipe(data_of(50, 32), "cpu", {"epochs": 1}).warmup_epochs == 0


def test_progress_leaves_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load(fill(tmp_path / "d", {"train": 20, "test": 2}))
    recipe = RECIPE.replace(ema_decay=0.9, sampling="sandwich", repeated_augmentation=2, validate_every=2)

    def weights(**options: Any) -> dict[str, torch.Tensor]:
        net = Supernet(space_of_photos())
        train_supernet(net, data, recipe, device="cpu", **options)
        return net.state_dict()

    quiet, told = weights(progress=False), weights(progress=True, readers=1)
    assert same(quiet, told)
    lines = capsys.readouterr().err.splitlines()
    assert re.match(r"about [\d.]+ m?s: 3 epochs of 4 steps, [\d.]+ m?s each", lines[0])
    assert [line.partition(":")[0] for line in lines[1:]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    weights(progress=True, out=tmp_path / "out")
    capsys.readouterr()
    weights(progress=True, out=tmp_path / "out", resume=True)
    assert not capsys.readouterr().err, "nothing is left to train"


def test_a_bar_moves_within_an_epoch_and_knows_what_is_left() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    bar = Progress(Remaining(), console=console, get_time=lambda: clock[0])
    clock = [0.0]
    task = bar.add_task("", total=100, completed=20)
    column = bar.columns[0]
    assert isinstance(column, Remaining)
    assert str(column.render(bar.tasks[task])) == ""
    clock[0] = 400.0  # a step of 400 s, longer than Rich remembers
    bar.advance(task)
    assert str(column.render(bar.tasks[task])) == "8 h 46 min left"
