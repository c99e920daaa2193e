"""``nasformer search``: one search under a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import (
    Data,
    Device,
    Json,
    Latency,
    LatencyTable,
    Macs,
    Params,
    Root,
    Seed,
    Space,
    SupernetPath,
    budget_of,
    timed_space,
)
from nasformer.cli.output import command_line, console, print_json, print_table

if TYPE_CHECKING:
    from nasformer.search import SearchResult

RESULT = "result.jsonl"
WINNER = "winner.json"


def search(
    space: Space,
    strategy: Annotated[str, typer.Option(metavar="NAME", help="A strategy, or module:Class.")] = "evolution",
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="Of the strategy; repeatable.")
    ] = None,
    params: Params = None,
    macs: Macs = None,
    latency: Latency = None,
    latency_table: LatencyTable = None,
    evaluations: Annotated[int, typer.Option("--evaluations", "-n", min=1, help="Distinct architectures.")] = 1050,
    seconds: Annotated[float | None, typer.Option(min=0, help="Most seconds.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Architectures per ask.")] = 1,
    seed: Seed = 0,
    fitness: Annotated[
        str | None,
        typer.Option(
            metavar="KIND", help="inherited, training-free, table:PATH or surrogate:PATH.", show_default=False
        ),
    ] = None,
    objective: Annotated[str, typer.Option(help="Of inherited weights: accuracy or loss.")] = "accuracy",
    racing: Annotated[
        bool, typer.Option("--racing/--no-racing", help="Show the hopeless of a batch fewer images.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that evaluate, each on a device of its own.")] = 1,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Ray cluster: auto, local, HOST:PORT.", show_default=False)
    ] = None,
    supernet: SupernetPath = None,
    data: Data = None,
    root: Root = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="PATH.log, sqlite:///… or postgresql://…; default: OUT/study.log.", show_default=False
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="In the storage.", show_default=False)] = None,
    max_failures: Annotated[int, typer.Option(min=0, help="Failed evaluations allowed.")] = 10,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-STRATEGY-seedN.", show_default=False)
    ] = None,
    device: Device = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    json: Json = False,
) -> None:
    """Search a space for the best architecture within a budget.

    Without --fitness, the weights trained for the space are used; where there are none, a training-free
    score, with a warning. Every trial is on disk once it is known; the same command goes on after a stop.

    Examples:
      nasformer search digits --strategy tpe --params 60e3 -n 300

      nasformer search autoformer-tiny --params 5e6:6e6 --macs 1.4G -n 100

      nasformer search autoformer-small --params 18M:23M --fitness table:accuracies.jsonl

      nasformer search digits --strategy nevergrad -o optimizer=TwoPointsDE

      nasformer search fashion-mnist --params 300e3 --batch-size 50 --objective loss --racing

      nasformer search fashion-mnist --params 300e3 --batch-size 50 --workers 2
    """
    from nasformer.fitness.weights import find_weights
    from nasformer.registry import make_fitness
    from nasformer.searcher import Searcher

    declared = timed_space(space, latency_table, latency)
    trained = supernet or data or find_weights(declared)
    kind = fitness or ("inherited" if trained or racing or objective != "accuracy" else None)
    options: dict[str, Any] = {"supernet": supernet, "data": data, "root": root, "device": device}
    if workers != 1 or ray is not None:
        kind, options = kind or "inherited", {**options, "workers": workers, "ray": ray}
    judge = make_fitness(kind, declared, **options, objective=objective, racing=racing) if kind else None
    searcher = Searcher(declared, strategy, judge, seed, **read_options(option or []))
    folder = out or Path("runs") / searcher.default_study.replace(":", ".")
    try:
        result = searcher.run(
            budget_of(params, macs, latency) or None,
            evaluations=evaluations,
            seconds=seconds,
            batch_size=batch_size,
            max_failures=max_failures,
            storage=storage or folder / "study.log",
            study=study,
            progress=not (quiet or json),
        )
    except KeyboardInterrupt:
        kept = storage or folder / "study.log"
        raise KeyboardInterrupt(f"Every finished trial is in {kept}; go on with: {command_line()}") from None
    _keep(result, folder)
    if json:
        print_json(_summary(result, folder))
    else:
        _show(result, folder)


def read_options(pairs: list[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` pairs as options; values are numbers, booleans, or words.

    Raises:
        StrategyError: A pair has no ``=``.

    >>> read_options(["population=20", "optimizer=DE"])
    {'population': 20, 'optimizer': 'DE'}
    """
    import yaml

    from nasformer.errors import StrategyError

    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise StrategyError(f"--option takes KEY=VALUE, got {pair!r}", pair)
        key = key.replace("-", "_")
        if key in ("space", "strategy", "fitness", "seed"):
            raise StrategyError(f"option {key!r} is not the strategy's; give --{key}", pair)
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise StrategyError(f"--option {pair!r}: the value is no number, word or list", pair) from error
    return options


def _keep(result: SearchResult, folder: Path) -> None:
    import json as json_module

    from nasformer.report import write_report

    result.save(folder / RESULT)
    (folder / WINNER).write_text(json_module.dumps(result.best.architecture.to_dict()) + "\n", encoding="utf-8")
    title = f"{result.strategy} on {result.space.name}"
    write_report(folder, [result], title=title, command=command_line())


def _further_costs(result: SearchResult) -> dict[str, float]:
    costs = result.space.costs(result.best.architecture)
    return {name: cost for name, cost in costs.items() if name not in ("params", "macs")}


def _summary(result: SearchResult, folder: Path) -> dict[str, Any]:
    best = result.best
    return {
        "architecture": best.architecture.to_dict(),
        "fitness": best.fitness,
        "loss": best.loss,
        "params": best.params,
        "macs": best.macs,
        **_further_costs(result),
        "evaluations": len(result.trials),
        "stopped": result.stopped,
        "feasible": result.feasible,
        "counts": dict(result.counts),
        "seconds": dict(result.seconds),
        "result": str(folder / RESULT),
    }


def _show(result: SearchResult, folder: Path) -> None:
    best = result.best
    console.print(f"{best.architecture}", markup=False, style="bold")
    rows: list[tuple[str, object]] = [
        ("fitness", best.fitness),
        ("parameters", best.params),
        ("MACs", best.macs),
        *((name.replace("_", " "), cost) for name, cost in _further_costs(result).items()),
        ("evaluations", len(result.trials)),
        ("feasible", result.feasible),
        ("duplicates", result.counts.get("duplicates", 0)),
        ("infeasible", result.counts.get("infeasible", 0)),
        ("failed", result.counts["failed"]),
        ("evaluating, s", result.seconds["evaluation"]),
        ("strategy, s", result.seconds["strategy"]),
    ]
    print_table("", ("", result.strategy), rows)
    if result.stopped != "evaluations":
        console.print(f"ended early: {result.stopped}")
    console.print(f"report: {folder / 'report.html'}   next: nasformer evaluate {folder}", markup=False, soft_wrap=True)
