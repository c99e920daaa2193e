"""Pieces: the measurements of a diagnosis, each a function from a bench to plain values.

Values are of the task's default objective, negated unless higher is better, on the test split unless named search;
``seconds`` are the sequential time of a piece's trainings and searches, whichever piece ran them first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import Doing, JobResult
from nasformer.diagnose.pieces.compute import compute
from nasformer.diagnose.pieces.efficiency import efficiency
from nasformer.diagnose.pieces.fidelity import fidelity
from nasformer.diagnose.pieces.images import images


class Measure(NamedTuple):
    """The measurement of a piece: a function from a bench to plain values, and the attributes of the plan it reads."""

    of: Callable[[Bench, Doing], JobResult]
    sizes: tuple[str, ...]


_SEARCH = ("search_images", "budgets")

MEASURES = {
    "images": Measure(images, ("pool", "seed")),
    "efficiency": Measure(efficiency, (*_SEARCH, "evaluations", "random", "seeds")),
    "fidelity": Measure(fidelity, ("recipe", "epochs", "architectures", "band", "long", "budgets", "seed")),
    "compute": Measure(compute, (*_SEARCH, "recipe", "finetuning", "share", "evaluations", "seeds")),
}
"""Measurements by name, in execution order."""
