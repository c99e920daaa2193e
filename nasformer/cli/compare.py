"""``nasformer compare``: compare strategies, with a report."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer._spec import absolute
from nasformer.cli import options
from nasformer.cli.output import command_line, console, print_json, print_table, resumable
from nasformer.cli.searching import read_options
from nasformer.errors import ExperimentError, StrategyError

if TYPE_CHECKING:
    from nasformer.compare.comparison import Comparison


def compare(
    experiment: Annotated[
        Path | None, typer.Argument(metavar="[EXPERIMENT]", help="A .yaml file; or declare one task with options.")
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", metavar="NAME", help="A name or module:Class, then KEY=VALUE; repeatable."),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="NAME=FITNESS@SPACE",
            help="A task, such as mine=table:FILE@space.yaml, with the other options; repeatable.",
        ),
    ] = None,
    space: Annotated[str | None, typer.Option(help="Built-in name or file.")] = None,
    fitness: options.FitnessKind = None,
    params: options.Params = None,
    macs: options.Macs = None,
    latency: options.Latency = None,
    latency_table: options.LatencyTable = None,
    noise: Annotated[float | None, typer.Option(min=0, help="Noise SD on observed values.")] = None,
    objective: options.Objective = None,
    supernet: options.SupernetPath = None,
    data: options.Data = None,
    root: options.Root = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds; default 10.")] = None,
    evaluations: Annotated[int | None, typer.Option("--evaluations", "-n", min=1, help="Per run; default 200.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Architectures per ask.")] = None,
    initial_design: Annotated[int | None, typer.Option(min=0, help="Size of the shared initial design.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/compare-NAME.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", help="html, markdown or json; repeatable.")] = None,
    front: Annotated[
        str | None, typer.Option(metavar="COST", help="Show Pareto fronts against a cost, e.g. params.")
    ] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write tables as Parquet instead of CSV.")] = False,
    keep_studies: Annotated[bool, typer.Option("--keep-studies", help="Keep the studies of complete runs.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Report complete runs without running more.")
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Compare strategies on the same tasks, with the same seeds and evaluations.

    Each run is a resumable study; the same command resumes the comparison. Use module:Class for your own strategy;
    --strategy adds to the strategies of the file.

    Examples:
      nasformer compare benchmarks/experiments/quick.yaml

      nasformer compare --space digits --fitness table:digits-exhaustive
      --params 54e3 -s random -s tpe -s "thompson startup=10" --seeds 20

      nasformer compare --task "a=table:a.jsonl@space.yaml" --task "b=table:b.csv?column=acc@space.yaml" -s random
      -s evolution

      nasformer compare my.yaml -s random -s mypackage.mymodule:MyStrategy
    """
    from nasformer.compare.experiment import Experiment
    from nasformer.compare.runner import run_experiment
    from nasformer.report.comparison import file_names

    kinds = formats or ["html"]
    file_names(kinds)
    task = {
        "space": space,
        "fitness": fitness,
        "budget": options.budget_of(params, macs, latency) or None,
        "latency_table": latency_table,
        "noise": noise,
        "objective": objective,
        "supernet": supernet,
        "data": data,
        "root": root,
    }
    shared = {"seeds": seeds, "evaluations": evaluations, "batch_size": batch_size, "initial_design": initial_design}
    values = _declared(experiment, strategy or [], [*map(_task, tasks or [])], _given(task), _given(shared))
    where, start = (experiment.name, experiment.parent) if experiment else ("the options", None)
    declared = Experiment.of(values, where, start)
    folder = out or options.run_folder(f"compare-{experiment.stem if experiment else space or 'tables'}")
    with resumable(f"All trials are in {folder}"):
        comparison = run_experiment(
            declared,
            folder,
            workers=workers,
            keep_studies=keep_studies,
            only_complete=report_only,
            parquet=parquet,
            command=command_line(),
            progress=not (quiet or json),
        )
    _report(comparison, folder, kinds, front, json)
    _raise_if_failed(comparison)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: str(each) if isinstance(each, Path) else each for key, each in options.items() if each is not None}


