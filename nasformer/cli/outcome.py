"""Console summary of a finished search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.cli.output import console, print_table

if TYPE_CHECKING:
    from nasformer.search import SearchResult

TIMES = ("before", "after")
EARLY = {
    "exhausted": "every architecture within the budget was evaluated",
    "seconds": "time limit reached",
    "paused": "paused after the requested evaluations",
    "no gain": "no new best in the requested number of evaluations",
}


def summary(result: SearchResult) -> dict[str, Any]:
    """Return the summary of a search, as plain data."""
    best = result.best
    return {
        "architecture": best.architecture.to_dict(),
        "fitness": best.fitness,
        "loss": best.loss,
        "params": best.params,
        "macs": best.macs,
        **_further_costs(result),
        **({"winners": winners_of(result)} if result.budgets else {}),
        "evaluations": len(result.trials),
        "stopped": result.stopped,
        "feasible": result.feasible,
        "counts": dict(result.counts),
        "seconds": dict(result.seconds),
        **({"findings": dict(result.findings)} if result.findings else {}),
        **({"reranking": result.reranking} if result.reranking else {}),
    }


def winners_of(result: SearchResult) -> list[dict[str, Any]]:
    """Return the winner of each of several budgets, as plain data."""
    from nasformer.cost import format_limits

    return [
        {
            "budget": format_limits(own),
            "architecture": each.architecture.to_dict(),
            "fitness": each.fitness,
            "loss": each.loss,
            **result.space.costs(each.architecture),
        }
        for own, each in zip(result.budgets, result.winners, strict=True)
    ]


def show(result: SearchResult) -> None:
    """Print the winner, or those of several budgets, a summary table and the strategy's findings."""
    from nasformer.report.tables.table import flattened

    if result.budgets:
        _show_winners(result)
    else:
        console.print(f"{result.best.architecture}", style="bold", soft_wrap=True)
    rows: list[tuple[str, object]] = [
        *([] if result.budgets else _figures(result)),
        ("evaluations", len(result.trials)),
        ("feasible", result.feasible),
        ("duplicates", result.counts.get("duplicates", 0)),
        ("infeasible", result.counts.get("infeasible", 0)),
        ("failed", result.counts["failed"]),
        ("evaluation, s", result.seconds["evaluation"]),
        ("strategy, s", result.seconds["strategy"]),
    ]
    print_table("", ("", result.strategy), rows)
    for name, found in result.findings.items():
        short = {key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in found.items()}
        figures = ", ".join(" ".join(pair) for pair in flattened(short))
        console.print(f"{name}: {figures}", soft_wrap=True)
    if result.stopped != "evaluations":
        console.print(f"ended early: {EARLY[result.stopped]}")
    if result.reranking:
        console.print(reranking_line(result), soft_wrap=True)


def _figures(result: SearchResult) -> list[tuple[str, object]]:
    """Return value and costs of the winner."""
    best, further = result.best, _further_costs(result).items()
    costs = [
        ("parameters", best.params),
        ("MACs", best.macs),
        *((name.replace("_", " "), cost) for name, cost in further),
    ]
    return [_worth(result, best.fitness), *costs]


def _show_winners(result: SearchResult) -> None:
    """Print a row for each budget."""
    from nasformer.report.notation import compact, cost_name, short_budget

    costs = list(result.space.known_costs)
    rows = [
        (
            short_budget(own),
            f"embed {each.architecture.embed_dim}, depth {each.architecture.depth}",
            *(compact(result.space.costs(each.architecture)[name]) for name in costs),
            _worth(result, each.fitness)[1],
        )
        for own, each in zip(result.budgets, result.winners, strict=True)
    ]
    print_table("", ("budget", "architecture", *map(cost_name, costs), _worth(result, 0.0)[0]), rows, left=2)


def show_files(result: SearchResult, folder: Path) -> None:
    """Print where the report and the fine-tuned weights of the winner are, and the next command."""
    line = f"report: {folder / 'report.html'}   next: nasformer"
    if result.budgets:
        console.print(f"winners: {folder / 'winners.json'}", soft_wrap=True)
    if result.reranking:
        console.print(f"fine-tuned weights: {folder / 'network.safetensors'}", soft_wrap=True)
    console.print(f"{line} {'finetune' if result.reranking else 'evaluate'} {folder}", soft_wrap=True)


def reranking_line(result: SearchResult) -> str:
    """Return in a line how the short fine-tuning changed the ranking."""
    from nasformer.registry import measured_metric
    from nasformer.report.notation import worth

    figures, metric = result.reranking or {}, measured_metric(result.settings.get("fitness"))
    winner, epochs = figures["candidates"][0], result.settings["rerank"].get("epochs", 0)
    before, after = (f"{winner[key]:.5g}" if metric is None else worth(metric, winner[key]) for key in TIMES)
    rank = f"winner's rank {winner['rank_before']} → 1"
    tau = "" if figures["tau"] is None else f", tau {figures['tau']:.2f}"
    length = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    return f"{len(figures['candidates'])} fine-tuned for {length}: {rank}, {before} → {after}{tau}"


def _worth(result: SearchResult, fitness: float) -> tuple[str, object]:
    """Return a winner's metric with its unit, or its fitness if that is no metric of a task."""
    from nasformer.registry import measured_metric
    from nasformer.report.notation import worth

    metric = measured_metric(result.settings.get("fitness"))
    return ("fitness", fitness) if metric is None else (metric.title, worth(metric, fitness))


def _further_costs(result: SearchResult) -> dict[str, float]:
    costs = result.space.costs(result.best.architecture)
    return {name: cost for name, cost in costs.items() if name not in ("params", "macs")}
