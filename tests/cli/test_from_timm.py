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
from nasformer.data.data_config import DataConfig
from nasformer.data.image_files import Plain
from nasformer.export.preprocessing import Preprocessing
from nasformer.fitness.finetuning import Finetuning
from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.training.defaults import family_recipe
from nasformer.training.origin import family_teacher, original_of

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
    opened: Any = timm.create_model("local-dir:exported", pretrained=True)
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
        logits: Tensor = model(images).logits
        expected = logits[:, [1, 0]]
    torch.testing.assert_close(net(images), expected, rtol=1e-5, atol=1e-5)
    kept = {"mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0, "interpolation": "bilinear"}
    assert net.preprocessing == {**kept, "crop_mode": "squash"}
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


def test_the_original_teaches_the_family_and_its_members(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = weights(Path("w.safetensors"))
    made = told(capsys, "from-timm", MODEL, *SMALL, "--weights", file, "--data", photos)
    told(capsys, "train", "--supernet", made["checkpoint"], "--data", photos, "--epochs", 1, "--out", "family", "-q")
    net, images = Supernet.load("family/supernet.safetensors"), torch.randn(2, 3, 16, 16)
    teacher = Supernet.load("family/supernet.safetensors").metadata["original"]
    assert Path(teacher["file"]).name in ("original.safetensors", "supernet.safetensors")
    assert not torch.equal(net(images), small()(images)), "it was trained"
    found = original_of(net)
    assert found is not None
    torch.testing.assert_close(found[0].logits(images, amp=False), small()(images), rtol=1e-5, atol=1e-5)
    untrained = original_of(Supernet.load(made["checkpoint"]))
    assert untrained is not None
    assert untrained[1] == "the original model"
    budget = ["--macs", int(made["macs"] * 0.7), "--strategy", "random", "-n", 3, "--out", "found", "-q"]
    told(capsys, "search", made["space"], "--data", photos, "--supernet", made["checkpoint"], *budget)
    assert run(["finetune", "found", "--epochs", "1", "--out", "tuned", "-q"]) == 0
    printed = capsys.readouterr().out
    assert "the original model" in printed
    assert "repair" in printed


def test_candidates_are_repaired_before_they_are_fine_tuned(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = told(capsys, "from-timm", MODEL, *SMALL, "--weights", weights(Path("w.safetensors")), "--data", photos)
    net = Supernet.load(made["checkpoint"])
    data = load_dataset(str(photos), image_size=16, preprocessing=net.preprocessing)
    judge = Finetuning(net, data, top=1, epochs=1, device="cpu", out="judged")
    (evaluation,) = judge.confirm([net.space.smallest.replace(num_heads=(1, 1), mlp_ratio=(1.0, 1.0))])
    assert evaluation.value is not None
    assert judge.teacher is not None


def test_a_family_is_trained_by_its_own_recipe(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = told(capsys, "from-timm", MODEL, *SMALL, "--weights", weights(Path("w.safetensors")), "--data", photos)
    told(capsys, "train", "--supernet", made["checkpoint"], "--data", photos, "--epochs", 1, "--out", "family", "-q")
    recipe = Supernet.load("family/supernet.safetensors").metadata["training"]["recipe"]
    data = load_dataset(str(photos), image_size=16)
    assert recipe == family_recipe(data, "cpu", {"epochs": 1}).to_dict()
    again = run(["from-timm", MODEL, *SMALL, "--weights", "w.safetensors", "--data", str(photos), "--out", "family"])
    assert again == 2
    assert "family has a training; choose another folder with --out" in capsys.readouterr().err


def test_a_family_with_other_weights_teaches_nobody(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = told(capsys, "from-timm", MODEL, *SMALL, "--weights", weights(Path("w.safetensors")), "--data", photos)
    net = Supernet.load(made["checkpoint"])
    subnet = net.extract(net.space.largest)
    assert family_teacher(subnet) is not None
    with torch.no_grad():
        net.head.bias.add_(1.0)
    net.save(made["checkpoint"])
    assert family_teacher(subnet) is None


def test_images_of_another_size_and_ratio(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = weights(Path("w.safetensors"))
    made = told(capsys, "from-timm", MODEL, *SMALL, "--weights", file, "--data", photos, "--image-size", 24)
    assert Supernet.load(made["checkpoint"])(torch.randn(1, 3, 24, 24)).shape == (1, 2)
    assert run(["from-timm", MODEL, *SMALL, "--weights", str(file), "--data", str(photos), "--image-size", "18"]) == 2
    assert "image_size is a multiple of the patches' 4, got 18" in capsys.readouterr().err
    wide = Image.new("RGB", (40, 20), (10, 200, 30))
    config = DataConfig(crop_mode="squash", crop_pct=1.0)
    steps = Preprocessing(3, 16, 16, config.mean, config.std, crop_mode="squash")
    torch.testing.assert_close(Plain(16, 3, config)(wide), torch.from_numpy(steps(wide)), rtol=1e-5, atol=1e-5)
    assert Preprocessing.from_dict(steps.to_dict()) == steps


def test_a_random_head_of_transformers_is_none(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")
    sizes = {"image_size": 16, "patch_size": 4, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3}
    transformers.ViTModel(transformers.ViTConfig(**sizes, intermediate_size=48)).save_pretrained("headless")
    found = told(capsys, "from-timm", "--transformers", "headless", "--data", photos)
    assert found["imported"]["head"].startswith("logistic regression on ")
