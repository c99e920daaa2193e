"""Fine-tuning and retraining: heads, frozen backbones, teachers, exact resume, and figures that add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.data import Dataset, ImagesInMemory
from nasformer.errors import CheckpointError, DataError, RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet, VisionTransformer, load_network
from nasformer.supernet.from_timm import load_timm
from nasformer.training import Recipe, evaluate, finetune, load_teacher, retrain, train_subnet
from nasformer.training.loop import Trainer, TrainingTask
from nasformer.training.teacher import Teacher
from tests.training.conftest import Stop
from tests.training.test_training import same

ALONE: dict[str, Any] = {"device": "cpu", "progress": False}
PLAIN: dict[str, Any] = {"mixup": 0, "cutmix": 0, "drop_path": 0, "warmup_epochs": 0, "epochs": 2, "batch_size": 16}


@pytest.fixture
def net(space: SearchSpace) -> VisionTransformer:
    return Supernet(space, seed=2).extract(space.largest)


def changed(data: Dataset, images: Any, labels: Any, **options: Any) -> Dataset:
    """The same images, each split's put through two functions."""
    old: dict[str, Any] = data.splits
    splits: dict[str, Any] = {key: ImagesInMemory(images(s.images), labels(s.labels)) for key, s in old.items()}
    return Dataset(**splits, **options)