def _declared(
    experiment: Path | None,
    strategies: list[str],
    tasks: list[dict[str, Any]],
    task: dict[str, Any],
    shared: dict[str, Any],
) -> dict[str, Any]:
    """Return the declaration of the file, with changes by options, or of the options alone."""
    from nasformer.cli.searching import absolute_spec
    from nasformer.compare.experiment import read_declaration

    if experiment is None and not tasks and "space" not in task:
        raise ExperimentError("give an EXPERIMENT.yaml, --task, or --space with --strategy and --fitness", None)
    if tasks and (twice := {"space", "fitness"} & {*task}):
        raise ExperimentError(f"--task names space and fitness; omit --{min(twice)}", task)
    if experiment is not None and not tasks and task:
        key = next(iter(task)).replace("_", "-")
        raise ExperimentError(f"tasks are declared in {experiment.name}; omit --{key} or EXPERIMENT", task)
    values = {} if experiment is None else dict(read_declaration(experiment))
    own = [{**task, **each} for each in tasks] or ([task] if experiment is None else [])
    if experiment is not None:  # whose own paths are relative to its folder
        own = [
            {**each, "fitness": absolute_spec(each["fitness"]), "space": _absolute_space(each["space"])} for each in own
        ]
    added = {"tasks": own, "strategies": [_strategy(each) for each in strategies]}
    for key, more in added.items():
        known = values.get(key) or []
        values[key] = [*known, *more] if isinstance(known, list) else known  # anything else is refused there
    return {**values, **shared}


def _absolute_space(name: str) -> str:
    from nasformer.space import space_names

    return name if name in space_names() else str(absolute(name))


def _task(text: str) -> dict[str, Any]:
    """Parse a task.

    >>> _task("mine=table:t.jsonl?column=acc@space.yaml")
    {'name': 'mine', 'fitness': 'table:t.jsonl?column=acc', 'space': 'space.yaml'}
    """
    name, _, rest = text.partition("=")
    fitness, _, space = rest.rpartition("@")
    if not (name and fitness and space):
        raise ExperimentError(f"--task is NAME=FITNESS@SPACE, as mine=table:t.jsonl@space.yaml, got {text!r}", text)
    return {"name": name, "fitness": fitness, "space": space}


def _strategy(text: str) -> dict[str, Any]:
    """Parse a strategy name followed by options.

    >>> _strategy("thompson startup=10")
    {'name': 'thompson', 'options': {'startup': 10}}
    """
    try:
        name, *options = shlex.split(text)
    except ValueError as error:
        raise StrategyError(f"--strategy is a name and KEY=VALUE, got {text!r} ({error})", text) from error
    return {"name": name, "options": read_options(options)}


def _report(comparison: Comparison, folder: Path, formats: list[str], front: str | None, json: bool) -> None:
    """Write the report and print its summary."""
    from nasformer.report import write_comparison
    from nasformer.report.notation import worth
    from nasformer.report.statistics import analyse
    from nasformer.report.tables.comparison import metric_of

    if comparison.cells.empty:
        reasons = "; ".join(f"{each.strategy}: {each.reason}" for each in comparison.left_out[:1])
        raise ExperimentError(f"no run is complete in {folder}{f' ({reasons})' if reasons else ''}", comparison)
    analysis = analyse(comparison, front=front)
    path = write_comparison(folder, comparison, formats=formats, analysis=analysis)
    if json:
        print_json({"report": str(path), "summary": analysis.summary, "warnings": [*map(str, analysis.warnings)]})
        return
    for task in analysis.tasks:
        text = partial(worth, replace(metric_of(task), unit=""))
        rows = [
            (each.label, each.n, text(each.median), text(each.worst), text(each.best), each.ms_per_ask or 0.0)
            for each in task.ranking
        ]
        title = f"{task.record.name}: {task.record.metric.heading}"
        print_table(title, ("", "seeds", "median", "worst", "best", "ms/ask"), rows)
    for line in [*analysis.summary, *(f"! {line}" for line in analysis.warnings)]:
        console.print(line)
    console.print(f"report: {path}", soft_wrap=True)


def _raise_if_failed(comparison: Comparison) -> None:
    """Raise ExperimentError if runs failed, after the report of the others."""
    failed = [each for each in comparison.left_out if each.seed is not None]
    if failed:
        first = failed[0]
        raise ExperimentError(
            f"{len(failed)} of {len(failed) + len(comparison.cells)} runs failed, the first of {first.strategy} on "
            f"{first.task}, seed {first.seed}: {first.reason}; the same command retries them",
            failed,
        )
