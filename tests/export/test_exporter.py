"""Exported networks: what each format gives back, says of itself and refuses, on a small network trained on digits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.data.config import resolve_data_config
from torch.nn import functional as F

from nasformer.architecture import Architecture
from nasformer.data import Dataset, load_dataset
from nasformer.errors import ArchitectureError, CheckpointError, DataError, ExportError
from nasformer.export.description import Description
from nasformer.export.exporter import Exported, export
from nasformer.export.formats import format_names, get_format, require_format
from nasformer.export.measure import latencies
from nasformer.export.opened import Model, open_model
from nasformer.export.verify import verify
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.supernet.adapt import adapted
from nasformer.tasks import get_task
from nasformer.training import Recipe, finetune, train_subnet
from nasformer.training.validation import evaluate

CASES = [
    ("safetensors", "fp32"),
    ("safetensors", "bf16"),
    ("timm", "fp32"),
    ("torch-export", "fp32"),
    ("onnx", "fp32"),
    ("onnx", "int8"),
]
ALL = [*CASES, pytest.param("torch-export", "bf16", marks=pytest.mark.slow)]
Written = Callable[[str, str], Exported]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def net(data: Dataset) -> VisionTransformer:
    space = load_space("digits")
    net = Supernet(space, seed=3).extract(space.smallest)
    recipe = Recipe.for_dataset("digits").replace(epochs=12, warmup_epochs=1, mixup=0, cutmix=0)
    train_subnet(net, data, recipe, device="cpu", progress=False)
    return net


@pytest.fixture(scope="module")
def written(net: VisionTransformer, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Export in a format and dtype, once."""
    place, made = tmp_path_factory.mktemp("exports"), dict[tuple[str, str], Exported]()

    def make(format: str, dtype: str) -> Exported:
        if format.startswith("onnx"):
            for module in ("onnx", "onnxscript", "onnxruntime"):
                pytest.importorskip(module, reason=f"{module} comes with nasformer[onnx]")
        if (format, dtype) not in made:
            options: dict[str, Any] = {"format": format, "dtype": dtype, "repeats": 3}
            provenance = {"space": "digits", "licence": "mit"}
            made[format, dtype] = export(net, data, place / f"{format}-{dtype}", provenance=provenance, **options)
        return made[format, dtype]

    return make


def logits(net: VisionTransformer, data: Dataset, count: int) -> tuple[Any, Any]:
    inputs = torch.stack([data.test[place][0] for place in range(count)])
    with torch.no_grad():
        return inputs.numpy(), net(inputs).numpy()


