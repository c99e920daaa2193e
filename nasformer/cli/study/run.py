"""``nasformer study run``: begin a study, go on with it, or help others with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Json, Quiet, Ray, Root, Seconds, Storage, StudyName, SupernetPath
from nasformer.cli.outcome import show, summary
from nasformer.cli.output import command_line, console, print_json


def run(
    storage: Storage,
    study: StudyName = None,
    evaluations: Annotated[
        int | None,
        typer.Option("--evaluations", "-n", min=1, help="Stop for now after so many in all.", show_default=False),
    ] = None,
    seconds: Seconds = None,
    until_no_gain: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Stop for now after N without a new best.", show_default=False),
    ] = None,
    asynchronous: Annotated[
        bool, typer.Option("--asynchronous", help="Let workers not wait for each other; the result then varies.")
    ] = False,
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift", help="Go on where the strategy asks otherwise than was recorded.")
    ] = False,
    supernet: SupernetPath = None,
    root: Root = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", show_default=False)] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that evaluate for this one.", show_default=False)
    ] = None,
    ray: Ray = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the result and a report.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run a study to its end, from wherever it is.

    Start it several times, on one machine or many, and they share the work: the trials are the same, however many
    they are and whichever of them is killed.

    Examples:
      nasformer study run --storage digits.log

      nasformer study run --storage postgresql://me@host/studies --study tiny
      --seconds 3600 --until-no-gain 200
    """
    from nasformer.cli.search import keep
    from nasformer.search.study import shown
    from nasformer.searcher import Searcher

    where = {"supernet": supernet, "root": root, "device": device, "workers": workers, "ray": ray}
    searcher, arguments = Searcher.open(storage, study, **where)
    try:
        result = searcher.run(
            **arguments,
            seconds=seconds,
            pause_after=evaluations,
            until_no_gain=until_no_gain,
            asynchronous=asynchronous,
            accept_drift=accept_drift,
            progress=not (quiet or json),
        )
    except KeyboardInterrupt:
        line = shown(f"Every finished trial is in {storage}; go on with: {command_line()}")
        raise KeyboardInterrupt(line) from None
    if out:
        keep(result, out)
    if json:
        print_json(summary(result))
    else:
        show(result)
        if out:
            console.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)
