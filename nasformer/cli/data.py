"""``nasformer data``: look at a dataset before hours of training."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json, Quiet, Root, Seed
from nasformer.cli.output import command_line, console, print_json, print_table
from nasformer.errors import NasformerError

if TYPE_CHECKING:
    from nasformer.data import Dataset
    from nasformer.data.examine import Examination

_SHOWN = 5


def data(
    name: Annotated[str, typer.Argument(metavar="FOLDER|NAME", help="A folder, a label table or a dataset's name.")],
    image_size: Annotated[int | None, typer.Option(min=1, help="Pixels, for the picture; default: 224.")] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE.png",
            help="Picture of samples of each class, as the network sees them; the page is beside it.",
        ),
    ] = Path("runs/data.png"),
    root: Root = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show classes and counts, image sizes and formats, unreadable images and copies, also as a page with samples.

    'nasformer train' checks the same before it starts.

    Examples:
      nasformer data PHOTOS

      nasformer data labels.csv --json
    """
    from nasformer.data import load_dataset
    from nasformer.data.examine import examine
    from nasformer.data.samples import draw_samples

    if out.suffix != ".png":
        raise NasformerError(f"--out is a picture, FILE.png, got {str(out)!r}", out)
    dataset = load_dataset(name, seed=seed, root=root, image_size=image_size)
    found = examine(dataset, progress=not (quiet or json))
    counts = _counts(dataset)
    figures: dict[str, Any] = {
        **{"name": dataset.name, "task": dataset.task.to_dict(), "splits": dataset.record["splits"], "targets": counts},
        **({} if found is None else _plain(found)),
        **{"left_out": dataset.left_out, "picture": None, "page": None},
    }
    if len(dataset.input_shape) == 3:
        from nasformer.report import write_data_report

        figures["picture"] = str(draw_samples(dataset, out, skipped=() if found is None else found.unreadable))
        figures["page"] = str(
            write_data_report(out.with_name(f"{out.stem}-page.html"), figures, command=command_line())
        )
    if json:
        print_json(figures)
        return
    splits = dataset.record["splits"]
    rows = [(each, *(part.get(each, 0) for part in counts.values())) for each in dataset.classes] if counts else []
    print_table("", (dataset.task.name, *splits), [*rows, ("in all", *splits.values())])
    for line in [] if found is None else _lines(found):
        console.print(line, soft_wrap=True)
    for each in ("picture", "page"):
        if figures[each] is not None:
            console.print(f"{each}: {figures[each]}", soft_wrap=True)


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return the number of examples of each class or label by split; empty where targets are numbers."""
    from nasformer.data.dataset import targets_of

    targets = {key: targets_of(split) for key, split in dataset.splits.items()}
    counts: dict[str, dict[str, int]] = {}
    for key, each in targets.items():
        if each is None or not dataset.task.weighted:  # weights are of classes and labels
            return {}
        number = each.bincount(minlength=len(dataset.classes)) if each.ndim == 1 else each.nansum(0).long()
        counts[key] = dict(zip(dataset.classes, number.tolist(), strict=True))
    return counts


def _plain(found: Examination) -> dict[str, Any]:
    sizes = {"width": found.widths, "height": found.heights}
    spans = {key: [min(each), median(each), max(each)] for key, each in sizes.items() if each}
    return {"kinds": found.kinds, **spans, "unreadable": found.unreadable, "copies": found.copies}


def _lines(found: Examination) -> list[str]:
    about = _plain(found)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.kinds.items())
    sizes = [about[key] for key in ("width", "height") if key in about]
    spans = " × ".join(f"{least}–{most} ({middle:g})" for least, middle, most in sizes)
    lines = [f"formats: {kinds}", f"width × height: {spans} pixels, the median in brackets"] if found.widths else []
    if found.unreadable:
        shown = ", ".join(f"{name} ({reason})" for name, reason in found.unreadable.items())
        lines.append(f"unreadable: {len(found.unreadable)}: {shown}")
    for splits in (("train", "search"), ("train", "test"), ("search", "test")):
        groups = found.across(*splits)
        if groups:
            lines.append(f"copies in {splits[0]} and {splits[1]}: {len(groups)}{_named(groups)}")
    within = [group for group in found.copies if len({split for split, _ in group}) == 1]
    if within:
        lines.append(f"copies within a split: {len(within)}{_named(within)}")
    return lines


def _named(groups: list[list[tuple[str, str]]]) -> str:
    shown = "; ".join(" = ".join(name for _, name in group) for group in groups[:_SHOWN])
    return f", as {shown}"
