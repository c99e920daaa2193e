"""Evaluation, Trial and Fitness: the interface between search and fitness."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError, StudyError, shown


class Sampled:
    """Sampling statistics of a value, if the fitness reports them as metrics."""

    __slots__ = ()
    metrics: Mapping[str, float]

    @property
    def standard_error(self) -> float | None:
        """Standard error of the value, in its unit."""
        return self.metrics.get("standard_error")

    @property
    def images(self) -> int | None:
        """Number of images evaluated."""
        return None if "images" not in self.metrics else int(self.metrics["images"])

    @property
    def dropped(self) -> bool:
        """Whether a race dropped it before all images were evaluated; its value is then an estimate."""
        return bool(self.metrics.get("dropped", 0.0))


@dataclass(frozen=True, slots=True)
class Evaluation(Sampled):
    """The fitness of one architecture.

    Args:
        architecture: The architecture; results are matched by it, never by order.
        value: Fitness, higher is better (top-1 accuracy in percent); None if the evaluation failed.
            A non-finite value counts as failed.
        error: Reason of a failure.
        seconds: Evaluation time.
        metrics: Further metrics, such as ``loss``; ``standard_error``, ``images`` and ``dropped`` are also properties.
    """

    architecture: Architecture
    value: float | None
    error: str | None = None
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "error", self.error or f"the fitness is {self.value}")
            object.__setattr__(self, "value", None)
        if self.value is not None:
            object.__setattr__(self, "value", float(self.value))  # NumPy and torch scalars are not JSON
        object.__setattr__(self, "metrics", {name: float(figure) for name, figure in self.metrics.items()})
        if self.value is None and not self.error:
            object.__setattr__(self, "error", "no value")


@dataclass(frozen=True, slots=True)
class Trial(Sampled):
    """One evaluated architecture of a search.

    Args:
        number: Trial number from 0, in the order asked.
        batch: Number of its ask, from 0.
        architecture: The architecture.
        value: Fitness, higher is better; None if the evaluation failed.
        error: Reason of a failure.
        seconds: Evaluation time.
        metrics: Further metrics of the fitness, such as ``loss``.
        costs: Costs by name, including ``params`` and ``macs``, each in the unit of its name.
        probe: Whether it is outside the feasible set: evaluated for the strategy to learn from, never a winner.

    Raises:
        StudyError: A value, metric or cost is not a number.
    """

    number: int
    batch: int
    architecture: Architecture
    value: float | None
    error: str | None = None
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    probe: bool = False

    def __post_init__(self) -> None:
        metrics = {name: math.nan if figure is None else figure for name, figure in self.metrics.items()}  # of JSON
        object.__setattr__(self, "metrics", metrics)
        own = {"number": self.number, "batch": self.batch, "seconds": self.seconds}
        value = {} if self.value is None else {"value": self.value}
        for name, figure in {**self.costs, **metrics, **own, **value}.items():
            if not isinstance(figure, numbers.Real) or isinstance(figure, bool):
                raise StudyError(f"{name} of trial {shown(self.number)} is a number, got {shown(figure)}", figure)

    @property
    def eligible(self) -> bool:
        """Whether it can be the best: it has a value, and is no probe."""
        return self.value is not None and not self.probe

    @property
    def rank(self) -> tuple[float, float, float]:
        """Sort key, best first: higher value, then lower loss, then fewer parameters."""
        value = -math.inf if self.value is None else self.value
        return -value, self.metrics.get("loss", math.inf), self.costs.get("params", 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return {
            "number": self.number,
            "batch": self.batch,
            "architecture": self.architecture.to_dict(),
            "value": self.value,
            "error": self.error,
            "seconds": self.seconds,
            "metrics": dict(self.metrics),
            "costs": dict(self.costs),
            **({"probe": True} if self.probe else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        """Read what ``to_dict`` wrote.

        Raises:
            StudyError: It has other keys.
        """
        try:
            return cls(**{**data, "architecture": Architecture.from_dict(data["architecture"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise StudyError(f"a stored trial is damaged: {error}", data) from error


@runtime_checkable
class Fitness(Protocol):
    """Evaluates architectures; higher is better.

    Optional members: ``architectures``, a finite domain; ``confirm(architectures)``, a more accurate
    evaluation of the recommendations; ``check(feasible)``, which raises ``FitnessError`` if a reachable
    choice cannot be evaluated; ``describe()``, plain data recorded
    with every result; ``joint``, whether values depend on which architectures are evaluated together;
    ``race_for(keep, rivals)``, called before an evaluation with the number of best architectures that the
    strategy needs and those that currently hold these places, fully evaluated; ``supernet_file``, the file of the
    weights, recorded with every result.

    Also optional, for comparisons only and hidden from strategies: ``true_value(architecture)``, the value without
    noise; ``test_value(architecture)``, the value on held-out test data; ``optimum(feasible)``, the
    highest true value of a feasible set. Each may be None if unknown. ``nasformer.search.known``
    reads them from any fitness.
    """

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterable[Evaluation]:
        """Yield one evaluation per architecture, in any order, as soon as it is known."""
        ...


class CallableFitness:
    """A plain function ``Architecture -> float`` as a fitness.

    >>> from nasformer.architecture import uniform
    >>> fitness = CallableFitness(lambda architecture: architecture.depth)
    >>> next(iter(fitness.evaluate([uniform(64, 3, 4, 2)]))).value
    3.0
    """

    def __init__(self, function: Callable[[Architecture], float]) -> None:
        self.function = function

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the function's value for each architecture."""
        for architecture in architectures:
            yield Evaluation(architecture, float(self.function(architecture)))

    def describe(self) -> dict[str, Any]:
        """Return the name of the function, or of its class."""
        return {"kind": "callable", "name": getattr(self.function, "__qualname__", type(self.function).__qualname__)}


def as_fitness(fitness: Fitness | Callable[[Architecture], float]) -> Fitness:
    """Return a fitness unchanged, and wrap a plain callable.

    Raises:
        FitnessError: It is neither.
    """
    if isinstance(fitness, Fitness):
        return fitness
    if callable(fitness):
        return CallableFitness(fitness)
    raise FitnessError(f"a fitness has evaluate(architectures) or is a callable, got {fitness!r}", fitness)


def describe_fitness(fitness: Fitness) -> dict[str, Any]:
    """Return the description of a fitness, else its class name."""
    describe = getattr(fitness, "describe", None)
    return dict(describe()) if describe else {"kind": type(fitness).__qualname__}


OPTIONAL = (
    *("architectures", "check", "confirm", "joint", "race_for", "work", "workers", "close"),
    *("true_value", "test_value", "optimum", "supernet_file"),
)


class WrapperFitness:
    """A fitness that wraps another and delegates optional members that it does not define.

    Args:
        fitness: The wrapped fitness.
    """

    def __init__(self, fitness: Fitness) -> None:
        self.fitness = fitness

    def __getattr__(self, name: str) -> Any:
        if name in OPTIONAL and "fitness" in vars(self):
            return getattr(self.fitness, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterable[Evaluation]:
        """Yield the evaluations of the wrapped fitness."""
        return self.fitness.evaluate(architectures)

    def describe(self) -> dict[str, Any]:
        """Return the description of the wrapped fitness."""
        return describe_fitness(self.fitness)
