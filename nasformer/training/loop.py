"""The training loop of supernets and single networks.

Each step samples subnets (``sampling``), runs forward and backward passes, and updates with AdamW. The state is
saved between epochs; a resumed training reaches the same weights, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset, Split
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import RecipeError
from nasformer.supernet.layers import Shard
from nasformer.training.augment import mixer, random_affine
from nasformer.training.device import uses_bfloat16
from nasformer.training.distributed import (
    SINGLE_PROCESS,
    Ranks,
    micro_batch,
    micro_batches,
    sync_gradients,
    takes_shard,
)
from nasformer.training.log import Callback, Row, TrainingLog, logger
from nasformer.training.objective import Objective
from nasformer.training.optimizer import frozen_outside, make_ema, make_optimizer, make_scheduler
from nasformer.training.randomness import derived, isolated, seed_epoch
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult
from nasformer.training.state import read_state, require_empty, write_state
from nasformer.training.teacher import Teacher
from nasformer.training.validation import autocast, total_scores

Subnets = Sequence[Architecture | None]


@dataclass(frozen=True)
class TrainingTask:
    """A network to train, and how to sample and validate it.

    Attributes:
        net: The network.
        draws: ``(epoch, steps)`` -> the subnets of each step, the largest first; None: the whole network.
        candidates: Validated subnets by name.
        identity: Plain values that identify the training; recipe and data are added.
        shapes: Architecture -> shapes of its active parameters, for freezing the other slices.
        teacher: Distillation teacher.
    """

    net: nn.Module
    draws: Callable[[int, int], Sequence[Sequence[Architecture | None]]]
    candidates: Mapping[str, Architecture | None]
    identity: Mapping[str, Any] = field(default_factory=dict)
    shapes: Callable[[Architecture], Mapping[str, tuple[int, ...]]] | None = None
    teacher: Teacher | None = None


class Trainer:
    """One training run.

    Args:
        task: The network and its subnets.
        data: The dataset: ``train`` trains, ``search`` validates.
        recipe: Training recipe.
        device: Device.
        workers: Data-loader processes for images that are not in memory.
        ranks: Rank and world size.

    Raises:
        RecipeError: The recipe does not fit the data, the network or the number of processes.
    """

    def __init__(
        self,
        task: TrainingTask,
        data: Dataset,
        recipe: Recipe,
        *,
        device: torch.device,
        workers: int = 0,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        ranks.check(recipe)
        self.task, self.data, self.recipe, self.device, self.workers = task, data, recipe, device, workers
        self.ranks, self.shard = ranks, ranks.shard(recipe.batch_size)
        self.micro_batches = micro_batches(self.shard, recipe, device)
        self.net = task.net.to(device)
        _set_grad_checkpointing(self.net, recipe)
        self.train_split, self.search_split = _on(data.train, device), _on(data.search, device)
        self.steps = len(data.train) // recipe.batch_size
        if not self.steps:
            raise RecipeError(
                f"batch_size {recipe.batch_size} exceeds the {len(data.train)} train {data.task.examples} of "
                f"{data.name!r}; choose a smaller one",
                recipe,
            )
        self.optimizer = make_optimizer(self.net, recipe)
        self.scheduler = make_scheduler(self.optimizer, recipe, self.steps)
        self.amp = uses_bfloat16(recipe, device)
        self.objective = Objective(recipe, data, device)
        self.mix = mixer(recipe, data.num_classes)
        self.teacher = None if task.teacher is None else task.teacher.to(device).check(data)
        self.ema = make_ema(self.net, recipe)
        self.fill = _background(self.train_split)
        self.ddp_net = ranks.wrap(self.net, device)

    def run(self, out: Path | None, resume: bool, progress: bool, callback: Callback | None) -> TrainingResult:
        """Train to the last epoch; with ``resume``, from the state in ``out``."""
        with self.ranks.main_process_first():
            start, history = self._begin(out, resume)
        log = self._log(out, history, progress, callback)
        done = start
        try:
            with isolated(self.device), log:
                for epoch in range(start, self.recipe.epochs):
                    row = self._epoch(epoch)
                    log.add(row)
                    if out is not None and self._due(epoch, self.recipe.checkpoint_every):
                        self._write(out, epoch + 1, log.history)
                        done = epoch + 1
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_interrupt_message(out, done)) from None
        if self.ema is not None:
            self.net.load_state_dict(self.ema.module.state_dict())
        seconds = sum(row["seconds"] for row in log.history)
        steps, record = self.steps * self.recipe.epochs, self.data.record
        device, processes = str(self.device), self.ranks.count
        teacher = None if self.teacher is None else self.teacher.fingerprint
        return TrainingResult(log.history, seconds, steps, device, self.recipe, record, processes, teacher)

    def _begin(self, out: Path | None, resume: bool) -> tuple[int, list[Row]]:
        """Restore the state in ``out``, or save the initial one: initial weights are part of a training."""
        if out is None:
            return 0, []
        if not resume and self.ranks.is_main:
            require_empty(out)
        state = read_state(out, self._identity(), self.device)
        if state is None:
            self.ranks.require_shared(out)
            self._write(out, 0, [])
            return 0, []
        self.net.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.module.load_state_dict(state["average"])
        logger.info("resuming after epoch %d", state["epoch"])
        return int(state["epoch"]), list(state["history"])

    def _log(self, out: Path | None, history: list[Row], progress: bool, callback: Callback | None) -> TrainingLog:
        if not self.ranks.is_main:
            out, progress, callback = None, False, None
        metric = self.data.task.objective()
        return TrainingLog(out, self.recipe.epochs, metric, history, progress=progress, callback=callback)

    def _write(self, out: Path, epoch: int, history: list[Row]) -> None:
        if not self.ranks.is_main:
            return
        state = {
            "identity": self._identity(),
            "epoch": epoch,
            "history": history,
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.ema is not None:
            state["average"] = self.ema.module.state_dict()
        write_state(out, state)

    def _identity(self) -> dict[str, Any]:
        data = {key: self.data.record.get(key) for key in ("name", "fingerprint")}
        recipe = self.recipe.to_dict()
        del recipe["accumulation_steps"]  # like the number of processes, it may change on resume
        teacher = {} if self.task.teacher is None else {"teacher": self.task.teacher.fingerprint}
        return {**self.task.identity, **teacher, "recipe": recipe, "data": data}

    def _due(self, epoch: int, every: int) -> bool:
        return (epoch + 1) % every == 0 or epoch + 1 == self.recipe.epochs

    def _epoch(self, epoch: int) -> Row:
        began = time.perf_counter()
        seed_epoch(self.recipe.seed, epoch, self.ranks.rank)
        self.net.train()
        total = torch.zeros((), device=self.device)
        architectures = self.task.draws(epoch, self.steps)
        for step, (images, labels) in enumerate(self._batches(epoch)):
            self.scheduler.step_update(epoch * self.steps + step)
            total += self._step(images, labels, architectures[step])
            if self.ema is not None:
                self.ema.update(self.net, step=epoch * self.steps + step + 1)
        row: Row = {
            "epoch": epoch + 1,
            "train_loss": float(self.ranks.total(total)) / (self.steps * self.ranks.count),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }
        if self._due(epoch, self.recipe.validate_every):
            row["validation"] = {name: self._validate(arch) for name, arch in self.task.candidates.items()}
        return {**row, "seconds": time.perf_counter() - began}

    def _batches(self, epoch: int) -> Any:
        return iterate(
            self.train_split,
            self.recipe.batch_size,
            device=self.device,
            seed=derived(self.recipe.seed, epoch, 1),
            drop_last=True,
            workers=self.workers,
            rows=None if self.shard is None else self.shard.rows,
            repeats=self.recipe.repeated_augmentation,
        )

    def _step(self, images: Tensor, labels: Tensor, architectures: Subnets) -> Tensor:
        """Take one optimizer step, and return the loss."""
        if self.fill is not None:
            images = random_affine(images, self.recipe.affine, self.fill, self.shard)
        images, targets = self.mix(images, labels)
        self.optimizer.zero_grad(set_to_none=False)
        loss = self._differentiate(images, targets, architectures)
        if self.recipe.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.grad_clip)
        used = [a for a in architectures if a is not None]
        if used and self.recipe.unused_slices == "freeze" and self.task.shapes is not None:
            with frozen_outside(self.net, self.optimizer, [self.task.shapes(a) for a in used]):
                self.optimizer.step()
        else:
            self.optimizer.step()
        return loss

    def _differentiate(self, images: Tensor, targets: Tensor, architectures: Subnets) -> Tensor:
        """Accumulate the gradients of all micro-batches, and return the loss."""
        count = len(self.micro_batches)
        total = torch.zeros((), device=self.device)
        parts = zip(self.micro_batches, images.chunk(count), targets.chunk(count), strict=True)
        for number, (shard, inputs, wanted) in enumerate(parts, 1):
            with micro_batch(self.net, shard, self.device, last=number == count):
                total += self._pass(inputs, wanted, architectures, shard, last=number == count) / count
        return total

    def _pass(
        self, inputs: Tensor, wanted: Tensor, architectures: Subnets, shard: Shard | None, *, last: bool
    ) -> Tensor:
        """Accumulate the gradients of every subnet (the first may be the others' teacher); return the mean loss."""
        teacher_logits = None if self.teacher is None else self.teacher.logits(inputs, self.amp)
        first: Tensor | None = None
        total = torch.zeros((), device=self.device)
        options = {} if shard is None or not takes_shard(self.net) else {"shard": shard}
        for place, architecture in enumerate(architectures, 1):
            with sync_gradients(self.ddp_net, last=last and place == len(architectures)):
                with autocast(self.device, self.amp):
                    logits = self.ddp_net(inputs, *(() if architecture is None else (architecture,)), **options)
                logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
                if first is None:
                    loss = self.objective(logits, wanted, teacher_logits)
                else:
                    loss = self.objective.inplace(logits, first)
                (loss / (len(architectures) * len(self.micro_batches))).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() / len(architectures)
            if self.recipe.inplace_distillation:
                first = logits.detach() if first is None else first
        return total

    @property
    def _evaluated(self) -> nn.Module:
        return self.net if self.ema is None else self.ema.module

    def _validate(self, architecture: Architecture | None) -> dict[str, float]:
        split, task = self.search_split, self.data.task
        start, stop = self.ranks.part(len(split))
        options = {"device": self.device, "amp": self.amp, "workers": self.workers, "start": start, "stop": stop}
        totals = total_scores(self._evaluated, split, task, architecture, **options)
        return task.means({name: float(self.ranks.total(total)) for name, total in totals.items()}, len(split))


def _set_grad_checkpointing(net: nn.Module, recipe: Recipe) -> None:
    setter = getattr(net, "set_grad_checkpointing", None)  # timm's networks have the same method
    if setter is not None:
        setter(recipe.grad_checkpointing)
    elif recipe.grad_checkpointing:
        raise RecipeError(f"{type(net).__name__} does not support grad_checkpointing; turn it off", recipe)


def _on(split: Split, device: torch.device) -> Split:
    move = getattr(split, "to", None)
    return split if move is None else cast(Split, move(device))


def _background(split: Split) -> Tensor | None:
    """The darkest value of each channel; None for series, and for images on disk, which the data loader augments."""
    if not isinstance(split, ImagesInMemory) or split.images.ndim != 4:
        return None
    return split.images.amin(dim=(0, 2, 3))


def _interrupt_message(out: Path | None, done: int) -> str:
    if out is None:
        return "stopped; nothing was saved, as no folder was given (out=, --out)"
    return f"stopped after {done} complete epochs, saved in {out}; continue with resume (--resume)"