@pytest.mark.parametrize(("format", "dtype"), ALL)
def test_a_file_gives_the_networks_outputs_for_any_number_of_images(
    format: str, dtype: str, written: Written, net: VisionTransformer, data: Dataset
) -> None:
    model = open_model(written(format, dtype).folder, format=format)
    limit = {"fp32": 1e-5, "bf16": 0.1, "int8": 0.5}[dtype]
    for count in (1, 2, 7):
        inputs, expected = logits(net, data, count)
        assert np.abs(model.run(inputs) - expected).max() < limit
    for read in model.predictions(inputs, top=10):
        assert sum(each["probability"] for each in read["classes"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("format", "dtype"), ALL)
def test_what_is_said_of_a_file_was_measured_on_it(
    format: str, dtype: str, written: Written, net: VisionTransformer, data: Dataset
) -> None:
    done = written(format, dtype)
    kept = json.loads((done.folder / "nasformer.json").read_text())
    assert kept == json.loads(json.dumps(done.record))
    found, own = kept["verification"], evaluate(net, data.test)
    assert found["images"] == 64
    assert 0 <= found["largest_difference"] <= found["tolerance"] < found["largest_output"]
    assert kept["test"]["images"] == len(data.test)
    assert kept["test"]["accuracy"] == pytest.approx(own.accuracy, abs=1e-9 if dtype == "fp32" else 3)
    if dtype == "fp32":
        assert kept["test"]["loss"] == pytest.approx(own.loss, rel=1e-5)
        assert "against_fp32" not in kept
    else:
        against = kept["against_fp32"]
        assert against["test"]["accuracy"] == pytest.approx(own.accuracy)
        assert against["accuracy_ratio"] == pytest.approx(kept["test"]["accuracy"] / own.accuracy)
        assert [row["batch_size"] for row in against["times_as_fast"]] == [1, 8, 64]
        assert all(row["speed"] > 0 for row in against["times_as_fast"])
    assert kept["bytes"] == (done.folder / kept["file"]).stat().st_size


def test_a_file_alone_says_what_it_takes(written: Written, data: Dataset) -> None:
    for case in CASES:
        done = written(*case)
        model = open_model(done.folder / done.record["file"])
        assert model.description.to_dict() == {name: done.record[name] for name in model.description.to_dict()}
        assert model.description.task == data.task
        assert done.record["classes"] == data.classes
        assert model.description.provenance["data"]["fingerprint"] == data.record["fingerprint"]


def test_the_card_says_what_was_measured(written: Written) -> None:
    done = written("safetensors", "bf16")
    card = (done.folder / "README.md").read_text()
    test = done.record["test"]
    assert card.startswith("---\nlibrary_name: timm\npipeline_tag: image-classification\n")
    assert f"- top-1 accuracy {test['accuracy']:.2f} %, top-5 accuracy {test['top5']:.2f} %" in card
    assert f"loss {test['loss']:.4f} nats, on 359 test images of digits" in card
    assert f"| parameters | {done.record['network']['params']:,} |" in card
    assert 'license: "mit"' in card
    assert "No licence is stated" not in card
    assert "times as fast" in card
    assert done.record["provenance"]["data"]["fingerprint"] in card


def test_bf16_and_int8_files_are_smaller(written: Written) -> None:
    assert written("safetensors", "bf16").record["against_fp32"]["times_smaller"] > 1.5
    assert written("onnx", "int8").record["against_fp32"]["times_smaller"] > 1.2


def test_int8_weights_are_what_is_multiplied(written: Written) -> None:
    done = written("onnx", "int8")
    onnx = pytest.importorskip("onnx")
    kinds = [node.op_type for node in onnx.load(done.folder / "model.onnx").graph.node]
    blocks = len(done.record["network"]["architecture"]["num_heads"])
    assert kinds.count("MatMulInteger") >= 4 * blocks + 2, "qkv, proj, fc1, fc2 of each block, patches and head"


def test_graphs_hold_no_path_of_this_machine(written: Written, root: Path) -> None:
    import zipfile

    texts = [path.read_bytes() for path in (written("onnx", "fp32").folder / "model.onnx",)]
    with zipfile.ZipFile(written("torch-export", "fp32").folder / "model.pt2") as archive:
        texts += [archive.read(name) for name in archive.namelist()]
    assert not [text for text in texts if str(root).encode() in text]


def test_onnx_takes_a_batch_of_any_size_by_name(written: Written) -> None:
    runtime = pytest.importorskip("onnxruntime")
    done = written("onnx", "fp32")
    session = runtime.InferenceSession(done.folder / "model.onnx")
    assert [(put.name, put.shape) for put in session.get_inputs()] == [("images", ["batch", 1, 8, 8])]
    assert [(put.name, put.shape) for put in session.get_outputs()] == [("logits", ["batch", 10])]
    (opset,) = (each for each in pytest.importorskip("onnx").load(done.folder / "model.onnx").opset_import)
    assert opset.version == done.record["opset"] == 20


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_pixels_give_the_probabilities_of_the_plain_file(dtype: str, written: Written, data: Dataset) -> None:
    done, plain = written("onnx-pixels", dtype), open_model(written("onnx", dtype).folder)
    session = pytest.importorskip("onnxruntime").InferenceSession(done.folder / "model.onnx")
    (put,) = session.get_inputs()
    assert (put.name, put.type, put.shape) == ("images", "tensor(uint8)", ["batch", 8, 8, 1])
    assert json.loads(session.get_modelmeta().custom_metadata_map["outputs"]) == data.classes
    pixels = np.random.default_rng(1).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)
    steps = plain.description.preprocessing
    assert steps is not None
    images = steps.normalised(pixels.transpose(0, 3, 1, 2).astype(np.float32))
    expected = F.softmax(torch.from_numpy(plain.run(images)), dim=1).numpy()
    (found,) = session.run(["probabilities"], {"images": pixels})
    assert found == pytest.approx(expected, abs=1e-6 if dtype == "fp32" else 0.01)
    model = open_model(done.folder)
    assert model.run(pixels) == pytest.approx(found)
    assert np.exp(model.run(images)) == pytest.approx(found, abs=1e-6)
    assert len(latencies({"pixels": model}, batch_sizes=(2,), repeats=2)["pixels"]) == 1
    assert "uint8 (batch, height, width, channels)" in (done.folder / "README.md").read_text()
    assert done.record["test"]["accuracy"] == pytest.approx(plain_accuracy(plain, data), abs=1)


def plain_accuracy(model: Model, data: Dataset) -> float:
    inputs, labels = zip(*(data.test[place] for place in range(len(data.test))), strict=True)
    return 100 * float((model.run(torch.stack(inputs).numpy()).argmax(axis=1) == np.array(labels)).mean())


def test_pixels_are_of_classified_images(net: VisionTransformer) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} comes with nasformer[onnx]")
    with pytest.raises(ExportError, match="onnx-pixels is for the classification of images; take format safetensors"):
        require_format("onnx-pixels", "fp32", net, get_task("regression")(targets=("age",), mean=(0.0,), std=(1.0,)))