def halves(data: Dataset) -> Dataset:
    """The same images with two classes: the upper and the lower corners."""
    return changed(data, lambda x: x, lambda y: y // 2, name="halves", classes=["upper", "lower"])


def enlarged(data: Dataset) -> Dataset:
    """The same images, twice as wide."""
    return changed(data, lambda x: F.interpolate(x, 8), lambda y: y, name="enlarged")


class Linear(nn.Module):
    """A teacher that drops out in training, to be caught in it."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.head = nn.Linear(16, classes)
        with torch.no_grad():
            self.head.weight.normal_(generator=torch.Generator().manual_seed(0))
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(self.head(images.flatten(1)), 0.5, self.training)


def test_a_network_is_finetuned_and_its_figures_add_up(
    net: VisionTransformer, data: Dataset, space: SearchSpace, tmp_path: Path
) -> None:
    kept = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    recipe = Recipe(**{**PLAIN, "epochs": 30, "learning_rate": 1e-2})
    result = finetune(net, data, recipe, out=tmp_path, source={"weights": "x"}, **ALONE)
    assert all(torch.equal(kept[name], tensor) for name, tensor in net.state_dict().items())
    figures = json.loads((tmp_path / "finetune.json").read_text())
    assert figures == result.to_dict()
    test, before = figures["test"], figures["before"]
    assert test["accuracy"] == evaluate(result.net, data.test).accuracy > 80 > before["accuracy"]
    assert before["loss"] == pytest.approx(evaluate(net, data.test).loss)
    paired = figures["paired"]
    assert sum(paired[name] for name in ("both", "only_before", "only_after", "neither")) == 32
    gained = (test["accuracy"] - before["accuracy"]) * 32 / 100
    assert paired["only_after"] - paired["only_before"] == pytest.approx(gained)
    confusion = torch.tensor(test["confusion"])
    assert confusion.sum(dim=1).tolist() == [row["images"] for row in test["per_class"]] == [8, 8, 8, 8]
    assert 100 * float(confusion.diagonal().sum()) / 32 == test["accuracy"]
    assert [row["accuracy"] for row in test["per_class"]] == (100 * confusion.diagonal() / 8).tolist()
    assert (figures["params"], figures["macs"]) == (space.params(space.largest), space.macs(space.largest))
    assert min(figures["speed"]["latency_ms"], figures["speed"]["images_per_second"]) > 0
    assert len(figures["training"]["history"]) == 30
    assert same(load_network(tmp_path / "network.safetensors"), result.net)


def test_the_most_confident_mistakes_are_kept_with_their_images(
    net: VisionTransformer, data: Dataset, tmp_path: Path
) -> None:
    result = finetune(net, data, Recipe(**PLAIN), out=tmp_path, **ALONE)
    mistakes = result.figures["mistakes"]
    wrong = sum(map(sum, result.figures["test"]["confusion"])) - 32 * result.figures["test"]["accuracy"] / 100
    assert len(mistakes) == min(8, round(wrong)) > 0
    for each in mistakes:
        image, label = data.test[each["image"]]
        with torch.no_grad():
            shares = 100 * result.net.eval()(image[None].float()).softmax(dim=1)[0]
        assert each["class"] == data.classes[int(label)]
        assert each["predicted"] == data.classes[int(shares.argmax())] != each["class"]
        assert each["probability"] == pytest.approx(float(shares.max()), rel=1e-3)
    told = [each["probability"] for each in mistakes]
    assert told == sorted(told, reverse=True)
    assert (tmp_path / "mistakes.png").read_bytes().startswith(b"\x89PNG")


def test_a_frozen_backbone_keeps_its_weights_and_the_head_learns(net: VisionTransformer, data: Dataset) -> None:
    result = finetune(net, halves(data), Recipe(**PLAIN).replace(drop_path=0.2), freeze="backbone", **ALONE)
    assert result.net.head.weight.shape[0] == 2
    assert float(result.net.head.bias.detach().abs().min()) > 0, "a new head's bias begins at 0"
    for name, parameter in result.net.named_parameters():
        assert parameter.requires_grad
        if not name.startswith("head."):
            assert torch.equal(parameter, net.get_parameter(name)), name
    assert "before" not in result.figures
    assert [row["class"] for row in result.figures["test"]["per_class"]] == ["upper", "lower"]
    whole = finetune(net, halves(data), Recipe(**PLAIN), **ALONE)
    assert not torch.equal(whole.net.norm.weight, net.norm.weight)
    with pytest.raises(RecipeError, match="freeze is 'nothing' or 'backbone', got 'body'"):
        finetune(net, data, Recipe(**PLAIN), freeze="body", **ALONE)  # type: ignore[arg-type]


def test_other_resolutions_are_taken_on(net: VisionTransformer, data: Dataset) -> None:
    result = finetune(net, enlarged(data), Recipe(**PLAIN), **ALONE)
    assert (result.net.geometry.image_size, result.net.geometry.max_distance) == (8, 3)
    assert "before" in result.figures


class Doubtful(Linear):
    """Another teacher."""

    def __init__(self) -> None:
        super().__init__()
        self.head.weight.data *= 0.5


@pytest.mark.parametrize("freeze", ["nothing", "backbone"])
def test_finetuning_resumes_bit_for_bit_with_all_its_options(
    net: VisionTransformer, data: Dataset, recipe: Recipe, tmp_path: Path, freeze: Any
) -> None:
    recipe = recipe.replace(distillation="soft", ema_decay=0.9, class_weights="balanced")
    options: dict[str, Any] = {"freeze": freeze, "teacher": Linear(), **ALONE}
    whole = finetune(net, data, recipe, **options)
    with pytest.raises(KeyboardInterrupt):
        finetune(net, data, recipe, out=tmp_path, callback=Stop(3), **options)
    again = finetune(net, data, recipe, out=tmp_path, resume=True, **options)
    assert same(again.net, whole.net)
    assert again.figures["test"] == whole.figures["test"]
    with pytest.raises(CheckpointError, match="another training: teacher"):
        finetune(net, data, recipe, out=tmp_path, resume=True, freeze=freeze, teacher=Doubtful(), **ALONE)
    other = Supernet(net_space(net), seed=3).extract(net.architecture)
    with pytest.raises(CheckpointError, match="another training: start"):
        finetune(other, data, recipe, out=tmp_path, resume=True, **options)


def net_space(net: VisionTransformer) -> SearchSpace:
    return SearchSpace(
        "one", embed_dim=16, depth=2, num_heads=2, mlp_ratio=2, head_dim=8, image_size=4, patch_size=2, in_channels=1,
        num_classes=4, max_distance=1,
    )  # fmt: skip


def test_retraining_inherits_nothing(space: SearchSpace, data: Dataset, tmp_path: Path) -> None:
    first = retrain(space.smallest, space, data, Recipe(**PLAIN, seed=3), out=tmp_path, **ALONE)
    alone = VisionTransformer(space.geometry, space.smallest, seed=3)
    train_subnet(alone, data, Recipe(**PLAIN, seed=3), **ALONE)
    assert same(first.net, alone)
    assert json.loads((tmp_path / "retrain.json").read_text())["kind"] == "retrain"
    with pytest.raises(CheckpointError, match=r"another training: .*network\.embed_dim 8 there, 16 here"):
        retrain(space.largest, space, data, Recipe(**PLAIN, seed=3), out=tmp_path, resume=True, **ALONE)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_the_teachers_share_of_the_loss_is_as_published(net: VisionTransformer, data: Dataset, kind: Any) -> None:
    recipe = Recipe(**PLAIN, distillation=kind, distillation_weight=0.3, distillation_temperature=2.0)
    teacher = Linear()
    net.set_drop_path(0)
    task = TrainingTask(net, lambda epoch, steps: [(None,)] * steps, {}, teacher=Teacher.of(teacher))
    trainer = Trainer(task, data, recipe, device=torch.device("cpu"))
    images, labels = data.train.images[:16], data.train.labels[:16]  # type: ignore[attr-defined]
    loss = trainer._differentiate(images, labels, [None])
    logits, taught = net(images).detach(), teacher.head(images.flatten(1)).detach()
    p, q = (taught / 2).softmax(1), (logits / 2).softmax(1)
    said = {"hard": F.cross_entropy(logits, taught.argmax(1)), "soft": 4 * (p * (p / q).log()).sum(1).mean()}
    expected = 0.7 * F.cross_entropy(logits, labels, label_smoothing=0.1) + 0.3 * said[kind]
    torch.testing.assert_close(loss, expected)
    assert not teacher.training, "a teacher drops nothing"
    assert all(p.grad is None for p in teacher.parameters())


def test_a_pupil_learns_from_its_teacher_alone(net: VisionTransformer, data: Dataset) -> None:
    """With labels of no account, the pupil comes to say what the teacher says."""
    recipe = Recipe(**{**PLAIN, "epochs": 60, "learning_rate": 1e-2}, distillation="soft", distillation_weight=1.0)
    teacher = Linear()
    result = finetune(net, data, recipe, teacher=teacher, **ALONE)
    images = data.train.images  # type: ignore[attr-defined]
    with torch.no_grad():
        agree = (result.net(images).argmax(1) == teacher.eval()(images).argmax(1)).float().mean()
    assert float(agree) > 0.8
    assert result.figures["teacher"] == Teacher(teacher).fingerprint


def test_a_teacher_of_timm_sees_images_as_it_was_trained_to() -> None:
    import timm

    net = timm.create_model("vit_tiny_patch16_224", num_classes=4)
    generator = torch.Generator().manual_seed(0)
    splits = [ImagesInMemory(torch.randn(4, 3, 32, 32, generator=generator), torch.arange(4)) for _ in range(3)]
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    record = {"name": "x", "fingerprint": "y", "mean": mean, "std": std}
    data = Dataset(train=splits[0], search=splits[1], test=splits[2], record=record)
    images = splits[1].images
    raw = images * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
    wanted = (raw - 0.5) / 0.5  # what timm says of this network
    expected = net.eval()(F.interpolate(wanted, (224, 224), mode="bicubic", antialias=True))
    taught = Teacher.of(net).check(data).logits(images, amp=False)
    torch.testing.assert_close(taught, expected, atol=1e-4, rtol=1e-4)


def test_teachers_are_found_by_name(net: VisionTransformer, space: SearchSpace, data: Dataset, tmp_path: Path) -> None:
    import timm

    images = data.test.images  # type: ignore[attr-defined]
    file = net.save(tmp_path / "network.safetensors")
    assert torch.equal(load_teacher(str(file)).logits(images, False), net.eval()(images))
    supernet = Supernet(space, seed=5)
    whole = load_teacher(str(supernet.save(tmp_path / "supernet.safetensors")))
    torch.testing.assert_close(whole.logits(images, False), supernet.eval()(images, space.largest))
    tiny = timm.create_model("test_vit", num_classes=4)
    torch.save(tiny.state_dict(), tmp_path / "tiny.pt")
    loaded = load_teacher("timm:test_vit", weights=tmp_path / "tiny.pt", num_classes=4)
    assert same(loaded.net, tiny)


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_base_patch16_224_miil", "deit_tiny_distilled_patch16_224"]
)
def test_a_teacher_sees_the_size_of_its_weights(name: str, tmp_path: Path) -> None:
    import timm

    own = timm.create_model(name, num_classes=4, img_size=48, embed_dim=24, num_heads=3, depth=1).eval()
    assert Teacher.of(own).image_size == 48
    torch.save(own.state_dict(), tmp_path / "own.pt")
    found = load_timm(name, tmp_path / "own.pt", embed_dim=24, num_heads=3, depth=1)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(Teacher.of(found).logits(images, False), Teacher.of(own).logits(images, False))


def test_what_does_not_fit_is_one_line(net: VisionTransformer, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the teacher has 3 outputs, but 'corners' has 4; use a teacher"):
        finetune(net, data, Recipe(**PLAIN), teacher=Linear(3), **ALONE)
    with pytest.raises(RecipeError, match=r"the teacher does not accept images \(1, 8, 8\)"):
        finetune(net, enlarged(data), Recipe(**PLAIN), teacher=Linear(), **ALONE)
    with pytest.raises(RecipeError, match="timm has no model 'vit_tinny'"):
        load_teacher("timm:vit_tinny")
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*absent"):
        load_teacher(str(tmp_path / "absent.safetensors"))
    (tmp_path / "torn.pt").write_bytes(b"torn")
    with pytest.raises(
        CheckpointError, match=r"no weights for the teacher 'test_vit' .*check --teacher-weights"
    ) as caught:
        load_teacher("timm:test_vit", weights=tmp_path / "torn.pt")
    assert "\n" not in str(caught.value)
    colour = [ImagesInMemory(torch.randn(4, 3, 4, 4), torch.arange(4)) for _ in range(3)]
    with pytest.raises(DataError, match="'colour' have 3 channels, but the network takes 1"):
        finetune(net, Dataset(train=colour[0], search=colour[1], test=colour[2], name="colour"), **ALONE)


def test_weights_of_a_teacher_that_are_none_are_named(tmp_path: Path) -> None:
    torch.save({"weights": pytest.raises}, tmp_path / "code.pt")
    (tmp_path / "page.pt").write_text("<!DOCTYPE html>")
    for name, words in (("code", r"holds \S+, which is code"), ("page", "an HTML page"), ("absent", "No such file")):
        with pytest.raises(CheckpointError, match=f"no weights for the teacher .*{words}") as caught:
            load_teacher("timm:test_vit", weights=tmp_path / f"{name}.pt", num_classes=4)
        assert "weights_only" not in str(caught.value)
