"""Registry of strategies and fitnesses by name; spaces are registered in ``space``.

A strategy's name is its file's, with hyphens; families take ``name:MEMBER``, such as
``optuna:GPSampler``. Other packages register strategies in the
entry-point group ``nasformer.strategies``. Listing names imports nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._plugins import Plugins
from nasformer._spec import Spec
from nasformer.errors import FitnessError, NasformerError, StrategyError, did_you_mean
from nasformer.search import BaseStrategy, Fitness, Strategy
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

if TYPE_CHECKING:
    from nasformer.data.batches import Readers
    from nasformer.fitness import Finetuning, InheritedFitness

_LOGGER = logging.getLogger(__name__)

StrategyFactory = Callable[..., Strategy]
"""Called as ``factory(feasible, seed=…, evaluations=…, batch_size=…, **options)``."""


def strategy_names() -> list[str]:
    """Return the names of all installed strategies.

    >>> {"evolution", "nevergrad", "random", "tpe"} <= set(strategy_names())
    True
    """
    return _STRATEGIES.names()


def get_strategy(name: str) -> StrategyFactory:
    """Return a strategy by name, by ``name:VALUE`` (a variant), or by ``module:Class``.

    Raises:
        StrategyError: Unknown name, or failed import.

    >>> get_strategy("optuna:NSGAIISampler").keywords
    {'sampler': 'NSGAIISampler'}
    """
    own, colon, value = name.partition(":")
    if own in _STRATEGIES.own:
        found = _STRATEGIES.get(own)
        return _variant(found, own, value) if colon else found
    return _STRATEGIES.get(name)  # type: ignore[no-any-return]


def check_strategy_of_file(name: str) -> None:
    """Refuse a strategy that a file names by a module that is not imported: a file does not choose what runs.

    Raises:
        StrategyError: It does.
    """
    _STRATEGIES.require_imported(name)


def _missing_methods(loaded: object) -> str:
    missing = [method for method in ("ask", "tell", "recommend") if not hasattr(loaded, method)]
    return ", ".join(missing) or ("" if callable(loaded) else "a constructor")


_STRATEGIES = Plugins("strategy", "strategies", lambda: BaseStrategy, StrategyError, _missing_methods)


def _variant(strategy: type[BaseStrategy], name: str, value: str) -> StrategyFactory:
    factory: StrategyFactory = strategy
    if strategy.variant is None:
        raise StrategyError(f"strategy {name!r} has no variants, so {value!r} cannot be one", value)
    if not value:
        raise StrategyError(f"strategy '{name}:' names no {strategy.variant}; write {name}:NAME", name)
    return partial(factory, **{strategy.variant: value})


FITNESS_KINDS = ("inherited", "training-free", "table:PATH", "surrogate:PATH", "fit:TABLE")
"""Fitness specifications; a table is a file, or the name of a built-in one."""

FITNESS_OPTIONS = {"table": ("column",), "fit": ("column", "model"), "training-free": ("proxy",)}
"""Options of a specification, as in ``table:FILE?column=NAME``."""


def make_fitness(
    spec: str,
    space: SearchSpace,
    *,
    supernet: str | Path | None = None,
    data: str | None = None,
    root: str | Path | None = None,
    device: str = "auto",
    objective: str | None = None,
    racing: bool = False,
    dtype: str = "auto",
    workers: int = 1,
    ray: str | None = None,
    readers: Readers = 0,
    noise: float = 0.0,
    noise_seed: int = 0,
) -> Fitness:
    """Return a fitness by specification: one of ``FITNESS_KINDS``.

    Args:
        spec: The specification. A table is a file or a built-in one, as in ``table:digits-exhaustive``;
            ``fit:TABLE`` fits a surrogate to it, additive or with ``?model=`` another of ``fit_surrogate``;
            ``?column=NAME`` is the column of values of either. ``training-free?proxy=NAME`` is another zero-cost
            proxy than the number of parameters, a file of ``nasformer/fitness/proxies``.
        space: The search space.
        supernet: Checkpoint of ``inherited``; None: the kept weights of the space (``supernet_file``).
        data: Dataset of ``inherited``; None: the training dataset of the supernet.
        root: Folder of the dataset.
        device: Device of ``inherited``.
        objective: Metric of ``inherited``: one of the task's ``objectives``, or "divergence" from the full network;
            None: the first objective.
        racing: Whether ``inherited`` drops inferior architectures early.
        dtype: Precision of ``inherited``: "auto", "float32" or "bfloat16".
        workers: Processes that evaluate ``inherited``; on a CPU they share its threads, else each has a GPU.
        ray: Address of a Ray cluster whose actors evaluate instead.
        readers: Processes that read images of ``inherited``.
        noise: Standard deviation of noise on the values, in their unit; 0: none.
        noise_seed: Seed of the noise; each seed fixes the noise of every architecture.

    Raises:
        FitnessError: Unknown specification, no weights for this space, or an option of ``inherited`` for another.
    """
    kind, path, of_kind = Spec.parse(spec, FITNESS_OPTIONS, FitnessError)
    known = [name.partition(":")[0] for name in FITNESS_KINDS]
    if kind not in known or bool(path) != (kind in ("table", "surrogate", "fit")):
        raise FitnessError(f"unknown fitness {spec!r}; {did_you_mean(spec, FITNESS_KINDS)}", spec)
    if kind != "inherited" and (
        (objective or "accuracy", dtype) != ("accuracy", "auto") or racing or workers != 1 or ray
    ):
        asked = f"objective={objective!r}, racing={racing}, dtype={dtype!r}, workers={workers}, ray={ray!r}"
        only = "only fitness 'inherited' supports objective, racing, dtype, workers and ray"
        raise FitnessError(f"{only}, got {spec!r} with {asked}", spec)
    from nasformer import fitness

    if kind == "inherited":
        from nasformer.training.opening import open_supernet

        net, dataset = open_supernet(space, supernet=supernet, data=data, root=root)
        if chosen := net.metadata.get("training", {}).get("candidates"):
            _LOGGER.warning("these weights trained %d candidates only; others are ranked without training", len(chosen))
        options: dict[str, Any] = {"data": dataset.record, "objective": objective, "racing": racing, "dtype": dtype}
        options["readers"] = readers
        build = partial(fitness.InheritedFitness, net, dataset.search, **options)
        made = _inherited(build, device, workers, ray)
    else:
        query: dict[str, Any] = dict(of_kind or {})
        made = _of_file(kind, path, **query) if path else fitness.TrainingFreeFitness(space, **query)
    return fitness.NoisyFitness(made, noise, noise_seed) if noise else made


def make_reranker(
    space: SearchSpace,
    *,
    epochs: int,
    top: int,
    out: str | Path | None = None,
    supernet: str | Path | None = None,
    data: str | None = None,
    root: str | Path | None = None,
    device: str | None = None,
    objective: str | None = None,
    readers: Readers = 0,
) -> Finetuning:
    """Return a short fine-tuning of the best architectures.

    ``epochs``, ``top`` and ``out`` are those of ``Finetuning``. The other arguments are those of ``make_fitness``.

    Raises:
        FitnessError: There are no weights for the space.
    """
    from nasformer.fitness import Finetuning
    from nasformer.training.opening import open_supernet

    net, dataset = open_supernet(space, supernet=supernet, data=data, root=root)
    options: dict[str, Any] = {"device": device or "auto", "objective": objective, "readers": readers}
    return Finetuning(net, dataset, epochs=epochs, top=top, out=out, **options)


def _of_file(kind: str, path: str, column: str = "top1", model: str = "additive") -> Fitness:
    """Return a table, a surrogate, or a surrogate fitted to a table."""
    from nasformer.fitness import TableFitness
    from nasformer.fitness.regression import fit_surrogate, load_surrogate

    if kind == "surrogate":
        return load_surrogate(path)
    table = TableFitness(path, column)
    if kind == "table":
        return table
    surrogate = fit_surrogate(table, model)
    quality = ", ".join(f"{name} {figure:.3g}" for name, figure in surrogate.quality.items())
    _LOGGER.info("surrogate of %s, cross-validation: %s", path, quality)
    return surrogate


def _inherited(build: partial[InheritedFitness], device: str, workers: int, ray: str | None) -> Fitness:
    """Return the inherited fitness, evaluated in this process, in several, or on a Ray cluster."""
    if ray is not None:
        from nasformer.fitness.ray import RayFitness

        return RayFitness(build, address=ray, workers=workers, device=device)
    if workers != 1:
        from nasformer.fitness import ParallelFitness

        return ParallelFitness(build, workers=workers, devices=None if device == "auto" else [device])
    return build(device=device)


def default_fitness(space: SearchSpace) -> Fitness:
    """Return the inherited fitness with the default weights of a space, else a zero-cost proxy with a warning."""
    from nasformer.fitness import TrainingFreeFitness
    from nasformer.fitness.proxies import get_proxy
    from nasformer.training import find_weights

    if find_weights(space) is not None:
        return make_fitness("inherited", space)
    fitness = TrainingFreeFitness(space)
    _LOGGER.warning(
        "no trained weights for space %r: architectures are ranked training-free (%s), which is no accuracy; "
        "train a supernet first (nasformer train), give --supernet PATH, or in Python fitness=InheritedFitness(…)",
        space.name,
        get_proxy(fitness.proxy).metric.title,
    )
    return fitness


def default_spec(fitness: Mapping[str, Any]) -> str:
    """Return the specification of a default fitness, given its description."""
    return f"{fitness['kind']}?proxy={fitness['proxy']}" if "proxy" in fitness else str(fitness["kind"])


def measured_metric(fitness: object) -> Metric | None:
    """Return the metric that a fitness measures, given its description; None: unknown."""
    if not isinstance(fitness, Mapping) or fitness.get("kind") not in ("inherited", "training-free"):
        return None
    try:
        if fitness["kind"] == "training-free":
            from nasformer.fitness.proxies import get_proxy

            return get_proxy(str(fitness.get("proxy"))).metric
        return task_of(fitness.get("data") or {}).ranking(fitness.get("objective"))
    except NasformerError:  # a task or proxy of a module that is not imported here
        return None


def fitness_notation(fitness: Mapping[str, Any]) -> dict[str, Any]:
    """Return how to write values and examples in one line: a metric is known by its unit, else by its title."""
    metric = measured_metric(fitness)
    if metric is None:
        return {}
    title, examples = "" if metric.unit else f"{metric.title} ", task_of(fitness.get("data") or {}).examples
    return {"text": lambda value: f"{title}{metric.text(metric.sign * value)}", "examples": examples}