def test_every_format_is_found_by_its_name() -> None:
    assert {"onnx", "onnx-pixels", "safetensors", "timm", "torch-export"} <= {*format_names()}
    for name in format_names():
        assert get_format(name).file.startswith("model.")


def test_timm_opens_a_folder_with_its_own_factory(written: Written, net: VisionTransformer, data: Dataset) -> None:
    import nasformer.export.timm  # noqa: F401 (registers the model)

    folder = written("safetensors", "fp32").folder
    model: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    inputs, expected = logits(net, data, 5)
    with torch.no_grad():
        assert np.abs(model(torch.from_numpy(inputs)).numpy() - expected).max() < 1e-5
    resolve: Callable[..., Any] = resolve_data_config
    config = resolve({}, model=model)
    assert (tuple(config["input_size"]), config["crop_pct"]) == ((1, 8, 8), 1.0)
    assert config["mean"] == pytest.approx(data.record["mean"])
    assert list(model.pretrained_cfg["label_names"]) == data.classes
    other: Any = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=3)
    assert other.head.weight.shape[0] == 3
    assert torch.equal(other.norm.weight, net.norm.weight), "all but the head is kept"


def test_timms_model_without_a_folder_says_what_it_wants() -> None:
    with pytest.raises(ArchitectureError, match=r"open a folder, as timm.create_model..local-dir:PATH"):
        timm.create_model("nasformer_vit")


def test_pooling_bias_layout_and_norms_survive(data: Dataset, tmp_path: Path) -> None:
    space = load_space("digits")
    net = VisionTransformer(space.geometry, space.smallest, pooling="cls", qkv_bias="interleaved", seed=1).eval()
    net.set_norm_eps(1e-3)
    for number, parameter in enumerate(net.parameters()):
        generator = torch.Generator().manual_seed(number)
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    found = export(net, data, tmp_path / "out", format="timm").record["verification"]
    assert found["largest_difference"] < 1e-5 < found["largest_output"]


