"""grow_front: a network for each of several budgets from one supernet, searched and fine-tuned in ascending order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nasformer._io import to_json, write_file
from nasformer._record import read_record
from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, as_budgets, format_limits, within
from nasformer.data import Dataset
from nasformer.data.dataset import Split
from nasformer.errors import BudgetError, RecipeError
from nasformer.growth.affordable import affordable_limits, affordable_macs, default_epochs
from nasformer.growth.compute import MacsCompute, SecondsCompute
from nasformer.growth.growth import GrownNetwork, Growth, SearchSettings
from nasformer.search import Evaluation
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe
from nasformer.training.front import compute_parts
from nasformer.training.teacher import from_checkpoint

_AFFORDABLE = "affordable.json"


@dataclass(frozen=True)
class GrownFront:
    """The networks of several budgets.

    Attributes:
        grown: One that was searched for each budget, ascending.
        winners: The best of them within each budget on the search images, in the order of the budgets. A larger
            network that is no better does not replace a smaller one.
        most: Most MACs of a network that the compute trains well; larger ones were not searched.
    """

    grown: tuple[GrownNetwork, ...]
    winners: tuple[GrownNetwork, ...]
    most: float

    @property
    def macs(self) -> float:
        """Multiply-accumulates of all searches and fine-tunings."""
        return sum(each.macs for each in self.grown)


def grow_front(
    net: Supernet,
    data: Dataset,
    budgets: object,
    recipe: Recipe,
    *,
    macs: float | None = None,
    seconds: float | None = None,
    evaluations: int = 100,
    images: Split | None = None,
    objective: str | None = None,
    strategy: str = "thompson",
    racing: bool = False,
    confirm: int = 1,
    keeps: Callable[[Architecture, Limits], bool] | None = None,
    least_epochs: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    **options: Any,
) -> GrownFront:
    """Search and fine-tune a network for each budget, each from what the smaller ones have learnt.

    The weights of a fine-tuned network go back into a copy of the supernet (``Supernet.absorb``), with which the next
    budget is searched; the first half of its evaluations are the nearest larger networks, which have most of what it
    learnt (networks grow as in Net2Net, Chen et al., ICLR 2016). Small networks take more of the compute.

    Args:
        net: The supernet; not modified.
        data: The dataset.
        budgets: Budgets, as for ``Searcher.run``, each with an upper bound.
        recipe: Recipe of the fine-tunings; its epochs follow from ``macs`` or ``seconds``.
        macs: Multiply-accumulates of all searches and fine-tunings, forward and backward passes.
        seconds: Instead of ``macs``, their time on this machine: the speed of each training is measured first, and a
            search ends after three tenths of its share.
        evaluations: Evaluations of all searches.
        images: Search images; None: those of ``data``.
        objective: Objective of the searches; None: the loss, if the task has it.
        strategy: Strategy of the searches.
        racing: Whether searches drop inferior architectures early.
        confirm: Number of the best of each search that a tenth of its compute fine-tunes before the winner is named.
        keeps: Whether a network keeps its budget in fact, such as a measured latency; the best that does is taken.
        least_epochs: Passes over the train images that the compute should allow a network. Larger networks are not
            searched, since they would learn less. 0: no limit. None: no limit for a family from a trained checkpoint,
            else as many passes as two million images are, from 20 to 300.
        seed: Seed of the searches.
        out: Folder of the study and, by number from 1, of the networks; None: nothing is written.
        **options: Options of ``finetune``; with ``resume`` a stopped call goes on.

    Raises:
        BudgetError: A budget has no upper bound, cannot be met, or none of the best networks keeps it.
        FitnessError: A network cannot be evaluated.
        RecipeError: The searches take all the compute.

    >>> import nasformer as nf
    >>> space, data = nf.load_space("digits"), nf.load_dataset("digits")
    >>> recipe = nf.Recipe.for_dataset("digits")
    >>> how = {"macs": 8e9, "evaluations": 8, "device": "cpu", "progress": False}
    >>> front = grow_front(nf.Supernet(space), data, "macs <= 400K, 800K", recipe, **how)
    >>> [space.macs(each.architecture) <= most for each, most in zip(front.winners, (400e3, 800e3))]
    [True, True]
    """
    if (macs is None) == (seconds is None):
        raise RecipeError(f"give macs or seconds, got {macs!r} and {seconds!r}", macs)
    space, judged = net.space, data.search if images is None else images
    uppers = [_upper(own) for own in as_budgets(budgets, space.known_costs, space.constraints)]
    ascending = sorted(uppers, key=lambda upper: space.feasible(**upper).bounds("macs")[1])
    compute = MacsCompute(data, macs) if macs is not None else SecondsCompute(data, seconds or 0.0)
    folder = None if out is None else Path(out)
    if least_epochs is None:
        least_epochs = 0 if from_checkpoint(net) else default_epochs(len(data.train))
    most = math.inf
    if least_epochs:
        measure = partial(affordable_macs, net, ascending[-1], compute, least_epochs, recipe, options)
        most = _affordable(folder, least_epochs, measure)
    steps = affordable_limits(space, ascending, most)
    search = SearchSettings(strategy, -(-evaluations // len(steps)), judged, objective, racing, confirm, keeps, seed)
    growth = Growth(deepcopy(net), data, recipe, compute, search, folder, options)
    parts = compute_parts(space, steps)
    for place, upper in enumerate(steps):
        growth.step(upper, steps[place - 1] if place else {}, parts[place] / sum(parts[place:]))
    return GrownFront(tuple(growth.grown), tuple(_best(growth.grown, upper, space) for upper in uppers), most)


def _upper(limits: Limits) -> Limits:
    """Return the upper bounds of a budget.

    Raises:
        BudgetError: It has none.
    """
    found = {name: Bounds(None, bounds.high) for name, bounds in limits.items() if bounds.high is not None}
    if not found:
        raise BudgetError(f"the budget {format_limits(limits)} has no upper bound; give one", limits)
    return found


def _affordable(folder: Path | None, least_epochs: float, measure: Callable[[], float]) -> float:
    """Return the MACs of the largest affordable network, as an earlier call found them, else measured.

    Raises:
        RecipeError: The earlier call had another ``least_epochs``.
    """
    if folder is None:
        return measure()
    file = folder / _AFFORDABLE
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_file(file, to_json({"macs": measure(), "least_epochs": least_epochs}) + "\n")
    known = read_record(file)
    if known["least_epochs"] != least_epochs:
        raise RecipeError(f"{folder} has least_epochs {known['least_epochs']}, got {least_epochs}", least_epochs)
    return float(known["macs"])


def _value(evaluation: Evaluation) -> float:
    assert evaluation.value is not None
    return evaluation.value


def _best(grown: Sequence[GrownNetwork], limits: Limits, space: SearchSpace) -> GrownNetwork:
    """Return the best network within limits."""
    inside = [each for each in grown if within(space.costs(each.architecture), limits)]
    return max(inside, key=lambda each: _value(each.evaluation))
