"""The checkpoint: a plain ViT of timm, trained on CIFAR-10 by a plain loop.

AdamW at a constant rate after a warm-up, with a linear decay over the last third, so that an interrupted training
resumes, and one that has not begun to decay can be shortened. ``torchrun --nproc-per-node 2`` shares each batch.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import timm
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks._checkpoint.images import SIZE, Images, Splits
from nasformer._io import atomic, to_json, write_file

SHAPE: dict[str, Any] = {"img_size": SIZE, "patch_size": 6, "embed_dim": 128, "depth": 8, "num_heads": 4}
BATCH, RATE, DECAY, WARMUP, CLASSES = 128, 1.5e-3, 0.05, 300, 10
_SAVE_EVERY = 50


def fresh() -> nn.Module:
    """Return the checkpoint's network, initialized by timm."""
    torch.manual_seed(0)
    model: nn.Module = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, **SHAPE)
    return model


def load(folder: Path) -> nn.Module:
    """Return the trained checkpoint."""
    model = fresh()
    model.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True))
    return model.eval()


def rate_at(step: int, steps: int) -> float:
    """Return the part of the learning rate at a step: up in the warm-up, constant, down over the last third."""
    return min(1.0, (step + 1) / WARMUP, 3 * (steps - step) / steps)


def pretrain(splits: Splits, folder: Path, epochs: int) -> None:
    """Train, or go on training, until ``folder`` has the checkpoint and its accuracy."""
    rank, world = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    if world > 1:
        dist.init_process_group("gloo")
    model = fresh()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    state, resumable = {"step": 0, "seconds": 0.0}, folder / "training.pt"
    if resumable.is_file():
        kept = torch.load(resumable, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        state = kept["state"]
    net = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    a_epoch = len(splits.known) // BATCH
    start = time.perf_counter() - state["seconds"]

    for step in range(int(state["step"]), epochs * a_epoch):
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate_at(step, epochs * a_epoch)
        batch = splits.known[_batch(len(splits.known), step, a_epoch)[rank::world]]
        crops = batch.augmented(torch.Generator().manual_seed(step * world + rank))
        loss = cross_entropy(net(crops), batch.labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if rank == 0 and (step + 1) % _SAVE_EVERY == 0:
            state = {"step": step + 1, "seconds": time.perf_counter() - start}
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}
            with atomic(resumable) as file:
                torch.save(kept, file)
            print(
                f"step {step + 1:,} of {epochs * a_epoch:,}, {state['seconds']:.0f} s, loss {loss.item():.3f}",
                flush=True,
            )
            if (step + 1) % (20 * _SAVE_EVERY) == 0:
                print(f"  test accuracy {accuracy(model, splits.test[::5]):.2f} %", flush=True)
                model.train()
    if rank == 0:
        with atomic(folder / "checkpoint.pt") as file:
            torch.save(model.state_dict(), file)
        told = {"shape": SHAPE, "epochs": epochs, "images": len(splits.known), "seconds": time.perf_counter() - start}
        write_file(folder / "checkpoint.json", to_json({**told, "test": accuracy(model, splits.test)}, indent=1))


def accuracy(model: nn.Module, images: Images, batch: int = 500) -> float:
    """Return the percentage of images that a model puts into the right class."""
    return 100 * hits(model, images, batch).float().mean().item()


@torch.inference_mode()
def hits(model: nn.Module, images: Images, batch: int = 500) -> torch.Tensor:
    """Return which images a model puts into the right class (images,)."""
    model.eval()
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    return torch.cat([model(part.centred()).argmax(1) == part.labels for part in parts])


def _batch(images: int, step: int, a_epoch: int) -> torch.Tensor:
    """Return the indices of a step's images: each epoch goes through all in its own order."""
    epoch, place = divmod(step, a_epoch)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(epoch))
    return order[place * BATCH : (place + 1) * BATCH]
