"""Searcher: the front door. One space, one strategy, one fitness; ``run`` under a budget."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nasformer._provenance import versions
from nasformer.architecture import Architecture
from nasformer.cost import COSTS, LatencyTable, Limits, as_limits, format_limits, merge
from nasformer.errors import StrategyError, StudyError, did_you_mean
from nasformer.registry import StrategyFactory, default_fitness, get_strategy, make_fitness
from nasformer.search import AsynchronousLoop, Fitness, Limit, Run, SearchLoop, SearchResult, Strategy, as_fitness
from nasformer.search.confirm import confirm_recommended
from nasformer.search.evaluation import describe_fitness
from nasformer.search.loop import Callback
from nasformer.search.progress import ProgressBar
from nasformer.search.study import Study
from nasformer.space import FeasibleSet, SearchSpace, bounded, load_space

_LOGGER = logging.getLogger(__name__)


class _Task(NamedTuple):
    """What a search needs, checked."""

    strategy: Strategy
    fitness: Fitness
    feasible: FeasibleSet
    settings: dict[str, Any]
    record: Study


class Searcher:
    """A search that is ready to run.

    Args:
        space: A space, the name of a built-in one, or the path of a declaration.
        strategy: A strategy's name, ``module:Class``, or a class that follows the protocol.
        fitness: What judges architectures, higher is better; a plain function of an architecture
            serves. None: the weights trained for this space, else a training-free score (with a
            warning).
        seed: Of all randomness.
        **options: Of the strategy.

    Raises:
        StrategyError: An unknown strategy, or an option that it does not have.
        SpaceError: An unknown space.

    >>> searcher = Searcher("digits", strategy="random", fitness=lambda arch: arch.depth)
    >>> result = searcher.run(budget=60e3, evaluations=10, progress=False)
    >>> len(result.trials), result.best.params <= 60e3
    (10, True)
    """

    def __init__(
        self,
        space: SearchSpace | str | Path,
        strategy: str | StrategyFactory = "evolution",
        fitness: Fitness | Callable[[Architecture], float] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.space = load_space(space)
        self.factory = get_strategy(strategy) if isinstance(strategy, str) else strategy
        made = getattr(self.factory, "func", self.factory)  # a partial is named by what it calls
        self.strategy = strategy if isinstance(strategy, str) else f"{made.__module__}:{made.__qualname__}"
        if seed < 0:
            raise StrategyError(f"seed must be 0 or more, got {seed}", seed)
        self.fitness = None if fitness is None else as_fitness(fitness)
        self.seed, self.options = seed, options
        _check_options(self.strategy, self.factory, options)

    def run(
        self,
        budget: object = None,
        *,
        evaluations: int = 1050,
        seconds: float | None = None,
        pause_after: int | None = None,
        until_no_gain: int | None = None,
        batch_size: int = 1,
        max_failures: int = 10,
        confirm: int = 5,
        resolution: Mapping[str, float] | None = None,
        storage: str | Path | None = None,
        study: str | None = None,
        recipe: Mapping[str, Any] | None = None,
        asynchronous: bool = False,
        accept_drift: bool = False,
        callback: Callback | None = None,
        progress: bool = True,
    ) -> SearchResult:
        """Search, confirm what the strategy recommends, and return everything.

        Args:
            budget: What the found network may cost: a number (most parameters), a (least, most) pair,
                a mapping by cost (``{"params": 6e6, "macs": 1.4e9, "latency_ms": 5}``), or a line
                (``"params <= 6M"``). Costs beyond parameters and MACs are those of ``space.with_cost``.
            evaluations: Most distinct architectures to look at.
            seconds: Most seconds, checked between batches.
            pause_after: Evaluations after which to stop for now, checked between batches.
            until_no_gain: Evaluations without a new best after which to stop for now, checked between batches.
            batch_size: Architectures per ask.
            max_failures: Most failed evaluations.
            confirm: How many of the strategy's recommendations compete to be the winner; a fitness that has
                ``confirm`` judges them anew, else their trials stand.
            resolution: Grid by cost, for budgets whose exact sums are too many; see ``CountedSet``.
            storage: Journal file (``PATH.log``) or database URL that keeps the trials; a search that
                was stopped goes on from there, and several processes share one. None: memory.
            study: Name in the storage; default: space, strategy and seed.
            recipe: Kept with a new study, so that ``Searcher.open`` can make the search again: ``fitness``, the
                arguments of ``make_fitness``, and ``latency_table``, as plain data.
            asynchronous: Whether processes that share the study do not wait for each other.
            accept_drift: Whether to go on where the strategy asks otherwise than the study holds.
            callback: Called with each trial.
            progress: Show a bar.

        Raises:
            BudgetError: No architecture meets the budget.
            FitnessError: The fitness cannot judge what the budget allows, or failed too often.
            StudyError: The storage cannot be used, or holds other settings under this name.
        """
        start = time.perf_counter()
        limit = Limit(evaluations, batch_size, max_failures, seconds, pause_after, until_no_gain)
        task = self._prepare(budget, limit, confirm, resolution, storage, study, recipe)
        strategy, record, fitness, feasible = task.strategy, task.record, task.fitness, task.feasible
        if asynchronous:
            record.let_run_free()
        total, work = min(evaluations, feasible.at_most()), getattr(fitness, "work", None)
        with ProgressBar(f"{self.strategy} seed {self.seed}", total, progress, work) as bar, record.crew.session():
            callbacks = [bar.update] if callback is None else [bar.update, callback]
            loop = AsynchronousLoop if record.asynchronous else SearchLoop
            run = loop(strategy, fitness, feasible, limit, record, callbacks, accept_drift).run()
            before = time.perf_counter()
            recommended = self._recommended(strategy, feasible, run, confirm)
            confirmed = record.crew.confirmed(
                len(run.trials), lambda: confirm_recommended(recommended, fitness, feasible, run)
            )
        end = time.perf_counter()
        return SearchResult(
            space=self.space,
            limits=feasible.limits,
            settings=task.settings,
            trials=tuple(run.trials),
            confirmed=confirmed,
            counts={**getattr(strategy, "counts", {}), "failed": len(run.failures), "replayed": run.replayed},
            seconds={**run.seconds, "confirmation": end - before, "total": end - start},
            stopped=run.stopped,
            feasible=feasible.count() if feasible.countable else 0,
            versions=versions(),
        )

    def create(
        self,
        storage: str | Path,
        study: str | None = None,
        budget: object = None,
        *,
        evaluations: int = 1050,
        batch_size: int = 1,
        max_failures: int = 10,
        confirm: int = 5,
        resolution: Mapping[str, float] | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> Study:
        """Make the study of a search that ``run`` begins later, here or elsewhere; arguments as there.

        Raises:
            BudgetError: No architecture meets the budget.
            FitnessError: The fitness cannot judge what the budget allows.
            StudyError: The storage cannot be used, or holds other settings under this name.
        """
        limit = Limit(evaluations, batch_size, max_failures)
        return self._prepare(budget, limit, confirm, resolution, storage, study, recipe).record

    def _prepare(
        self,
        budget: object,
        limit: Limit,
        confirm: int,
        resolution: Mapping[str, float] | None,
        storage: str | Path | None,
        study: str | None,
        recipe: Mapping[str, Any] | None,
    ) -> _Task:
        """Check everything that can be checked, then open or make the study."""
        if confirm < 1:
            raise StrategyError(f"confirm must be at least 1, got {confirm}", confirm)
        feasible = self.feasible(budget, self.fitness, resolution)
        _LOGGER.info("searching %r", feasible)
        strategy = self.make(feasible, limit)  # before a default fitness warns
        fitness = self.fitness or default_fitness(self.space)
        if self.fitness is None:
            _check_fitness(fitness, feasible)
        settings = self._settings(feasible.limits, limit, confirm, fitness)
        settings |= {"resolution": dict(resolution)} if resolution else {}
        made = {"fitness": {"spec": settings["fitness"]["kind"]}} if self.fitness is None else {}
        kept = {**made, **(recipe or {}), "max_failures": limit.max_failures}
        record = Study.begin(storage, study or self.default_study, self.space, settings, feasible.limits, kept)
        return _Task(strategy, fitness, feasible, settings, record)

    @classmethod
    def open(cls, storage: str | Path, study: str | None = None, **how: Any) -> tuple[Searcher, dict[str, Any]]:
        """Return the search of a study, and the arguments with which ``run`` continues it.

        Args:
            storage: Where the study is.
            study: Its name; None: the only one there.
            **how: What may differ from one machine to the next, for ``make_fitness``: ``supernet``, ``root``,
                ``device``, ``workers``, ``ray``. Other weights than the study's are refused.

        Raises:
            StudyError: There is no such study, or it was made in Python with what a storage cannot keep.
        """
        found = Study.load(storage, study)
        name, settings, recipe, space = found.name, found.settings, found.recipe, found.space
        if recipe.get("latency_table"):
            space = space.with_cost(LatencyTable.from_dict(recipe["latency_table"]).cost())
        missing = [cost for cost in settings.get("costs", {}) if cost not in space.known_costs]
        if missing or not recipe.get("fitness"):
            what = f"the cost {missing[0]!r}" if missing else f"the fitness {settings['fitness']}"
            raise StudyError(
                f"study {name!r} was made in Python with {what}, which the storage does not hold; "
                f"continue it there with Searcher(…).run(…, study={name!r})",
                name,
            )
        given = {key: value for key, value in how.items() if value is not None}
        fitness = make_fitness(space=space, **{**recipe["fitness"], **given})
        searcher = cls(space, settings["strategy"], fitness, settings["seed"], **settings["options"])
        kept = {key: settings[key] for key in ("evaluations", "batch_size", "confirm")}
        return searcher, {
            "budget": settings["limits"] or None,
            **kept,
            "resolution": settings.get("resolution"),
            "max_failures": recipe["max_failures"],
            "storage": storage,
            "study": name,
        }

    def _recommended(self, strategy: Strategy, feasible: FeasibleSet, run: Run, k: int) -> list[Architecture]:
        recommended = strategy.recommend(k)
        for architecture in recommended:
            if architecture not in feasible:
                raise StrategyError(
                    f"{self.strategy} recommended {architecture}, outside {feasible.describe()}", architecture
                )
        if not recommended and len(run.failures) < len(run.trials):
            raise StrategyError(f"{self.strategy} recommended nothing after {len(run.trials)} trials", strategy)
        return recommended

    @property
    def default_study(self) -> str:
        """Name of the study where none is given."""
        return f"{self.space.name}-{self.strategy}-seed{self.seed}"

    def feasible(
        self, budget: object = None, fitness: Fitness | None = None, resolution: Mapping[str, float] | None = None
    ) -> FeasibleSet:
        """Return what a search under a budget may look at, given what the fitness can judge."""
        limits = merge(self.space.constraints, as_limits(budget, self.space.known_costs))
        known: Sequence[Architecture] | None = getattr(fitness, "architectures", None)
        feasible = bounded(self.space, limits, known=known, resolution=resolution)
        _check_fitness(fitness, feasible)
        return feasible

    def make(self, feasible: FeasibleSet, limit: Limit) -> Strategy:
        """Return the strategy, new, for a feasible set."""
        known = {"seed": self.seed, "evaluations": limit.evaluations, "batch_size": limit.batch_size}
        try:
            return self.factory(feasible, **known, **self.options)
        except TypeError as error:
            raise StrategyError(f"strategy {self.strategy!r} cannot be made: {error}", self.options) from error

    def _further_costs(self, limits: Limits) -> dict[str, Any]:
        """Return what the budget's costs beyond parameters and MACs are, for a search that has any."""
        named = {name: self.space.known_costs[name] for name in limits if name not in COSTS}
        return {"costs": {name: cost.identity for name, cost in named.items()}} if named else {}

    def _settings(self, limits: Limits, limit: Limit, confirm: int, fitness: Fitness) -> dict[str, Any]:
        return {
            "space": self.space.to_dict(),
            "strategy": self.strategy,
            "options": dict(self.options),
            "seed": self.seed,
            "limits": format_limits(limits),
            **self._further_costs(limits),
            "evaluations": limit.evaluations,
            "batch_size": limit.batch_size,
            "confirm": confirm,
            "fitness": describe_fitness(fitness),
        }


def _check_fitness(fitness: Fitness | None, feasible: FeasibleSet) -> None:
    if fitness is not None and hasattr(fitness, "check"):
        fitness.check(feasible)


def _check_options(name: str, factory: StrategyFactory, options: Mapping[str, Any]) -> None:
    for option in options:
        if option in getattr(factory, "keywords", {}):
            raise StrategyError(f"strategy {name!r} has its {option} in its name; leave the option out", options)
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [key for key in parameters if key not in ("self", "feasible", "seed", "evaluations", "batch_size")]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) if known else "it has none"
            raise StrategyError(f"strategy {name!r} has no option {option!r}; {hint}", options)
