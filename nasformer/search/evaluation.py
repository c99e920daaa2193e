"""Evaluation, Trial, Fitness: what a search asks of a fitness, and what it remembers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError


class Sampled:
    """Figures of a value that a sample gave, where the fitness tells them as metrics."""

    __slots__ = ()
    metrics: Mapping[str, float]

    @property
    def standard_error(self) -> float | None:
        """Of the value, in its unit."""
        return self.metrics.get("standard_error")

    @property
    def images(self) -> int | None:
        """How many images the architecture saw."""
        return None if "images" not in self.metrics else int(self.metrics["images"])

    @property
    def dropped(self) -> bool:
        """Whether a race dropped it before it saw all; its value is then an estimate, to be confirmed."""
        return bool(self.metrics.get("dropped", 0.0))


@dataclass(frozen=True, slots=True)
class Evaluation(Sampled):
    """What a fitness says of one architecture.

    Args:
        architecture: The one judged; results travel with it, never by order.
        value: Its fitness, higher is better (top-1 accuracy is in percent); None where it failed.
            A value that is not finite counts as failed.
        error: Why there is no value.
        seconds: Time the evaluation took.
        metrics: Further figures, such as ``loss``; ``standard_error``, ``images`` and ``dropped`` are properties too.
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
            object.__setattr__(self, "value", float(self.value))  # a NumPy or torch number is no JSON
        object.__setattr__(self, "metrics", {name: float(figure) for name, figure in self.metrics.items()})
        if self.value is None and not self.error:
            object.__setattr__(self, "error", "no value")


@dataclass(frozen=True, slots=True)
class Trial(Sampled):
    """One evaluated architecture of a search.

    Args:
        number: Position in the search, from 0, in the order asked.
        batch: Number of the ask that it came from, from 0.
        architecture: The architecture.
        value: Its fitness, higher is better; None where the evaluation failed.
        error: Why there is no value.
        seconds: Time of the evaluation.
        metrics: Further figures of the fitness, such as ``loss``.
        costs: Costs by name, ``params`` and ``macs`` among them, each in the unit of its name.
    """

    number: int
    batch: int
    architecture: Architecture
    value: float | None
    error: str | None = None
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

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
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        """Read what ``to_dict`` wrote."""
        return cls(**{**data, "architecture": Architecture.from_dict(data["architecture"])})


@runtime_checkable
class Fitness(Protocol):
    """Judges architectures; higher is better.

    Optional members: ``architectures``, the finite set that it knows; ``confirm(architectures)``, a
    more careful evaluation for the few that were recommended; ``check(feasible)``, which raises
    ``FitnessError`` where a reachable choice cannot be judged; ``describe()``, plain data recorded
    with every result; ``joint``, whether values depend on which architectures are evaluated together;
    ``race_for(keep, rivals)``, told before an evaluation how many of the best the strategy needs and
    which of those evaluated in full have these places now.

    Optional too, for comparisons, which show them to no strategy: ``true_value(architecture)``, what it would be
    told without noise; ``test_value(architecture)``, its value on what chose nothing; ``optimum(feasible)``, the
    highest true value within a feasible set. Each may be None where it is not known. ``nasformer.search.known``
    asks any fitness for them.
    """

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterable[Evaluation]:
        """Yield an evaluation for each architecture, in any order, as soon as it is known."""
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
        """Return the function's name."""
        return {"kind": "callable", "name": getattr(self.function, "__qualname__", repr(self.function))}


def as_fitness(fitness: Fitness | Callable[[Architecture], float]) -> Fitness:
    """Return a fitness as it is, or a plain callable as one.

    Raises:
        FitnessError: It is neither.
    """
    if isinstance(fitness, Fitness):
        return fitness
    if callable(fitness):
        return CallableFitness(fitness)
    raise FitnessError(f"a fitness has evaluate(architectures) or is a callable, got {fitness!r}", fitness)


def describe_fitness(fitness: Fitness) -> dict[str, Any]:
    """Return what a fitness says of itself, else its class."""
    describe = getattr(fitness, "describe", None)
    return dict(describe()) if describe else {"kind": type(fitness).__qualname__}


OPTIONAL = (
    *("architectures", "check", "confirm", "joint", "race_for", "work", "workers", "close"),
    *("true_value", "test_value", "optimum"),
)


class WrapperFitness:
    """A fitness around another, which answers by its own optional members wherever the wrapper has none.

    Args:
        fitness: The other.
    """

    def __init__(self, fitness: Fitness) -> None:
        self.fitness = fitness

    def __getattr__(self, name: str) -> Any:
        if name in OPTIONAL and "fitness" in vars(self):
            return getattr(self.fitness, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterable[Evaluation]:
        """Yield what the other says of each architecture."""
        return self.fitness.evaluate(architectures)

    def describe(self) -> dict[str, Any]:
        """Return what the other says of itself."""
        return describe_fitness(self.fitness)
