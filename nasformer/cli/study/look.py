"""``nasformer study best | trials | pareto``: inspect a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from nasformer.cli.options import Json, Storage, StudyName
from nasformer.cli.output import console, print_json, print_table
from nasformer.errors import StudyError

if TYPE_CHECKING:
    from nasformer.search import Trial
    from nasformer.search.study import Study


def best(storage: Storage, study: StudyName = None, json: Json = False) -> None:
    """Show the best architecture of a study, running or finished.

    Examples:
      nasformer study best --storage digits.log
    """
    from nasformer.registry import fitness_notation
    from nasformer.search.study import Study

    found = Study.load(storage, study)
    trials = found.trials()
    if "budgets" in found.settings:
        _best_of_each(found, json)
        return
    leader = winner(found)
    confirmed = found.confirmation()
    state = {
        "trials": len(trials),
        "failed": sum(trial.value is None for trial in trials),
        "confirmed": bool(confirmed),
    }
    if json:
        print_json({**leader.to_dict(), "study": found.name, **state, "evaluations": found.evaluations})
        return
    console.print(str(leader.architecture), style="bold", soft_wrap=True)
    heading, text = _column(found)
    figures = {**leader.metrics, **leader.costs}
    if "images" in figures:
        figures[fitness_notation(found.settings["fitness"]).get("examples", "images")] = int(figures.pop("images"))
    rows: list[tuple[str, object]] = [
        (f"{'confirmed' if confirmed else 'best'} {heading}", text(leader)),
        *((name.replace("_", " "), figure) for name, figure in figures.items()),
        ("trial", leader.number if leader.batch >= 0 else "none"),
        ("failed", state["failed"]),
        ("finished", f"{len(trials):,} of {found.evaluations:,}"),
    ]
    print_table("", ("", found.name), rows)


def _best_of_each(study: Study, json: bool) -> None:
    """Show the best architecture within each of several budgets."""
    from nasformer.cost import within

    lines, confirmed = study.settings["budgets"], study.confirmation()
    valued = [trial for trial in confirmed or study.trials() if trial.eligible]
    inside = [[trial for trial in valued if within(trial.costs, own)] for own in study.budgets]
    best = [min(trials, key=lambda trial: trial.rank) if trials else None for trials in inside]
    if json:
        found = [{"budget": line, **(each.to_dict() if each else {})} for line, each in zip(lines, best, strict=True)]
        print_json({"winners": found, "study": study.name, "confirmed": bool(confirmed)})
        return
    heading, text = _column(study)
    rows = [
        (line, each.number, text(each), *_row(each, "", "")[3:7]) if each else (line, *[""] * 6)
        for line, each in zip(lines, best, strict=True)
    ]
    value = f"{'confirmed' if confirmed else 'best'} {heading}"
    print_table("", ("budget", "trial", value, "parameters", "MACs", "width", "depth"), rows)


def winner(study: Study) -> Trial:
    """Return the best confirmed trial of a study; before confirmation, the best trial.

    Raises:
        StudyError: No trial has a value yet.
    """
    trials = study.trials()
    confirmed = study.confirmation()
    valued = [trial for trial in confirmed or trials if trial.eligible]
    if not valued:
        raise StudyError(
            f"study {study.name!r} has no trial with a value yet; run it with 'nasformer study run'", study
        )
    return min(valued, key=lambda trial: trial.rank)


def trials(
    storage: Storage,
    study: StudyName = None,
    last: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the last N.")] = None,
    json: Json = False,
) -> None:
    """List the finished trials of a study.

    Examples:
      nasformer study trials --storage digits.log --last 20
    """
    from nasformer.search.study import Study, state_of

    found = Study.load(storage, study)
    trials = found.trials()[-(last or 0) :]
    states = [state_of(trial).name.lower() for trial in trials]
    if json:
        print_json([{**trial.to_dict(), "state": state} for trial, state in zip(trials, states, strict=True)])
        return
    heading, text = _column(found)
    rows = [_row(trial, state, text(trial)) for trial, state in zip(trials, states, strict=True)]
    print_table("", ("trial", "state", heading, "parameters", "MACs", "width", "depth", "s"), rows, left=0)
    for trial in trials:
        if trial.error:
            console.print(f"{trial.number}: {trial.error}", soft_wrap=True)


def pareto(
    storage: Storage,
    study: StudyName = None,
    cost: Annotated[str, typer.Option(help="Cost to minimise.")] = "params",
    json: Json = False,
) -> None:
    """List the Pareto front of value and a cost.

    Examples:
      nasformer study pareto --storage digits.log --cost macs
    """
    from nasformer.search import SearchResult
    from nasformer.search.study import Study

    found = Study.load(storage, study)
    result = SearchResult(found.space, {}, found.settings, tuple(found.trials()), ())
    front = result.pareto_front(cost)
    if json:
        print_json([trial.to_dict() for trial in front])
    else:
        heading, text = _column(found)
        rows = [(str(each.architecture), each.number, text(each), each.costs[cost]) for each in front]
        print_table("", ("architecture", "trial", heading, cost.replace("_", " ")), rows)


def _column(study: Study) -> tuple[str, Callable[[Trial], str]]:
    """Return the heading of values, with their unit, and how to write a trial's."""
    from nasformer.compare.comparison import VALUE
    from nasformer.registry import measured_metric
    from nasformer.report.notation import worth

    metric = measured_metric(study.settings["fitness"]) or VALUE
    bare = replace(metric, unit="")
    return metric.heading, lambda trial: "" if trial.value is None else worth(bare, trial.value)


def _row(trial: Trial, state: str, value: str) -> tuple[object, ...]:
    architecture, costs = trial.architecture, (int(trial.costs["params"]), int(trial.costs["macs"]))
    return trial.number, state, value, *costs, architecture.embed_dim, architecture.depth, trial.seconds
