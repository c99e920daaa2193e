"""``nasformer study export | import``: a study as a file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Storage, StudyName
from nasformer.cli.output import console


def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="FILE.jsonl, or FILE.csv to read elsewhere.")],
    storage: Storage,
    study: StudyName = None,
) -> None:
    """Write a study to a file: all of it as JSON lines, or a table of its trials as CSV.

    Examples:
      nasformer study export digits.jsonl --storage digits.log
    """
    import json

    from nasformer._io import write_file
    from nasformer.errors import StudyError
    from nasformer.search import SearchResult
    from nasformer.search.study import Study, export_study

    if out.suffix not in (".jsonl", ".csv"):
        raise StudyError(f"a study is exported as FILE.jsonl or FILE.csv, got {str(out)!r}", out)
    found = Study.load(storage, study)
    if out.suffix == ".csv":
        text = SearchResult(found.space, {}, found.settings, tuple(found.trials()), ()).to_frame().to_csv(index=False)
    else:
        text = "".join(json.dumps(line) + "\n" for line in export_study(found))
    write_file(out, text)
    console.print(f"{found.name}: {len(found.trials()):,} finished trials in {out}", markup=False, soft_wrap=True)


def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What 'nasformer study export' wrote.")],
    storage: Storage,
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME", help="Another name than it had.", show_default=False)
    ] = None,
) -> None:
    """Make a study in this storage from an exported file; it goes on there.

    Examples:
      nasformer study import digits.jsonl --storage sqlite:///digits.db
    """
    from nasformer.errors import StudyError
    from nasformer.search.study import Store, import_study, read_lines

    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"cannot read the study {str(source)!r}: {reason}", source) from error
    store = Store(storage)
    name = import_study(store, read_lines(text), study)
    console.print(f"study {name} is in {store.name}", markup=False, soft_wrap=True)
