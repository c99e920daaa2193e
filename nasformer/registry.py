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
from urllib.parse import parse_qsl

from nasformer._plugins import Plugins
from nasformer.errors import CheckpointError, DataError, FitnessError, NasformerError, StrategyError, did_you_mean
from nasformer.search import BaseStrategy, Fitness, Strategy
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

if TYPE_CHECKING:
    from nasformer.data import Dataset
    from nasformer.data.batches import Readers
    from nasformer.fitness import Finetuning, InheritedFitness
    from nasformer.supernet import Supernet

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

_SPEC_OPTIONS = {"table": ("column",), "fit": ("column", "model")}


def split_fitness(spec: str) -> tuple[str, str, dict[str, str]]:
    """Split the specification of a fitness into kind, path and options; ``%3F`` is a ``?`` of the path.

    Raises:
        FitnessError: An option is unknown.

    >>> split_fitness("fit:t.jsonl?column=top5&model=trees")
    ('fit', 't.jsonl', {'column': 'top5', 'model': 'trees'})
    """
    kind, _, rest = spec.partition(":")
    if (known := _SPEC_OPTIONS.get(kind)) is None:
        return kind, rest, {}
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for key in options:
        if key not in known:
            raise FitnessError(f"fitness {spec!r} has no option {key!r}; {did_you_mean(key, known)}", key)
    return kind, path.replace("%3F", "?"), options


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
            ``?column=NAME`` is the column of values of either.
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
    kind, path, of_table = split_fitness(spec)
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
        net, dataset = open_supernet(space, supernet=supernet, data=data, root=root)
        if chosen := net.metadata.get("training", {}).get("candidates"):
            _LOGGER.warning("these weights trained %d candidates only; others are ranked without training", len(chosen))
        options: dict[str, Any] = {"data": dataset.record, "objective": objective, "racing": racing, "dtype": dtype}
        options["readers"] = readers
        build = partial(fitness.InheritedFitness, net, dataset.search, **options)
        made = _inherited(build, device, workers, ray)
    else:
        made = _of_file(kind, path, **of_table) if path else fitness.TrainingFreeFitness(space)
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
    """Return the inherited fitness with the default weights of a space, else a training-free score with a warning."""
    from nasformer.fitness import TrainingFreeFitness
    from nasformer.training import find_weights

    if find_weights(space) is not None:
        return make_fitness("inherited", space)
    _LOGGER.warning(
        "no trained weights for space %r: architectures are ranked by a training-free score (DSS), a weak proxy; "
        "train a supernet first (nasformer train), give --supernet PATH, or in Python fitness=InheritedFitness(…)",
        space.name,
    )
    return TrainingFreeFitness(space)


def measured_metric(fitness: object) -> Metric | None:
    """Return the metric that a fitness measures, given its description; None: unknown."""
    if not isinstance(fitness, Mapping) or fitness.get("kind") != "inherited":
        return None
    try:
        return task_of(fitness.get("data") or {}).ranking(fitness.get("objective"))
    except NasformerError:  # a task of a module that is not imported here
        return None


def fitness_notation(fitness: Mapping[str, Any]) -> dict[str, Any]:
    """Return how to write values and examples in one line: a metric is known by its unit, else by its title."""
    metric = measured_metric(fitness)
    if metric is None:
        return {}
    title, examples = "" if metric.unit else f"{metric.title} ", task_of(fitness.get("data") or {}).examples
    return {"text": lambda value: f"{title}{metric.text(metric.sign * value)}", "examples": examples}


def open_supernet(
    space: SearchSpace,
    *,
    supernet: str | Path | None = None,
    data: str | None = None,
    root: str | Path | None = None,
) -> tuple[Supernet, Dataset]:
    """Return the trained supernet of a space and its training dataset, with the same splits.

    Args:
        space: The space.
        supernet: A checkpoint; None: the kept weights of the space (``supernet_file``).
        data: Another dataset by name.
        root: Folder of the dataset.

    Raises:
        FitnessError: There are no weights for the space.
        CheckpointError: The checkpoint is unreadable, or of another space.
        DataError: The dataset cannot be loaded, or its splits differ from those in training.
    """
    from nasformer.data.held_out import ranked_as_recorded, read_held_out

    net, path = load_supernet(space, supernet, data)
    trained_on = net.metadata.get("training", {}).get("data", {})
    name = data or trained_on.get("name")
    if name is None:
        raise FitnessError(f"{path} does not record its dataset; give --data NAME", path)
    shape: dict[str, Any] = {"image_size": space.geometry.image_size, "in_channels": space.geometry.in_channels}
    held_out = net.metadata.get("held_out")
    dataset = open_dataset(name, trained_on, path, held_out=held_out, root=root, **shape)
    dataset = dataset if held_out is None else ranked_as_recorded(dataset, read_held_out(held_out), trained_on)
    dataset.check(space)
    dataset = dataset.learnt_by(trained_on, path)
    _LOGGER.info("%d search images of %s", len(dataset.search), name)
    return net, dataset


