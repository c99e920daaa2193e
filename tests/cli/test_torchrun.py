"""``torchrun -m nasformer train``: one voice, one set of files, and no process that waits for ever for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.training import find_weights

posix = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes of torchrun in /proc")
Start = Callable[..., "subprocess.Popen[str]"]
EPOCHS = 24


@pytest.fixture
def torchrun(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a training on two processes, in an empty folder."""
    settle(root, tmp_path, monkeypatch)
    return start


@pytest.fixture(scope="module")
def uninterrupted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a training that was not stopped."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        settle(root, folder, patch)
        succeed(start("digits", "--recipe", write_recipe("recipe.yaml"), "-q", "--out", "run"))
    return folder / "run" / "supernet.safetensors"


def settle(root: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("NASFORMER_HOME", str(folder / "home"))
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    patch.chdir(folder)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a training on two processes, in a session of its own."""
    options = ["--standalone", "--nproc-per-node", "2", "-m", "nasformer", "train", "--device", "cpu"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def said(err: str) -> list[str]:
    """Return what our processes said last, without torchrun's own report."""
    return [line for line in err.splitlines() if line.startswith(("error: ", "stopped"))]


def write_recipe(name: str, **values: object) -> str:
    short = {"batch_size": 64, "mixup": 0, "cutmix": 0, "warmup_epochs": 0, "epochs": EPOCHS, "validate_every": EPOCHS}
    Path(name).write_text(yaml.safe_dump({**short, **values}))
    return name


@pytest.mark.slow
def test_readers_of_two_processes_augment_as_one(torchrun: Start) -> None:
    noise = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 3)):
        for name in "ab":
            Path("d", part, name).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(Path("d", part, name, f"{number}.png"))
    values = {"auto_augment": "rand-m9", "random_erasing": 0.5, "horizontal_flip": 0.5, "drop_path": 0.0}
    recipe = write_recipe("recipe.yaml", epochs=12, batch_size=8, **values)
    common = ("photos", "--data", "d", "--image-size", 16, "--recipe", recipe, "-q")
    out, err = torchrun(*common, "--readers", 1, "--out", "two").communicate(timeout=300)
    assert "Traceback" not in err
    assert "2 processes" in out
    alone = [sys.executable, "-m", "nasformer", "train", "--device", "cpu", *map(str, common), "--readers", "0"]
    subprocess.run([*alone, "--out", "one"], check=True, capture_output=True)
    one, two = (Supernet.load(f"{out}/supernet.safetensors").state_dict() for out in ("one", "two"))
    assert max(float((value - two[name]).abs().max()) for name, value in one.items()) < 1e-3


def test_two_processes_leave_what_one_leaves(torchrun: Start, trained: Path) -> None:
    out, err = torchrun("digits", "--epochs", 2, "--out", "run", "-q").communicate()
    assert "Traceback" not in err
    assert out.count("1,078 train, 360 search, 359 test images") == 1
    assert out.count("32 steps") == 1
    assert "2 processes" in out
    net, alone = Supernet.load("run/supernet.safetensors"), Supernet.load(trained / "out" / "supernet.safetensors")
    kept = find_weights(load_space("digits"))
    assert kept is not None
    assert kept.read_bytes() == Path("run/supernet.safetensors").read_bytes()
    assert net.metadata["training"]["processes"] == 2
    torch.testing.assert_close(net.state_dict(), alone.state_dict(), rtol=0, atol=1e-3)
    logs = [Path(folder, "log.jsonl").read_text().splitlines() for folder in ("run", str(trained / "out"))]
    losses = [[json.loads(row)["train_loss"] for row in log] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digitz"], "no built-in space 'digitz'; did you mean 'digits'"),
        (["digits", "--epochs", "many"], "'--epochs'"),
        (["digits", "--recipe", "odd.yaml"], "batch_size 63 does not divide equally among 2 processes"),
        (["digits", "--device", "meta"], "device 'meta' cannot serve several processes"),
        (["digits", "--out", "taken"], "taken already holds a training"),
    ],
)
def test_bad_input_is_one_line_of_one_process(torchrun: Start, arguments: list[str], words: str) -> None:
    write_recipe("odd.yaml", batch_size=63)
    Path("taken").mkdir()
    Path("taken/training.pt").touch()
    process = torchrun(*arguments)
    _, err = process.communicate()
    (line,) = said(err)
    assert words in line
    assert "exitcode  : 2" in err
    assert process.returncode


@pytest.mark.slow
def test_an_image_that_one_process_cannot_read_ends_both(torchrun: Start) -> None:
    for part in ("train", "test"):
        for label in "01":
            folder = Path("images", part, label)
            folder.mkdir(parents=True)
            for number in range(20):
                Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    declared = {**load_space("digits").to_dict(), "in_channels": 3, "num_classes": 2}
    Path("space.yaml").write_text(yaml.safe_dump(declared))
    recipe = write_recipe("recipe.yaml", batch_size=4, epochs=2, validate_every=2)
    broken = Path("images/train/0/7.png")
    content = broken.read_bytes()
    arguments = ["space.yaml", "--data", "imagefolder:images", "--recipe", recipe, "--out", "run", "-q"]
    broken.write_bytes(b"torn")
    process = torchrun(*arguments)
    _, err = process.communicate()
    (line,) = said(err)
    assert "cannot read the image images/train/0/7.png" in line
    broken.write_bytes(content)
    succeed(torchrun(*arguments, "--resume"))


@posix
@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "one is interrupted", "one is killed", "the leader is killed"])
def test_a_stopped_training_goes_on_to_the_same_weights(torchrun: Start, uninterrupted: Path, how: str) -> None:
    arguments = ["digits", "--recipe", write_recipe("recipe.yaml"), "-q"]
    process = torchrun(*arguments, "--out", "run")
    wait_for_epochs(process, 2)
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        number = signal.SIGINT if how == "one is interrupted" else signal.SIGKILL
        os.kill(process_of(process.pid, rank=0 if how == "the leader is killed" else 1), number)
    _, err = process.communicate(timeout=300)
    assert process.returncode
    assert not Path("run/supernet.safetensors").exists(), "it was stopped in the middle"
    lines = said(err)
    if "killed" in how:  # torchrun's report names the process, and may end the other before it speaks
        assert all("lost the others" in line for line in lines)
        assert "SIGKILL" in err
    else:
        assert [line.startswith("stopped. stopped after ") for line in lines] == [True]
    succeed(torchrun(*arguments, "--out", "run", "--resume"))
    expected = Supernet.load(uninterrupted).state_dict()
    weights = Supernet.load("run/supernet.safetensors").state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def succeed(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err


def wait_for_epochs(process: subprocess.Popen[str], count: int) -> None:
    log = Path("run/log.jsonl")
    while not (log.exists() and log.read_bytes().count(b"\n") >= count):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def process_of(launcher: int, rank: int) -> int:
    """Return the id of the process of ``rank`` that torchrun has started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    (found,) = (pid for pid in children if f"\0RANK={rank}\0" in Path(f"/proc/{pid}/environ").read_text())
    return int(found)
