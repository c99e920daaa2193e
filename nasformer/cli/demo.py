"""``nasformer demo``: the whole pipeline on small real images, in a few minutes.

Train one supernet, search it once for three budgets, and fine-tune the winner of each. The uniform ViT of each budget
is trained alone, for a third of the compute of all of that. Test images are looked at last.
"""

from __future__ import annotations

import json as json_module
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json, Seed
from nasformer.cli.outcome import winners_of
from nasformer.cli.output import command_line, console, messages, print_json
from nasformer.cli.search import WINNERS

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.data import Dataset
    from nasformer.fitness import InheritedFitness
    from nasformer.report import Finalist
    from nasformer.search import SearchResult
    from nasformer.supernet import Supernet
    from nasformer.training import Recipe, TrainingResult

SPACE = "digits-wide"
BUDGETS = (100_000, 400_000, 1_600_000)
"""Multiply-accumulates of an image."""

EVALUATIONS = 120
EPOCHS = 90
WINNER, UNIFORM = "winner, fine-tuned", "uniform ViT, alone"
SHARE = 3.0
"""Compute of search and fine-tuning, as a share of the supernet's training."""


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = Path("nasformer-demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Of the supernet.")] = EPOCHS,
    evaluations: Annotated[int, typer.Option("--evaluations", "-n", min=3, help="Of the search.")] = EVALUATIONS,
    seed: Seed = 1,  # the recipe was chosen on the splits of seed 0
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
    json: Json = False,
) -> None:
    """Search handwritten digits for three budgets at once, and report, in a few minutes.

    One supernet, one search, a winner for each budget, beside uniform ViTs
    that are trained alone for as much compute.

    Example:
      nasformer demo --out nasformer-demo
    """
    from nasformer._io import write_file
    from nasformer.data import load_dataset
    from nasformer.fitness import InheritedFitness
    from nasformer.report import summary_lines, write_report
    from nasformer.report.notation import compact
    from nasformer.space import load_space
    from nasformer.supernet import Supernet

    _one_thread()
    start, progress = time.perf_counter(), not (quiet or json)
    space, data = load_space(SPACE), load_dataset("digits", seed=seed)
    recipe = _recipe(seed, epochs)
    net = Supernet(space, seed=seed)

    messages.print(f"1/4 training one supernet of {space.size():,} architectures, {epochs} epochs")
    training = _train(net, data, recipe, out, progress)
    fitness = InheritedFitness(net, data.search, data=data.record, objective="loss")

    messages.print(f"2/4 one search for {', '.join(map(compact, BUDGETS))} multiply-accumulates")
    result = _search(net, fitness, evaluations, seed, out, progress)

    messages.print("3/4 fine-tuning the winners, and training the uniform ViTs alone for as much compute")
    finalists = _finalists(result, net, data, recipe, training, progress)

    messages.print("4/4 writing the report")
    page = write_report(
        out,
        [result],
        title="Vision transformers for handwritten digits under three budgets",
        finalists=finalists,
        training=training.to_dict(),
        data=data.record,
        command=command_line(),
    )
    write_file(out / WINNERS, json_module.dumps(winners_of(result), indent=1) + "\n")
    seconds = time.perf_counter() - start
    if json:
        print_json({"report": str(page), "seconds": seconds, "finalists": [_as_dict(item) for item in finalists]})
        return
    for line in summary_lines([result], finalists):
        console.print(line)
    console.print(f"{seconds:.0f} s. Open {page.resolve()}", soft_wrap=True)


def _recipe(seed: int, epochs: int) -> Recipe:
    """Return the supernet's recipe: that of digits, with small networks as often as large ones."""
    from nasformer.training import Recipe

    sampled: dict[str, Any] = {"sampling": "bins", "budget": {"macs": [BUDGETS[0] // 2, BUDGETS[-1]]}}
    return Recipe.for_dataset("digits").replace(seed=seed, epochs=epochs, **sampled)


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
    net: Supernet, fitness: InheritedFitness, evaluations: int, seed: int, out: Path, progress: bool
) -> SearchResult:
    from nasformer.searcher import Searcher

    searcher = Searcher(net.space, "thompson", fitness, seed=seed)
    study = f"{searcher.default_study}-{evaluations}-{fitness.fingerprint}"
    result = searcher.run(
        budgets=[{"macs": budget} for budget in BUDGETS],
        evaluations=evaluations,
        batch_size=10,
        storage=out / "studies.log",
        study=study,
        progress=progress,
    )
    result.save(out / "result.jsonl")
    return result


def _finalists(
    result: SearchResult, net: Supernet, data: Dataset, recipe: Recipe, training: TrainingResult, progress: bool
) -> list[Finalist]:
    """Train the winners in ascending order, and the uniform ViTs for the compute of all of it, and test them."""
    from nasformer.diagnose.rivals import largest_uniform
    from nasformer.training import finetune_front, retrain
    from nasformer.training.front import compute_parts

    assert training.macs is not None
    searched = len(data.search) * sum(trial.costs["macs"] for trial in result.trials)
    tuning = max(SHARE * training.macs - searched, training.macs / 10)
    alone = (1 + SHARE) * training.macs / len(BUDGETS)
    options: dict[str, Any] = {"device": "cpu", "progress": progress}
    winners = [winner.architecture for winner in result.winners]
    parts = compute_parts(net.space, [{"macs": budget} for budget in BUDGETS])
    recipes = [_single(recipe, net, own, part * tuning, data) for own, part in zip(winners, parts, strict=True)]
    tuned = finetune_front(net, winners, data, recipes, **options)
    finalists = []
    for budget, winner, own in zip(BUDGETS, winners, tuned, strict=True):
        uniform = largest_uniform(net.space, {"macs": budget})
        trained = retrain(uniform, net.space, data, _single(recipe, net, uniform, alone, data), **options)
        finalists.append(_finalist(WINNER, budget, net, data, winner, own.figures))
        finalists.append(_finalist(UNIFORM, budget, net, data, uniform, trained.figures))
    return finalists


def _single(recipe: Recipe, net: Supernet, architecture: Architecture, macs: float, data: Dataset) -> Recipe:
    """Return the recipe of one network, with as many epochs as the compute allows."""
    from nasformer.training.compute import for_compute

    single = recipe.replace(sampling="uniform", budget=None)
    lasting = for_compute(single, macs, net.space.macs(architecture), len(data.train))
    return lasting.replace(validate_every=lasting.epochs)


def _finalist(
    kind: str, budget: int, net: Supernet, data: Dataset, architecture: Architecture, figures: dict[str, Any]
) -> Finalist:
    from nasformer.report import Finalist
    from nasformer.report.notation import compact
    from nasformer.training import evaluate

    return Finalist(
        kind,
        f"{compact(budget)} MACs",
        architecture,
        params=net.space.params(architecture),
        macs=net.space.macs(architecture),
        inherited=evaluate(net, data.test, architecture, device="cpu").accuracy,
        trained=figures["test"]["accuracy"],
    )


def _as_dict(finalist: Finalist) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(finalist), "architecture": finalist.architecture.to_dict()}
