"""``nasformer study``: share, inspect, export and import searches."""

from __future__ import annotations

import typer

from nasformer.cli.output import stoppable
from nasformer.cli.study.create import create
from nasformer.cli.study.dashboard import dashboard
from nasformer.cli.study.delete import delete
from nasformer.cli.study.exchange import export, import_
from nasformer.cli.study.importance import importance
from nasformer.cli.study.look import best, pareto, trials
from nasformer.cli.study.repair import repair
from nasformer.cli.study.run import run

study = typer.Typer(
    name="study",
    help="Create, run and resume a persistent search, inspect, export and import it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
for _command in (create, run, best, trials, pareto, importance, export, import_, delete, repair, dashboard):
    study.command(_command.__name__.rstrip("_"))(stoppable(_command))
