"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nasformer.space import SearchSpace

Space = Annotated[
    str, typer.Argument(metavar="SPACE", help="Built-in name, or a .yaml or .json file (AutoFormer's own too).")
]
OfSpace = Annotated[
    str | None,
    typer.Argument(metavar="ARCH", help="With a space: JSON, a file, or smallest, centroid, largest."),
]
Params = Annotated[
    str | None, typer.Option(metavar="[LEAST:]MOST", help="Parameters, as 6e6, 5e6:6e6 or 5M:6M.", show_default=False)
]
Macs = Annotated[
    str | None,
    typer.Option(metavar="[LEAST:]MOST", help="Multiply-accumulates of one image, as 1.4G.", show_default=False),
]
Latency = Annotated[
    str | None,
    typer.Option(metavar="[LEAST:]MOST", help="Milliseconds, with --latency-table, as 5 or 4:5.", show_default=False),
]
LatencyTable = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What 'nasformer latency' measured.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Seed = Annotated[int, typer.Option(help="Of all randomness.", min=0)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Data = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="digits, fashion-mnist, cifar10, … or imagefolder:PATH.", show_default=False),
]
Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Where a dataset's files are.", show_default=False)]
SupernetPath = Annotated[
    Path | None, typer.Option("--supernet", metavar="FILE", help="A trained supernet.", show_default=False)
]

Strategy = Annotated[str, typer.Option("--strategy", metavar="NAME", help="A strategy, or module:Class.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="Of the strategy; repeatable.")
]
Evaluations = Annotated[int, typer.Option("--evaluations", "-n", min=1, help="Distinct architectures.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Architectures per ask.")]
MaxFailures = Annotated[int, typer.Option(min=0, help="Failed evaluations allowed.")]
FitnessKind = Annotated[
    str | None,
    typer.Option(
        "--fitness",
        metavar="KIND",
        help="inherited, training-free, table:PATH, surrogate:PATH or fit:TABLE.",
        show_default=False,
    ),
]
Noise = Annotated[float, typer.Option(metavar="SD", help="Of noise, seeded by --seed, in what the strategy is told.")]
Objective = Annotated[str, typer.Option(help="Of inherited weights: accuracy or loss.")]
Racing = Annotated[bool, typer.Option("--racing/--no-racing", help="Show the hopeless of a batch fewer images.")]
Dtype = Annotated[str, typer.Option(help="Of inherited weights: auto (bfloat16 on a GPU), float32 or bfloat16.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that evaluate, each on a device of its own.")]
Ray = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Ray cluster: auto, local, HOST:PORT.", show_default=False)
]
Seconds = Annotated[float | None, typer.Option(min=0, help="Most seconds.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="NASFORMER_STORAGE",
        help="PATH.log, sqlite:///PATH or postgresql://HOST/NAME.",
        show_default=False,
    ),
]
NewStudyName = Annotated[
    str | None,
    typer.Option("--study", metavar="NAME", help="In the storage; default: SPACE-STRATEGY-seedN.", show_default=False),
]
StudyName = Annotated[
    str | None,
    typer.Option("--study", metavar="NAME", help="In the storage; not needed for the only one.", show_default=False),
]


def budget_of(params: str | None, macs: str | None, latency: str | None = None) -> dict[str, str]:
    """Return the budget that ``--params``, ``--macs`` and ``--latency`` declare."""
    given = {"params": params, "macs": macs, "latency_ms": latency}
    return {name: value for name, value in given.items() if value is not None}


def timed_space(space: str, table: Path | None, latency: str | None) -> SearchSpace:
    """Return the space of a name or file, knowing the latencies of a table.

    Raises:
        BudgetError: A latency is bounded without a table, or the table is not of this space.
    """
    from nasformer.cost import LatencyTable as Table
    from nasformer.errors import BudgetError
    from nasformer.space import load_space

    declared = load_space(space)
    if table is not None:
        return declared.with_cost(Table.load(table).cost())
    if latency is not None:
        raise BudgetError(
            f"--latency {latency} needs --latency-table FILE; 'nasformer latency {space}' measures one", latency
        )
    return declared
