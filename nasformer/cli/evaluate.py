"""``nasformer evaluate``: test metrics of a search's winner or of any architecture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer._io import to_json, write_file
from nasformer.cli.networks import NetworkFigures, evaluate_network, is_network, most_mistaken
from nasformer.cli.options import Data, Device, Json, OfSpace, Readers, Root, SupernetPath, readers_of, trained_space
from nasformer.cli.output import console, messages, print_json, print_table
from nasformer.cli.search import PAGE, TESTED, write_page
from nasformer.cli.target import read_architecture, require_alone, require_same_weights, run_file, winner_of
from nasformer.errors import DataError, FitnessError

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.cost import Limits
    from nasformer.search import Evaluation
    from nasformer.space import SearchSpace
    from nasformer.tasks import Task


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="RUN|MODEL|SPACE", help="A search, a trained or exported network, or a space.")
    ],
    architecture: OfSpace = None,
    supernet: SupernetPath = None,
    data: Data = None,
    root: Root = None,
    split: Annotated[str, typer.Option(help="test or search.")] = "test",
    device: Device = "auto",
    readers: Readers = "auto",
    json: Json = False,
) -> None:
    """Print the test metrics of a network.

    Of a search: of its winner with inherited weights, and of the uniform ViT
    of the same budget; of several budgets those of all winners. Of a trained
    or exported network also those of each class; --data FOLDER names other
    labelled images.

    Test examples neither trained the supernet nor ranked architectures: use them once, at the end.

    Examples:
      nasformer evaluate runs/digits-tpe-seed0

      nasformer evaluate runs/digits-finetune --data MORE

      nasformer evaluate digits largest --split search
    """
    from nasformer.fitness import InheritedFitness
    from nasformer.training.opening import open_supernet, supernet_file

    if split not in ("test", "search"):
        raise DataError(f"--split is test or search, got {split!r}", split)
    if architecture is None and supernet is None and is_network(Path(target)):
        _show_network(target, evaluate_network(target, data, root, split, device, readers_of(readers)), json)
        return
    space, candidates, searched = _candidates(target, architecture, supernet, data)
    file = supernet_file(space, supernet, data, searched=searched)
    net, dataset = open_supernet(space, supernet=file, data=data, root=root)
    images = dataset.test if split == "test" else dataset.search
    decoded = split == "search"  # test images are read once
    judge = InheritedFitness(
        net, images, task=dataset.task, device=device, decoded=decoded, readers=readers_of(readers)
    )
    require_same_weights(searched.get("fitness", {}).get("weights"), judge.fingerprint)
    scores = {e.architecture: e for e in judge.evaluate(list(candidates.values()))}
    _require_values(scores)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "architecture": arch.to_dict(),
            **space.costs(arch),
            **_metrics(judge.task, scores[arch]),
        }
        for name, arch in candidates.items()
    ]
    told = {"split": split, judge.task.examples: len(images), "weights": judge.fingerprint, "results": rows}
    if json:
        print_json(told)
    else:
        _show_candidates(judge.task, space, candidates, told)
    if split == "test" and searched and (data, supernet, root) == (None, None, None) and is_run(target):
        _add_to_page(target, {**told, "task": judge.task.record(), "count": len(images)}, quiet=json)


def is_run(target: str) -> bool:
    """Whether a target is a whole search: its folder or result, and no winner of one of several budgets."""
    return Path(target).is_dir() or Path(target).suffix == ".jsonl"


def _show_candidates(
    task: Task, space: SearchSpace, candidates: Mapping[str, Architecture], told: Mapping[str, Any]
) -> None:
    for name, arch in candidates.items():
        console.print(f"{name}: {arch}", soft_wrap=True)
    rows, metrics = told["results"], [task.metric(name) for name in task.objectives]
    costs = {name: {"macs": "MACs"}.get(name, name.replace("_", " ")) for name in space.known_costs}
    table = [(title, *(row[name] for row in rows)) for name, title in costs.items()]
    table += [(each.title, *(each.text(row[each.name]) for row in rows)) for each in metrics]
    print_table(f"{told[task.examples]:,} {told['split']} {task.examples}", ("", *(row["name"] for row in rows)), table)


def _add_to_page(target: str, tested: Mapping[str, Any], *, quiet: bool) -> None:
    """Keep what was found on the test split with the search, and write its page again."""
    from nasformer.search import SearchResult

    run = run_file(target)
    if run is None or not (run.parent / PAGE).is_file():
        return
    write_file(run.parent / TESTED, to_json(tested, indent=1) + "\n")
    page = write_page(run.parent, SearchResult.load(run))
    if not quiet:
        console.print(f"report: {page}", soft_wrap=True)


def _show_network(target: str, found: NetworkFigures, json: bool) -> None:
    """Print the figures of a trained or exported network, and of its classes."""
    if json:
        print_json({"model": target, "data": found.data, "split": found.split, **found.about, **found.figures})
        return
    task, figures = found.task, found.figures
    rows = [(each.title, each.text(figures[each.name])) for each in task.metrics if figures.get(each.name) is not None]
    count = figures[task.examples]
    print_table(f"{count:,} {found.split} {task.examples} of {found.data}", ("", target), rows)
    if "confusion" in figures:
        names = [str(row["class"]) for row in figures["per_class"]]
        classes = [
            (row["class"], row["images"], f"{row['accuracy']:.1f}", most_mistaken(counts, place, names))
            for place, (row, counts) in enumerate(zip(figures["per_class"], figures["confusion"], strict=True))
            if row["images"]
        ]
        print_table("", ("class", "images", "%", "taken for"), classes)


def _metrics(task: Task, evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics of an evaluation by the task's default objective."""
    objective = task.objective()
    known = {**evaluation.metrics, objective.name: objective.sign * (evaluation.value or 0.0)}
    return {name: known[name] for name in task.objectives}


def _candidates(
    target: str, architecture: str | None, supernet: Path | None, data: str | None
) -> tuple[SearchSpace, dict[str, Architecture], dict[str, Any]]:
    """Return the space, the architectures by name, and the settings of the search; empty if none."""
    from nasformer.search import SearchResult

    run = run_file(target)
    if run is not None:
        require_alone(target, architecture)
        result = SearchResult.load(run)
        winner, limits = winner_of(result, target)
        chosen = {"winner": winner, **_uniform(result.space, limits)}
        if result.budgets and Path(target).suffix != ".json":
            chosen = {f"winner {number}": each.architecture for number, each in enumerate(result.winners, 1)}
        return result.space, chosen, dict(result.settings)
    space = trained_space(target, supernet, data)
    return space, {"architecture": read_architecture(space, architecture or "largest")}, {}


def _uniform(space: SearchSpace, limits: Limits) -> dict[str, Architecture]:
    for name in limits:
        if name not in space.known_costs:
            reason = f"the result does not hold the cost {name}, such as one made in Python or before version 0.2"
            messages.print(f"no uniform ViT: {reason}", soft_wrap=True)
            return {}
    members = space.feasible(**limits).uniform()
    return {"uniform ViT": members[-1]} if members else {}


def _require_values(scores: Mapping[Architecture, Evaluation]) -> None:
    for architecture, evaluation in scores.items():
        if evaluation.value is None:
            raise FitnessError(f"{architecture} cannot be evaluated: {evaluation.error}", evaluation)
