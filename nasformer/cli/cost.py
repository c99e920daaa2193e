"""``nasformer cost``: exact costs of an architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json, Latency, LatencyTable, Macs, Params, Space, budget_of, timed_space
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.target import read_architecture

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.space import SearchSpace


def cost(
    space: Space,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="JSON, a JSON file, or smallest, centroid, largest, released.")
    ] = "centroid",
    params: Params = None,
    macs: Macs = None,
    latency: Latency = None,
    latency_table: LatencyTable = None,
    json: Json = False,
) -> None:
    """Print the exact parameters and multiply-accumulates of an architecture.

    Examples:
      nasformer cost autoformer-tiny largest

      nasformer cost digits '{"embed_dim": 48, "num_heads": [2, 3], "mlp_ratio": [1, 3]}'

      nasformer cost autoformer-small centroid --params 18e6:23e6
    """
    from nasformer.space import load_space

    declared = timed_space(load_space(space), latency_table, latency)
    arch = read_architecture(declared, architecture)
    figures = _figures(declared, arch, budget_of(params, macs, latency))
    if json:
        print_json({"architecture": arch.to_dict(), **figures})
        return
    console.print(f"{arch}")
    rows = [(name.replace("_", " "), value) for name, value in figures.items() if not isinstance(value, (bool, str))]
    print_table("", ("", declared.name), rows)
    console.print("a member of the space" if figures["member"] else f"not a member: {figures['why_not']}")
    if figures.get("feasible") is not None:
        console.print("within the budget" if figures["feasible"] else "outside the budget")


def _figures(space: SearchSpace, arch: Architecture, budget: dict[str, str]) -> dict[str, Any]:
    from nasformer.cost import as_limits, official_complexity

    why_not = space.codec.why_not(arch)
    costs = space.costs(arch)
    figures: dict[str, Any] = dict(costs)
    if space.series is None:
        figures["official_complexity"] = int(official_complexity(space.geometry, arch))
    figures |= {"member": why_not is None, "why_not": why_not or ""}
    if budget:
        limits = as_limits(budget, space.known_costs)
        figures["feasible"] = why_not is None and all(costs[name] in bounds for name, bounds in limits.items())
    return figures
