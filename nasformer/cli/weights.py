"""``nasformer weights``: list, name and remove the kept supernets."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json, print_table, stoppable

if TYPE_CHECKING:
    from nasformer.training.weights import KeptSupernet

weights = typer.Typer(
    name="weights",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
Which = Annotated[str, typer.Argument(metavar="ID|NAME", help="A name, or the first characters of an id.")]


@weights.callback(invoke_without_command=True)
def _list(context: typer.Context, json: Json = False) -> None:
    """List, name and remove the kept supernets, newest first.

    'nasformer train' and 'nasformer import-autoformer' keep the last supernet of
    each space and dataset. One with a name is not replaced.

    Examples:
      nasformer weights

      nasformer weights name 3f2a long-training

      nasformer search digits --supernet long-training
    """
    from nasformer._home import home
    from nasformer.training.weights import kept_supernets

    if context.invoked_subcommand is not None:
        return
    found = kept_supernets()
    if json:
        print_json([_as_dict(each) for each in found])
    elif not found:
        console.print(f"no supernets in {home() / 'supernets'}; 'nasformer train' keeps one", soft_wrap=True)
    else:
        print_table("", ("id", "name", "space", "data", "kept", "MB"), map(_row, found), left=5)
        for each in found:
            if each.fault:
                console.print(f"{each.id}: {each.fault}", soft_wrap=True)


def _row(kept: KeptSupernet) -> tuple[object, ...]:
    space, data = (kept.space, kept.data_name) if kept.space else ("damaged", "")
    megabytes = kept.file.stat().st_size / 1e6
    return kept.id, kept.name or "", space, data, f"{_date(kept):%Y-%m-%d %H:%M}", f"{megabytes:,.1f}"


def _date(kept: KeptSupernet) -> datetime:
    return datetime.fromtimestamp(kept.modified_ns / 1e9).astimezone()


def _as_dict(kept: KeptSupernet) -> dict[str, Any]:
    return {
        "id": kept.id,
        "name": kept.name,
        "space": kept.space,
        "data": kept.data.get("name"),
        "kept": _date(kept).isoformat(timespec="seconds"),
        "bytes": kept.file.stat().st_size,
        "file": str(kept.file),
        "fault": kept.fault,
    }


@weights.command("name")
@stoppable
def _name(which: Which, name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.")]) -> None:
    """Name a kept supernet, which no other then replaces.

    Examples:
      nasformer weights name 3f2a long-training
    """
    from nasformer.training.weights import find_kept, name_weights

    kept = find_kept(which)
    name_weights(kept, name)
    console.print(f"{kept.id} is {name}; use it with --supernet {name}", soft_wrap=True)


@weights.command("remove")
@stoppable
def _remove(which: Annotated[list[str], typer.Argument(metavar="ID|NAME...", help="Names or ids.")]) -> None:
    """Delete kept supernets.

    Examples:
      nasformer weights remove 3f2a long-training
    """
    from nasformer.training.weights import find_kept

    for kept in {each.id: each for each in map(find_kept, which)}.values():
        kept.file.unlink()
        console.print(f"removed {kept.id}: {kept.space or 'damaged'}, {kept.data_name}", soft_wrap=True)
