"""``nasformer export``, ``predict`` and ``benchmark``: from what a search or a training left to classes of images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from nasformer.architecture import Architecture
from nasformer.cli.source import read_source
from nasformer.data import load_dataset
from nasformer.space import load_space
from nasformer.supernet import Supernet, load_network
from nasformer.training import find_weights
from tests.cli.conftest import Command, Snapshot

Refused = Callable[..., None]
ARCHITECTURE = {"embed_dim": 32, "num_heads": [1, 2], "mlp_ratio": [1, 2]}


def needs_onnx() -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} comes with nasformer[onnx]")


def digit(place: int, path: str) -> torch.Tensor:
    """Write a test image as a file, and return the input that it stands for."""
    data = load_dataset("digits")
    (mean,), (std,) = data.record["mean"], data.record["std"]
    pixels = (data.test[place][0][0].numpy() * std + mean) * 255
    written = pixels.round().clip(0, 255).astype(np.uint8)
    Image.fromarray(written).save(path)
    return torch.from_numpy((written.astype(np.float32) / 255 - mean) / std).float()[None, None]


@pytest.fixture
def network(weights: Path) -> Path:
    """A network with inherited weights, as a training leaves it."""
    net = Supernet.load(weights).extract(load_space("digits").smallest)
    metadata = {"training": {"data": load_dataset("digits").record}}
    return net.save("fine/network.safetensors", metadata)


@pytest.fixture
def exported(network: Path, nasformer: Command) -> Path:
    done = nasformer("export", "fine", "--out", "model")
    assert done.code == 0, done.err
    return Path("model")


def test_the_winner_of_a_search_becomes_an_onnx_file_that_names_digits(nasformer: Command, weights: Path) -> None:
    needs_onnx()
    done = nasformer("search", "digits", "--strategy", "random", "-n", 4, "--seed", 3, "--out", "run", "-q")
    assert done.code == 0, done.err
    done = nasformer("export", "run", "--format", "onnx", "--out", "model", "--licence", "mit")
    assert done.code == 0, done.err
    assert not done.err
    assert "in a fresh process: largest difference" in done.out
    record = json.loads(Path("model/nasformer.json").read_text())
    origin = record["provenance"]
    winner = json.loads(Path("run/winner.json").read_text())
    assert record["network"]["architecture"]["num_heads"] == winner["num_heads"]
    assert (origin["strategy"], origin["search_seed"], origin["licence"]) == ("random", 3, "mit")
    assert origin["space_fingerprint"] == load_space("digits").fingerprint
    assert origin["recipe"]["batch_size"] == 64
    assert origin["data"] == load_dataset("digits").record
    images = [f"{place}.png" for place in range(3)]
    for place, path in enumerate(images):
        digit(place, path)
    done = nasformer("predict", "model", *images, "--top", 3)
    assert done.code == 0, done.err
    assert all(path in done.out for path in images)
    assert len(done.out.splitlines()) == 3 * 4
    found = json.loads(nasformer("predict", "model/model.onnx", *images, "--top", 10, "--json").out)
    assert [each["image"] for each in found] == images
    for each in found:
        chances = [guess["probability"] for guess in each["classes"]]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert {guess["class"] for guess in each["classes"]} == set("0123456789")
    code = (
        "import sys; from nasformer.cli import run; code = run(['predict', 'model', '0.png']); "
        "sys.exit(code or any(name in sys.modules for name in ('torch', 'timm', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_predictions_are_those_of_the_network(nasformer: Command, exported: Path) -> None:
    net = load_network("fine/network.safetensors")
    with torch.no_grad():
        expected = net(digit(5, "five.png")).softmax(dim=1)[0]
    found = json.loads(nasformer("predict", exported, "five.png", "--top", 10, "--json").out)[0]["classes"]
    for guess in found:
        assert guess["probability"] == pytest.approx(float(expected[int(guess["class"])]), abs=1e-5)


def test_folders_and_patterns_are_read_past_a_bad_image(nasformer: Command, exported: Path) -> None:
    Path("seen/inner").mkdir(parents=True)
    for place, path in enumerate(("seen/a.png", "seen/inner/b.png")):
        digit(place, path)
    Path("seen/c.png").write_text("no image")
    done = nasformer("predict", exported, "seen", "--top", 2, "--out", "found.csv")
    assert done.code == 2
    assert "cannot read the image seen/c.png" in done.err
    found = pd.read_csv("found.csv")
    assert list(found["image"]) == ["seen/a.png", "seen/inner/b.png"]
    assert list(found.columns[1:]) == ["class_1", "probability_1", "class_2", "probability_2"]
    assert nasformer("predict", exported, "seen/*/*.png", "--out", "found.jsonl").code == 0
    (line,) = Path("found.jsonl").read_text().splitlines()
    first = json.loads(line)
    assert first["image"] == "seen/inner/b.png"
    assert str(first["classes"][0]["class"]) == str(found["class_1"][1])


def test_every_target_is_a_network_with_its_origin(nasformer: Command, weights: Path) -> None:
    done = nasformer("search", "digits", "--strategy", "random", "-n", 3, "--out", "run", "-q")
    assert done.code == 0, done.err
    winner = json.loads(Path("run/winner.json").read_text())
    Path("arch.json").write_text(json.dumps({"architecture": ARCHITECTURE}))
    given = json.dumps(ARCHITECTURE)
    for target, architecture, supernet, study, expected in (
        ("run", None, None, None, winner),
        ("run/result.jsonl", None, None, None, winner),
        ("run/study.log", None, None, None, winner),
        ("run/study.log", None, weights, "digits-random-seed0", winner),
        (given, None, weights, None, ARCHITECTURE),
        ("arch.json", None, weights, None, ARCHITECTURE),
        ("digits", "arch.json", None, None, ARCHITECTURE),
        ("digits", given, None, None, ARCHITECTURE),
    ):
        source = read_source(target, architecture, supernet, study)
        assert source.net.architecture == Architecture.from_dict(expected)
        assert torch.equal(source.net.head.bias, Supernet.load(weights).head.bias)
        assert source.provenance["space"] == source.name == "digits"
        assert source.provenance["training"].startswith("weights inherited")
        assert len(source.provenance["weights_sha256"]) == 64
        assert ("study" in source.provenance) == target.endswith(".log")
        assert source.dataset(None, None).record == load_dataset("digits").record


def test_bfloat16_is_set_beside_float32(nasformer: Command, network: Path) -> None:
    done = nasformer("export", "fine", "--dtype", "bf16", "--out", "model")
    assert done.code == 0, done.err
    for line in ("bf16 against fp32", "accuracy, ratio", "times smaller", "times as fast, batch 64"):
        assert line in done.out


def test_an_export_is_exported_again_and_a_fine_tuned_network_tells_its_past(nasformer: Command, weights: Path) -> None:
    options = ("--epochs", 1, "--device", "cpu", "-q", "--out", "fine")
    assert nasformer("finetune", "digits", "smallest", *options).code == 0
    first = nasformer("export", "fine", "--name", "my digits", "--out", "one", "--json")
    assert first.code == 0, first.err
    origin = json.loads(first.out)["provenance"]
    assert origin["training"] == "finetune"
    assert origin["space_fingerprint"] == load_space("digits").fingerprint
    kept = find_weights(load_space("digits"))
    assert kept is not None
    assert origin["from"]["weights"] == kept.name, "a name and no folder"
    assert origin["from"]["weights_sha256"] != origin["weights_sha256"]
    assert origin["recipe"]["epochs"] == 1
    kept = json.loads(Path("fine/finetune.json").read_text())
    assert json.loads(first.out)["test"]["accuracy"] == pytest.approx(kept["test"]["accuracy"])
    again = nasformer("export", "one", "--format", "timm", "--out", "two", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["provenance"] == origin
    assert json.loads(again.out)["name"] == "my digits"
    assert json.loads(again.out)["test"] == pytest.approx(json.loads(first.out)["test"])


def test_a_network_remembers_its_search_through_every_training(nasformer: Command, weights: Path) -> None:
    done = nasformer("search", "digits", "--strategy", "random", "-n", 3, "--seed", 5, "--out", "run", "-q")
    assert done.code == 0, done.err
    quick = ("--epochs", 1, "--device", "cpu", "-q", "--out")
    found = {"space": "digits", "strategy": "random", "search_seed": 5, "evaluations": 3}
    for folder, command, target in (("a", "finetune", "run"), ("b", "finetune", "a"), ("c", "retrain", "run")):
        done = nasformer(command, target, *quick, folder)
        assert done.code == 0, done.err
        source = read_source(folder, None, None, None)
        assert {key: source.provenance[key] for key in found} == found
        assert source.provenance["trained_on"] == load_dataset("digits").record["fingerprint"]
        assert str(Path.cwd()) not in json.dumps(source.provenance)
    trainings = read_source("b", None, None, None).provenance
    assert [trainings["training"], trainings["from"]["training"]] == ["finetune", "finetune"]
    assert trainings["from"]["from"]["training"].startswith("weights inherited")
    assert "from" not in read_source("c", None, None, None).provenance


@pytest.mark.slow
def test_a_card_claims_no_more_than_is_recorded(nasformer: Command, weights: Path) -> None:
    unknown = Supernet(load_space("digits"), seed=1)
    unknown.save("unknown.safetensors")
    elsewhere = {"training": {"data": {"name": "elsewhere", "fingerprint": "0"}}}
    unknown.save("elsewhere.safetensors", elsewhere)
    for supernet, claim in (
        (weights, "They did not train the network."),
        ("unknown.safetensors", "not fully recorded: they may include these images"),
        ("elsewhere.safetensors", "also trained on other data, which may include these images"),
    ):
        options = ("--epochs", 1, "--data", "digits", "--device", "cpu", "-q", "--out", f"{Path(supernet).stem}-fine")
        done = nasformer("finetune", "digits", "smallest", "--supernet", supernet, *options)
        assert done.code == 0, done.err
        inherited = ("digits", "smallest", "--supernet", supernet, "--data", "digits")
        for number, target in enumerate((inherited, (f"{Path(supernet).stem}-fine",))):
            folder = Path(f"{Path(supernet).stem}-{number}")
            done = nasformer("export", *target, "--out", folder)
            assert done.code == 0, done.err
            card = (folder / "README.md").read_text()
            assert claim in card
            assert card.count("- initial weights: training weights inherited") == number
            assert "neural architecture search with nasformer" not in card, "nothing was searched"


def test_a_benchmark_names_machine_batches_and_memory(nasformer: Command, exported: Path) -> None:
    done = nasformer("benchmark", exported, "-b", 1, "-b", 3, "--repeats", 4)
    assert done.code == 0, done.err
    assert "images/s" in done.out
    assert "4 passes; peak memory" in done.out
    found: dict[str, Any] = json.loads(nasformer("benchmark", exported, "-b", 2, "--repeats", 4, "--json").out)
    assert [row["batch_size"] for row in found["batches"]] == [2]
    assert found["machine"]["processor"]
    assert found["peak_mib"] > 10


def test_what_cannot_be_exported_is_said_in_one_line(
    refused: Refused, weights: Path, network: Path, snapshot: Snapshot
) -> None:
    before = snapshot()
    Path("model").mkdir()
    other = json.dumps({**ARCHITECTURE, "embed_dim": 640})
    for message, arguments in (
        (
            r"unknown format 'tflite'; known: onnx, onnx-pixels, safetensors, timm, torch-export",
            ("fine", "--format", "tflite"),
        ),
        (r"does not support int8; int8 is for onnx", ("fine", "--dtype", "int8")),
        (r"is a network with its own architecture, got also 'smallest'", ("fine", "smallest")),
        (r"is a network with its own architecture", ("fine", "--supernet", weights)),
        (r"network.safetensors holds a network, not a supernet", ("digits", "smallest", "--supernet", network)),
        (r"embed_dim is 640, but this network has 64", ("digits", other)),
        (r"has no weights; give --supernet FILE, or its space before it", (other,)),
        (r"the architecture is not valid JSON", ("{bad", "--supernet", weights)),
        (r"has its own architecture, got also 'smallest'", (json.dumps(ARCHITECTURE), "smallest")),
        (
            r"images of 'fashion-mnist' are 28 pixels wide, not 8|fashion-mnist is not in",
            ("fine", "--data", "fashion-mnist"),
        ),
        (r"no built-in space 'nothing'", ("nothing",)),
        (r"model contains none of network.safetensors, .*: neither a network nor a search", ("model",)),
        (r"'--tolerance': .*greater than or equal to 0", ("fine", "--tolerance", -1)),
        (r"differs from the network by .* nothing was written", ("fine", "--dtype", "bf16", "--tolerance", 1e-9)),
        (r"no trained weights for space 'fashion-mnist'", ("fashion-mnist", "smallest")),
    ):
        refused(message, "export", *arguments, "--out", "out")
    Path("model/mine.txt").write_text("kept")
    refused(r"model already exists; choose another with --out", "export", "fine", "--out", "model")
    Path("model/mine.txt").unlink()
    assert snapshot() == before
    assert not [path for path in Path().iterdir() if path.name.endswith(".part") or path.name == "out"]


def test_a_network_of_other_classes_than_the_data_is_refused(refused: Refused, weights: Path) -> None:
    from nasformer.supernet import adapted

    net = adapted(Supernet.load(weights).extract(load_space("digits").smallest), num_classes=7)
    net.save("seven/network.safetensors")
    refused(r"num_classes 7, but the images of 'digits' have 10; .*finetune", "export", "seven", "--data", "digits")
    refused(r"does not record its dataset; give --data NAME", "export", "seven")


def test_a_missing_extra_is_named(refused: Refused, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refused(r"needs onnxruntime, .* pip install 'nasformer\[onnx\]'", "export", "fine", "--format", "onnx")
    Path("model.onnx").write_bytes(b"what it holds is not looked at")
    digit(0, "0.png")
    refused(r"needs onnxruntime, .* pip install 'nasformer\[onnx\]'", "predict", "model.onnx", "0.png")


def test_what_is_no_image_or_no_model_is_said_in_one_line(refused: Refused, exported: Path) -> None:
    Path("text.png").write_text("no image")
    digit(0, "0.png")
    Path("torn.pt2").write_bytes(b"PK")
    refused(r"cannot read the image text.png: Pillow cannot identify it", "predict", exported, "0.png", "text.png")
    refused(r"there is no image absent.png", "predict", exported, "absent.png")
    refused(r"there is no image in \*.jpeg", "predict", exported, "*.jpeg")
    refused(r"--out found.txt is a .csv or .jsonl file", "predict", exported, "0.png", "--out", "found.txt")
    refused(r"there is no model absent", "predict", "absent", "0.png")
    refused(r"network.safetensors has no metadata", "predict", "fine/network.safetensors", "0.png")
    refused(r"has none of model.onnx, model.safetensors, model.pt2", "benchmark", "fine")
    refused(r"cannot open torn.pt2: truncated", "benchmark", "torn.pt2")
    refused(r"Missing argument 'IMAGE", "predict", exported)


def test_a_hub_that_is_out_of_reach_leaves_the_folder(
    refused: Refused, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(
        r"model was written, but its upload as 'me/digits' failed",
        "export",
        "fine",
        "--out",
        "model",
        "--push",
        "me/digits",
    )
    assert Path("model/model.safetensors").is_file()
