"""The runner: scripts in the manner of timm's own, which import timm alone, find our models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nasformer.export.timm.__main__ import main

TRAIN = '''
import argparse
import sys
from pathlib import Path

import timm
import torch
from timm.data import create_loader, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import CheckpointSaver, ModelEmaV3

import neighbour


class Noise(torch.utils.data.Dataset):
    """Pictures that are pickled to the workers with this script's own class."""

    def __init__(self, side):
        self.side, self.transform = side, None

    def __len__(self):
        return 4

    def __getitem__(self, index):
        from PIL import Image

        return self.transform(Image.effect_noise((self.side, self.side), 50).convert("RGB")), index


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--img-size", type=int)
    parser.add_argument("--num-classes", type=int)
    parser.add_argument("--grad-checkpointing", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    model = timm.create_model(
        args.model, pretrained=False, in_chans=3, num_classes=args.num_classes, drop_rate=0.0, drop_path_rate=0.1,
        drop_block_rate=None, global_pool=None, bn_momentum=None, bn_eps=None, scriptable=False, checkpoint_path="",
        img_size=args.img_size,
    )
    model.set_grad_checkpointing(enable=args.grad_checkpointing)
    config = resolve_data_config(vars(args), model=model)
    loader = create_loader(
        Noise(args.img_size), config["input_size"], 2, is_training=True, use_prefetcher=False, num_workers=1,
        mean=config["mean"], std=config["std"], auto_augment="rand-m9-mstd0.5", worker_seeding="all",
        persistent_workers=False,
    )
    loader.multiprocessing_context = neighbour.START
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.75)
    average, loss = ModelEmaV3(model), LabelSmoothingCrossEntropy(0.1)
    saver = CheckpointSaver(model, optimizer, args, average, checkpoint_dir=args.out, recovery_dir=args.out)
    for images, target in loader:
        optimizer.zero_grad()
        loss(model(images), target).backward()
        optimizer.step()
        average.update(model)
    saver.save_checkpoint(0, metric=1.0)
    print(__name__, Path(sys.argv[0]).name, type(model).__module__)


if __name__ == "__main__":
    main()
'''
VALIDATE = """
import sys

import timm
import torch
from timm.models import load_checkpoint

name, checkpoint = sys.argv[1:]
model = timm.create_model(name, pretrained=False, num_classes=4, global_pool=None, scriptable=False, img_size=32)
load_checkpoint(model, checkpoint, use_ema=True)
with torch.no_grad():
    print(tuple(model.eval()(torch.zeros(2, 3, 32, 32)).shape))
"""


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nasformer.export.timm", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the runner in this process, in an empty folder, and return its exit code."""
    monkeypatch.chdir(tmp_path)

    def in_this_process(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["nasformer.export.timm", *arguments])
        monkeypatch.setattr(sys, "path", ["", *sys.path])
        return main()

    return in_this_process


def test_scripts_like_timms_train_and_validate(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "neighbour.py").write_text("START = 'spawn'")
    (scripts / "train.py").write_text(TRAIN)
    (scripts / "validate.py").write_text(VALIDATE)
    arguments = ("--img-size", "32", "--num-classes", "4", "--grad-checkpointing", "--out", str(tmp_path))
    done = started(tmp_path, "scripts/train.py", "--model", "autoformer_tiny_patch16_224", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "__main__ train.py nasformer.export.timm.model"
    assert "Overwriting" not in done.stderr
    assert run("scripts/validate.py", "autoformer_tiny_patch16_224", str(tmp_path / "last.pth.tar")) == 0
    assert capsys.readouterr().out == "(2, 4)\n"


def test_what_cannot_be_run_is_one_line_and_exit_code_2(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train.py", "--model", "x") == 2
    words = "error: there is no script train.py; timm's are in its repository, not in its wheel\n"
    assert capsys.readouterr().err == words
    assert run() == 2
    assert capsys.readouterr().err.startswith("usage: python -m nasformer.export.timm SCRIPT")
    assert run("--help") == 0
    assert capsys.readouterr().out.startswith("usage: python -m nasformer.export.timm SCRIPT")


def test_our_errors_are_one_line_and_the_scripts_exit_code_is_kept(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.py"
    script.write_text("import timm; timm.create_model('autoformer_tiny_patch16_224', pretrained=True)")
    assert run("script.py") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: autoformer_tiny_patch16_224 has no weights to download")
    assert said.count("\n") == 1
    script.write_text("import sys; sys.exit(5)")
    with pytest.raises(SystemExit, match="5"):
        run("script.py")
