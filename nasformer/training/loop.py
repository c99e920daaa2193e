"""The training loop of supernets and single networks.

Each step samples subnets (``sampling``), runs forward and backward passes, and updates with AdamW. The state is
saved between epochs; a resumed training reaches the same weights, bit for bit. A training whose loss or weights are no
longer finite ends at that step, with the state of the last finite epoch.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from nasformer._home import home
from nasformer._io import to_json
from nasformer.architecture import Architecture
from nasformer.data.batches import Readers, iterate, reader_processes
from nasformer.data.dataset import Dataset, Split, targets_of
from nasformer.data.decoded import decode_once
from nasformer.data.image_files import ImageFiles
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import DivergenceError, RecipeError
from nasformer.supernet.checkpoint import replace_file
from nasformer.supernet.layers import Shard
from nasformer.training.augment import mixer, random_affine
from nasformer.training.compute import training_macs
from nasformer.training.device import uses_bfloat16
from nasformer.training.distributed import (
    SINGLE_PROCESS,
    Ranks,
    micro_batch,
    micro_batches,
    sync_gradients,
    takes_shard,
)
from nasformer.training.log import RECORD, Callback, Row, TrainingLog, logger
from nasformer.training.objective import Objective
from nasformer.training.optimizer import frozen_outside, make_ema, make_optimizer, make_scheduler
from nasformer.training.randomness import derived, isolated, seed_epoch
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult
from nasformer.training.sampling import SubnetSampler
from nasformer.training.state import all_finite, read_state, require_empty, snapshot, write_state
from nasformer.training.teacher import Teacher
from nasformer.training.tensor_augment import Statistics, TensorAugment, statistics
from nasformer.training.validation import autocast, total_scores

Subnets = Sequence[Architecture | None]
State = dict[str, Any]

_TIMED_STEPS = 5
_TIMED_SECONDS = 20.0
_TIMED_IMAGES = 256
_READING = 0.3  # a larger share of the time is said to limit a training


@dataclass(frozen=True)
class TrainingTask:
    """A network to train, and how to sample and validate it.

    Attributes:
        net: The network.
        draws: ``(epoch, steps)`` -> the subnets of each step, larger ones first; None: the whole network.
        candidates: Validated subnets by name.
        identity: Plain values that identify the training; recipe and data are added.
        shapes: Architecture -> shapes of its active parameters, for freezing the other slices.
        teacher: Distillation teacher.
        sampler: The sampler behind ``draws``, which learns from the rows; None: none.
    """

    net: nn.Module
    draws: Callable[[int, int], Sequence[Sequence[Architecture | None]]]
    candidates: Mapping[str, Architecture | None]
    identity: Mapping[str, Any] = field(default_factory=dict)
    shapes: Callable[[Architecture], Mapping[str, tuple[int, ...]]] | None = None
    teacher: Teacher | None = None
    sampler: SubnetSampler | None = None


class Trainer:
    """One training run.

    Args:
        task: The network and its subnets.
        data: The dataset: ``train`` trains, ``search`` validates.
        recipe: Training recipe.
        device: Device.
        readers: Processes that read images that are not in memory.
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
        readers: Readers = 0,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        ranks.check(recipe)
        self.task, self.data, self.recipe, self.device = task, data, recipe, device
        self.ranks, self.shard = ranks, ranks.shard(recipe.batch_size)
        self.micro_batches = micro_batches(self.shard, recipe, device)
        self.net = task.net.to(device)
        _set_grad_checkpointing(self.net, recipe)
        known = statistics(data.train, data.record)
        self.augment = None if known is None else TensorAugment(recipe, known, device)
        self.train_split = _on(_augmented(data.train, recipe, in_batches=known is not None), device)
        self.readers = reader_processes(readers, self.train_split)
        self.search_split = _on(decode_once(data.search, home() / "decoded"), device)
        self.epoch_images = min(len(data.train), recipe.epoch_images or len(data.train))
        self.steps = self.epoch_images // recipe.batch_size
        if not self.steps:
            per_epoch = "" if self.epoch_images == len(data.train) else " of an epoch (epoch_images)"
            raise RecipeError(
                f"batch_size {recipe.batch_size} exceeds the {self.epoch_images} train {data.task.examples} of "
                f"{data.name!r}{per_epoch}; choose a smaller one",
                recipe,
            )
        self.optimizer = make_optimizer(self.net, recipe)
        self.scheduler = make_scheduler(self.optimizer, recipe, self.steps)
        self.amp = uses_bfloat16(recipe, device)
        self.objective = Objective(recipe, data, device)
        self.mix = mixer(recipe, data.num_classes)
        self.weights = _balancing(data) if recipe.balanced_sampling else None
        if task.teacher is not None and recipe.distillation == "off":
            raise RecipeError("there is a teacher, but the recipe has distillation: off; take hard or soft", recipe)
        self.teacher = None if task.teacher is None else task.teacher.to(device).check(data)
        self.ema = make_ema(self.net, recipe)
        self.keep_by = None if recipe.keep_best is None else data.task.objective(recipe.keep_best)
        self.best: State | None = None
        fill = _background(self.train_split, known)
        self.fill = None if fill is None else fill.to(device)
        self.ddp_net = ranks.wrap(self.net, device)

    def run(self, out: Path | None, resume: bool, progress: bool, callback: Callback | None) -> TrainingResult:
        """Train to the last epoch; with ``resume``, from the state in ``out``."""
        with self.ranks.main_process_first():
            start, history = self._begin(out, resume)
        log = self._log(out, history, progress, callback)
        done, last = start, snapshot(self._state(start, history))
        try:
            with isolated(self.device):
                if start < self.recipe.epochs and self._all_show(progress):
                    self._announce(log, last)
                with log:
                    for epoch in range(start, self.recipe.epochs):
                        row = self._finite_epoch(epoch, log, last, out)
                        self._keep_if_best(row)
                        last = snapshot(self._state(epoch + 1, [*log.history, row]))
                        if out is not None and self._due(epoch, self.recipe.checkpoint_every):
                            self._write(out, last)
                            done = epoch + 1
                        log.add(row)
        except KeyboardInterrupt:
            if out is not None and last["epoch"] > done:
                self._write(out, last)
                done = int(last["epoch"])
            raise KeyboardInterrupt(_interrupt_message(out, done)) from None
        if self.best is not None or self.ema is not None:
            self.net.load_state_dict(self.best["model"] if self.best is not None else self._evaluated.state_dict())
        kept = self.recipe.epochs if self.best is None else int(self.best["epoch"])
        seconds = sum(row["seconds"] for row in log.history)
        steps, record = self.steps * self.recipe.epochs, self.data.record
        device, processes = str(self.device), self.ranks.count
        teacher = None if self.teacher is None else self.teacher.fingerprint
        return TrainingResult(log.history, seconds, steps, device, self.recipe, record, processes, teacher, kept)

    def _finite_epoch(self, epoch: int, log: TrainingLog, last: State, out: Path | None) -> Row:
        """Train an epoch, and return its row.

        Raises:
            DivergenceError: Something is not finite; the last state was restored and written.
        """
        try:
            row = self._epoch(epoch, log)
            if not all_finite([row, self._state(epoch + 1, [])]):
                what = "its validation" if all_finite(self._state(epoch + 1, [])) else "a weight"
                raise DivergenceError(f"{what} is not finite after epoch {epoch + 1}")
        except DivergenceError as error:
            rate = self.optimizer.param_groups[0]["lr"]
            self._restore(last)
            log.stop({"epoch": epoch + 1, "train_loss": None, "diverged": str(error)})
            if out is not None:
                self._write(out, {**last, "diverged": str(error)})
            raise DivergenceError(_diverged(error, rate, int(last["epoch"]), out), error.value) from None
        return row

    def _all_show(self, progress: bool) -> bool:
        """Whether every process shows progress: measuring takes all of them."""
        shown = torch.tensor(float(progress), device=self.device)
        return int(self.ranks.total(shown)) == self.ranks.count

    def _keep_if_best(self, row: Row) -> None:
        """Copy the weights of the best validation so far."""
        if self.keep_by is None or "validation" not in row:
            return
        scores = [self.keep_by.sign * each[self.keep_by.name] for each in row["validation"].values()]
        value = sum(scores) / len(scores)
        if self.best is None or value > self.best["value"]:
            self.best = {"epoch": row["epoch"], "value": value, "model": snapshot(self._evaluated.state_dict())}

    def _announce(self, log: TrainingLog, state: State) -> None:
        """Measure a few steps, which leave no trace, and say how long the training will take."""
        epoch = int(state["epoch"])
        seed_epoch(self.recipe.seed, epoch)
        self.net.train()
        skipped = 1 + self.readers  # the first batches of the readers come at once
        count = min(self.steps, skipped + (_TIMED_STEPS if self.ranks.count == 1 else 2))
        times, waits = [time.perf_counter()], 0.0
        architectures = self._draws(epoch, log)
        with closing(self._batches(epoch)) as batches:
            for step, (images, labels) in enumerate(batches):
                waits += time.perf_counter() - times[-1]
                float(self._step(images, labels, architectures[step]))
                times.append(time.perf_counter())
                late = times[-1] - times[0] > _TIMED_SECONDS and self.ranks.count == 1
                if step + 1 == count or late:
                    break
        known = times[min(skipped, len(times) - 2) :]
        step_seconds = (known[-1] - known[0]) / (len(known) - 1)
        start = max(0.0, times[1] - times[0] - step_seconds)  # of the readers, in each epoch
        began = time.perf_counter()
        stop = min(_TIMED_IMAGES, len(self.search_split))
        first = next(iter(self.task.candidates.values()))
        how: dict[str, Any] = {"device": self.device, "amp": self.amp, "stop": stop, "readers": self.readers}
        total_scores(self._evaluated, self.search_split, self.data.task, first, **how)
        validation = (time.perf_counter() - began) * len(self.search_split) / stop / self.ranks.count
        each = start + self.steps * step_seconds
        all_of_it = each + validation * len(self.task.candidates) / self.recipe.validate_every
        self._restore(state)
        log.announce((self.recipe.epochs - epoch) * all_of_it, all_of_it, _limit(waits / (times[-1] - times[0])))

    def _restore(self, state: State) -> None:
        """Load a state of this training."""
        self.net.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = state.get("best")
        if self.ema is not None:
            self.ema.module.load_state_dict(state["average"])

    def _begin(self, out: Path | None, resume: bool) -> tuple[int, list[Row]]:
        """Restore the state in ``out``, or save the initial one: initial weights are part of a training."""
        if out is None:
            return 0, []
        if not resume and self.ranks.is_main:
            require_empty(out)
        state = read_state(out, self._identity(), self.device)
        if state is None:
            self.ranks.require_shared(out)
            self._write(out, self._state(0, []))
            return 0, []
        self._restore(state)
        logger.info("resuming after epoch %d", state["epoch"])
        return int(state["epoch"]), list(state["history"])

    def _log(self, out: Path | None, history: list[Row], progress: bool, callback: Callback | None) -> TrainingLog:
        if not self.ranks.is_main:
            out, progress, callback = None, False, None
        if out is not None:  # for who watches it
            record = {"recipe": self.recipe.to_dict(), "data": self.data.record}
            replace_file(out / RECORD, to_json(record, indent=1) + "\n")
        metric = self.data.task.objective()
        shown: dict[str, Any] = {"progress": progress, "callback": callback}
        return TrainingLog(out, self.recipe.epochs, self.steps, metric, history, **shown)

    def _write(self, out: Path, state: State) -> None:
        if self.ranks.is_main:
            write_state(out, state)

    def _state(self, epoch: int, history: list[Row]) -> State:
        """Return the state after an epoch; its tensors are those of the training."""
        state = {
            "identity": self._identity(),
            "epoch": epoch,
            "history": history,
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.ema is not None:
            state["average"] = self.ema.module.state_dict()
        if self.best is not None:
            state["best"] = self.best
        return state

    def _identity(self) -> dict[str, Any]:
        data = {key: self.data.record.get(key) for key in ("name", "fingerprint")}
        recipe = self.recipe.to_dict()
        del recipe["accumulation_steps"]  # like the number of processes, it may change on resume
        teacher = {} if self.task.teacher is None else {"teacher": self.task.teacher.fingerprint}
        return {**self.task.identity, **teacher, "recipe": recipe, "data": data}

    def _due(self, epoch: int, every: int) -> bool:
        return (epoch + 1) % every == 0 or epoch + 1 == self.recipe.epochs

    def _epoch(self, epoch: int, log: TrainingLog) -> Row:
        began = time.perf_counter()
        seed_epoch(self.recipe.seed, epoch)
        self.net.train()
        losses, waited, ready = list[float](), 0.0, began
        architectures = self._draws(epoch, log)
        teacher = None if self.teacher is None else self.teacher.net
        for step, (images, labels) in enumerate(self._batches(epoch)):
            waited += time.perf_counter() - ready
            self.scheduler.step_update(epoch * self.steps + step)
            loss = float(self.ranks.total(self._step(images, labels, architectures[step])))
            if not math.isfinite(loss):
                raise DivergenceError(f"{_culprit(images, loss)} in epoch {epoch + 1}, step {step + 1} of {self.steps}")
            losses.append(loss / self.ranks.count)
            if self.ema is not None:
                self.ema.update(self.net, step=epoch * self.steps + step + 1)
            log.step()
            ready = time.perf_counter()
        row: Row = {
            "epoch": epoch + 1,
            "train_loss": sum(losses) / self.steps,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "macs": training_macs(self.net, architectures, self.recipe.batch_size, teacher),
        }
        if self.task.sampler is not None:
            row |= self.task.sampler.summary(cast(Any, architectures), losses)
        if not hasattr(self.train_split, "batch"):
            seconds = ready - began
            speed = self.steps * self.recipe.batch_size / seconds
            row |= {"images_per_second": round(speed, 1), "reading": round(waited / seconds, 3)}
        if self._due(epoch, self.recipe.validate_every):
            row["validation"] = {name: self._validate(arch) for name, arch in self.task.candidates.items()}
        return {**row, "seconds": time.perf_counter() - began}

    def _draws(self, epoch: int, log: TrainingLog) -> Sequence[Subnets]:
        if self.task.sampler is not None:
            self.task.sampler.learn(log.history)
        return self.task.draws(epoch, self.steps)

    def _batches(self, epoch: int) -> Generator[tuple[Tensor, Tensor], None, None]:
        return iterate(
            self.train_split,
            self.recipe.batch_size,
            device=self.device,
            seed=derived(self.recipe.seed, epoch, 1),
            drop_last=True,
            readers=self.readers,
            stop=self.epoch_images,
            rows=None if self.shard is None else self.shard.rows,
            repeats=self.recipe.repeated_augmentation,
            weights=self.weights,
        )

    def _step(self, images: Tensor, labels: Tensor, architectures: Subnets) -> Tensor:
        """Take one optimizer step, and return the loss."""
        if self.fill is not None:
            images = random_affine(images, self.recipe.affine, self.fill, self.shard)
        if self.augment is not None:
            images = self.augment(images, self.shard)
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
        """Accumulate the gradients of every subnet (a larger one may teach the next); return the mean loss."""
        teacher_logits = None if self.teacher is None else self.teacher.logits(inputs, self.amp)
        larger: Tensor | None = None
        total = torch.zeros((), device=self.device)
        options = {} if shard is None or not takes_shard(self.net) else {"shard": shard}
        for place, architecture in enumerate(architectures, 1):
            with sync_gradients(self.ddp_net, last=last and place == len(architectures)):
                with autocast(self.device, self.amp):
                    logits = self.ddp_net(inputs, *(() if architecture is None else (architecture,)), **options)
                logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
                if larger is None:
                    loss = self.objective(logits, wanted, teacher_logits)
                else:
                    loss = self.objective.inplace(logits, wanted, larger)
                (loss / (len(architectures) * len(self.micro_batches))).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() / len(architectures)
            inplace = self.recipe.inplace_distillation
            if inplace == "next_larger" or (inplace and larger is None):
                larger = logits.detach()
        return total

    @property
    def _evaluated(self) -> nn.Module:
        return self.net if self.ema is None else self.ema.module

    def _validate(self, architecture: Architecture | None) -> dict[str, float]:
        split, task = self.search_split, self.data.task
        start, stop = self.ranks.part(len(split))
        options = {"device": self.device, "amp": self.amp, "readers": self.readers, "start": start, "stop": stop}
        totals = total_scores(self._evaluated, split, task, architecture, **options)
        return task.means({name: self.ranks.total(total) for name, total in totals.items()}, len(split))


def renamed(readers: Readers, workers: int | None) -> Readers:
    """Return ``readers``, or the deprecated ``workers`` with a warning."""
    if workers is None:
        return readers
    warnings.warn("workers= is now readers=", DeprecationWarning, stacklevel=3)
    return workers


def _augmented(split: Split, recipe: Recipe, *, in_batches: bool) -> Split:
    """Return image files decoded once, or augmented one by one as the recipe says; other splits unchanged."""
    if in_batches or not isinstance(split, ImageFiles):
        return decode_once(split, home() / "decoded")
    return split.augmented(recipe.auto_augment, recipe.random_erasing, recipe.horizontal_flip)


def _balancing(data: Dataset) -> Tensor:
    """Return the weight of each train image with which all classes are drawn equally often.

    Raises:
        RecipeError: The targets are unknown or no classes, or a class has no train image.
    """
    targets = targets_of(data.train)
    if targets is None or targets.ndim != 1 or targets.is_floating_point():
        raise RecipeError(f"balanced_sampling needs the classes of the train {data.task.examples}; set false", data)
    return torch.tensor(data.task.balanced(targets))[targets.cpu()]


def _diverged(error: DivergenceError, rate: float, epoch: int, out: Path | None) -> str:
    where, way = ("", "start again") if out is None else (f", saved in {out}", "continue with resume (--resume)")
    return (
        f"the training diverged: {error}, at learning rate {rate:.3g}; kept is the state after epoch {epoch}{where}; "
        f"{way} and a lower learning_rate, grad_clip or amp: off"
    )


def _culprit(images: Tensor, loss: float) -> str:
    return f"the loss is {loss}" if images.isfinite().all() else "an image of the batch holds NaN or infinity"


def _limit(reading: float) -> str:
    return f"; {100 * reading:.0f} % of it waits for images to be read (--readers)" if reading > _READING else ""


def _set_grad_checkpointing(net: nn.Module, recipe: Recipe) -> None:
    setter = getattr(net, "set_grad_checkpointing", None)  # timm's networks have the same method
    if setter is not None:
        setter(recipe.grad_checkpointing)
    elif recipe.grad_checkpointing:
        raise RecipeError(f"{type(net).__name__} does not support grad_checkpointing; turn it off", recipe)


def _on(split: Split, device: torch.device) -> Split:
    move = getattr(split, "to", None)
    return split if move is None else cast(Split, move(device))


def _background(split: Split, known: Statistics | None) -> Tensor | None:
    """The darkest value of each channel; None for series, and for images that the data loader augments."""
    if isinstance(split, ImagesInMemory):
        return split.images.amin(dim=(0, 2, 3)) if split.images.ndim == 4 else None
    return None if known is None else -torch.tensor(known[0]) / torch.tensor(known[1])  # black


def _interrupt_message(out: Path | None, done: int) -> str:
    if out is None:
        return "stopped; nothing was saved, as no folder was given (out=, --out)"
    return f"stopped after {done} complete epochs, saved in {out}; continue with resume (--resume)"
