"""``nasformer study best | trials | pareto``: inspect a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json, Storage, StudyName
from nasformer.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from nasformer.search import Trial
    from nasformer.search.study import Study


def best(storage: Storage, study: StudyName = None, json: Json = False) -> None:
    """Show the best architecture of a study, running or finished.

    Examples:
      nasformer study best --storage digits.log
    """
    from nasformer.search.study import Study

    found = Study.load(storage, study)
    leader, trials = winner(found), found.trials()
    confirmed = found.confirmation()
    state = {
        "trials": len(trials),
        "failed": sum(trial.value is None for trial in trials),
        "confirmed": bool(confirmed),
    }
    if json:
        print_json({**leader.to_dict(), "study": found.name, **state, "evaluations": found.evaluations})
        return
    console.print(str(leader.architecture), markup=False, style="bold", soft_wrap=True)
    rows: list[tuple[str, object]] = [
        ("confirmed" if confirmed else "highest so far", leader.value),
        *((name.replace("_", " "), figure) for name, figure in {**leader.metrics, **leader.costs}.items()),
        ("trial", leader.number if leader.batch >= 0 else "none"),
        ("failed", state["failed"]),
        ("finished", f"{len(trials):,} of {found.evaluations:,}"),
    ]
    print_table("", ("", found.name), rows)


def winner(study: Study) -> Trial:
    """Return the best confirmed trial of a study; before confirmation, the best trial.

    Raises:
        StudyError: No trial has a value yet.
    """
    from nasformer.errors import StudyError

    trials = study.trials()
    confirmed = study.confirmation()
    valued = [trial for trial in confirmed or trials if trial.value is not None]
    if not valued:
        raise StudyError(
            f"study {study.name!r} has no trial with a value yet; run it with 'nasformer study run'", study
        )
    return min(valued, key=lambda trial: trial.rank)


def trials(
    storage: Storage,
    study: StudyName = None,
    last: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the last N.", show_default=False)] = None,
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
    rows = list(map(_row, trials, states))
    print_table("", ("trial", "state", "value", "parameters", "MACs", "width", "depth", "s"), rows, left=0)
    for trial in trials:
        if trial.error:
            console.print(f"{trial.number}: {trial.error}", markup=False, soft_wrap=True)


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
        print_table("", ("architecture", "trial", "value", cost.replace("_", " ")), _front(front, cost))


def _row(trial: Trial, state: str) -> tuple[object, ...]:
    architecture, value = trial.architecture, "" if trial.value is None else trial.value
    costs = int(trial.costs["params"]), int(trial.costs["macs"])
    return trial.number, state, value, *costs, architecture.embed_dim, architecture.depth, trial.seconds


def _front(front: Sequence[Trial], cost: str) -> list[tuple[Any, ...]]:
    return [(str(trial.architecture), trial.number, trial.value, trial.costs[cost]) for trial in front]