def open_dataset(
    name: str,
    trained_on: Mapping[str, Any],
    path: str | Path,
    *,
    held_out: str | None = None,
    seed: int | None = None,
    **options: Any,
) -> Dataset:
    """Return a dataset, with the splits of the training of weights if they were trained on it.

    Image files may have come, gone or moved since: what the weights' file names as search and test images stays so.

    Args:
        name: The dataset.
        trained_on: Record of the weights' training dataset.
        path: The weights, for messages.
        held_out: Names of the search and test images of that training, from the metadata of the weights.
        seed: Seed of the splits of other data; None: that of the training.
        **options: ``root``, ``image_size`` and ``in_channels`` of ``load_dataset``.

    Raises:
        DataError: The dataset cannot be loaded, or its splits differ from those in training.
    """
    from nasformer.data import load_dataset
    from nasformer.data.held_out import as_recorded, read_held_out, without

    same = same_data(name, trained_on)
    # a network keeps the preprocessing that it learnt with; data in memory without one are normalised by their own
    steps = trained_on if "crop_pct" in trained_on else None
    seed = (trained_on.get("seed") or 0) if same or seed is None else seed
    dataset = load_dataset(name, seed=seed, preprocessing=steps, **options)
    if held_out is not None and is_same(dataset, trained_on, held_out):
        dataset = without(dataset, trained_on.get("skipped", ()))
        if not _same_splits(dataset, trained_on):
            return as_recorded(dataset, read_held_out(held_out), trained_on)
    require_same_splits(dataset, name, trained_on, path)
    return dataset


def same_data(name: str, trained_on: Mapping[str, Any]) -> bool:
    """Whether a name is that of the weights' training dataset."""
    from nasformer.data.names import source_of

    return source_of(name) == source_of(trained_on.get("name"))


def is_same(dataset: Dataset, trained_on: Mapping[str, Any], held_out: str | None) -> bool:
    """Whether a dataset is that of the training of weights, perhaps moved."""
    from nasformer.data.held_out import is_of, read_held_out

    if same_data(str(dataset.record.get("name")), trained_on):
        return True
    return held_out is not None and is_of(dataset, read_held_out(held_out), trained_on)


def require_same_splits(dataset: Dataset, name: str, trained_on: Mapping[str, Any], path: str | Path) -> None:
    """Check that a dataset has the same splits as in the training of weights, unless it is another dataset.

    Other targets or another horizon of one file may have the same splits: they are compared by their
    ``split_fingerprint``, or where a record has none by the ``fingerprint`` of splits and targets.

    Args:
        dataset: The dataset.
        name: Its name.
        trained_on: Record of the weights' training dataset.
        path: The weights.

    Raises:
        DataError: The splits differ.
    """
    if same_data(name, trained_on) and not _same_splits(dataset, trained_on):
        raise DataError(
            f"the splits of {name!r} differ from those in the training of {path}, so search images may have trained "
            "it; use the original files or give --data NAME",
            path,
        )


def _same_splits(dataset: Dataset, trained_on: Mapping[str, Any]) -> bool:
    of_splits = "split_fingerprint" in trained_on and "split_fingerprint" in dataset.record
    key = "split_fingerprint" if of_splits else "fingerprint"
    return bool(trained_on.get(key) == dataset.record[key])


def load_supernet(
    space: SearchSpace, supernet: str | Path | None = None, data: str | None = None
) -> tuple[Supernet, Path]:
    """Return the supernet of a space and its file; arguments as of ``supernet_file``.

    Raises:
        FitnessError: There are no weights for the space, or those of several datasets.
        CheckpointError: The checkpoint is unreadable, or of another space.
    """
    from nasformer.supernet import Supernet

    path = supernet_file(space, supernet, data)
    net = Supernet.load(path, space)
    _LOGGER.info(weights_line(space, path))
    return net, path


def supernet_file(
    space: SearchSpace,
    supernet: str | Path | None = None,
    data: str | Mapping[str, Any] | None = None,
    *,
    searched: Mapping[str, Any] | None = None,
) -> Path:
    """Return the file of a space's supernet.

    Args:
        space: The space.
        supernet: A checkpoint; None: the kept weights of the space, trained on ``data`` if there are such.
        data: Name or record of a dataset.
        searched: Settings of a search: its supernet is returned, from where it was or is kept.

    Raises:
        FitnessError: There are no weights for the space, or those of several datasets.
        CheckpointError: The weights of the search are nowhere.
    """
    from nasformer.training import find_weights

    if supernet is not None:
        return Path(supernet)
    if searched and (wanted := searched.get("fitness", {}).get("weights")):
        return _searched_supernet(space, wanted, searched.get("supernet"))
    path = (find_weights(space, data) if data else None) or find_weights(space)
    if path is None:
        raise FitnessError(
            f"no trained weights for space {space.name!r}; run 'nasformer train' first, or give --supernet PATH", space
        )
    return path


def _searched_supernet(space: SearchSpace, weights: str, file: str | None) -> Path:
    """Return the file with the weights of a search, given their hash: that of the search, else one kept."""
    from nasformer.supernet import Supernet
    from nasformer.supernet.checkpoint import fingerprint
    from nasformer.training.weights import kept_supernets

    there = file is not None and Path(file).is_file()
    files = [Path(str(file))] if there else []
    for path in dict.fromkeys((*files, *(each.file for each in kept_supernets(space) if not each.fault))):
        if fingerprint(Supernet.load(path, space))[:16] == weights:
            return path
    place = "" if file is None else f" of {file}, which {'has others by now' if there else 'is not there'}"
    raise CheckpointError(f"the search used the weights {weights}{place}; give its supernet with --supernet FILE", file)


def weights_line(space: SearchSpace, path: Path) -> str:
    """Return a line that names a space, the file of its weights, and the data that trained them."""
    from nasformer.training.weights import UNKNOWN, trained_on

    data, imported = trained_on(path)
    made = f"imported from {imported}" if imported else f"trained on {data or UNKNOWN}"
    return f"space {space.name}, weights {path}, {made}"
