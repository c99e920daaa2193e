"""``nasformer study export | import``: export a study to a file, and import it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer._io import to_json, without_formulas, write_file
from nasformer.cli.options import Storage, StudyName
from nasformer.cli.output import console
from nasformer.errors import StudyError


def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="FILE.jsonl, or FILE.csv.")],
    storage: Storage,
    study: StudyName = None,
) -> None:
    """Export a study: all of it as JSON lines, or its trials as CSV.

    Examples:
      nasformer study export digits.jsonl --storage digits.log
    """
    from nasformer.search import SearchResult
    from nasformer.search.study import Study, export_study

    if out.suffix not in (".jsonl", ".csv"):
        raise StudyError(f"a study is exported as FILE.jsonl or FILE.csv, got {str(out)!r}", out)
    found = Study.load(storage, study)
    if out.suffix == ".csv":
        frame = SearchResult(found.space, {}, found.settings, tuple(found.trials()), ()).to_frame()
        text = without_formulas(frame).to_csv(index=False)
    else:
        text = "".join(to_json(line) + "\n" for line in export_study(found))
    write_file(out, text)
    console.print(f"{found.name}: {len(found.trials()):,} finished trials in {out}", soft_wrap=True)


def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="File of 'nasformer study export'.")],
    storage: Storage,
    study: Annotated[str | None, typer.Option("--study", metavar="NAME", help="New name.")] = None,
) -> None:
    """Import an exported study into a storage, where it can be resumed.

    Examples:
      nasformer study import digits.jsonl --storage sqlite:///digits.db
    """
    from nasformer._parse import read_text
    from nasformer.search.study import Store, import_study, read_lines

    try:
        text = read_text(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"cannot read the study {str(source)!r}: {reason}", source) from error
    store = Store(storage)
    name = import_study(store, read_lines(text), study)
    console.print(f"study {name} is in {store.name}", soft_wrap=True)
