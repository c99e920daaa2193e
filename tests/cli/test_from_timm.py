"""A checkpoint and a folder of photos become a supernet, a space and a file with the model's own preprocessing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from nasformer.cli import run
from nasformer.data import load_dataset
from nasformer.space import load_space
from nasformer.supernet import Supernet

SMALL = ["-o", "img_size=16", "-o", "patch_size=4", "-o", "embed_dim=24", "-o", "num_heads=3", "-o", "depth=2"]
CLASSES = ("bright", "dark")
MODEL = "vit_base_patch16_clip_224"  # pre-norm, with its own mean and standard deviation


def small(num_classes: int = 2) -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "num_heads": 3, "depth": 2}
    return timm.create_model(MODEL, **sizes, num_classes=num_classes).eval()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    for label, low in zip(CLASSES, (150, 0), strict=True):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(low, low + 100, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


def weights(path: Path, num_classes: int = 2) -> Path:
    save_file(small(num_classes).state_dict(), path)
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    code = run([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_the_largest_member_is_the_model(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "from-timm", MODEL, *SMALL, "--weights", weights(Path("w.safetensors")), "--data", photos)
    net, space = Supernet.load(found["checkpoint"]), load_space(found["space"])
    assert net.space.fingerprint == space.fingerprint
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(net(images), small()(images), rtol=1e-5, atol=1e-5)
    assert "head" not in net.metadata["imported"]
    assert found["params"] == space.params(space.largest)
    config = small().pretrained_cfg
    assert net.preprocessing is not None
    assert net.preprocessing["mean"] == pytest.approx(list(config["mean"]))
    assert net.preprocessing["interpolation"] == config["interpolation"] == "bicubic"


def test_other_classes_get_a_fitted_head(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = weights(Path("w.safetensors"), num_classes=7)
    found = told(capsys, "from-timm", MODEL, *SMALL, "--weights", file, "--data", photos)
    assert found["imported"]["head"].startswith("logistic regression on ")
    assert found["search"]["accuracy"] == 100.0, "bright and dark images are told apart by random features"


def test_preprocessing_and_classes_reach_the_exported_file(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = weights(Path("w.safetensors"))
    made = told(capsys, "from-timm", MODEL, *SMALL, "--weights", file, "--data", photos)
    budget = ["--macs", int(made["macs"] * 0.7), "--strategy", "random", "-n", 4, "--out", "found", "-q"]
    told(capsys, "search", made["space"], "--data", photos, *budget)
    told(capsys, "finetune", "found", "--epochs", 1, "--out", "tuned", "-q")
    told(capsys, "export", "tuned", "--out", "exported")
    description, config = json.loads(Path("exported/nasformer.json").read_text()), small().pretrained_cfg
    steps = description["preprocessing"]
    assert steps["mean"] == pytest.approx(list(config["mean"]))
    assert steps["std"] == pytest.approx(list(config["std"]))
    assert steps["resize"] == int(16 / config["crop_pct"])
    assert description["classes"] == list(CLASSES)
    opened = timm.create_model("local-dir:exported", pretrained=True)
    assert opened.pretrained_cfg["mean"] == pytest.approx(list(config["mean"]))
    assert opened(torch.randn(1, 3, 16, 16)).shape == (1, 2)
    assert run(["predict", "exported", str(next(photos.rglob("*.png")))]) == 0


def test_a_model_of_transformers(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")
    names = {0: "dark", 1: "bright"}  # in another order than the folders
    config = transformers.ViTConfig(
        image_size=16, patch_size=4, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        id2label=names, label2id={name: number for number, name in names.items()},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained("vit")
    steps = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 16, "width": 16}, "resample": 2}
    Path("vit/preprocessor_config.json").write_text(json.dumps(steps))
    found = told(capsys, "from-timm", "--transformers", "vit", "--data", photos)
    net, images = Supernet.load(found["checkpoint"]), torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        logits: Tensor = model(images).logits  # type: ignore[union-attr]
        expected = logits[:, [1, 0]]
    torch.testing.assert_close(net(images), expected, rtol=1e-5, atol=1e-5)
    assert net.preprocessing == {"mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0, "interpolation": "bilinear"}
    data = load_dataset(str(photos), image_size=16, preprocessing=net.preprocessing)
    brightest = max(float(image.max()) for image, _ in (data.train[place] for place in range(len(data.train))))
    assert brightest <= (1 - 0.5) / 0.25


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give the NAME of a timm model or --transformers FOLDER, got None"),
        (["vit_tiny_patch16", "--weights", "w.pt"], "timm has no model 'vit_tiny_patch16'; did you mean"),
        (["vit_tiny_patch16_224", "--weights", "none.pt"], "no weights for the model 'vit_tiny_patch16_224'"),
        (["vit_tiny_patch16_224", "--weights", "w.safetensors"], "take the weights of this model"),
        ([MODEL, *SMALL, "-o", "heads=3", "--weights", "w.safetensors"], "timm cannot build"),
        (["--transformers", "photos"], "has no config.json"),
        (["--transformers", "photos", "--weights", "w.safetensors"], "--weights and --option are of timm models"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights(Path("w.safetensors"))
    assert run(["from-timm", *arguments, "--data", str(photos)]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1


def test_classes_of_other_names_are_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nasformer.supernet.from_timm import read_timm
    from nasformer.training.family import family_of

    model = small()
    model.pretrained_cfg = {**model.pretrained_cfg, "label_names": ["cat", "dog"]}
    data = load_dataset(str(photos), image_size=16)
    with pytest.raises(Exception, match=r"classes of other names than .*'bright', the model 'cat'.*--new-head"):
        family_of(read_timm(model), data)
    net, _ = family_of(read_timm(model), data, new_head=True)
    assert net.metadata["imported"]["head"].startswith("logistic regression")
