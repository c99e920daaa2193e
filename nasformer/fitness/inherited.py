"""InheritedFitness: the validation performance of subnets with weights inherited from the supernet.

A population is evaluated jointly: shared prefixes are computed once (``population``), and a race optionally drops
clearly inferior architectures early (``racing``).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch

from nasformer._home import home
from nasformer.architecture import Architecture, uniform
from nasformer.data.batches import Readers, iterate, reader_processes
from nasformer.data.dataset import Split
from nasformer.data.decoded import decode_once
from nasformer.errors import ArchitectureError, FitnessError
from nasformer.fitness.outcome import Outcome, Reference, judged, mean_of
from nasformer.fitness.population import bytes_per_image, population_outcomes
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order
from nasformer.fitness.racing import Answers, Compute, Racing, race
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet
from nasformer.space.validation import FIXED
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import fingerprint
from nasformer.tasks import Task, task_of
from nasformer.training.device import find_device

Dtype = Literal["auto", "float32", "bfloat16"]
Targets = Any
"""The labels of a batch; with the divergence these, and the outputs of the full network."""
Batches = Iterator[tuple[torch.Tensor, Targets]]

_ACTIVATION_BYTES = {"cpu": 32 * 2**20, "cuda": 2**31}
_OUTCOME_BYTES = 256 * 2**20
_BYTES = 9
"""Of an image's scores: loss, whether it is right, and two classes."""


