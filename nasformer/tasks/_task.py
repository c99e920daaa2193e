"""Task: what a network learns, and its metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError, FitnessError, RecipeError

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float32]
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of merit.

    Args:
        name: Key in records, such as "accuracy".
        title: Name in tables and figures, such as "top-1 accuracy".
        unit: Unit, such as "%"; empty: none.
        higher_is_better: Its direction.
        scale: Factor from scores of examples to the unit: 100 for percent.
        digits: Decimal places shown.
        proportion: Whether it is the share of examples that are right, so that intervals are binomial.
    """

    name: str
    title: str
    unit: str = ""
    higher_is_better: bool = False
    scale: float = 1.0
    digits: int = 4
    proportion: bool = False

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1: a fitness is ``sign`` times the metric."""
        return 1 if self.higher_is_better else -1

    @property
    def fitness(self) -> Metric:
        """The metric of its fitness: negated, unless higher is better."""
        return self if self.higher_is_better else replace(self, title=f"−{self.title}", higher_is_better=True)

    @property
    def heading(self) -> str:
        """The title with its unit, as the heading of a column."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def text(self, value: float) -> str:
        """Return a value with its unit.

        >>> Metric("accuracy", "top-1 accuracy", "%", digits=2).text(97.5)
        '97.50 %'
        """
        decimals = self.digits if abs(value) < 1000 else min(1, self.digits)
        return f"{value:,.{decimals}f}{' ' if self.unit else ''}{self.unit}"


class Estimate(NamedTuple):
    """A metric of a split, estimated from examples.

    Attributes:
        value: The metric, in its unit.
        examples: ``(examples,)`` numbers whose mean is the value, up to rounding, and whose scatter is its sampling
            error: the scores of examples, or the metric linearised in them (delta method).
        reliable: Whether the examples suffice for tests between networks: a race drops none before.
    """

    value: float
    examples: NDArray[np.float64]
    reliable: bool = True


