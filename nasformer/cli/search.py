"""``nasformer search``: one search under a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasformer._io import make_folder, write_file
from nasformer.cli import options
from nasformer.cli.outcome import show, show_files, summary, winners_of
from nasformer.cli.output import command_line, print_json, resumable
from nasformer.cli.searching import make_searcher, reranker, show_weights

if TYPE_CHECKING:
    from nasformer.search import SearchResult

RESULT = "result.jsonl"
WINNER = "winner.json"
WINNERS = "winners.json"
TESTED, PAGE = "tested.json", "report.html"
_COMMAND = "command.txt"


def search(
    space: options.Space,
    strategy: options.Strategy = "thompson",
    option: options.Options = None,
    params: options.Params = None,
    macs: options.Macs = None,
    latency: options.Latency = None,
    latency_table: options.LatencyTable = None,
    budgets: options.Budgets = None,
    evaluations: options.Evaluations = 1050,
    seconds: options.Seconds = None,
    batch_size: options.BatchSize = 1,
    seed: options.Seed = 0,
    fitness: options.FitnessKind = None,
    objective: options.Objective = None,
    racing: options.Racing = False,
    dtype: options.Dtype = "auto",
    noise: options.Noise = 0.0,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    supernet: options.SupernetPath = None,
    data: options.Data = None,
    root: options.Root = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="PATH.log, sqlite:///… or postgresql://…; default: OUT/study.log.")
    ] = None,
    study: options.NewStudyName = None,
    confirm_epochs: options.ConfirmEpochs = None,
    confirm_top: options.ConfirmTop = None,
    max_failures: options.MaxFailures = 10,
    retry_failed: options.RetryFailed = False,
    warm_start: options.WarmStart = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-STRATEGY-seedN.")] = None,
    device: options.Device = "auto",
    readers: options.Readers = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Search a space for the best architecture within a budget.

    Architectures are judged with weights inherited from the supernet of the
    space; without weights by their number of parameters, which is no
    accuracy, with a warning. Trials are stored as they finish; the same
    command resumes the search, and with a larger -n continues it.

    Examples:
      nasformer search digits --strategy tpe --params 60e3 -n 300

      nasformer search autoformer-tiny --params 5e6:6e6 --macs 1.4G -n 100

      nasformer search digits --budgets 20k,40k,80k

      nasformer search digits --params 60e3 --fitness table:digits-exhaustive

      nasformer search fashion-mnist --params 300e3 --batch-size 50 --racing
    """
    from nasformer.search.study import shown

    searcher, fitness_spec = make_searcher(
        space,
        strategy,
        option or [],
        seed,
        fitness=fitness,
        latency_table=latency_table,
        latency=latency,
        supernet=supernet,
        data=data,
        root=root,
        objective=objective,
        racing=racing,
        dtype=dtype,
        noise=noise,
        device=device,
        workers=workers,
        ray=ray,
        readers=readers,
    )
    short = options.reranking_of(confirm_epochs, confirm_top)
    fitness_spec |= {"rerank": short} if short else {}
    if not (quiet or json):
        show_weights(searcher.space, fitness_spec)
    folder = out or options.run_folder(searcher.default_study.replace(":", "."))
    kept = storage or str(folder / "study.log")
    make_folder(folder)
    with resumable(f"All finished trials are in {shown(kept)}"):
        result = searcher.run(
            **options.budgets_of(searcher.space, budgets, options.budget_of(params, macs, latency)),
            evaluations=evaluations,
            seconds=seconds,
            batch_size=batch_size,
            max_failures=max_failures,
            storage=kept,
            study=study,
            fitness_spec=fitness_spec,
            rerank=reranker(searcher.space, fitness_spec, folder, device, readers),
            warm_start=warm_start,
            retry_failed=retry_failed,
            progress=not (quiet or json),
        )
    keep(result, folder)
    if json:
        print_json({**summary(result), "result": str(folder / RESULT)})
    else:
        show(result)
        show_files(result, folder)


def keep(result: SearchResult, folder: Path) -> None:
    """Write result, winner and report; of several budgets all winners, and each in a file of its own."""
    import json as json_module

    result.save(folder / RESULT)
    (folder / TESTED).unlink(missing_ok=True)
    write_file(folder / _COMMAND, command_line() + "\n")
    winners = {WINNER: result.best.architecture.to_dict()}
    if result.budgets:
        own = {f"winner-{number}.json": each for number, each in enumerate(result.winners, 1)}
        winners = {name: each.architecture.to_dict() for name, each in own.items()}
        write_file(folder / WINNERS, json_module.dumps(winners_of(result), indent=1) + "\n")
    for name, architecture in winners.items():
        write_file(folder / name, json_module.dumps(architecture) + "\n")
    write_page(folder, result)


def write_page(folder: Path, result: SearchResult) -> Path:
    """Write the page of a search with all that its folder holds: also what was found on the test split."""
    from nasformer._parse import read_text
    from nasformer._record import read_record
    from nasformer.report import write_report

    command = read_text(folder / _COMMAND) if (folder / _COMMAND).is_file() else ""
    found = read_record(folder / TESTED) if (folder / TESTED).is_file() else None
    title = f"{result.strategy} on {result.space.name}"
    return write_report(folder, result, title=title, command=command.strip(), tested=found)
