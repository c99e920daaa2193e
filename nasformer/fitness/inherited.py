"""InheritedFitness: accuracy of an architecture with the weights that it inherits from the supernet."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal

import torch

from nasformer.architecture import Architecture
from nasformer.data.dataset import Split
from nasformer.errors import ArchitectureError, FitnessError
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet
from nasformer.supernet import Supernet
from nasformer.training.device import find_device
from nasformer.training.validation import Score, evaluate

Dtype = Literal["auto", "float32", "bfloat16"]

_ACTIVATION_BYTES = 64 * 2**20


class InheritedFitness:
    """Top-1 accuracy in percent on held-out images; the loss breaks ties.

    Each architecture is evaluated once and remembered, with the time that it took; where ``net`` is trained
    on, make a new one.

    Args:
        net: The trained supernet; it is moved to ``device``.
        split: The images that rank architectures: ``data.search``, which never trained the supernet.
        device: "auto" is the first of cuda, mps and cpu that is there.
        dtype: "auto" computes in bfloat16 on a GPU that has it, else in float32.
        batch_size: Images at a time; None: as many as suit the network, halved where memory runs out.
        data: What is recorded of the data with every result; None: the record of the data that trained ``net``.

    Raises:
        FitnessError: ``split`` is empty, or ``dtype`` unknown.
    """

    def __init__(
        self,
        net: Supernet,
        split: Split,
        *,
        device: str | torch.device = "auto",
        dtype: Dtype = "auto",
        batch_size: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        if not len(split):
            raise FitnessError("the split to evaluate on is empty", split)
        if dtype not in ("auto", "float32", "bfloat16"):
            raise FitnessError(f"dtype is 'auto', 'float32' or 'bfloat16', got {dtype!r}", dtype)
        self.device = find_device(device)
        self.net, self.split = net.to(self.device), split
        native = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.bfloat16 = dtype == "bfloat16" or (dtype == "auto" and native)
        self.batch_size = batch_size or _suitable_batch(net)
        self._data = dict(data or net.metadata.get("training", {}).get("data", {}))
        self._known: dict[Architecture, Evaluation] = {}

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the accuracy of each architecture on the whole split, with ``loss`` as a metric."""
        for architecture in architectures:
            if architecture not in self._known:
                self._known[architecture] = self._evaluate(architecture)
            yield self._known[architecture]

    def _evaluate(self, architecture: Architecture) -> Evaluation:
        start = time.perf_counter()
        score = self._score(architecture)
        seconds = time.perf_counter() - start
        return Evaluation(architecture, score.accuracy, seconds=seconds, metrics={"loss": score.loss})

    def check(self, feasible: FeasibleSet) -> None:
        """Check that the supernet holds every architecture of a set.

        Raises:
            FitnessError: It is too small; the message names the dimension.
        """
        wanted = {**asdict(feasible.space.geometry), "pooling": feasible.space.pooling}
        own = {**asdict(self.net.geometry), "pooling": self.net.pooling}
        for key, value in wanted.items():
            if own[key] != value:
                raise FitnessError(
                    f"the supernet cannot judge space {feasible.space.name!r}: "
                    f"its {key} is {own[key]!r}, the space's {value!r}",
                    self.net,
                )
        reachable = feasible.reachable()
        depth = int(max(reachable["depth"]))
        largest = Architecture(
            int(max(reachable["embed_dim"])),
            (int(max(reachable["num_heads"])),) * depth,
            (max(reachable["mlp_ratio"]),) * depth,
        )
        try:
            self.net.require(largest)
        except ArchitectureError as error:
            raise FitnessError(f"the supernet cannot judge space {feasible.space.name!r}: {error}", self.net) from error

    def describe(self) -> dict[str, Any]:
        """Return the hash of the weights, the data and the precision."""
        return {
            "kind": "inherited",
            "weights": self.fingerprint,
            "images": len(self.split),
            "dtype": "bfloat16" if self.bfloat16 else "float32",
            "data": self._data,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the supernet's weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _score(self, architecture: Architecture) -> Score:
        while True:
            try:
                return evaluate(
                    self.net,
                    self.split,
                    architecture,
                    device=self.device,
                    batch_size=self.batch_size,
                    amp=self.bfloat16,
                )
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2


def _suitable_batch(net: Supernet) -> int:
    """Return how many images keep one layer's activations within a fixed size."""
    top = net.architecture
    width = 6 * top.embed_dim + 4 * net.geometry.head_dim * max(top.num_heads) + max(top.hidden_dims)
    return max(1, min(1024, _ACTIVATION_BYTES // (4 * width * net.geometry.tokens)))
