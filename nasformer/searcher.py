"""Searcher: the front door. One space, one strategy, one fitness; ``run`` under a budget."""

from __future__ import annotations

import inspect
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nasformer._io import digest
from nasformer._provenance import versions
from nasformer.architecture import Architecture
from nasformer.cost import (
    COSTS,
    LatencyTable,
    Limits,
    as_limits,
    format_limits,
    merge,
)
from nasformer.errors import StrategyError, StudyError, did_you_mean
from nasformer.registry import (
    StrategyFactory,
    check_strategy_of_file,
    default_fitness,
    default_spec,
    fitness_notation,
    get_strategy,
    make_fitness,
    make_reranker,
)
from nasformer.search import (
    AsynchronousLoop,
    Fitness,
    SearchLoop,
    SearchResult,
    StoppingCriteria,
    Strategy,
    TrialStore,
    as_fitness,
)
from nasformer.search.confirm import confirm_recommended
from nasformer.search.evaluation import Trial, describe_fitness
from nasformer.search.loop import Callback
from nasformer.search.per_budget import for_budgets, has_focus
from nasformer.search.progress import ProgressBar
from nasformer.search.rerank import Reranker, reranked
from nasformer.search.study import Storage, Study
from nasformer.search.targets import Targets
from nasformer.search.warm_start import WarmStart, opened, warm_trials
from nasformer.space import FeasibleSet, SearchSpace, bounded, load_space

_LOGGER = logging.getLogger(__name__)
_SETTINGS = ("strategy", "options", "seed", "limits", "batch_size", "confirm", "fitness")


class _PreparedSearch(NamedTuple):
    """The validated parts of a search."""

    strategy: Strategy
    fitness: Fitness
    targets: Targets
    settings: dict[str, Any]
    record: TrialStore
    warm_start: int


