"""grow_front: a network for each of several budgets from one supernet, searched and fine-tuned in ascending order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import to_json, write_file
from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, as_budgets, format_limits, within
from nasformer.data import Dataset
from nasformer.data.dataset import Split
from nasformer.errors import BudgetError, FitnessError, RecipeError
from nasformer.fitness import Finetuning, InheritedFitness
from nasformer.registry import get_strategy
from nasformer.search import Evaluation, SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet, SearchSpace
from nasformer.space.scores import distance_scores
from nasformer.supernet import Supernet
from nasformer.training import FinetuneResult, Recipe, finetune, repair
from nasformer.training.compute import PASSES, for_images
from nasformer.training.front import compute_parts
from nasformer.training.pace import seconds_per_image
from nasformer.training.repair import repairs_by_default
from nasformer.training.subnet import train_subnet

_BATCH = 10
_CONFIRM = 0.1
_SEARCH = 0.3
_TRIED = 50
_STEP = "step.json"


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
    macs: float | None = None,
    seconds: float | None = None,
    evaluations: int = 100,
    images: Split | None = None,
    objective: str | None = None,
    strategy: str = "thompson",
    racing: bool = False,
    confirm: int = 1,
    keeps: Callable[[Architecture, Limits], bool] | None = None,
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
    compute: _Macs | _Seconds = _Macs(space, data, macs) if macs is not None else _Seconds(data, float(seconds or 0))
    search = _Search(strategy, -(-evaluations // len(uppers)), judged, objective, racing, confirm, keeps, seed)
    growth = _Growth(deepcopy(net), data, recipe, compute, search, None if out is None else Path(out), options)
    parts = compute_parts(space, ascending)
    for place, upper in enumerate(ascending):
        growth.step(upper, ascending[place - 1] if place else {}, parts[place] / sum(parts[place:]))
    return GrownFront(tuple(growth.grown), tuple(_best(growth.grown, upper, space) for upper in uppers))


@dataclass(frozen=True)
class _Search:
    """How each budget is searched; attributes as arguments of ``grow_front``."""

    strategy: str
    evaluations: int
    images: Split
    objective: str | None
    racing: bool
    confirm: int
    keeps: Callable[[Architecture, Limits], bool] | None
    seed: int


class _Growth:
    """The state between two budgets."""

    def __init__(
        self,
        net: Supernet,
        data: Dataset,
        recipe: Recipe,
        compute: _Macs | _Seconds,
        search: _Search,
        out: Path | None,
        options: dict[str, Any],
    ) -> None:
        self.net, self.data, self.recipe, self.compute, self.search = net, data, recipe, compute, search
        self.out, self.options = out, options
        self.grown: list[GrownNetwork] = []

    def step(self, upper: Limits, below: Limits, share: float) -> None:
        """Search between two budgets, and fine-tune the winner for a share of what is left of the compute."""
        limits = {name: Bounds(below[name].high if name in below else None, own.high) for name, own in upper.items()}
        folder = None if self.out is None else self.out / str(len(self.grown) + 1)
        result = self._searched(limits, share)
        kept = _read_step(folder)
        winner = kept[0] if kept else self._winner(result, upper)
        confirming = _CONFIRM * share * self.compute.left if self.search.confirm > 1 else 0.0
        searched = kept[2] if kept else self.compute.of_search(result, len(self.search.images), confirming)
        recipe = kept[1] if kept else self._recipe(winner, share * self.compute.after(searched))
        if folder is not None and not kept:
            record = {"architecture": winner.to_dict(), "recipe": recipe.to_dict(), "searched": searched}
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / _STEP, to_json(record, indent=1) + "\n")
        repairs = repairs_by_default(self.net, self.data)
        start = repair(self.net, winner, self.data) if repairs else self.net.extract(winner)
        tuned = finetune(start, self.data, recipe, out=folder, **self.options)
        self.net.absorb(tuned.net)
        (after,) = self._fitness().evaluate([winner])
        if after.value is None:
            raise FitnessError(f"{winner} cannot be evaluated: {after.error}", after)
        self.compute.left -= searched + self.compute.of_training(tuned)
        evaluated = sum(trial.costs["macs"] for trial in result.trials) * len(self.search.images)
        self.grown.append(GrownNetwork(limits, result, tuned, after, evaluated + (tuned.training.macs or 0)))

    def _fitness(self) -> InheritedFitness:
        data, how = self.data, {name: self.options[name] for name in ("device", "readers") if name in self.options}
        objective = self.search.objective or ("loss" if "loss" in data.task.objectives else None)
        return InheritedFitness(
            self.net,
            self.search.images,
            task=data.task,
            data=data.record,
            objective=objective,
            racing=self.search.racing,
            **how,
        )

    def _searched(self, limits: Limits, share: float) -> SearchResult:
        space, search, near = self.net.space, self.search, list[Architecture]()
        if self.grown:
            scores = distance_scores(space.codec, self.grown[-1].architecture)
            near = space.feasible(**limits).best(scores, search.evaluations // 2)
        first = {"then": search.strategy, "first": [each.to_dict() for each in near]}
        return Searcher(space, _FirstThese, self._fitness(), search.seed, **first).run(
            limits,
            evaluations=search.evaluations,
            batch_size=_BATCH,
            seconds=self.compute.of_evaluations(share),
            rerank=self._reranker(limits, share) if search.confirm > 1 else None,
            storage=None if self.out is None else self.out / "study.log",
            study=str(len(self.grown) + 1),
            progress=False,
        )

    def _reranker(self, limits: Limits, share: float) -> Finetuning:
        """Return a fine-tuning of the best that takes a tenth of the share."""
        most = self.net.space.feasible(**limits).uniform() or self.net.space.feasible(**limits).sample(1)
        short = self._recipe(most[-1], _CONFIRM * share * self.compute.left / self.search.confirm)
        how = {name: self.options[name] for name in ("device", "readers") if name in self.options}
        return Finetuning(self.net, self.data, top=self.search.confirm, epochs=short.epochs, recipe=short, **how)

    def _recipe(self, architecture: Architecture, part: float) -> Recipe:
        """Return the recipe of a fine-tuning that takes a part of the compute."""
        images = part / self.compute.of_image(self.net, architecture, self.recipe, self.options)
        lasting = for_images(self.recipe, images, len(self.data.train))
        return lasting.replace(validate_every=lasting.epochs)

    def _winner(self, result: SearchResult, upper: Limits) -> Architecture:
        """Return the best network of a search that keeps its budget.

        Raises:
            BudgetError: None of the best does.
        """
        known = sorted((trial for trial in result.trials if trial.eligible), key=lambda trial: trial.rank)
        ranked = dict.fromkeys(trial.architecture for trial in (*result.confirmed, *known))
        tried = list(ranked)[:_TRIED]
        for architecture in tried:
            if self.search.keeps is None or self.search.keeps(architecture, upper):
                return architecture
        words = f"none of the best {len(tried)} networks keeps {format_limits(upper)} in fact; take a larger budget"
        raise BudgetError(words, upper)


@dataclass
class _Macs:
    """Compute in multiply-accumulates."""

    space: SearchSpace
    data: Dataset
    left: float

    def after(self, searched: float) -> float:
        """Return what a search leaves.

        Raises:
            RecipeError: Nothing.
        """
        if searched >= self.left:
            raise RecipeError(
                f"the searches take all of the compute, {self.left:.3g} multiply-accumulates; take more", self.left
            )
        return self.left - searched

    def of_evaluations(self, share: float) -> float | None:
        return None

    def of_search(self, result: SearchResult, images: int, confirming: float) -> float:
        return float(sum(trial.costs["macs"] for trial in result.trials) * images) + confirming

    def of_image(self, net: Supernet, architecture: Architecture, recipe: Recipe, options: Mapping[str, Any]) -> float:
        return PASSES * self.space.macs(architecture)

    def of_training(self, tuned: FinetuneResult) -> float:
        return tuned.training.macs or 0


@dataclass
class _Seconds:
    """Compute in seconds of this machine."""

    data: Dataset
    left: float

    def after(self, searched: float) -> float:
        return max(0.0, self.left - searched)

    def of_evaluations(self, share: float) -> float | None:
        return max(1.0, _SEARCH * share * self.left)

    def of_search(self, result: SearchResult, images: int, confirming: float) -> float:
        return result.seconds["total"]

    def of_image(self, net: Supernet, architecture: Architecture, recipe: Recipe, options: Mapping[str, Any]) -> float:
        return seconds_per_image(train_subnet, net.extract(architecture), self.data, recipe, **options)

    def of_training(self, tuned: FinetuneResult) -> float:
        return tuned.training.seconds


def _read_step(folder: Path | None) -> tuple[Architecture, Recipe, float] | None:
    """Return winner, recipe and compute of the search, if a step was begun."""
    if folder is None or not (folder / _STEP).is_file():
        return None
    known = parse_json(read_text(folder / _STEP))
    return Architecture.from_dict(known["architecture"]), Recipe(**known["recipe"]), float(known["searched"])


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
        self.probes: Set[Architecture] = getattr(self.inner, "probes", frozenset())
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
