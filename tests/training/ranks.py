"""Trainings that tests compare: run by one process, or as ``torchrun -m tests.training.ranks OUT ALONE`` by several.

They compute in double precision, so that what differs is the order of sums and nothing else.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasformer.data import Dataset, load_dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet
from nasformer.tasks import Task
from nasformer.training import Recipe, train_supernet
from tests.tiny import brightness

RECIPE = Recipe(
    epochs=3,
    batch_size=32,
    learning_rate=5e-3,
    warmup_epochs=1,
    weight_decay=0.1,
    mixup=0.2,
    cutmix=0.5,
    mix_probability=0.7,
    drop_path=0.3,
    affine={"degrees": 10, "translate": 0.1},
    grad_clip=1.0,
    seed=1,
)
SANDWICH: dict[str, Any] = {
    "sampling": "sandwich",
    "sandwich_random": 1,
    "budget": {"params": "30e3:200e3"},
    "repeated_augmentation": 3,
    "ema_decay": 0.9,
    "class_weights": "balanced",
    "affine": {"degrees": 10, "translate": 0.1, "flip": 0.5},
}
REGRESSION: dict[str, Any] = {**SANDWICH, **Task.recipe, "class_weights": None}
VARIANTS: dict[str, dict[str, Any]] = {
    "decay": {},
    "freeze": {"unused_slices": "freeze"},
    "accumulation": {"accumulation_steps": 2},
    "checkpointing": {"grad_checkpointing": True, "accumulation_steps": 2},
    "sandwich": {**SANDWICH, "unused_slices": "freeze"},
    "sandwich-in-passes": {**SANDWICH, "unused_slices": "freeze", "accumulation_steps": 2},
    "stratified": {
        **SANDWICH,
        "sampling": "stratified",
        "inplace_distillation": "next_larger",
        "open_choices": 0.7,
        "accumulation_steps": 2,
    },
    "taught-hard": {"distillation": "hard", "distillation_weight": 0.4},
    "taught-soft": {"distillation": "soft", "distillation_temperature": 2.0, "accumulation_steps": 2},
    "regression": {**REGRESSION, "distillation_weight": 0.4},
    "regression-in-passes": {**REGRESSION, "distillation_weight": 0.4, "accumulation_steps": 2},
}
RESUMED = {"own": "decay", "alone": "freeze"}


def train(variant: str, out: Path, *, resume: bool = False) -> Supernet:
    """Train for three epochs of two steps; the state after the second is kept in ``out``/after2."""

    def keep(row: dict[str, Any]) -> None:
        if row["epoch"] == 2 and not resume:
            shutil.copytree(out, out.with_name(f"{out.name}-after2"))

    with double_precision():
        data, recipe = digits(), RECIPE.replace(**VARIANTS[variant])
        data = brightness(data) if variant.startswith("regression") else data
        space = SearchSpace.from_dict({**load_space("digits").to_dict(), "num_classes": data.num_classes})
        net = Supernet(space, seed=0).double()
        teacher = Supernet(space, seed=9).double() if variant.startswith(("taught", "regression")) else None
        options: dict[str, Any] = {"out": out, "resume": resume, "device": "cpu", "progress": False}
        train_supernet(net, data, recipe, teacher=teacher, callback=keep, **options)
    return net


def digits() -> Dataset:
    """A few digits in double precision, an odd number of which validate."""
    data = load_dataset("digits")
    train, search, test = first(data.train, 64), first(data.search, 51), first(data.test, 50)
    return Dataset(train=train, search=search, test=test, num_classes=10)


def first(split: Any, count: int) -> ImagesInMemory:
    return ImagesInMemory(split.images[:count].double(), split.labels[:count])


def outcome(net: Supernet) -> dict[str, Tensor]:
    """Weights, and the gradients of the last step."""
    gradients = {f"{name}.grad": p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    return {**{name: p.detach().clone() for name, p in net.named_parameters()}, **gradients}


@contextmanager
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def main(out: Path, alone: Path) -> None:
    """Train every variant, and go on from a state of these processes and from one of a process alone."""
    rank = os.environ["RANK"]
    for variant in VARIANTS:
        torch.save(outcome(train(variant, out / variant)), out / f"{variant}.{rank}.pt")
    for name, source in (("own", out / "decay-after2"), ("alone", alone / "freeze-after2")):
        torch.save(outcome(train(RESUMED[name], source, resume=True)), out / f"{name}.{rank}.pt")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
