"""Creation of a searcher from the options of ``search`` and ``study create``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._spec import Spec
from nasformer.cli.options import readers_of, timed_space, trained_space
from nasformer.cli.output import messages
from nasformer.errors import FitnessError, StrategyError, shown

if TYPE_CHECKING:
    from nasformer.fitness import Finetuning
    from nasformer.searcher import Searcher
    from nasformer.space import SearchSpace


def make_searcher(
    space: str,
    strategy: str,
    options: list[str],
    seed: int,
    *,
    fitness: str | None,
    latency_table: Path | None,
    latency: str | None,
    supernet: Path | None,
    data: str | None,
    root: Path | None,
    objective: str | None,
    racing: bool,
    dtype: str,
    noise: float,
    device: str = "auto",
    workers: int = 1,
    ray: str | None = None,
    readers: str = "auto",
) -> tuple[Searcher, dict[str, Any]]:
    """Return a searcher, and the fitness specification from which ``Searcher.open`` rebuilds it.

    Default fitness: inherited weights, if any exist or an option refers to them; else the searcher's default.
    """
    from nasformer.registry import make_fitness
    from nasformer.searcher import Searcher
    from nasformer.training.weights import find_weights

    declared = timed_space(trained_space(space, supernet, data), latency_table, latency)
    parallel = workers != 1 or ray is not None
    asked_for = supernet or data or parallel or racing or objective or dtype != "auto" or noise
    kind = fitness or ("inherited" if asked_for or find_weights(declared) else None)
    asked: dict[str, Any] = {"objective": objective, "racing": racing, "dtype": dtype}
    asked |= {"spec": kind, "supernet": supernet, "data": data, "root": root}
    asked |= {"noise": noise, "noise_seed": seed} if noise else {}
    judge = None
    if kind:
        judge = make_fitness(
            space=declared, **asked, device=device, workers=workers, ray=ray, readers=readers_of(readers)
        )
    return Searcher(declared, strategy, judge, seed, **read_options(options)), _fitness_spec(asked, latency_table)


def reranker(
    space: SearchSpace, fitness_spec: dict[str, Any], out: Path, device: str, readers: str
) -> Finetuning | None:
    """Return the short fine-tuning of a fitness specification; None: it has none."""
    from nasformer.registry import make_reranker

    if "rerank" not in fitness_spec:
        return None
    asked = fitness_spec.get("fitness", {})
    options = {name: asked.get(name) for name in ("supernet", "data", "root", "objective")}
    how: dict[str, Any] = {"out": out, "device": device, "readers": readers_of(readers)}
    return make_reranker(space, **fitness_spec["rerank"], **options, **how)


def _fitness_spec(asked: dict[str, Any], latency_table: Path | None) -> dict[str, Any]:
    """Return the fitness specification for the study, with absolute paths."""
    from nasformer.cost import LatencyTable
    from nasformer.data.names import parse_name, with_prefix

    fitness_spec: dict[str, Any] = {}
    if asked["spec"]:
        paths = {name: str(asked[name].absolute()) if asked[name] else None for name in ("supernet", "root")}
        data = asked["data"] and str(parse_name(with_prefix(asked["data"])).absolute())
        names = {"spec": absolute_spec(asked["spec"]), "data": data}
        fitness_spec["fitness"] = {**asked, **paths, **names}
    if latency_table:
        fitness_spec["latency_table"] = LatencyTable.load(latency_table).to_dict()
    return fitness_spec


def absolute_spec(text: str) -> str:
    """Return a fitness specification with an absolute path."""
    from nasformer.fitness.tables import table_names
    from nasformer.registry import FITNESS_OPTIONS

    spec = Spec.parse(text, FITNESS_OPTIONS, FitnessError)
    return text if spec.kind in FITNESS_OPTIONS and spec.path in table_names() else str(spec.absolute())


def read_options(pairs: list[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` pairs; values are YAML: numbers, booleans, strings or lists.

    Raises:
        StrategyError: A pair has no ``=``.

    >>> read_options(["population=20", "optimizer=DE"])
    {'population': 20, 'optimizer': 'DE'}
    """
    from nasformer._parse import parse_yaml

    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise StrategyError(f"--option takes KEY=VALUE, got {pair!r}", pair)
        key = key.replace("-", "_")
        if key in ("space", "strategy", "fitness", "seed"):
            raise StrategyError(f"{key!r} is not a strategy option; use --{key}", pair)
        try:
            options[key] = parse_yaml(value)
        except ValueError as error:
            raise StrategyError(f"--option {shown(pair)}: the value is not a number, string or list", pair) from error
    return options


def show_weights(space: SearchSpace, fitness_spec: dict[str, Any]) -> None:
    """Print the space, the weights of an inherited fitness and the data that trained them."""
    from nasformer.training.opening import supernet_file, weights_line

    asked = fitness_spec.get("fitness", {})
    if asked.get("spec") == "inherited":
        path = supernet_file(space, asked["supernet"], asked["data"])
        messages.print(weights_line(space, path), soft_wrap=True)
