"""grow_front: a network for each of several budgets from one supernet, searched and fine-tuned in ascending order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, as_budgets, format_limits, within
from nasformer.data import Dataset
from nasformer.data.dataset import Split
from nasformer.errors import BudgetError, FitnessError, RecipeError
from nasformer.fitness import InheritedFitness
from nasformer.registry import get_strategy
from nasformer.search import Evaluation, SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet, SearchSpace
from nasformer.space.scores import distance_scores
from nasformer.supernet import Supernet
from nasformer.training import FinetuneResult, Recipe, finetune
from nasformer.training.compute import for_compute
from nasformer.training.front import compute_parts

_BATCH = 10


@dataclass(frozen=True)
class GrownNetwork:
    """A network that was searched and fine-tuned.

    Attributes:
        limits: The bounds of its search: more than the budget before, at most its own.
        search: The search, with inherited weights.
        tuned: The fine-tuning.
        evaluation: What it reaches on the search images with the weights of the fine-tuning.
        macs: Multiply-accumulates of search and fine-tuning.
    """

    limits: Limits
    search: SearchResult
    tuned: FinetuneResult
    evaluation: Evaluation
    macs: float

    @property
    def architecture(self) -> Architecture:
        """Its architecture."""
        return self.tuned.net.architecture


@dataclass(frozen=True)
class GrownFront:
    """The networks of several budgets.

    Attributes:
        grown: One that was searched for each budget, ascending.
        winners: The best of them within each budget on the search images, in the order of the budgets. A larger
            network that is no better does not replace a smaller one.
    """

    grown: tuple[GrownNetwork, ...]
    winners: tuple[GrownNetwork, ...]

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
    macs: float,
    evaluations: int = 100,
    images: Split | None = None,
    objective: str | None = None,
    strategy: str = "thompson",
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
        recipe: Recipe of the fine-tunings; its epochs follow from ``macs``.
        macs: Multiply-accumulates of all searches and fine-tunings, forward and backward passes.
        evaluations: Evaluations of all searches.
        images: Search images; None: those of ``data``.
        objective: Objective of the searches; None: the loss, if the task has it.
        strategy: Strategy of the searches.
        seed: Seed of the searches.
        out: Folder of the study and, by number from 1, of the networks; None: nothing is written.
        **options: Options of ``finetune``; with ``resume`` a stopped call goes on.

    Raises:
        BudgetError: A budget has no upper bound, cannot be met, or allows no more than the one before.
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
    space, shared, left = net.space, deepcopy(net), macs
    judged = data.search if images is None else images
    ranked = objective or ("loss" if "loss" in data.task.objectives else None)
    how: dict[str, Any] = {name: options[name] for name in ("device", "readers") if name in options}
    how |= {"task": data.task, "data": data.record, "objective": ranked}
    uppers = [_upper(own) for own in as_budgets(budgets, space.known_costs, space.constraints)]
    ascending = sorted(uppers, key=lambda upper: space.feasible(**upper).bounds("macs")[1])
    parts, each = compute_parts(space, ascending), -(-evaluations // len(ascending))
    grown = list[GrownNetwork]()
    for place, upper in enumerate(ascending):
        limits, near = upper, list[Architecture]()
        if grown:
            below = {name: bounds.high for name, bounds in ascending[place - 1].items()}
            limits = {name: Bounds(below.get(name), bounds.high) for name, bounds in upper.items()}
            near = space.feasible(**limits).best(distance_scores(space.codec, grown[-1].architecture), each // 2)
        first = {"then": strategy, "first": [own.to_dict() for own in near]}
        result = Searcher(space, _FirstThese, InheritedFitness(shared, judged, **how), seed, **first).run(
            limits,
            evaluations=each,
            batch_size=_BATCH,
            storage=None if out is None else Path(out) / "study.log",
            study=str(place + 1),
            progress=False,
        )
        winner = result.best.architecture
        spent = float(sum(trial.costs["macs"] for trial in result.trials) * len(judged))
        if spent >= left:
            raise RecipeError(f"the searches take all of {macs:.3g} multiply-accumulates; take more", macs)
        part = parts[place] / sum(parts[place:]) * (left - spent)
        lasting = for_compute(recipe, part, space.macs(winner), len(data.train))
        folder = None if out is None else Path(out) / str(place + 1)
        lasting = lasting.replace(validate_every=lasting.epochs)
        tuned = finetune(shared.extract(winner), data, lasting, out=folder, **options)
        shared.absorb(tuned.net)
        (after,) = InheritedFitness(shared, judged, **how).evaluate([winner])
        if after.value is None:
            raise FitnessError(f"{winner} cannot be evaluated: {after.error}", after)
        spent += tuned.training.macs or 0
        left -= spent
        grown.append(GrownNetwork(limits, result, tuned, after, spent))
    return GrownFront(tuple(grown), tuple(_best(grown, upper, space) for upper in uppers))


class _FirstThese:
    """A strategy that asks for given architectures first, and then as another strategy that was told of them."""

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        then: str = "thompson",
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        make = get_strategy(then)
        self.inner = make(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        self.probes = getattr(self.inner, "probes", frozenset())
        self.uses_evaluations = getattr(self.inner, "uses_evaluations", True)
        self._first = [Architecture.from_dict(each) for each in first]

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return the next of the given architectures, if any are left, else those of the other strategy."""
        asked, self._first = self._first[:n], self._first[n:]
        return asked or self.inner.ask(n)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the other strategy."""
        self.inner.tell(trials)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return what the other strategy recommends."""
        return self.inner.recommend(k)


def _upper(limits: Limits) -> Limits:
    """Return the upper bounds of a budget.

    Raises:
        BudgetError: It has none.
    """
    found = {name: Bounds(None, bounds.high) for name, bounds in limits.items() if bounds.high is not None}
    if not found:
        raise BudgetError(f"the budget {format_limits(limits)} has no upper bound; give one", limits)
    return found


def _value(evaluation: Evaluation) -> float:
    assert evaluation.value is not None
    return evaluation.value


def _best(grown: Sequence[GrownNetwork], limits: Limits, space: SearchSpace) -> GrownNetwork:
    """Return the best network within limits."""
    inside = [each for each in grown if within(space.costs(each.architecture), limits)]
    return max(inside, key=lambda each: _value(each.evaluation))
