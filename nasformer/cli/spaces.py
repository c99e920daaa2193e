"""``nasformer spaces``: list the built-in spaces, or describe one."""

from __future__ import annotations

from typing import Annotated

import typer

from nasformer.cli.options import Json, Latency, LatencyTable, Macs, Params, budget_of, timed_space
from nasformer.cli.output import console, print_json, print_table
from nasformer.errors import SpaceError


def spaces(
    space: Annotated[str | None, typer.Argument(metavar="[SPACE]", help="A name or a file; default: list all.")] = None,
    params: Params = None,
    macs: Macs = None,
    latency: Latency = None,
    latency_table: LatencyTable = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the declaration, to change and save it.")] = False,
    json: Json = False,
) -> None:
    """List the search spaces, or describe one and its feasible set under a budget.

    Examples:
      nasformer spaces

      nasformer spaces autoformer-small --params 18e6:23e6

      nasformer spaces photos --yaml > mine.yaml
    """
    from nasformer._parse import to_yaml
    from nasformer.space import load_space, space_names
    from nasformer.space.description import describe

    if yaml:
        if space is None:
            raise SpaceError("--yaml prints one space; give its name", space)
        print(to_yaml(load_space(space).to_dict(), default_flow_style=None), end="")
        return
    budget = budget_of(params, macs, latency)
    names = [space] if space else space_names()
    descriptions = [describe(timed_space(load_space(name), latency_table, latency), budget) for name in names]
    if json:
        print_json([description.to_dict() for description in descriptions])
    elif space:
        console.print(str(descriptions[0]))
    else:
        rows = [
            (
                d.space.name,
                d.space.size(),
                f"{d.rows['minimum'][1]['params'] / 1e6:.2f}–{d.rows['maximum'][1]['params'] / 1e6:.2f} M",
                f"{d.rows['minimum'][1]['macs'] / 1e9:.3f}–{d.rows['maximum'][1]['macs'] / 1e9:.3f} G",
            )
            for d in descriptions
        ]
        print_table("", ("space", "architectures", "parameters", "MACs"), rows)
        console.print("\n'nasformer spaces NAME' describes one; '--params 5M:6M' counts the feasible set.")