class Task(ABC):
    """What a network learns from examples; subclasses are frozen dataclasses of plain values.

    Attributes:
        name: Its name in the registry; without one it is ``module:Class``, by which it is found where it is importable.
        example: An example in words: "image".
        output: The network's output in exported files: "logits".
        metrics: The metrics of a whole split, the main one first.
        objectives: Names of the metrics that ``estimate`` knows, so that they can rank and race architectures; the
            default first.
        recipe: Defaults that differ from those of ``Recipe``.
        softens: Whether targets can be mixed (mixup, CutMix) and smoothed.
        weighted: Whether outputs have weights in the loss.
        independent: Whether examples are independent, so that standard errors hold.
    """

    name: ClassVar[str]
    example: ClassVar[str] = "image"
    output: ClassVar[str] = "outputs"
    metrics: ClassVar[tuple[Metric, ...]]
    objectives: ClassVar[tuple[str, ...]]
    recipe: ClassVar[Mapping[str, Any]] = {"mixup": 0.0, "cutmix": 0.0, "label_smoothing": 0.0}
    softens: ClassVar[bool] = False
    weighted: ClassVar[bool] = False
    independent: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def __post_init__(self) -> None:
        """Turn lists into tuples, as they come from JSON."""
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))

    @property
    def examples(self) -> str:
        """Several examples in words: "images"."""
        return f"{self.example}s"

    # Targets

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """The name of each output of the network: the head's size is their number."""

    @abstractmethod
    def check(self, targets: Tensor, split: str) -> Tensor:
        """Return the targets of a split in the type that the loss takes.

        Args:
            targets: The targets, one row per example.
            split: Name of the split, for messages.

        Raises:
            DataError: They do not fit the task; the message names the example and its value.
        """

    def weights(self, given: Any, targets: Tensor | None) -> list[float] | None:
        """Return the weight of each output in the loss; None: all equal.

        Args:
            given: ``class_weights`` of the recipe: a list, "balanced" or None.
            targets: Targets of the train split; None: unknown.

        Raises:
            RecipeError: Their number is wrong, or the task cannot weight or balance its outputs.
        """
        if given is None:
            return None
        if not self.weighted:
            raise RecipeError(f"class_weights is for classes and labels, not for {self.name}; remove it", given)
        if given == "balanced":
            if targets is None:
                raise RecipeError("class_weights 'balanced' needs the train targets (.targets); give a list", given)
            return self.balanced(targets)
        if len(given) != len(self.outputs):
            raise RecipeError(f"class_weights has {len(given)} weights, but the data {len(self.outputs)}", given)
        return list(given)

    def balanced(self, targets: Tensor) -> list[float]:
        """Return balanced weights of the outputs.

        Raises:
            RecipeError: An output has no weight that balances it; unless a task overrides this, none has.
        """
        raise RecipeError(f"{self.name} has no balanced weights; list class_weights", self)

    # Learning

    @abstractmethod
    def loss(
        self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss over a batch.

        Args:
            outputs: ``(batch, outputs)``.
            targets: ``(batch,)`` or ``(batch, outputs)``.
            smoothing: Label smoothing.
            weights: The weight of each output ``(outputs,)``; None: 1.
        """

    def distillation(self, outputs: Tensor, teacher: Tensor, *, hard: bool = False, temperature: float = 1.0) -> Tensor:
        """Return the mean loss towards a teacher's outputs ``(batch, outputs)``; by default they are the targets.

        Args:
            outputs: ``(batch, outputs)``.
            teacher: The teacher's outputs.
            hard: Whether its decision is the target, where the task has one.
            temperature: Softmax temperature, where the task has one.
        """
        return self.loss(outputs, teacher)

    def divergence(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return how far each example's outputs are from a teacher's, ``(batch,)``: 0 where they are the same.

        By default the distillation loss of each example beyond its least, which it has at the teacher.

        Args:
            outputs: ``(batch, outputs)``.
            teacher: The teacher's outputs.
        """
        from torch.func import vmap

        def beyond_least(own: Tensor, other: Tensor) -> Tensor:
            own, other = own[None], other[None]
            return self.distillation(own, other) - self.distillation(other, other)

        found: Tensor = vmap(beyond_least)(outputs, teacher)
        return found

    # Scores

    @abstractmethod
    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the scores ``(batch,)`` of each example.

        They are named by the objectives that are their means; further ones are what ``estimate`` needs for others.

        Args:
            outputs: ``(batch, outputs)``.
            targets: As ``check`` returned them.
        """

    def totals(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return what ``means`` needs of a batch; it adds up over batches and processes.

        Args:
            outputs: ``(batch, outputs)``.
            targets: As ``check`` returned them.
        """
        return {name: each.sum() for name, each in self.scores(outputs, targets).items()}

    def means(self, totals: Mapping[str, Tensor], count: int) -> dict[str, float]:
        """Return the objectives by name, from the sums of ``totals`` over ``count`` examples."""
        return {name: self.metric(name).scale * float(total) / count for name, total in totals.items()}

    def estimate(self, objective: str, scores: Mapping[str, NDArray[Any]]) -> Estimate:
        """Return an objective of examples, given all their ``scores``."""
        examples = self.metric(objective).scale * scores[objective].astype(np.float64)
        return Estimate(float(examples.mean()), examples)

    @abstractmethod
    def evaluate(self, outputs: Array, targets: NDArray[Any]) -> Figures:
        """Return the metrics that are no objectives, and details, as plain values.

        Args:
            outputs: Outputs of a whole split, ``(examples, outputs)``.
            targets: Its targets.
        """

    # For people

    @abstractmethod
    def predictions(self, outputs: Array, top: int = 5) -> list[Figures]:
        """Return the reading of each row of outputs ``(examples, outputs)``, as plain values."""

    def agreement(self, outputs: Array, others: Array) -> float | None:
        """Return the share of examples with the same decision by two networks; None: the task has no decisions."""
        return None

    def of_weights(self, trained: Task) -> Task:
        """Return this task as weights of a trained one can be evaluated on it.

        Raises:
            DataError: The outputs of the weights mean something else.
        """
        if type(self) is not type(trained) or self.outputs != trained.outputs:
            raise DataError(f"the weights learnt {trained.described}, but the data are {self.described}", trained)
        return self

    @property
    def described(self) -> str:
        """The task in words, with its outputs, abbreviated."""
        shown = ", ".join(self.outputs[:4]) + (", …" if len(self.outputs) > 4 else "")
        return f"{self.name} of {len(self.outputs)} outputs ({shown})"

    def metric(self, name: str) -> Metric:
        """Return a metric by name.

        Raises:
            FitnessError: The task has no such metric.
        """
        for metric in (*self.metrics, self.divergence_metric):
            if metric.name == name:
                return metric
        known = ", ".join(metric.name for metric in self.metrics)
        raise FitnessError(f"{self.name} has no metric {name!r}; it has {known}", name)

    def objective(self, name: str | None = None) -> Metric:
        """Return the metric that ranks architectures, by name; None: the default.

        Raises:
            FitnessError: The task has no such metric, or it cannot rank.
        """
        if name is None or name in self.objectives:
            return self.metric(name or self.objectives[0])
        choices = " or ".join(", ".join(map(repr, self.objectives)).rsplit(", ", 1))
        raise FitnessError(f"objective is {choices} for {self.name}, got {name!r}", name)

    @property
    def divergence_metric(self) -> Metric:
        """The mean ``divergence`` from the full network, in the unit of the loss."""
        unit = next((metric.unit for metric in self.metrics if metric.name == "loss"), "")
        return Metric("divergence", "divergence", unit)

    def ranking(self, name: str | None = None) -> Metric:
        """Return the metric that ranks subnets of a supernet: an objective, or "divergence" from the full network.

        Raises:
            FitnessError: The task has no such metric, or it cannot rank.
        """
        return self.divergence_metric if name == self.divergence_metric.name else self.objective(name)

    def to_dict(self) -> Figures:
        """Return plain values, ready for JSON; inverse: ``task_from_dict``."""
        values: Figures = asdict(self)  # type: ignore[call-overload]
        return {"name": self.name} | {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    def record(self) -> Figures:
        """Return the entries of a dataset's record from which ``task_of`` reads the task."""
        return {"task": self.to_dict()}
