"""Finetuning: re-ranks the best of a search by a short fine-tuning of each.

Inherited weights rank well, but not perfectly: a few epochs alone can change the order (AutoFormer fine-tunes its
winner for 40, Chen et al., ICCV 2021, table 3). All candidates get the same recipe and seed, so the same batches, and
are compared on the search images, never on test images.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nasformer._io import digest, to_json
from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.errors import RecipeError
from nasformer.fitness.outcome import Outcome, judged
from nasformer.search import Evaluation
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import fingerprint, replace_file
from nasformer.supernet.model import VisionTransformer
from nasformer.training import Recipe, Teacher, default_recipe, find_device, train_subnet
from nasformer.training.defaults import recorded_recipe
from nasformer.training.origin import original_of
from nasformer.training.repair import repair, repairs_by_default
from nasformer.training.subnet import FILE
from nasformer.training.validation import outputs_of

RECORD = "confirm.json"
"""Beside the winner's weights: what they are."""

_CANDIDATES = "candidates"


class Finetuning:
    """Judges architectures after a short fine-tuning, for ``Searcher.run(rerank=…)``.

    Args:
        net: The supernet from which they inherit weights.
        data: The dataset: ``train`` trains, ``search`` judges.
        top: Number of the best architectures that are fine-tuned.
        epochs: Epochs of each.
        recipe: Recipe, of which ``epochs`` is replaced; None: ``Recipe.finetuning`` of the supernet's, else of the
            dataset's default.
        teacher: Distillation teacher; None: the original model of a family from a checkpoint, unless the recipe has
            ``distillation: off``; of other supernets none.
        objective: The metric that ranks, one of ``task.objectives``; None: their first.
        out: Folder that keeps the winner's weights as ``network.safetensors``, and resumable states until then; None:
            no weights are kept.
        device: "auto" is the first available of cuda, mps and cpu.
        readers: Processes that read images that are not in memory.

    Raises:
        DataError: The images do not fit the supernet.
        RecipeError: ``top`` or ``epochs`` is below 1, or ``objective`` is the divergence.
    """

    def __init__(
        self,
        net: Supernet,
        data: Dataset,
        *,
        top: int = 5,
        epochs: int = 1,
        recipe: Recipe | None = None,
        teacher: nn.Module | Teacher | None = None,
        objective: str | None = None,
        out: str | Path | None = None,
        device: str | torch.device = "auto",
        readers: Readers = 0,
    ) -> None:
        for name, value in (("top", top), ("epochs", epochs)):
            if value < 1:
                raise RecipeError(f"{name} of a fine-tuning is at least 1, got {value}", value)
        data.check(net.space)
        self.net, self.data, self.top, self.out = net, data, top, None if out is None else Path(out)
        self.device, self.readers = find_device(device), readers
        trained = net.metadata.get("training", {}).get("recipe")
        self._whole = recorded_recipe(trained, data) if trained else default_recipe(data, device)
        self.recipe = (recipe or self._whole.finetuning()).replace(
            epochs=epochs, validate_every=epochs, checkpoint_every=epochs, keep_best=None
        )
        if objective == "divergence":
            known = " or ".join(data.task.objectives)
            raise RecipeError(f"fine-tuned networks are judged by {known}, not by divergence; search by one", objective)
        self.objective = data.task.objective(objective)
        default = original_of(net) if teacher is None and self.recipe.distillation != "off" else None
        self.teacher = default[0] if default else None if teacher is None else Teacher.of(teacher)

    def describe(self) -> dict[str, Any]:
        """Return recipe, weights, teacher, data and objective."""
        return {
            "kind": "finetuning",
            "epochs": self.recipe.epochs,
            "learning_rate": self.recipe.learning_rate,
            "recipe": digest(self.recipe.to_dict()),
            "weights": fingerprint(self.net)[:16],
            "teacher": None if self.teacher is None else self.teacher.fingerprint[:16],
            "data": self.data.record.get("fingerprint"),
            "objective": self.objective.name,
        }

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the value of each architecture after its fine-tuning."""
        for architecture in architectures:
            began = time.perf_counter()
            net = self._finetuned(architecture)
            task = self.data.task
            parts = outputs_of(net, self.data.search, device=self.device, readers=self.readers)
            rows = [task.scores(*each) for each in parts]
            outcome = Outcome({name: torch.cat([row[name] for row in rows]).cpu().numpy() for name in rows[0]})
            yield judged(architecture, outcome, task, self.objective, seconds=time.perf_counter() - began)

    def keep(self, winner: Architecture) -> None:
        """Keep the winner's weights in the folder, fine-tuned again if they are lost, and remove the others."""
        record: dict[str, Any] = {"kind": "confirm", "architecture": winner.to_dict(), "finetuning": self.describe()}
        if self.out is None:
            return
        known = _read(self.out / RECORD)
        if (self.out / FILE).is_file() and all(known.get(key) == each for key, each in record.items()):
            return
        if not (self._folder(winner) / FILE).is_file():
            self._finetuned(winner)
        (self._folder(winner) / FILE).replace(self.out / FILE)
        file = self.net.file
        source = {"weights": file and str(file), "recipe": self._whole.to_dict()}
        record |= {"source": source, "teacher": self.teacher and self.teacher.fingerprint}
        replace_file(self.out / RECORD, to_json(record, indent=1) + "\n")
        shutil.rmtree(self.out / _CANDIDATES)

    def _finetuned(self, architecture: Architecture) -> VisionTransformer:
        net, start = self._cut(architecture)
        options: dict[str, Any] = {"device": self.device, "readers": self.readers, "progress": False}
        if self.out is not None:
            options |= {"out": self._folder(architecture), "resume": True}
        train_subnet(net, self.data, self.recipe, teacher=self.teacher, identity={"start": start}, **options)
        return net

    def _cut(self, architecture: Architecture) -> tuple[VisionTransformer, str]:
        """Return a subnet, of a family from a checkpoint repaired as ``finetune`` does, and what identifies it."""
        if not repairs_by_default(self.net, self.data):
            net = self.net.extract(architecture)
            return net, fingerprint(net)
        repaired = repair(self.net, architecture, self.data, device=self.device, readers=self.readers)
        return repaired.net, f"{repaired.cut}, repaired"

    def _folder(self, architecture: Architecture) -> Path:
        assert self.out is not None
        return self.out / _CANDIDATES / digest(architecture.to_dict())


def _read(record: Path) -> dict[str, Any]:
    """Return a record; empty if there is none."""
    try:
        return dict(parse_json(read_text(record)))
    except (OSError, ValueError, TypeError):
        return {}
