"""Options that several commands share, each declared once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.errors import BudgetError, DataError, StrategyError

if TYPE_CHECKING:
    from nasformer.data.batches import Readers as ReaderCount
    from nasformer.space import SearchSpace

_PANELS: Any = [{"rich_help_panel": name} for name in ("Budget", "Data", "Weights", "Search", "Output")]
BUDGET, DATA, WEIGHTS, SEARCH, OUTPUT = _PANELS
"""Panels of the help, as arguments of an option."""

Space = Annotated[
    str, typer.Argument(metavar="SPACE", help="Built-in name, or a .yaml or .json file (AutoFormer's own too).")
]
OfSpace = Annotated[
    str | None, typer.Argument(metavar="ARCH", help="Of a space: JSON, a file, or smallest, centroid, largest.")
]
Params = Annotated[
    str | None, typer.Option(metavar="[LEAST:]MOST", help="Parameters, e.g. 6e6, 5e6:6e6 or 5M:6M.", **BUDGET)
]
Budgets = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Several budgets of one search: 1M,2M,4M (parameters) or 'macs <= 1M, 2M'; other bounds hold for each.",
        **BUDGET,
    ),
]
Macs = Annotated[
    str | None, typer.Option(metavar="[LEAST:]MOST", help="Multiply-accumulates per image, e.g. 1.4G.", **BUDGET)
]
Latency = Annotated[
    str | None,
    typer.Option(metavar="[LEAST:]MOST", help="Milliseconds, with --latency-table, e.g. 5 or 4:5.", **BUDGET),
]
LatencyTable = Annotated[Path | None, typer.Option(metavar="FILE", help="File of 'nasformer latency'.", **BUDGET)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", **OUTPUT)]
Seed = Annotated[int, typer.Option(metavar="N", help="Random seed.", min=0)]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.")]
Data = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A folder of images, a label table, digits, …, or series:FILE.", **DATA),
]
Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the dataset.", **DATA)]


def _supernet_file(given: Path | None) -> Path | None:
    from nasformer.training.weights import named_weights

    return given if given is None else named_weights(given)


SupernetPath = Annotated[
    Path | None,
    typer.Option(
        "--supernet",
        metavar="FILE|NAME",
        help="A trained supernet, or a name of 'nasformer weights'.",
        callback=_supernet_file,
        **WEIGHTS,
    ),
]

Repair = Annotated[
    bool | None,
    typer.Option(
        "--repair/--no-repair",
        help="Fit an extracted network to its supernet's outputs first; default: if that is of a trained checkpoint.",
        **WEIGHTS,
    ),
]

Strategy = Annotated[str, typer.Option("--strategy", metavar="NAME", help="A strategy, or module:Class.", **SEARCH)]
Options = Annotated[
    list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="Strategy option; repeatable.", **SEARCH)
]
Evaluations = Annotated[
    int, typer.Option("--evaluations", "-n", metavar="N", min=1, help="Distinct architectures.", **SEARCH)
]
BatchSize = Annotated[int, typer.Option(metavar="N", min=1, help="Architectures per ask.", **SEARCH)]
MaxFailures = Annotated[int, typer.Option(metavar="N", min=0, help="Failed evaluations allowed.", **SEARCH)]
FitnessKind = Annotated[
    str | None,
    typer.Option(
        "--fitness",
        metavar="KIND",
        help="inherited, training-free[?proxy=NAME], table:PATH, surrogate:PATH or fit:TABLE.",
        **SEARCH,
    ),
]
Noise = Annotated[float, typer.Option(metavar="SD", help="Standard deviation of noise, seeded by --seed.", **SEARCH)]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC",
        help="Of inherited weights: accuracy, loss, balanced_accuracy or macro_f1 of classes; loss, mae of numbers; "
        "divergence from the full network, without labels; …",
        **SEARCH,
    ),
]
Racing = Annotated[
    bool, typer.Option("--racing/--no-racing", help="Drop clearly inferior architectures early.", **SEARCH)
]
Dtype = Annotated[str, typer.Option(metavar="NAME", help="auto (bfloat16 on a GPU), float32 or bfloat16.", **WEIGHTS)]
Workers = Annotated[
    int, typer.Option(metavar="N", min=1, help="Evaluation processes, each on its own device.", **SEARCH)
]
Ray = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Ray cluster: auto, local, HOST:PORT.", **SEARCH)]
ConfirmEpochs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Fine-tune the best for N epochs each; these decide.", **SEARCH)
]
ConfirmTop = Annotated[
    int | None, typer.Option(min=1, metavar="K", help="How many, with --confirm-epochs; default 5.", **SEARCH)
]
Seconds = Annotated[float | None, typer.Option(metavar="S", min=0, help="Time limit in seconds.", **SEARCH)]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Evaluate failed trials again.", **SEARCH)]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until no other process leads the study.", **SEARCH)]
WarmStart = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Tell the strategy an earlier result.jsonl, study or table first.", **SEARCH),
]
Readers = Annotated[
    str,
    typer.Option("--readers", metavar="N", help="Processes that read images; auto: one less than the cores.", **DATA),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.", **OUTPUT)]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="NASFORMER_STORAGE",
        help="PATH.log, sqlite:///PATH or postgresql://HOST/NAME.",
    ),
]
NewStudyName = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="Study name; default: SPACE-STRATEGY-seedN.")
]
StudyName = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Study name; default: the only one.")]


def reranking_of(epochs: int | None, top: int | None) -> dict[str, int]:
    """Return what ``--confirm-epochs`` and ``--confirm-top`` ask for; empty: nothing.

    Raises:
        StrategyError: The second without the first.
    """
    if epochs is None and top is not None:
        raise StrategyError(f"--confirm-top {top} needs --confirm-epochs N", top)
    return {} if epochs is None else {"epochs": epochs, "top": top or 5}


def readers_of(text: str) -> ReaderCount:
    """Return the value of ``--readers``.

    Raises:
        DataError: It is neither "auto" nor a number from 0.
    """
    if text != "auto" and not text.isdecimal():
        raise DataError(f"--readers is auto or a number from 0, got {text!r}", text)
    return int(text) if text.isdecimal() else "auto"


def run_folder(name: str) -> Path:
    """Return the default folder of a run."""
    return Path("runs") / file_name(name)


def file_name(name: str) -> str:
    """Return a name, which may come from a file, as that of a file: it leads to no other folder.

    >>> file_name("../../digits-supernet")
    '-..-digits-supernet'
    """
    return re.sub(r"[/\\\x00-\x1f\x7f]+", "-", name).lstrip(".")[:200] or "run"


def budget_of(params: str | None, macs: str | None, latency: str | None = None) -> dict[str, str]:
    """Return the budget of ``--params``, ``--macs`` and ``--latency``."""
    given = {"params": params, "macs": macs, "latency_ms": None if latency is None else latency.replace("ms", "")}
    return {name: value for name, value in given.items() if value is not None}


def budgets_of(space: SearchSpace, budgets: str | None, further: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a search: the budgets of ``--budgets`` with the other bounds, else the one budget."""
    from nasformer.cost import as_budgets, as_limits

    if budgets is None:
        return {"budget": further or None}
    for own in (found := as_budgets(budgets, space.known_costs)):
        if both := own.keys() & further.keys():
            name = both.pop()
            option = {"latency_ms": "--latency"}.get(name, f"--{name}")
            raise BudgetError(f"{option} {further[name]}: --budgets bounds {name} already; leave one out", further)
    return {"budgets": as_budgets(found, space.known_costs, as_limits(further, space.known_costs))}


def trained_space(space: str, supernet: Path | None = None, data: str | None = None) -> SearchSpace:
    """Return a space by name or file; a built-in one with the image size and classes of its weights.

    Args:
        space: Name or file.
        supernet: The weights; None: those kept for the space.
        data: Name of their training dataset; None: any.
    """
    from nasformer.space import load_space, space_names
    from nasformer.training.weights import space_of_weights

    declared = load_space(space)
    return space_of_weights(declared, supernet, data) if space in space_names() else declared


def timed_space(declared: SearchSpace, table: Path | None, latency: str | None) -> SearchSpace:
    """Return a space with the latencies of a table.

    Raises:
        BudgetError: A latency bound without a table, or a table of another space.
    """
    from nasformer.cost import LatencyTable as Table

    if table is not None:
        return declared.with_cost(Table.load(table).cost())
    if latency is not None:
        raise BudgetError(
            f"--latency {latency} needs --latency-table FILE; 'nasformer latency {declared.name}' measures one", latency
        )
    return declared