def test_other_weights_are_found_out_and_nothing_is_left(
    written: Written, net: VisionTransformer, data: Dataset, tmp_path: Path
) -> None:
    space = load_space("digits")
    inputs, expected = logits(net, data, 9)
    stranger = VisionTransformer(space.geometry, space.smallest, seed=4)
    description = open_model(written("torch-export", "fp32").folder).description
    get_format("torch-export").write(stranger.eval(), tmp_path / "model.pt2", description, None)
    with pytest.raises(ExportError, match=r"torch-export file in fp32 differs from the network by .* on 9 images"):
        verify(tmp_path, description, inputs, expected)
    with pytest.raises(ExportError, match=r"differs from the network"):
        export(net, data, tmp_path / "strict", format="safetensors", dtype="bf16", tolerance=1e-9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt2"]


def test_a_place_that_is_taken_is_left_as_it_is(net: VisionTransformer, data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("kept")
    with pytest.raises(ExportError, match=r"mine already exists; choose another"):
        export(net, data, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["work.txt"]
    (tmp_path / "empty").mkdir()
    export(net, data, tmp_path / "empty")
    assert (tmp_path / "empty" / "nasformer.json").is_file()


def test_images_with_a_record_of_their_own_are_described(net: VisionTransformer, data: Dataset, tmp_path: Path) -> None:
    own = Dataset(train=data.train, search=data.search, test=data.test, name="mine", record={"taken": "in May"})
    record = export(net, own, tmp_path / "out").record["provenance"]["data"]
    assert (record["name"], record["taken"], record["fingerprint"]) == ("mine", "in May", None)
    assert record["splits"] == {"train": 1078, "search": 360, "test": 359}
    assert "- data: mine, 1,078 train, 360 search, 359 test images\n" in (tmp_path / "out" / "README.md").read_text()


def test_classes_sizes_and_channels_that_do_not_fit_are_named(
    net: VisionTransformer, data: Dataset, tmp_path: Path
) -> None:
    for other, message in (
        (adapted(net, num_classes=7), "num_classes 7, but the images of 'digits' have 10"),
        (adapted(net, image_size=16), "image_size 16, but the images of 'digits' have 8"),
        (
            VisionTransformer(replace(net.geometry, in_channels=3), net.architecture),
            "in_channels 3, but the images of 'digits' have 1",
        ),
    ):
        with pytest.raises(DataError, match=message):
            export(other, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_format_or_dtype_that_there_is_not_is_named() -> None:
    with pytest.raises(ExportError, match=r"unknown format 'tflite'; .*safetensors"):
        require_format("tflite", "fp32")
    with pytest.raises(ExportError, match=r"--dtype is fp32, bf16, int8, got 'int4'"):
        require_format("onnx", "int4")
    with pytest.raises(ExportError, match=r"torch-export does not support int8; int8 is for onnx, onnx-pixels"):
        require_format("torch-export", "int8")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)  # what import sees where it is not installed
    with pytest.raises(ExportError, match=r"needs onnxscript, which is not installed: pip install 'nasformer\[onnx\]'"):
        require_format("onnx", "fp32")


def test_files_that_are_torn_or_no_exports_are_named(written: Written, net: VisionTransformer, tmp_path: Path) -> None:
    for format, dtype in CASES:
        done = written(format, dtype)
        torn = tmp_path / done.record["file"]
        torn.write_bytes((done.folder / done.record["file"]).read_bytes()[:3000])
        with pytest.raises((ExportError, CheckpointError), match=f"cannot .* {torn}"):
            open_model(torn)
    net.save(tmp_path / "network.safetensors")
    with pytest.raises(ExportError, match=r"network.safetensors has no metadata: it is not an export"):
        open_model(tmp_path / "network.safetensors")
    with pytest.raises(ExportError, match=r"there is no model .*absent.onnx"):
        open_model(tmp_path / "absent.onnx")
    with pytest.raises(ExportError, match=r"has none of model.onnx, model.safetensors, model.pt2"):
        open_model(tmp_path.parent)
    with pytest.raises(ExportError, match=r"--device cuda is for model.safetensors"):
        open_model(written("torch-export", "fp32").folder, device="cuda")


def test_a_description_that_is_damaged_or_newer_is_named(written: Written) -> None:
    known = open_model(written("safetensors", "fp32").folder).description
    assert Description.from_json(known.to_json(), "here") == known
    for text, message in (
        (None, "has no metadata"),
        ("{", "the description in here is damaged"),
        (json.dumps({**known.to_dict(), "preprocessing": 3}), "is damaged"),
        (json.dumps({**known.to_dict(), "format_version": 3}), "has format version 3"),
    ):
        with pytest.raises(ExportError, match=message):
            Description.from_json(text, "here")


def test_latencies_are_ordered_quartiles_of_every_batch_size(written: Written) -> None:
    model = open_model(written("safetensors", "fp32").folder)
    rows = latencies({"a": model, "b": model}, batch_sizes=(1, 4), repeats=5)
    assert [row["batch_size"] for row in rows["b"]] == [1, 4]
    for row in rows["a"]:
        assert 0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"]
        assert row["images_per_second"] == pytest.approx(1e3 * row["batch_size"] / row["median_ms"])
    with pytest.raises(ExportError, match=r"repeats at least 2, got \[1\] and 1"):
        latencies({"a": model}, batch_sizes=(1,), repeats=1)


@pytest.mark.parametrize("format", ["safetensors", "timm", "torch-export"])
def test_the_network_is_left_in_its_mode(format: str, data: Dataset, tmp_path: Path) -> None:
    space = load_space("digits")
    net = Supernet(space).extract(space.smallest).train()
    export(net, data, tmp_path / "out", format=format, repeats=2, images=2)
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("format", ["timm", "onnx", "torch-export"])
def test_a_chosen_resolution_and_skipped_branches_are_in_the_file(format: str, data: Dataset, tmp_path: Path) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript", reason="onnxscript comes with nasformer[onnx]")
    space = SearchSpace.from_dict(
        {
            **load_space("digits").to_dict(),
            "num_heads": {"per_layer": [0, 2]},
            "mlp_ratio": {"per_layer": [0, 1]},
            "patch_size": {"choice": [2, 4]},
            "image_size": {"choice": [4, 8]},
            "supernet": {},
        }
    )
    architecture = Architecture(32, (2, 0, 0), (0, 1, 0), patch_size=2, image_size=4)
    net = Supernet(space, seed=3).extract(architecture)
    tuned = finetune(net, data, Recipe.for_dataset("digits").replace(epochs=1), device="cpu", progress=False).net
    assert (tuned.architecture, tuned.geometry.image_size) == (architecture, 4)
    exported = export(tuned, data, tmp_path / "out", format=format, repeats=1)
    model = open_model(exported.folder)
    assert model.description.input_shape == (1, 4, 4)
    assert model.description.network["params"] == space.params(architecture)
    inputs, expected = logits(tuned, data, 20)
    small = F.interpolate(torch.from_numpy(inputs), (4, 4), mode="bicubic", antialias=True)
    assert np.abs(model.run(small.numpy()) - expected).max() < 1e-4
    if format == "timm":
        opened: Any = timm.create_model(f"local-dir:{exported.folder}", pretrained=True).eval()
        with torch.no_grad():
            assert np.abs(opened(small).numpy() - expected).max() < 1e-4
