"""Racing: stop evaluating an architecture early once others are significantly better.

Maron and Moore ("Hoeffding Races", NIPS 1993) raced models on a growing share of the data, Birattari et al.
(F-race, GECCO 2002) with paired tests on shared instances, Jamieson and Talwalkar (AISTATS 2016) in
geometrically growing shares. Here all architectures see the same images, pairs are compared by their mean paired
difference, and one is dropped once ``keep`` others beat it. ``docs/concepts/racing.md`` derives the error guarantees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError, did_you_mean
from nasformer.fitness.critical import critical_value
from nasformer.fitness.outcome import Array, Outcome
from nasformer.tasks import Metric, Task

Answers = Mapping[Architecture, Outcome | Exception]
Compute = Callable[[Sequence[Architecture], int, int], Answers]
"""``compute(architectures, start, stop)``: outcomes on the images from start to stop."""

_OPPONENTS = 4


@dataclass(frozen=True, slots=True)
class Racing:
    """Options of a race.

    Args:
        error: Maximal probability of dropping an architecture that equals all others on the whole split.
        first: Images before the first look.
        growth: Images at each look, as a multiple of those at the previous one.
        seed: Seed of the image order.

    Raises:
        FitnessError: A value is out of range.

    >>> Racing().looks(1000)
    [200, 300, 450, 675, 1000]
    """

    error: float = 0.05
    first: int = 200
    growth: float = 1.5
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "error": (0 < self.error < 1, "a probability between 0 and 1"),
            "first": (isinstance(self.first, int) and self.first >= 2, "a whole number of at least 2"),
            "growth": (1 < self.growth < math.inf, "finite and above 1"),
            "seed": (isinstance(self.seed, int) and self.seed >= 0, "a whole number of at least 0"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise FitnessError(f"racing: {name} must be {rule}, got {getattr(self, name)!r}", self)

    @classmethod
    def read(cls, racing: bool | Mapping[str, Any]) -> Racing | None:
        """Return the options of a race; None for False, the defaults for True, from names for a mapping.

        Raises:
            FitnessError: An option is unknown, or out of range.
        """
        if isinstance(racing, bool):
            return cls() if racing else None
        known = [field.name for field in fields(cls)]
        for name in racing:
            if name not in known:
                raise FitnessError(f"racing has no option {name!r}; {did_you_mean(name, known)}", racing)
        return cls(**racing)

    def looks(self, images: int) -> list[int]:
        """Return the number of images at each look; the last is all of them."""
        sizes, size = [], float(self.first)
        while size * math.sqrt(self.growth) < images:  # no look just before the last
            sizes.append(int(size))
            size *= self.growth
        return [*sizes, images]

    def critical(self, keep: int, others: int, images: int) -> float:
        """Return the lead, in standard errors, that makes one architecture count as better at a look."""
        looks = tuple(self.looks(images)[:-1])
        return critical_value(self.error, keep, others, looks, images) if looks and others else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return the options by name."""
        return asdict(self)


def race(
    racing: Racing,
    contestants: Sequence[Architecture],
    compute: Compute,
    *,
    images: int,
    task: Task,
    objective: Metric,
    keep: int = 1,
    rivals: Sequence[Outcome] = (),
) -> dict[Architecture, Outcome | Exception]:
    """Return each contestant's outcome, on all images or on those before it was dropped.

    Args:
        racing: Options.
        contestants: Architectures.
        compute: Evaluates further images; failed architectures leave the race.
        images: Images of the whole split.
        task: The task of the images.
        objective: The metric that ranks.
        keep: Number of best architectures needed: one is dropped once as many others beat it.
        rivals: Outcomes on all images of further architectures to beat.
    """
    critical = racing.critical(keep, len(contestants) + len(rivals) - 1, images)
    found: dict[Architecture, Outcome | Exception] = {}
    alive, start = list(contestants), 0
    for stop in racing.looks(images):
        for architecture, outcome in compute(alive, start, stop).items():
            found[architecture] = _joined(found.get(architecture), outcome)
        running = {a: outcome for a in alive if isinstance(outcome := found[a], Outcome)}
        told = [task.estimate(objective.name, each.part(0, stop).scores) for each in (*running.values(), *rivals)]
        lost = np.zeros(len(told), bool)
        if stop < images and told and all(each.reliable for each in told):
            lost = beaten(objective.sign * np.array([each.examples for each in told]), images, keep, critical)
        alive, start = [a for a, out in zip(running, lost, strict=False) if not out], stop
        if not alive:
            break
    return found


def beaten(values: Array, images: int, keep: int, critical: float) -> NDArray[np.bool_]:
    """Return which rows at least ``keep`` others beat.

    One beats another if the mean paired difference is more than ``critical`` standard errors above 0. The
    images are sampled from the split without replacement, so the error is sqrt(m2 / n * (1 - n / images)) with
    m2 the mean squared difference, which is the variance under the null hypothesis of equality.

    Args:
        values: ``(architectures, n)``, higher is better; a non-finite row is beaten, and beats none.
        images: Images of the whole split.
        keep: Number of others that must beat it.
        critical: Critical value in standard errors.
    """
    broken: NDArray[np.bool_] = ~np.all(np.isfinite(values), axis=1)
    if math.isinf(critical):
        return broken
    values = np.where(broken[:, None], 0.0, values)
    n = values.shape[1]
    means, squares = np.where(broken, -np.inf, values.mean(axis=1)), (values**2).mean(axis=1)
    best = np.argsort(-means, kind="stable")[: _OPPONENTS * keep]  # conservative: fewer opponents drop fewer
    best = best[~broken[best]]
    ahead = means[best][None, :] - means[:, None]  # (architectures, opponents)
    m2 = squares[:, None] + squares[best][None, :] - 2 * values @ values[best].T / n
    error = np.sqrt(np.maximum(m2, 0.0) / n * (1 - n / images))
    beats = (ahead > 1e-12) & (ahead > critical * error)
    lost: NDArray[np.bool_] = broken | (beats.sum(axis=1) >= keep)
    return lost


def _joined(before: Outcome | Exception | None, after: Outcome | Exception) -> Outcome | Exception:
    return before.followed_by(after) if isinstance(before, Outcome) and isinstance(after, Outcome) else after
