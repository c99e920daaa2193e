"""``nasformer study run``: start a study, or go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer._io import make_folder
from nasformer.cli import options
from nasformer.cli.outcome import show, show_files, summary
from nasformer.cli.output import print_json, resumable


def run(
    storage: options.Storage,
    study: options.StudyName = None,
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", "-n", min=1, help="Total to reach, even beyond the study's.")
    ] = None,
    seconds: options.Seconds = None,
    until_no_gain: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Pause after N without a new best.")
    ] = None,
    retry_failed: options.RetryFailed = False,
    wait: options.Wait = False,
    asynchronous: Annotated[
        bool, typer.Option("--asynchronous", help="Workers do not wait for each other; not reproducible.")
    ] = False,
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift", help="Continue if proposals differ from stored trials.")
    ] = False,
    confirm_epochs: options.ConfirmEpochs = None,
    confirm_top: options.ConfirmTop = None,
    supernet: options.SupernetPath = None,
    root: options.Root = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    readers: options.Readers = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Evaluation processes.")] = None,
    ray: options.Ray = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the result and a report.")] = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Run a study, or go on with it.

    One process leads a study; --workers and --ray evaluate in several. After a
    kill the same command resumes, here or elsewhere, with the same trials.

    Examples:
      nasformer study run --storage digits.log

      nasformer study run --storage postgresql://me@host/studies --study tiny
      --seconds 3600 --until-no-gain 200
    """
    from nasformer.cli.search import keep
    from nasformer.search.study import shown
    from nasformer.searcher import Searcher

    where: dict[str, Any] = {"supernet": supernet, "root": root, "device": device, "workers": workers, "ray": ray}
    where["readers"] = options.readers_of(readers)
    short = options.reranking_of(confirm_epochs, confirm_top) or None
    searcher, arguments = Searcher.open(storage, study, rerank=short, out=out, **where)
    if out:
        make_folder(out)
    arguments["evaluations"] = evaluations if evaluations and evaluations > arguments["evaluations"] else None
    with resumable(f"All finished trials are in {shown(storage)}"):
        result = searcher.run(
            **arguments,
            seconds=seconds,
            pause_after=evaluations,
            until_no_gain=until_no_gain,
            retry_failed=retry_failed,
            wait=wait,
            asynchronous=asynchronous,
            accept_drift=accept_drift,
            progress=not (quiet or json),
        )
    if out:
        keep(result, out)
    if json:
        print_json(summary(result))
    else:
        show(result)
        if out:
            show_files(result, out)
