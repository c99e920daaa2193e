"""``nasformer demo``: the whole pipeline on small real images, in a few minutes.

Train a supernet, search it with four strategies under one budget, select the best of all runs, and only
then evaluate on test images: the winner and the uniform ViT of the same budget, both with inherited
weights and both retrained with one recipe.
"""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasformer.cli.options import Json, Seed
from nasformer.cli.output import command_line, console, messages, print_json

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.data import Dataset
    from nasformer.fitness import InheritedFitness
    from nasformer.report import Finalist
    from nasformer.search import SearchResult
    from nasformer.space import SearchSpace
    from nasformer.supernet import Supernet
    from nasformer.training import Recipe, TrainingResult

SPACE = "digits"
BUDGET = "params <= 54K"
STRATEGIES = ("random", "evolution", "tpe", "thompson")
SEEDS = 3
EVALUATIONS = 150


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = Path("nasformer-demo"),
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of every training; default: the recipe's.", show_default=False)
    ] = None,
    evaluations: Annotated[int, typer.Option("--evaluations", "-n", min=1, help="Per search.")] = EVALUATIONS,
    seed: Seed = 1,  # the recipe was chosen on the splits of seed 0
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
    json: Json = False,
) -> None:
    """Train, search with four strategies, and report, on handwritten digits in a few minutes.

    Example:
      nasformer demo --out nasformer-demo
    """
    from nasformer._io import write_file
    from nasformer.data import load_dataset
    from nasformer.fitness import InheritedFitness
    from nasformer.report import summary_lines, write_report
    from nasformer.space import load_space
    from nasformer.supernet import Supernet
    from nasformer.training import Recipe

    _one_thread()
    start, progress = time.perf_counter(), not (quiet or json)
    space, data = load_space(SPACE), load_dataset(SPACE, seed=seed)
    recipe = Recipe.for_dataset(SPACE).replace(seed=seed, **({"epochs": epochs} if epochs else {}))
    net = Supernet(space, seed=seed)

    messages.print(f"1/4 training the supernet of {space.name!r}, {recipe.epochs} epochs")
    training = _train(net, data, recipe, out, progress)
    fitness = InheritedFitness(net, data.search, data=data.record)

    feasible = space.feasible(params=BUDGET.split()[-1]).count()
    messages.print(f"2/4 searching {feasible:,} of {space.size():,} architectures with {BUDGET}")
    results = _search(space, fitness, evaluations, seed, out, progress)

    messages.print("3/4 retraining the winner and the uniform ViT of the same budget")
    # Every step trains a single network fully, so it needs fewer epochs than the supernet.
    finalists = _finals(results, net, data, fitness, recipe.replace(epochs=max(1, recipe.epochs // 3)), progress)

    messages.print("4/4 writing the report")
    page = write_report(
        out,
        results,
        title="Searching a vision transformer for handwritten digits",
        finalists=finalists,
        training=training.to_dict(),
        data=data.record,
        command=command_line(),
    )
    winner = finalists[0]
    write_file(out / "winner.json", json_module.dumps(winner.architecture.to_dict()) + "\n")
    seconds = time.perf_counter() - start
    if json:
        print_json({"report": str(page), "seconds": seconds, "finalists": [_as_dict(item) for item in finalists]})
        return
    for line in summary_lines(results, finalists):
        console.print(line)
    console.print(f"{seconds:.0f} s. Open {page.resolve()}", soft_wrap=True)


def _one_thread() -> None:
    """Use one thread: networks this small gain nothing from more, and lose on a busy machine."""
    from nasformer.training.device import use_threads

    use_threads(1)


def _train(net: Supernet, data: Dataset, recipe: Recipe, out: Path, progress: bool) -> TrainingResult:
    """Train, or resume an earlier demo with the same settings."""
    from nasformer.training import train_supernet

    folder = out / "supernet"
    return train_supernet(net, data, recipe, out=folder, resume=folder.exists(), progress=progress)


def _search(
    space: SearchSpace, fitness: InheritedFitness, evaluations: int, seed: int, out: Path, progress: bool
) -> list[SearchResult]:
    from nasformer.searcher import Searcher

    results = []
    for strategy in STRATEGIES:
        for run in range(seed, seed + SEEDS):
            searcher = Searcher(space, strategy, fitness, seed=run)
            study = f"{searcher.default_study}-{evaluations}-{fitness.fingerprint}"
            result = searcher.run(
                BUDGET, evaluations=evaluations, storage=out / "studies.log", study=study, progress=progress
            )
            result.save(out / "results" / f"{strategy}-seed{run}.jsonl")
            results.append(result)
    return results


def _finals(
    results: Sequence[SearchResult],
    net: Supernet,
    data: Dataset,
    fitness: InheritedFitness,
    recipe: Recipe,
    progress: bool,
) -> list[Finalist]:
    """Select on the search images alone; then evaluate winner and baseline on the test images."""
    best = min(results, key=lambda result: min(trial.rank for trial in result.confirmed))
    rivals = best.space.feasible(**best.limits).uniform()
    chosen = {f"winner ({best.strategy}, seed {best.seed})": best.best.architecture}
    chosen |= {"uniform ViT of the same budget": rivals[-1]} if rivals else {}
    return [_score(label, architecture, net, data, fitness, recipe, progress) for label, architecture in chosen.items()]


def _score(
    label: str,
    architecture: Architecture,
    net: Supernet,
    data: Dataset,
    fitness: InheritedFitness,
    recipe: Recipe,
    progress: bool,
) -> Finalist:
    from nasformer.report import Finalist
    from nasformer.supernet import VisionTransformer
    from nasformer.training import evaluate, train_subnet

    space = net.space
    (searched,) = fitness.evaluate([architecture])
    inherited = evaluate(net, data.test, architecture, device=fitness.device)
    alone = VisionTransformer(space.geometry, architecture, pooling=space.pooling, seed=recipe.seed)
    train_subnet(alone, data, recipe, progress=progress)
    assert searched.value is not None
    return Finalist(
        label,
        architecture,
        params=space.params(architecture),
        macs=space.macs(architecture),
        inherited={"search": searched.value, "test": inherited.accuracy},
        retrained={"test": evaluate(alone, data.test, device=fitness.device).accuracy},
        chosen=label.startswith("winner"),
    )


def _as_dict(finalist: Finalist) -> dict[str, object]:
    return {
        "label": finalist.label,
        "architecture": finalist.architecture.to_dict(),
        "params": finalist.params,
        "macs": finalist.macs,
        "inherited": dict(finalist.inherited),
        "retrained": dict(finalist.retrained),
    }
