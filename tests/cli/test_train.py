"""From a folder of images to a file without one hand-written file; and what goes wrong on the way, in one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasformer.data import load_dataset
from nasformer.supernet import Supernet, load_network
from nasformer.supernet.checkpoint import fingerprint
from nasformer.training import Recipe, train_supernet
from nasformer.training.weights import kept_supernets
from tests.cli.conftest import Command

SHORT = ("--epochs", "1", "--device", "cpu", "-q")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of colour photos of three classes, one of which needs care to be printed."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 4)):
        for shade, name in enumerate(("cat", "dog", "sea :cat: [red]lion")):
            folder = Path("my photos", part, name)
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 80, (18, 24, 3)) + 80 * shade
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return Path("my photos")


def test_a_walk_from_a_folder_to_a_file(nasformer: Command, photos: Path) -> None:
    looked = nasformer("data", str(photos), "--image-size", "16", "-q")
    assert re.search(r"sea :cat: \[red\]lion +12 +4 +4|sea :cat: \[red\]lion +14 +2 +4", looked.out)
    assert "60 JPEG RGB" in looked.out
    with Image.open("runs/data.png") as picture:
        assert picture.size[1] == 300
    page = Path("runs/data-page.html").read_text()
    assert "60 images of 3 classes: all can be read." in page
    assert "data:image/png;base64," in page
    assert "sea :cat: [red]lion" in page
    done = nasformer("train", "photos", "--data", str(photos), "--image-size", "16", *SHORT)
    assert done.code == 0, done.err
    assert "Next: nasformer search photos --data 'my photos'" in done.out
    assert "images/s" not in done.out, "small images are decoded once"
    (kept,) = kept_supernets()
    assert kept.data_name == f"imagefolder:{photos.absolute()}"
    search = ("-n", "4", "--params", "400e3", "--device", "cpu", "-q", "--out", "s")
    for data in ((), ("--data", str(photos))):
        found = nasformer("search", "photos", *data, *search, "--seed", str(len(data)))
        assert found.code == 0, found.err
        shutil.move("s", f"s{len(data)}")
    tested = nasformer("evaluate", "s0", "--device", "cpu", "--json")
    assert json.loads(tested.out)["images"] == 12
    tuned = nasformer("finetune", "s0", "--out", "f", "--objective", "macro_f1", *SHORT)
    assert tuned.code == 0, tuned.err
    assert load_network("f/network.safetensors").geometry.num_classes == 3
    exported = nasformer("export", "f", "--out", "model")
    assert exported.code == 0, exported.err
    read = nasformer("predict", "model", str(photos / "test" / "dog" / "1.jpg"), "--json")
    assert {each["class"] for each in json.loads(read.out)[0]["classes"]} == {"cat", "dog", "sea :cat: [red]lion"}


def test_unreadable_images_stop_a_training_before_it_starts(nasformer: Command, photos: Path) -> None:
    for name in ("train/cat/3.jpg", "train/dog/5.jpg"):
        (photos / name).write_bytes(b"no image")
    command = ("train", "photos", "--data", str(photos), "--image-size", "16", *SHORT)
    refused = nasformer(*command)
    assert refused.code == 2
    assert re.search(
        r"2 images of .* cannot be read: train/cat/3\.jpg .*, train/dog/5\.jpg .*--skip-unreadable", refused.err
    )
    assert not Path("runs").exists()
    done = nasformer(*command, "--skip-unreadable")
    assert done.code == 0, done.err
    (kept,) = kept_supernets()
    assert kept.data["skipped"] == ["train/cat/3.jpg", "train/dog/5.jpg"]
    (photos / "train/dog/0.jpg").unlink()  # a file that goes later costs no supernet
    found = nasformer("search", "photos", "-n", "3", "--device", "cpu", "-q")
    assert found.code == 0, found.err
    moved = photos.rename("elsewhere")
    again = nasformer("search", "photos", "-n", "3", "--data", str(moved), "--device", "cpu", "-q", "--seed", "1")
    assert again.code == 0, again.err
    lost = nasformer("search", "photos", "-n", "3", "--device", "cpu", "-q", "--seed", "2")
    assert lost.code == 2
    assert "there is no folder" in lost.err


def test_a_diverged_training_fails_and_goes_on(nasformer: Command, photos: Path) -> None:
    command = ("train", "photos", "--data", str(photos), "--image-size", "16", "--out", "t", "--epochs", "2")
    high = nasformer(*command, "--learning-rate", "1e12", "--device", "cpu", "--json")
    assert high.code == 2
    assert "diverged" in json.loads(high.out)["error"]
    assert re.search(r"diverged: the loss is \w+ in epoch 1, step \d+ of \d+, at learning rate .*--resume", high.err)
    assert not kept_supernets()
    lines = Path("t/log.jsonl").read_text().splitlines()
    assert json.loads(lines[0], parse_constant=pytest.fail)["train_loss"] is None
    done = nasformer(*command, "--learning-rate", "1e-3", "--device", "cpu", "-q", "--resume")
    assert done.code == 0, done.err
    assert len(kept_supernets()) == 1


def test_a_recipe_file_is_completed_by_the_data(nasformer: Command, photos: Path) -> None:
    Path("mine.yaml").write_text("epochs: 2\nlabel_smoothing: 0\n")
    command = ("train", "photos", "--data", str(photos), "--image-size", "16", "--recipe", "mine.yaml", "--json")
    done = nasformer(*command, "--batch-size", "12", "--device", "cpu", "--readers", "0")
    assert done.code == 0, done.err
    recipe = json.loads(done.out)["recipe"]
    given = {"epochs": 2, "label_smoothing": 0, "batch_size": 12, "warmup_epochs": 1, "grad_clip": 1.0, "mixup": 0}
    assert {key: recipe[key] for key in given} == given
    assert recipe["learning_rate"] == pytest.approx(1e-3 * (12 / 64) ** 0.5)
    for readers in ("-1", "many"):
        refused = nasformer(*command, "--out", readers, "--readers", readers)
        assert refused.code == 2
        assert "--readers" in refused.err


def test_a_training_goes_on_from_the_weights_of_a_file(
    nasformer: Command, refused: Callable[..., None], weights: Path
) -> None:
    further = ("train", "--supernet", weights, *SHORT, "--out", "further")
    done = nasformer(*further)
    assert done.code == 0, done.err
    assert f"training digits from {weights} on digits" in done.out.replace("\n", "")
    assert "Next: nasformer search further/space.yaml" in done.out
    net, start = Supernet.load("further/supernet.safetensors"), Supernet.load(weights)
    assert net.metadata["started_from"] == {"file": str(weights), "weights": fingerprint(start)[:16]}
    data = (net.metadata["training"]["data"], start.metadata["training"]["data"])
    assert data[0] == data[1], "the same splits"
    recipe = Recipe(**net.metadata["training"]["recipe"])
    train_supernet(start, load_dataset("digits"), recipe, device="cpu", progress=False)
    assert fingerprint(start) == fingerprint(net), "the weights went on, not others"
    assert nasformer(*further, "--resume").code == 0
    refused("training.pt belongs to another training: start '.*' there, None here", "train", "digits", *SHORT,
            "--out", "further", "--resume")  # fmt: skip
    assert nasformer("search", "further/space.yaml", "-n", 2, "--device", "cpu", "-q").code == 0


def test_initial_weights_that_do_not_fit_are_one_line(
    nasformer: Command, refused: Callable[..., None], weights: Path, photos: Path
) -> None:
    with_file = ("--supernet", weights, *SHORT)
    refused("name the SPACE to train, or give --supernet FILE, got neither", "train", *SHORT)
    refused("belongs to another space than 'fashion-mnist': embed_dim: ", "train", "fashion-mnist", *with_file)
    refused("weight sharing 'entangled', got 'classical'", "train", *with_file, "--weight-sharing", "classical")
    refused(
        "learnt classification of 10 outputs .* the data are classification of 3", "train", *with_file, "--data", photos
    )