class InheritedFitness:
    """An objective of the task on held-out examples: of a classification top-1 accuracy in percent, or minus the loss.

    A call shares the common prefixes of its architectures, so evaluate many at a time, as a search does with
    ``batch_size``. Evaluations are cached, each with its share of the time; create a new fitness after training
    ``net`` further. Metrics are the task's objectives, but not the value itself, ``standard_error`` of the
    value, the number of ``images`` (or other examples), and ``dropped`` if that was not all.

    Args:
        net: The trained supernet, moved to ``device``.
        split: The images that rank architectures: ``data.search``, on which the supernet was never trained.
        device: "auto" is the first available of cuda, mps and cpu.
        dtype: "auto" is bfloat16 on GPUs that support it, else float32.
        batch_size: Images per batch; None: as many as keep the activations of a traversal within 32 MiB on a CPU,
            2 GiB on a GPU; halved when out of memory.
        data: Provenance of the data, recorded with results; None: that of the data that trained ``net``.
        task: What the supernet learnt; None: that of ``data``.
        objective: The metric that ranks, one of ``task.objectives``; None: their first. Of a classification "accuracy",
            "balanced_accuracy" or "macro_f1", with ties broken by the loss, or "loss", which needs fewer images.
            Or "divergence": the mean divergence of the outputs from those of the full ``net``, which needs no labels
            (``Task.divergence``); its outputs are computed once and kept. Metrics of which less is better are negated.
        racing: Whether to drop architectures early that are significantly worse than others: True, or options of
            ``Racing`` by name. The cache then takes about 9 bytes per image and fully evaluated architecture.
        decoded: Whether to cache the decoded pixels of image files under ``NASFORMER_HOME``, 3 · size² bytes per
            image, instead of decoding them in every pass (``data.decoded.decode_once``).
        readers: Processes that read images where they are not cached, and threads that decode those that are; 0: a
            thread beside the evaluation, and one per core.

    Attributes:
        work: Computed ``blocks`` per image, and ``one_by_one`` without sharing; evaluated ``images`` over all
            architectures, and ``every_image`` without racing.
        compute: Replaces ``outcomes``, such as by worker processes.

    Raises:
        FitnessError: ``split`` is empty, or ``dtype``, ``objective`` or an option of ``racing`` unknown.
        DataError: An image cannot be decoded.
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
        task: Task | None = None,
        objective: str | None = None,
        racing: bool | Mapping[str, Any] = False,
        decoded: bool = True,
        readers: Readers = 0,
    ) -> None:
        if not len(split):
            raise FitnessError("the split to evaluate on is empty", split)
        if dtype not in ("auto", "float32", "bfloat16"):
            raise FitnessError(f"dtype is 'auto', 'float32' or 'bfloat16', got {dtype!r}", dtype)
        self.device = find_device(device)
        self.net = net.to(self.device)
        threads = reader_processes(readers, split) or None
        kept = decode_once(split, home() / "decoded", threads=threads) if decoded else split
        self.readers = reader_processes(readers, kept)
        self.split = kept.to(self.device) if hasattr(kept, "to") else kept
        native = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.bfloat16 = dtype == "bfloat16" or (dtype == "auto" and native)
        self.batch_size = batch_size or _suitable_batch(net, self.device)
        self._data = dict(data or net.metadata.get("training", {}).get("data", {}))
        self.task = task or task_of(self._data)
        if task is not None and self._data.get("task") != task.to_dict():
            self._data |= task.record()
        self.objective, self.racing = self.task.ranking(objective), Racing.read(racing)
        self.work = dict.fromkeys(("blocks", "one_by_one", "images", "every_image"), 0)
        self._cache: dict[Architecture, Evaluation] = {}
        self._full_outcomes: dict[Architecture, Outcome] = {}
        self._seconds: defaultdict[Architecture, float] = defaultdict(float)
        self._keep, self._rivals = 1, list[Architecture]()
        self._full_outputs: torch.Tensor | None = None
        self.compute: Compute | None = None

    @property
    def joint(self) -> bool:
        """Whether values depend on the other architectures of a call: in a race."""
        return self.racing is not None

    def race_for(self, keep: int, rivals: Sequence[Architecture] = ()) -> None:
        """Set the next race's number of winners and the incumbents."""
        self._keep, self._rivals = keep, list(rivals)

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the evaluation of each architecture; failures are individual."""
        self.work["every_image"] += len(self.split) * sum(a not in self._cache for a in dict.fromkeys(architectures))
        if self.racing is not None:
            found = self._evaluate_in_race(self.racing, list(dict.fromkeys(architectures)))
            yield from (found[architecture] for architecture in architectures)
            return
        yield from (self._cache[architecture] for architecture in architectures if architecture in self._cache)
        fresh = in_tree_order([each for each in dict.fromkeys(architectures) if each not in self._cache])
        size = max(1, _OUTCOME_BYTES // (_BYTES * len(self.split)))
        for first in range(0, len(fresh), size):
            outcomes = self._outcomes(fresh[first : first + size], 0, len(self.split))
            yield from (self._evaluation(architecture, outcome) for architecture, outcome in outcomes.items())

    def _evaluation(
        self,
        architecture: Architecture,
        outcome: Outcome | Exception,
        reference: Callable[[int], Reference] | None = None,
    ) -> Evaluation:
        """Convert an outcome to an evaluation, cached if it covers all images."""
        if architecture in self._cache and isinstance(outcome, Outcome) and outcome.seen == len(self.split):
            return self._cache[architecture]
        seconds = self._seconds.pop(architecture, 0.0)
        if isinstance(outcome, Exception):
            reason = f"{type(outcome).__name__}: {' '.join(str(outcome).split())}"
            return Evaluation(architecture, None, reason, seconds)
        dropped = outcome.seen < len(self.split)
        others = reference(outcome.seen) if dropped and reference else None
        evaluation = judged(architecture, outcome, self.task, self.objective, seconds=seconds, reference=others)
        if not dropped and evaluation.value is not None:
            self._cache[architecture] = evaluation
        return evaluation

    def _evaluate_in_race(
        self, racing: Racing, architectures: Sequence[Architecture]
    ) -> dict[Architecture, Evaluation]:
        others = [each for each in self._rivals if each not in architectures]
        contested = len(others) + len(architectures) > self._keep
        rivals = self._outcomes_of_rivals(racing, others) if contested else []
        found = self._race(racing, architectures, self._keep, rivals)
        each = ((architecture, found[architecture]) for architecture in architectures)  # sums depend on the order
        whole = {a: outcome for a, outcome in each if isinstance(outcome, Outcome) and outcome.seen == len(self.split)}
        self._full_outcomes |= whole
        reference = cache(partial(mean_of, [*whole.values(), *rivals], self.task))
        return {architecture: self._evaluation(architecture, found[architecture], reference) for architecture in found}

    def _outcomes_of_rivals(self, racing: Racing, rivals: Sequence[Architecture]) -> list[Outcome]:
        """Return the rivals' full outcomes, recomputed in a resumed search."""
        missing = [rival for rival in rivals if rival not in self._full_outcomes]
        for rival, outcome in self._race(racing, missing, len(missing) + 1).items():
            self._seconds.pop(rival, None)
            if isinstance(outcome, Outcome):
                self._full_outcomes[rival] = outcome
        return [self._full_outcomes[rival] for rival in rivals if rival in self._full_outcomes]

    def _race(
        self, racing: Racing, contestants: Sequence[Architecture], keep: int, rivals: Sequence[Outcome] = ()
    ) -> dict[Architecture, Outcome | Exception]:
        options: dict[str, Any] = {"task": self.task, "objective": self.objective, "keep": keep, "rivals": rivals}
        return race(racing, contestants, self._outcomes, images=len(self.split), **options)

    def _outcomes(
        self, architectures: Sequence[Architecture], start: int, stop: int
    ) -> dict[Architecture, Outcome | Exception]:
        """Return outcomes on images ``start`` to ``stop``, and attribute the time."""
        found: dict[Architecture, Outcome | Exception] = {
            each: self._full_outcomes[each].part(start, stop) for each in architectures if each in self._full_outcomes
        }
        for architecture in architectures:
            try:
                self.net.require(architecture)
            except ArchitectureError as error:
                found[architecture] = error
        tree = PrefixTree([architecture for architecture in architectures if architecture not in found])
        begin, counted = time.perf_counter(), self.work["images"]
        found |= (self.compute or self.outcomes)(list(tree.shares()), start, stop)
        self._attribute_time(tree, stop - start, time.perf_counter() - begin)
        self.work["images"] = counted + len(tree.shares()) * (stop - start)
        return found

    def outcomes(self, architectures: Sequence[Architecture], start: int, stop: int) -> Answers:
        """Compute outcomes on images ``start`` to ``stop``, in presentation order."""
        tree = PrefixTree(architectures)
        seed = None if self.racing is None else self.racing.seed
        while tree.roots:
            try:
                size = self.batch_size
                batches = iterate(
                    self.split,
                    size,
                    device=self.device,
                    seed=seed,
                    start=start,
                    stop=stop,
                    prefetch=True,
                    readers=self.readers,
                )
                counted, scores = self._counted(batches, len(architectures)), self.task.scores
                if self.objective == self.task.divergence_metric:
                    counted, scores = self._with_full_outputs(counted, start), self._scores
                return population_outcomes(self.net, tree, counted, scores=scores, bfloat16=self.bfloat16)
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2
        return {}

    def _counted(self, batches: Batches, architectures: int) -> Batches:
        """Yield batches and count their images when processed, for progress displays."""
        for images, labels in batches:
            yield images, labels
            self.work["images"] += architectures * len(labels)

    def _with_full_outputs(self, batches: Batches, start: int) -> Batches:
        """Yield batches whose targets go with the outputs of the full network, computed once per image.

        It runs within ``population_outcomes``, so with its precision and without gradients.
        """
        for images, labels in batches:
            place = slice(start, start + len(labels))
            if self._full_outputs is None or self._full_outputs[place].isnan().any():
                self._keep_full_outputs(self.net(images).float(), place)
            assert self._full_outputs is not None
            yield images, (labels, self._full_outputs[place])
            start = place.stop

    def _keep_full_outputs(self, outputs: torch.Tensor, place: slice) -> None:
        if self._full_outputs is None:  # NaN: not computed yet
            self._full_outputs = outputs.new_full((len(self.split), *outputs.shape[1:]), torch.nan)
        self._full_outputs[place] = outputs

    def _scores(self, outputs: torch.Tensor, targets: Targets) -> dict[str, torch.Tensor]:
        labels, full_outputs = targets
        divergence = {self.objective.name: self.task.divergence(outputs, full_outputs)}
        return {**self.task.scores(outputs, labels), **divergence}

    def _attribute_time(self, tree: PrefixTree, images: int, seconds: float) -> None:
        shares = tree.shares()
        total = sum(shares.values())
        for architecture, share in shares.items():
            self._seconds[architecture] += seconds * share / total
        self.work["blocks"] += tree.blocks * images
        self.work["one_by_one"] += tree.one_by_one * images

    def check(self, feasible: FeasibleSet) -> None:
        """Check that the supernet contains every architecture of a set.

        Raises:
            FitnessError: It is too small; the message names the dimension.
        """
        wanted = {**feasible.space.geometry.to_dict(), "pooling": feasible.space.pooling}
        own = {**self.net.geometry.to_dict(), "pooling": self.net.pooling}
        for key, value in wanted.items():
            if own.get(key) != value:
                raise FitnessError(
                    f"the supernet does not fit space {feasible.space.name!r}: "
                    f"its {key} is {own.get(key)!r}, the space's {value!r}",
                    self.net,
                )
        reachable, codec = feasible.reachable(), feasible.space.codec
        named = {d.name: reachable[d.name] for d in codec.dimensions if d.name in FIXED}
        sizes: dict[str, Any] = {name: max(values) for name, values in reachable.items() if name not in named}
        try:
            for choices in product(*named.values()):  # patch sizes and resolutions have no largest choice
                self.net.require(uniform(**{**sizes, **dict(zip(named, choices, strict=True))}))
        except ArchitectureError as error:
            raise FitnessError(f"the supernet does not fit space {feasible.space.name!r}: {error}", self.net) from error

    def describe(self) -> dict[str, Any]:
        """Return weight hash, data, precision, objective and racing options."""
        return {
            "kind": "inherited",
            "weights": self.fingerprint,
            "images": len(self.split),
            "dtype": "bfloat16" if self.bfloat16 else "float32",
            "data": self._data,
            "objective": self.objective.name,
            "racing": None if self.racing is None else self.racing.to_dict(),
        }

    @property
    def supernet_file(self) -> Path | None:
        """The file of the supernet; None: it was not saved."""
        return self.net.file

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the supernet's weights."""
        return fingerprint(self.net)[:16]


def _suitable_batch(net: Supernet, device: torch.device) -> int:
    """Return the batch size that keeps a traversal's activations within the memory budget."""
    return max(1, min(1024, _ACTIVATION_BYTES.get(device.type, _ACTIVATION_BYTES["cuda"]) // bytes_per_image(net)))