class Searcher:
    """A configured search.

    Args:
        space: A space, the name of a built-in one, or the path of a declaration.
        strategy: A strategy's name, ``module:Class``, or a class that implements ``Strategy``.
        fitness: Fitness, or plain function, of an architecture; higher is better. None: a metric
            of the task with the weights trained for this space, else the number of parameters (with a warning).
        seed: Random seed of the search.
        **options: Options of the strategy.

    Raises:
        StrategyError: Unknown strategy, or unknown option of it.
        SpaceError: Unknown space.

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
        made = getattr(self.factory, "func", self.factory)  # unwrap a partial
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
        budgets: object = None,
        evaluations: int | None = 1050,
        seconds: float | None = None,
        pause_after: int | None = None,
        until_no_gain: int | None = None,
        batch_size: int = 1,
        max_failures: int = 10,
        confirm: int = 5,
        rerank: Reranker | None = None,
        resolution: Mapping[str, float] | None = None,
        storage: Storage | None = None,
        study: str | None = None,
        fitness_spec: Mapping[str, Any] | None = None,
        warm_start: WarmStart | None = None,
        retry_failed: bool = False,
        asynchronous: bool = False,
        accept_drift: bool = False,
        wait: bool = False,
        callback: Callback | None = None,
        progress: bool = True,
        recipe: Mapping[str, Any] | None = None,
    ) -> SearchResult:
        """Search, confirm the strategy's recommendations, and return the result.

        Args:
            budget: Cost bounds of the found network: a number (most parameters), a (lower, upper) pair,
                a mapping by cost (``{"params": 6e6, "macs": 1.4e9, "latency_ms": 5}``), or a line
                (``"params <= 6M"``). Costs beyond parameters and MACs are those of ``space.with_cost``.
            budgets: Several budgets of one search, each as ``budget`` or together a line (``"macs <= 1M, 2M, 4M"``):
                the result has ``winners``, one for each, and the ``front``. Evaluations are shared.
            evaluations: Maximal number of distinct architectures. A search that has ended goes on with a larger
                number, as if begun with it, unless its strategy plans for the number (``uses_evaluations``). None: as
                many as the study says.
            seconds: Time limit of new evaluations, checked between batches.
            pause_after: Pause after this many evaluations, checked between batches.
            until_no_gain: Pause after this many evaluations without a new best, checked between batches.
            batch_size: Architectures per ask.
            max_failures: Maximal number of failed evaluations.
            confirm: Number of recommendations that compete for the winner, for each budget; a fitness with ``confirm``
                re-evaluates them, else their trial values are compared.
            rerank: Judges the best of them once more: ``Finetuning(net, data, top=5)``. Its values decide. None: none.
            resolution: Grid per cost, for budgets with too many exact sums; see ``CountedSet``.
            storage: Journal file (``PATH.log``), database URL or storage of Optuna for the trials; a stopped search
                resumes from it. None: memory.
            study: Study name in the storage; default: space, strategy and seed.
            fitness_spec: Stored with a new study, so that ``Searcher.open`` can rebuild the search: ``fitness``, the
                arguments of ``make_fitness``, and ``latency_table``, as plain data.
            warm_start: An earlier search, study or table (``search.warm_start``): the strategy is told its members of
                the feasible set, and probes, first, once; they are no evaluations. Stored with the study.
            retry_failed: Whether to evaluate failed trials again, once; the strategy is told the new values.
            asynchronous: Whether workers do not wait for each other within a batch; not reproducible.
            accept_drift: Whether to continue if the strategy asks for other architectures than the study holds.
            wait: Whether to wait for another process that leads the study, and take over when it ends.
            callback: Called with each trial.
            progress: Show a progress bar.
            recipe: Deprecated name of ``fitness_spec``.

        Raises:
            BudgetError: No architecture meets the budget.
            FitnessError: The fitness cannot evaluate the feasible set, or failed too often.
            StudyError: The storage is unusable, another process leads the study, or it has other settings.
        """
        start = time.perf_counter()
        total = self._total(storage, study) if evaluations is None else evaluations
        criteria = StoppingCriteria(total, batch_size, max_failures, seconds, pause_after, until_no_gain)
        spec = _renamed(fitness_spec, recipe)
        asked = (budget, budgets)
        prepared = self._prepare(asked, criteria, confirm, resolution, storage, study, spec, warm_start, wait, rerank)
        strategy, record, fitness, targets = prepared.strategy, prepared.record, prepared.fitness, prepared.targets
        feasible, limits = targets.feasible, targets.limits
        if evaluations is None and isinstance(record, Study):
            criteria = replace(criteria, evaluations=record.evaluations)  # raised by the leader that was waited for
        work = getattr(fitness, "work", None)
        total = min(criteria.evaluations, feasible.at_most() + len(getattr(strategy, "probes", ())))
        label, shown = f"{self.strategy} seed {self.seed}", fitness_notation(prepared.settings["fitness"])
        with record, ProgressBar(label, total, progress, work, **shown) as bar:
            if asynchronous:
                record.set_asynchronous()
            callbacks = [bar.update] if callback is None else [bar.update, callback]
            loop = AsynchronousLoop if record.asynchronous else SearchLoop
            how = (accept_drift, retry_failed, targets.turns)
            run = loop(strategy, fitness, feasible, criteria, record, callbacks, *how).run()
            before = time.perf_counter()
            most = max(confirm, rerank.top if rerank else 0)
            recommended = targets.recommended(strategy, most, self.strategy)
            if not recommended and len(run.failures) < len(run.trials):
                raise StrategyError(f"{self.strategy} recommended nothing after {len(run.trials)} trials", strategy)

            def judge() -> tuple[Trial, ...]:
                found = confirm_recommended(recommended, fitness, feasible, run)
                found = reranked(rerank, found, feasible, record, bar.candidate, limits) if rerank else found
                targets.check_winners(found)
                return found

            settings = prepared.settings
            confirmed = record.confirm(len(run.trials), judge, digest(settings["rerank"]) if rerank else "")
            if rerank:
                rerank.keep(min(confirmed, key=lambda trial: trial.rank).architecture)
        end = time.perf_counter()
        return SearchResult(
            space=self.space,
            limits=feasible.limits,
            settings={**prepared.settings, "evaluations": criteria.evaluations},
            trials=tuple(run.trials),
            confirmed=confirmed,
            counts={
                **getattr(strategy, "counts", {}),
                "failed": len(run.failures),
                "replayed": run.replayed,
                **({"warm_start": prepared.warm_start} if prepared.warm_start else {}),
            },
            seconds={**run.seconds, "confirmation": end - before, "total": end - start},
            stopped=run.stopped,
            feasible=feasible.count() if feasible.countable else 0,
            versions=versions(),
            findings=strategy.findings() if hasattr(strategy, "findings") else {},
            budgets=limits,
        )

    def create(
        self,
        storage: Storage,
        study: str | None = None,
        budget: object = None,
        *,
        budgets: object = None,
        evaluations: int = 1050,
        batch_size: int = 1,
        max_failures: int = 10,
        confirm: int = 5,
        resolution: Mapping[str, float] | None = None,
        fitness_spec: Mapping[str, Any] | None = None,
        warm_start: WarmStart | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> Study:
        """Create the study of a search that ``run`` starts later, here or elsewhere; arguments as for ``run``.

        Raises:
            BudgetError: No architecture meets the budget.
            FitnessError: The fitness cannot evaluate the feasible set.
            StudyError: The storage is unusable, or holds a study of this name with other settings.
        """
        criteria = StoppingCriteria(evaluations, batch_size, max_failures)
        spec = _renamed(fitness_spec, recipe)
        asked = (budget, budgets)
        with self._prepare(asked, criteria, confirm, resolution, storage, study, spec, warm_start).record as record:
            assert isinstance(record, Study)
            return record

    def _prepare(
        self,
        asked: tuple[object, object],
        criteria: StoppingCriteria,
        confirm: int,
        resolution: Mapping[str, float] | None,
        storage: Storage | None,
        study: str | None,
        fitness_spec: Mapping[str, Any] | None,
        warm_start: WarmStart | None,
        wait: bool = False,
        rerank: Reranker | None = None,
    ) -> _PreparedSearch:
        """Validate all arguments, then open or create the study, and tell the strategy the warm start."""
        if confirm < 1:
            raise StrategyError(f"confirm must be at least 1, got {confirm}", confirm)
        bound = partial(self.feasible, fitness=self.fitness, resolution=resolution)
        targets = Targets.of(*asked, self.space, bound, has_focus(self.factory))
        feasible, limits = targets.feasible, targets.limits
        _LOGGER.info("searching %r", feasible)
        if criteria.evaluations < len(limits):
            raise StrategyError(f"{len(limits)} budgets take as many evaluations, got {criteria.evaluations}", limits)
        strategy = self.make(feasible, criteria.evaluations, criteria.batch_size, targets.turns)  # before a warning
        fitness = self.fitness or default_fitness(self.space)
        if self.fitness is None:
            _check_fitness(fitness, feasible)
        settings = self._settings(feasible.limits, limits, criteria, confirm, fitness)
        settings |= {"resolution": dict(resolution)} if resolution else {}
        settings |= {"rerank": {"top": rerank.top, **rerank.describe()}} if rerank else {}
        probes: Set[Architecture] = getattr(strategy, "probes", frozenset())
        told = () if warm_start is None else warm_trials(_opened(warm_start), feasible, probes)
        record = TrialStore()
        if storage is not None:
            made = {"fitness": {"spec": default_spec(settings["fitness"])}} if self.fitness is None else {}
            kept = {**made, **(fitness_spec or {}), "max_failures": criteria.max_failures}
            record = Study.begin(storage, study or self.default_study, settings, kept, told, wait)
        try:
            if isinstance(record, Study):
                told = record.warm_start
                strategy = self._planned(strategy, targets, criteria, record.settings["evaluations"])
            if told:
                strategy.tell(told)
        except BaseException:
            record.close()
            raise
        return _PreparedSearch(strategy, fitness, targets, settings, record, len(told))

    def _planned(self, strategy: Strategy, targets: Targets, criteria: StoppingCriteria, evaluations: int) -> Strategy:
        """Return the strategy as the study began it: with the number of evaluations at that time."""
        if evaluations == criteria.evaluations:
            return strategy
        if getattr(strategy, "uses_evaluations", True):
            _LOGGER.warning(
                "%s planned for %d evaluations and keeps to that plan; a search of %d from the start may differ",
                self.strategy,
                evaluations,
                criteria.evaluations,
            )
        return self.make(targets.feasible, evaluations, criteria.batch_size, targets.turns)

    @classmethod
    def open(
        cls,
        storage: Storage,
        study: str | None = None,
        *,
        rerank: Mapping[str, int] | None = None,
        out: str | Path | None = None,
        **how: Any,
    ) -> tuple[Searcher, dict[str, Any]]:
        """Return the search of a study, and the arguments with which ``run`` resumes it.

        Args:
            storage: Storage of the study.
            study: Its name; None: the only one in the storage.
            rerank: ``epochs`` and ``top`` of a short fine-tuning of the best; None: as the study says.
            out: Folder that keeps the fine-tuned weights of the winner.
            **how: Machine-dependent arguments of ``make_fitness``: ``supernet``, ``root``, ``device``, ``workers``,
                ``ray``, ``readers``. Weights other than the study's are refused.

        Raises:
            StudyError: There is no such study, or its fitness or a cost is a Python object that storages cannot hold.
        """
        found = Study.load(storage, study, trials=False)
        name, settings, fitness_spec, space = found.name, found.settings, found.fitness_spec, found.space
        for key in _SETTINGS:
            if key not in settings:
                raise StudyError(f"study {name!r} lacks {key}; it was not made by a search", name)
        check_strategy_of_file(settings["strategy"])
        if fitness_spec.get("latency_table"):
            space = space.with_cost(LatencyTable.from_dict(fitness_spec["latency_table"]).cost())
        missing = [cost for cost in settings.get("costs", {}) if cost not in space.known_costs]
        if missing or not fitness_spec.get("fitness"):
            what = f"the cost {missing[0]!r}" if missing else f"the fitness {settings['fitness']}"
            raise StudyError(
                f"study {name!r} was made in Python with {what}, which the storage does not hold; "
                f"continue it there with Searcher(…).run(…, study={name!r})",
                name,
            )
        asked = fitness_spec["fitness"] | {key: value for key, value in how.items() if value is not None}
        if asked["spec"] == "inherited":
            from nasformer.training.opening import supernet_file

            kept = {"supernet": fitness_spec["fitness"].get("supernet"), **settings}
            asked["supernet"] = supernet_file(space, how.get("supernet"), searched=kept)
        fitness = make_fitness(space=space, **asked)
        short = rerank or fitness_spec.get("rerank")
        names = ("supernet", "data", "root", "device", "objective", "readers")
        options = {name: asked[name] for name in names if name in asked}
        searcher = cls(space, settings["strategy"], fitness, settings["seed"], **settings["options"])
        again = {"evaluations": found.evaluations, **{key: settings[key] for key in ("batch_size", "confirm")}}
        return searcher, {
            **({"budgets": settings["budgets"]} if "budgets" in settings else {"budget": settings["limits"] or None}),
            **again,
            "rerank": make_reranker(space, **short, out=out, **options) if short else None,
            "resolution": settings.get("resolution"),
            "max_failures": fitness_spec.get("max_failures", 10),
            "storage": found.store,  # open already
            "study": name,
        }

    def _total(self, storage: Storage | None, study: str | None) -> int:
        if storage is None:
            raise StrategyError("evaluations must be a number for a search without a study, got None", None)
        return Study.load(storage, study or self.default_study, trials=False).evaluations

    @property
    def default_study(self) -> str:
        """The default study name."""
        return f"{self.space.name}-{self.strategy}-seed{self.seed}"

    def feasible(
        self, budget: object = None, fitness: Fitness | None = None, resolution: Mapping[str, float] | None = None
    ) -> FeasibleSet:
        """Return the feasible set of a budget, restricted to the domain of the fitness."""
        limits = merge(self.space.constraints, as_limits(budget, self.space.known_costs))
        known: Sequence[Architecture] | None = getattr(fitness, "architectures", None)
        feasible = bounded(self.space, limits, known=known, resolution=resolution)
        _check_fitness(fitness, feasible)
        return feasible

    def make(
        self, feasible: FeasibleSet, evaluations: int, batch_size: int = 1, targets: Sequence[FeasibleSet] = ()
    ) -> Strategy:
        """Return a new strategy for a feasible set, and for its subsets of several budgets."""

        def single(feasible: FeasibleSet, evaluations: int) -> Strategy:
            known = {"seed": self.seed, "evaluations": evaluations, "batch_size": batch_size}
            try:
                return self.factory(feasible, **known, **self.options)
            except TypeError as error:
                raise StrategyError(f"strategy {self.strategy!r} cannot be made: {error}", self.options) from error

        return for_budgets(self.factory, single, feasible, targets, evaluations)

    def _further_costs(self, limits: Limits) -> dict[str, Any]:
        """Return the identities of the budget's costs beyond parameters and MACs."""
        named = {name: self.space.known_costs[name] for name in limits if name not in COSTS}
        return {"costs": {name: cost.identity for name, cost in named.items()}} if named else {}

    def _settings(
        self,
        limits: Limits,
        budgets: Sequence[Limits],
        criteria: StoppingCriteria,
        confirm: int,
        fitness: Fitness,
    ) -> dict[str, Any]:
        file = getattr(fitness, "supernet_file", None)
        return {
            "space": self.space.to_dict(),
            "strategy": self.strategy,
            "options": dict(self.options),
            "seed": self.seed,
            "limits": format_limits(limits),
            **({"budgets": [format_limits(own) for own in budgets]} if budgets else {}),
            **self._further_costs({name: bounds for own in (limits, *budgets) for name, bounds in own.items()}),
            "evaluations": criteria.evaluations,
            "batch_size": criteria.batch_size,
            "confirm": confirm,
            "fitness": describe_fitness(fitness),
            **({} if file is None else {"supernet": str(file)}),
        }


def _opened(source: WarmStart) -> SearchResult | TrialStore | Fitness:
    found = opened(source) if isinstance(source, (str, Path)) else source
    if isinstance(found, str):
        from nasformer.fitness import TableFitness

        return TableFitness(found)
    return found


def _check_fitness(fitness: Fitness | None, feasible: FeasibleSet) -> None:
    if fitness is not None and hasattr(fitness, "check"):
        fitness.check(feasible)


def _renamed(fitness_spec: Mapping[str, Any] | None, recipe: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if recipe is None:
        return fitness_spec
    warnings.warn("recipe= is now fitness_spec=", DeprecationWarning, stacklevel=3)
    return recipe


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
