"""Teacher: a frozen network in evaluation mode, whose logits a student learns from.

It sees the student's augmented images (Touvron et al., ICML 2021; Beyer et al., "Knowledge distillation: A
good teacher is patient and consistent", CVPR 2022), at the resolution and with the normalisation of its own training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.data.dataset import Dataset
from nasformer.errors import ArchitectureError, CheckpointError, DataError, RecipeError
from nasformer.supernet import Supernet, VisionTransformer, load_network
from nasformer.supernet.checkpoint import fingerprint, first_line, read_checkpoint
from nasformer.tasks import Task, task_of
from nasformer.training.validation import autocast

TIMM = "timm:"
_CHECKPOINT_FORMATS = ("timm", "transformers")


class Teacher:
    """A network from images to logits.

    Args:
        net: The network; left in evaluation mode.
        image_size: Size that images are resized to, in pixels; None: unchanged.
        mean: Normalisation mean of each channel; None: that of the data.
        std: Normalisation standard deviation of each channel; None: that of the data.
        task: What it learnt; None: unknown.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        image_size: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        task: Task | None = None,
    ) -> None:
        self.net, self.image_size, self.mean, self.std, self.task = net.eval(), image_size, mean, std, task
        self._scale: Tensor | None = None
        self._shift: Tensor | None = None

    @classmethod
    def of(cls, net: nn.Module | Teacher, task: Task | None = None) -> Teacher:
        """Return a network as a teacher: at its image size, timm's with their pretrained normalisation."""
        if isinstance(net, Teacher):
            return net
        if isinstance(net, VisionTransformer):
            return cls(net, image_size=net.geometry.image_size, task=task)
        config: dict[str, Any] = getattr(net, "pretrained_cfg", None) or {}
        own = getattr(getattr(net, "patch_embed", None), "img_size", None)
        size = own or (config.get("input_size") if config.get("fixed_input_size") else None)
        return cls(net, image_size=size[-1] if size else None, mean=config.get("mean"), std=config.get("std"))

    @cached_property
    def fingerprint(self) -> str:
        """The hash of the weights, part of a training's identity."""
        return fingerprint(self.net)

    def to(self, device: torch.device) -> Teacher:
        """Move the network to ``device``, and return the teacher."""
        self.net.to(device)
        return self

    def check(self, data: Dataset) -> Teacher:
        """Adopt the normalisation of ``data``, check one forward pass, and return the teacher.

        Raises:
            RecipeError: The images do not fit the network, or its number of classes differs from that of ``data``.
        """
        self._learn_scale(data.record)
        device = next((p.device for p in self.net.parameters()), torch.device("cpu"))
        image: Tensor = data.search[0][0]
        try:
            logits = self.logits(image[None].to(device), amp=False)
        except Exception as error:
            shape = tuple(image.shape)
            raise RecipeError(f"the teacher does not accept images {shape}: {first_line(error)}", self) from error
        classes = logits.shape[-1] if logits.ndim == 2 else tuple(logits.shape)
        if classes != data.num_classes:
            raise RecipeError(
                f"the teacher has {classes} outputs, but {data.name!r} has {data.num_classes}; "
                "use a teacher trained on these classes",
                self,
            )
        self._check_task(data)
        return self

    def _check_task(self, data: Dataset) -> None:
        """Raise RecipeError if the outputs of the teacher are known to mean something else than those of the data."""
        try:
            same = self.task is None or data.task.of_weights(self.task) == data.task
        except DataError as error:
            raise RecipeError(f"the teacher does not fit {data.name!r}: {error}", self) from None
        if not same:
            raise RecipeError(f"the teacher standardises the targets of {data.name!r} otherwise; use another", self)

    def logits(self, images: Tensor, amp: bool) -> Tensor:
        """Return the logits ``(batch, num_classes)`` of ``images``, normalised as the dataset is."""
        with torch.no_grad(), autocast(images.device, amp):
            if self._scale is not None and self._shift is not None:
                images = images * self._scale.to(images) + self._shift.to(images)
            if self.image_size not in (None, images.shape[-1]):
                size = (self.image_size, self.image_size)
                images = F.interpolate(images, size, mode="bicubic", antialias=True)
            logits: Tensor = self.net(images)
        return logits.float() if amp else logits

    def _learn_scale(self, record: Any) -> None:
        mine, theirs = (self.mean, self.std), (record.get("mean"), record.get("std"))
        if None in mine or None in theirs or [list(x) for x in mine] == [list(x) for x in theirs]:  # type: ignore[arg-type]
            return
        (mean, std), (data_mean, data_std) = (
            [torch.tensor(list(x)).view(-1, 1, 1) for x in pair]  # type: ignore[arg-type]
            for pair in (mine, theirs)
        )
        self._scale, self._shift = data_std / std, (data_mean - mean) / std


def load_teacher(name: str, *, weights: str | Path | None = None, num_classes: int | None = None) -> Teacher:
    """Return a teacher by name.

    Args:
        name: ``timm:NAME`` for a timm model (``timm:local-dir:PATH`` for an exported folder), or the path of a
            nasformer network or supernet; the teacher is then its largest subnet.
        weights: Weights file of a timm model; None: timm's pretrained weights.
        num_classes: Number of classes in the weights file of a timm model; None: the model's default.

    Raises:
        CheckpointError: The weights are missing or unreadable.
        RecipeError: timm has no such model.
    """
    if name.startswith(TIMM):
        return _from_timm(name.removeprefix(TIMM), weights, num_classes)
    try:
        header, _ = read_checkpoint(name, "network")
        return Teacher.of(load_network(name), _task(header["metadata"]))
    except CheckpointError as error:
        if "holds a supernet" not in str(error):
            raise
    net = Supernet.load(name)
    return original(net) or Teacher.of(net.extract(net.space.largest), _task(net.metadata))


def from_checkpoint(net: Supernet) -> bool:
    """Whether a supernet was imported from a trained model of timm or transformers."""
    return net.metadata.get("imported", {}).get("format") in _CHECKPOINT_FORMATS


def original(net: Supernet) -> Teacher | None:
    """Return the model that a supernet was imported from, frozen: a copy of its full network, as it is now.

    None if the supernet comes from no checkpoint of timm or transformers, or if its head is new.

    >>> import timm
    >>> model = timm.create_model("vit_tiny_patch16_224", depth=2, img_size=32, num_classes=10).eval()
    >>> net, images = Supernet.from_timm(model), torch.randn(2, 3, 32, 32)
    >>> bool(torch.allclose(original(net).logits(images, amp=False), model(images), atol=1e-5))
    True
    """
    if not from_checkpoint(net) or net.metadata["imported"].get("new_head"):
        return None
    # the student's images, whatever their normalisation: the family's largest network is the model
    return Teacher.of(net.extract(net.space.supernet_architecture), _task(net.metadata))


def _task(metadata: Mapping[str, Any]) -> Task | None:
    data = metadata.get("training", {}).get("data", {})
    return task_of(data) if data.keys() & {"task", "classes"} else None


def _from_timm(name: str, weights: str | Path | None, num_classes: int | None) -> Teacher:
    from nasformer.supernet.from_timm import load_timm

    try:
        options = {} if num_classes is None or weights is None else {"num_classes": num_classes}
        return Teacher.of(load_timm(name, weights, **options))
    except ArchitectureError as error:
        raise RecipeError(str(error), name) from error
    except CheckpointError as error:
        way_out = "check --teacher-weights" if weights else "give its weights with --teacher-weights FILE"
        reason = first_line(error.__cause__ or error)
        raise CheckpointError(f"no weights for the teacher {name!r} ({reason}); {way_out}") from error
